/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "daemon-listeners.h"
#include "daemon-manager.h"

/*
 * The conversation with slicemesh-relay (abi-link.h): connects, hands over tables and listeners, keeps
 * connecting anew with growing pauses while there is no relay. What it learns goes to the manager.
 */

/* Takes over the listeners; NULL if they could not be bound: then there is never a relay. `path` is that of
 * the relay's socket. */
int relay_link_new(Manager *m, const char *path, Listeners *listeners, RelayLink **ret);
RelayLink *relay_link_free(RelayLink *l);

bool relay_link_has_listeners(const RelayLink *l);

RelayState relay_link_state(const RelayLink *l);
pid_t relay_link_pid(const RelayLink *l);            /* 0 while there is none */
uint32_t relay_link_connections(const RelayLink *l); /* of callers, as of the last PONG */

/* Something was retired: asks the workers to pass the epoch. */
void relay_link_epoch_grew(RelayLink *l);

/* The mesh is stopped for good: the relay finishes what is in flight and exits, and no listener is kept. */
void relay_link_stop(RelayLink *l);
