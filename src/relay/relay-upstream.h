/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "relay-list.h"
#include "relay-socket.h"
#include "relay-tables.h"
#include "relay-timer.h"

typedef struct Exchange Exchange;
typedef struct Mirror Mirror;
typedef struct Worker Worker;

/* A connection to an endpoint. It belongs to one exchange or mirror at a time, or waits in the pool for the
 * next. */
typedef struct Upstream {
        Socket socket;
        Worker *worker;
        SharedTables *tables;
        Exchange *exchange; /* this and... */
        Mirror *mirror;     /* ...this are NULL in the pool */
        uint32_t endpoint;
        uint32_t generation; /* of the endpoint, when it was connected to */
        bool connected;
        bool reused; /* has carried an exchange before */
        Timer timer; /* to connect, then to wait in the pool */
        List pool_link, age_link;
        uint64_t written;     /* bytes in all */
        uint64_t written_before; /* of them before the current exchange */

        /* relay-slot.h */
        uint32_t slot;        /* 0: none */
        uint8_t n_unread;     /* enrolments in a row for which the server had not read all */
        bool slotless;        /* cannot have one */
        bool bypassed;        /* the kernel put the current request into the server's ingress */
        List slot_link;
        nsec_t idle_since, idle_time; /* as far as the relay has used it */
} Upstream;

static inline bool upstream_is_used(const Upstream *u) {
        return u->exchange || u->mirror;
}

/* Begins to connect; `timer` runs out at the deadline. Who it is for is to be noted in it at once. Errors of
 * connect(2) as they are; what is known only later, upstream_finish_connect() tells. */
int upstream_connect(Worker *w, SharedTables *t, uint32_t endpoint, nsec_t deadline, Upstream **ret);

/* 1: connected, 0: not yet, or why it failed. */
int upstream_finish_connect(Upstream *u);

/* Closes it. Accepts and returns NULL. */
Upstream *upstream_free(Upstream *u);

/* Whether the peer's kernel has not taken a byte of what the current exchange wrote, provided that it
 * closed its side in order: see the definition. */
bool upstream_received_nothing(const Upstream *u);
