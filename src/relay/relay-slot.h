/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "../abi/abi-slot.h"
#include "../abi/abi-slow.h"
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
 */
typedef struct Slots {
        SharedTables *tables; /* whose memory they are in; NULL: there are none */
        Upstream **upstreams; /* by slot / workers */
        uint32_t *unused;     /* a stack of slots */
        uint32_t n_unused;
        List bound;      /* upstream connections that have one */
        Timer watch;     /* set while a request may come to take too long */
        nsec_t patience; /* the shortest timeout of a route to their endpoints; 0 = none has one */
        uint32_t next_downstream; /* to be looked at by slots_recover() */
        bool complained;          /* that servers cannot be enrolled */
} Slots;

/* relay-slot.c: connections get slots, and become the relay's again. */
void slots_init(Slots *s);
void slots_done(Slots *s); /* none may be bound */

/* Moves to the tables. Idle connections are closed, as ids may mean other endpoints now. If the memory is
 * the same, requests that are under way go on; else they are handed over to the relay first. -EOPNOTSUPP,
 * -ENOMEM: there are no slots, and all goes through the ordinary pool. */
int slots_use(Worker *w, SharedTables *t);

/* Takes over a connection until it has been idle for so long; if it has no slot, it is given one. Negative:
 * it gets none, at least now, and stays the caller's. */
int slot_offer(Upstream *u, nsec_t idle);

/* An idle connection to the endpoint as it is now, which becomes the caller's; NULL: there is none. */
Upstream *slot_take(Worker *w, uint32_t endpoint);

/* Ends what the kernel does for a downstream whose state was this, when A has gone: WAITING, RESPONDING ->
 * RELAY. The upstream connection becomes the caller's. NULL: that was over, or is with D's program still. */
Upstream *slot_hand_over(Worker *w, uint32_t slot, uint64_t downstream_state);

/* By upstream_free(), of a connection that is closed: gives up its slot, if it has one. */
void slot_release(Upstream *u);

struct sm_slot *slot_entry(const Upstream *u); /* of one that has a slot */

/* relay-slot-event.c: what happens to a connection that has a slot and no exchange. All may free it. */
void slot_ready(Upstream *u);
void slot_expired(Upstream *u, nsec_t now);

void slot_set_timer(Upstream *u, nsec_t due); /* a little later, if that saves waking up */

/* Its memory is left: a request under way is handed over, else it is closed. */
void slot_abandon(Upstream *u);

/* Hands over to the relay the request that is under way by this word. False: it is not any more, or has
 * moved on; *word says how it is. */
bool slot_end_request(Upstream *u, __u64 *word, enum sm_slow why);

bool slot_has_event(const Upstream *u); /* bytes, the end, or an error */

/* What TCP will know, and not know, of the request that the kernel has sent and the relay takes over. */
void slot_note_request(Upstream *u);

/* relay-slot-close.c: connections that are of no use any more. */
#define SLOT_TAKEN_INTERVAL TIMER_TICK /* looks again when D's program, which takes microseconds, had it */

bool slot_kill(Upstream *u);          /* FREE -> DEAD */
bool slot_close_if_gone(Upstream *u); /* DEAD, GONE: out of its stack, and freed */
nsec_t slot_used(const Upstream *u);  /* when it was last given to somebody */
void slots_look_over(Worker *w);      /* closes all that has gone */
void slots_shrink(Worker *w, size_t n); /* and up to `n` of those that are idle, the longest idle first */
void slots_clear(Worker *w);            /* and all that are idle */

/* relay-slot-watch.c: time. No request is to take longer than its route allows, also not over this one. */
void slots_watch(Upstream *u);

/* At each new epoch: closes connections to what is another endpoint now, and learns what routes allow. */
void slots_renew(Worker *w);

/* relay-slot-reset.c: what others have left. A new relay process makes all slots UNUSED and in no stack, and
 * lets the downstreams go; waits until the programs that run now have ended. */
void slots_reset(SharedTables *t);

/* Puts downstreams back that could not be put back for contention; looks at some of them each time. */
void slots_recover(Worker *w);
