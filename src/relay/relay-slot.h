/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "../abi/abi-slot.h"
#include "../basic/time-util.h"
#include "relay-list.h"
#include "relay-tables.h"
#include "relay-timer.h"

typedef struct Upstream Upstream;
typedef struct Worker Worker;

/*
 * A worker's slots (docs/fast-path.md): upstream connections that the kernel may use as well. Slot i is
 * worker i % workers' for good, so that nobody but this thread binds and releases it. An upstream connection
 * has its slot from when it is first idle until it is closed.
 *
 * relay-slot.c binds, takes and gives back; relay-slot-event.c has what happens to one while it is not the
 * relay's; relay-slot-watch.c what happens to it with time; relay-slot-reset.c what another relay has left.
 */
typedef struct Slots {
        SharedTables *tables;  /* whose memory they are in; NULL: none */
        Upstream **upstreams;  /* by slot / workers */
        uint32_t *unused;      /* a stack of slots */
        uint32_t n_unused;
        List bound;            /* upstream connections that have one */
        Timer watch;           /* set while a request over one of them may take too long */
        nsec_t patience;       /* the shortest timeout of a route to their endpoints; 0 = none has one */
} Slots;

void slots_init(Slots *s);
void slots_done(Slots *s); /* none may be bound */

/* Moves to the tables, from none or others. Connections that are idle are closed, as ids may mean other
 * endpoints now. If the memory is the same, requests that are under way go on; else they are handed over
 * to the relay first. -ENOMEM, -EOPNOTSUPP: there are no slots, and all goes through the ordinary pool. */
int slots_use(Worker *w, SharedTables *t);

/* Takes over an idle connection, until it has been idle for so long; if it has no slot yet, it gets one.
 * Negative: it has none and gets none (now), and stays the caller's. */
int slot_offer(Upstream *u, nsec_t idle);

/* An idle connection to the endpoint as it is now, which becomes the caller's; NULL: there is none. */
Upstream *slot_take(Worker *w, uint32_t endpoint);

/* Ends what the kernel does for a downstream whose state was this, when A has gone: WAITING, RESPONDING ->
 * RELAY. The upstream connection becomes the caller's. NULL: somebody was faster. That may be the end of the
 * request, or downstream_take_over() is about to come. */
Upstream *slot_hand_over(Worker *w, uint32_t slot, uint64_t downstream_state);

/* By upstream_free(): gives up the slot of a connection that is closed, if it has one. */
void slot_release(Upstream *u);

/* Events of a connection without exchange, and its timer; may free it. */
void slot_ready(Upstream *u);
void slot_expired(Upstream *u, nsec_t now);

/* Closes the `n` connections that are idle the longest, and returns how many there were. */
size_t slots_shrink(Worker *w, size_t n);

/* At each new epoch: closes connections to what is another endpoint now, and learns what routes allow. */
void slots_renew(Worker *w);

/* What a new relay process does with memory that another one may have left: all slots are UNUSED and in no
 * stack, and all downstreams let go. Waits until the programs that run now have ended. */
void slots_reset(SharedTables *t);
