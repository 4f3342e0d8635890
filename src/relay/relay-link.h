/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <systemd/sd-event.h>

#include "../abi/abi-link.h"

/*
 * The relay's end of the connection to slicemeshd (abi-link.h). It knows which message may come when; what a
 * message does is up to its user. Whatever breaks the rules ends the connection and nothing else: traffic
 * goes on under the tables that are there, and slicemeshd may connect again.
 */
typedef struct Link Link;

/* A handler that fails ends the connection. `fds` has as many descriptors as the message carries; those
 * that a handler leaves in it are closed afterwards. */
typedef struct LinkHandlers {
        int (*tables)(void *userdata, const struct sm_link_tables *m, int *fds);
        int (*listener)(void *userdata, const struct sm_link_listener *m, int *fds);
        int (*start)(void *userdata);
        int (*ping)(void *userdata, const struct sm_link_ping *m);
        int (*stop)(void *userdata, const struct sm_link_stop *m);
} LinkHandlers;

/* Accepts on `listening`, a SOCK_SEQPACKET socket, which it takes over on success. A later connection
 * replaces the one before it. */
int link_new(sd_event *event, int listening, const LinkHandlers *handlers, void *userdata, Link **ret);
Link *link_free(Link *l);

/* -ENOTCONN if nobody is there who has been through the handshake. A peer that does not read is hung up
 * on. */
int link_send(Link *l, enum sm_link_type type, const void *body);

/* The same for what can be done without: -EAGAIN if a peer that is slow to read has more important things
 * to read, too. */
int link_offer(Link *l, enum sm_link_type type, const void *body);
