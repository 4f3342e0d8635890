/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdint.h>

#include "../abi/abi-limits.h"

/*
 * The sockets that captured connections arrive on, two for each worker of the relay: 127.0.0.1 and ::1.
 * They are kept in systemd's FD store: while neither slicemeshd nor a relay runs, connections wait in
 * their backlog.
 */
typedef struct Listeners {
        unsigned n_workers;
        int ipv4[SM_WORKERS_MAX];
        int ipv6[SM_WORKERS_MAX]; /* -EBADF on a host without IPv6 */
} Listeners;

/* Takes those that systemd kept, binds the others and has them kept. */
int listeners_open(uint16_t port, unsigned n_workers, Listeners **ret);
Listeners *listeners_free(Listeners *l);

/* Not needed any more, by any slicemeshd to come. */
void listeners_forget(Listeners *l);
