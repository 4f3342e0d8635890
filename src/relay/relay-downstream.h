/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "../abi/abi-connection.h"
#include "relay-fast.h"
#include "relay-list.h"
#include "relay-socket.h"
#include "relay-timer.h"

typedef struct Exchange Exchange;
typedef struct Upstream Upstream;
typedef struct Worker Worker;

typedef enum DownstreamState {
        DOWNSTREAM_IDLE,      /* between requests */
        DOWNSTREAM_EXCHANGE,  /* its exchange decides */
        DOWNSTREAM_LINGERING, /* the last answer is out; what still comes is dropped */
} DownstreamState;

/* A caller's connection. Requests are answered one after the other, so it has at most one exchange. */
typedef struct Downstream {
        Socket socket;
        Worker *worker;
        List link, ready_link;
        Timer timer;
        DownstreamState state;
        Exchange *exchange;
        Buffer *in; /* what was received and not consumed */
        uint32_t service, generation, slice, uid;
        nsec_t idle_time; /* by the service's policy, as of the last request */
        uint64_t cgroup, unit;
        __u8 source[16];      /* the caller's address */
        __u8 destination[16]; /* what it asked for */
        __be16 destination_port;
        bool refused; /* beyond the limit of connections: one answer, no service */
        Fast fast;
        nsec_t recheck; /* after so long, whether the kernel still answers; 0 = nobody waits for that */
} Downstream;

/* Takes over the descriptor, and begins to serve. */
int downstream_new(Worker *w, int fd, const __u8 source[static 16], const struct sm_caller *caller,
                   bool refused);

/* The service that it was captured for; 0 when that has been withdrawn and its id is another one's. */
uint32_t downstream_service(const Downstream *d);

/* How far the caller's stream was read and used: where its next request begins, or goes on. */
uint64_t downstream_consumed(const Downstream *d);

/* Goes on as far as it can; may free the downstream. */
void downstream_run(Downstream *d);

/* Begins with an exchange that was made by relay-takeover.c; may free the downstream. */
void downstream_begin(Downstream *d, Exchange *x);

/*
 * The slot of `u` has become RELAY, by whoever: what the kernel had taken from that downstream is to be
 * answered. `owed` as for SM_REMAINING_*, `why` it did not stay the kernel's, or SM_SLOW_NONE for a remote
 * endpoint, whose response always comes by way of the relay. Takes over `u`; may free it and the downstream.
 */
void downstream_take_over(Worker *w, uint32_t downstream, Upstream *u, uint32_t owed, enum sm_slow why);

/* Closes it and ends its exchange, of which the caller cannot take what it got for complete. Where the
 * kernel answers and is faster, that happens a little later. */
void downstream_abort(Downstream *d);

/* Keep-alive connections without a request are closed, the others after it. */
void downstream_stop(Downstream *d);
