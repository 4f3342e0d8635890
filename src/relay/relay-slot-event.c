/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <sys/socket.h>

#include "../engine/engine-slot.h"
#include "relay-downstream.h"
#include "relay-slot.h"
#include "relay-upstream.h"
#include "relay-worker.h"

#define IDLE_DIVISOR 8 /* idle for up to an eighth of the time too long */

bool slot_has_event(const Upstream *u) {
        return u->socket.readable || u->socket.ended || u->socket.error < 0;
}

void slot_note_request(Upstream *u) {
        const struct sm_slot *slot = slot_entry(u);

        u->reused = true;
        u->bypassed = slot->local;
        u->written_before = u->written;
        if (!slot->local)
                u->written += slot->size;
}

/* The slot is RELAY and `word` says so. The connection passes to the downstream. */
static void take_over(Upstream *u, __u64 word, enum sm_slow why) {
        slot_note_request(u);
        downstream_take_over(u->worker, sm_load_32(&slot_entry(u)->downstream), u, sm_slot_remaining(word),
                             why);
}

/* Whether an endpoint that has closed its side has answered first, as it does to say that it closes. */
static bool has_answered(const Upstream *u) {
        char byte;

        return u->socket.error == 0 && recv(u->socket.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

/* What an event means for a request that waits: bytes are the response of an endpoint that is reached by
 * TCP, which is no reason to be slow. */
static enum sm_slow waiting_slow(const Upstream *u) {
        return u->socket.readable && (!u->socket.ended || has_answered(u)) ? SM_SLOW_NONE :
                                                                             SM_SLOW_UPSTREAM_DIED;
}

bool slot_end_request(Upstream *u, __u64 *word, enum sm_slow why) {
        __u32 owed = sm_slot_state(*word) == SM_SLOT_WAITING ? SM_REMAINING_ALL : SM_REMAINING_UNKNOWN;

        if (!sm_slot_hand_over(slot_entry(u), word, owed))
                return false;
        take_over(u, *word, why);
        return true;
}

/* Something is at the connection, whose slot has this word. False: it has changed, look again. */
static bool try_event(Upstream *u, __u64 word) {
        switch (sm_slot_state(word)) {

        case SM_SLOT_FREE: /* the endpoint has closed it, or speaks unasked */
                return slot_kill(u) && slot_close_if_gone(u);

        case SM_SLOT_TAKEN:
                timer_set(&u->worker->timers, &u->timer, u->worker->now + SLOT_TAKEN_INTERVAL);
                return true;

        case SM_SLOT_WAITING:
                return slot_end_request(u, &word, waiting_slow(u));

        case SM_SLOT_RESPONDING: /* bytes of S do not come here before it is handed over */
                return (!u->socket.ended && u->socket.error == 0) ||
                        slot_end_request(u, &word, SM_SLOW_UPSTREAM_DIED);

        default:
                return true;
        }
}

void slot_ready(Upstream *u) {
        struct sm_slot *slot = slot_entry(u);
        __u64 word;

        do {
                word = sm_load(&slot->node.word);
                if (sm_slot_state(word) == SM_SLOT_RELAY) { /* handed over by S's program */
                        take_over(u, word, slot->slow);
                        return;
                }
                if (slot_close_if_gone(u) || !slot_has_event(u))
                        return;
        } while (!try_event(u, word));
}

/* The kernel uses connections without a word, so each is looked at when its time seems to be over: all
 * of them at the same moments, for the sake of a relay that else could sleep. */
void slot_set_timer(Upstream *u, nsec_t due) {
        nsec_t step = MAX(u->idle_time / IDLE_DIVISOR, TIMER_TICK);

        timer_set(&u->worker->timers, &u->timer, (due + step - 1) / step * step);
}

void slot_expired(Upstream *u, nsec_t now) {
        nsec_t due = slot_used(u) + u->idle_time;

        if (now >= due)
                (void) slot_kill(u); /* which it is not if it is in use */
        slot_set_timer(u, now >= due ? now + u->idle_time : due);
        slot_ready(u);
}

void slot_abandon(Upstream *u) {
        struct sm_slot *slot = slot_entry(u);
        __u64 word = sm_load(&slot->node.word);

        if (upstream_is_used(u))
                return;
        while (sm_slot_state(word) == SM_SLOT_WAITING || sm_slot_state(word) == SM_SLOT_RESPONDING)
                if (slot_end_request(u, &word, SM_SLOW_OFF))
                        return;
        if (sm_slot_state(word) == SM_SLOT_RELAY) {
                take_over(u, word, slot->slow);
                return;
        }
        sm_slot_reset(slot);
        upstream_free(u);
}
