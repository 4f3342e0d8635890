/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "engine-access.h"
#include "engine-hash.h"

/*
 * Picks an endpoint of a subset: by its schedule (abi-policy.h), passing over those that are to be
 * avoided or were tried before. Nothing is counted here but the cursor; the caller counts what it really
 * sends.
 *
 * SM_PICK_TRIES slots are tried in the way of the subset's balance. If none of them will do, the schedule
 * is searched, so that one good endpoint of little weight is found among many bad slots; but only if
 * there is something to be found. An endpoint that is to be avoided is better than none, one that was
 * tried is not.
 */

#define SM_PICK_EXCLUDED_MAX 8 /* ids tried before that are looked at */

struct sm_pick {
        const struct sm_tables *t;
        const __u32 *excluded; /* ids tried before; NULL = none */
        __u32 *cursor;         /* of round robin */
        __u64 now;             /* ns, CLOCK_MONOTONIC */
        __u64 key;             /* hash or random number */
        __u32 n_excluded;
        __u32 slots;       /* cell, absolute */
        __u32 n;           /* slots, not 0 */
        __u32 balance;     /* enum sm_balance */
        __u32 endpoint;    /* result; 0 = none */
        __u32 fallback;    /* one that is to be avoided, but was not tried before; 0 = none */
        __u32 passed_over; /* slots that would not do */
        __u32 any;         /* an endpoint of the subset would do */
};

enum sm_pick_verdict { SM_PICK_UNUSABLE, SM_PICK_AVOIDED, SM_PICK_USABLE };

static inline enum sm_pick_verdict sm_pick_judge(const struct sm_pick *p, __s64 id) {
        const struct sm_endpoint_state *s;

        if (id <= 0)
                return SM_PICK_UNUSABLE;
        /* The verifier follows a pointer that is NULL, but not a count beside it that is 0. */
        for (__u32 i = 0; p->excluded && i < SM_PICK_EXCLUDED_MAX && i < p->n_excluded; i++)
                if (p->excluded[i] == id)
                        return SM_PICK_UNUSABLE;
        s = sm_endpoint_state_at(p->t, (__u32) id);
        if (!s)
                return SM_PICK_UNUSABLE;
        return SM_READ_ONCE(s->avoid_until) > p->now ? SM_PICK_AVOIDED : SM_PICK_USABLE;
}

/* Ends the pick at slot i, or notes why not. */
static inline long sm_pick_slot(struct sm_pick *p, __u64 i) {
        __s64 id = sm_slot_at(p->t, p->slots, (__u32) (i % p->n));
        enum sm_pick_verdict verdict = sm_pick_judge(p, id);

        if (verdict == SM_PICK_USABLE) {
                p->endpoint = (__u32) id;
                return 1;
        }
        if (verdict == SM_PICK_AVOIDED)
                p->fallback = (__u32) id;
        p->passed_over++;
        return 0;
}

/* Every try moves the cursor: what falls to a bad endpoint is then spread over all others, not to its
 * neighbour in the schedule. */
static inline long sm_pick_in_turn(__u32 i, void *context) {
        struct sm_pick *p = context;

        return sm_pick_slot(p, sm_count_up(p->cursor));
}

static inline long sm_pick_at_random(__u32 i, void *context) {
        struct sm_pick *p = context;

        return sm_pick_slot(p, sm_hash_finish(p->key + i));
}

static inline long sm_pick_from_key(__u32 i, void *context) {
        struct sm_pick *p = context;

        return sm_pick_slot(p, p->key % p->n + i);
}

/* Requests in flight for each unit of weight, of a relative to b: whether a has more. */
static inline int sm_pick_is_busier(const struct sm_pick *p, __u32 a, __u32 b) {
        const struct sm_endpoint_state *sa = sm_endpoint_state_at(p->t, a);
        const struct sm_endpoint_state *sb = sm_endpoint_state_at(p->t, b);
        const struct sm_endpoint *ea = sm_endpoint_at(p->t, a), *eb = sm_endpoint_at(p->t, b);

        if (!sa || !sb || !ea || !eb)
                return 0;
        return (__u64) SM_READ_ONCE(sa->in_flight) * (eb->weight ?: 1) >
               (__u64) SM_READ_ONCE(sb->in_flight) * (ea->weight ?: 1);
}

/* The power of two choices: of two different slots at random, the endpoint with less to do. */
static inline long sm_pick_less_busy(__u32 i, void *context) {
        struct sm_pick *p = context;
        __u64 random = sm_hash_finish(p->key + i);
        __u32 first = (__u32) random % p->n, second = first;
        __s64 id;

        if (p->n > 1)
                second = (first + 1 + (__u32) (random >> 32) % (p->n - 1)) % p->n;
        if (sm_pick_slot(p, first) == 0)
                return sm_pick_slot(p, second);

        id = sm_slot_at(p->t, p->slots, second);
        if (sm_pick_judge(p, id) == SM_PICK_USABLE && sm_pick_is_busier(p, p->endpoint, (__u32) id))
                p->endpoint = (__u32) id;
        return 1;
}

static inline long sm_pick_look_for_any(__u32 i, void *context) {
        struct sm_pick *p = context;

        p->any = sm_pick_judge(p, sm_slot_at(p->t, p->slots, i)) == SM_PICK_USABLE;
        return p->any;
}

static inline void sm_pick_try(struct sm_pick *p) {
        if (p->balance == SM_BALANCE_ROUND_ROBIN && p->cursor)
                sm_loop(SM_PICK_TRIES, sm_pick_in_turn, p);
        else if (p->balance == SM_BALANCE_LEAST_REQUEST)
                sm_loop(SM_PICK_TRIES / 2, sm_pick_less_busy, p);
        else if (p->balance == SM_BALANCE_CONSISTENT_HASH)
                sm_loop(SM_PICK_TRIES, sm_pick_from_key, p);
        else
                sm_loop(SM_PICK_TRIES, sm_pick_at_random, p);
}

/* Fills in the results. `list` is the cell, absolute, of the ids of all n_list endpoints of the subset. */
static inline void sm_pick_run(struct sm_pick *p, __u32 list, __u32 n_list) {
        __u32 slots = p->slots;

        sm_pick_try(p);
        if (p->endpoint)
                return;

        p->slots = list;
        sm_loop(n_list < SM_SLOTS_MAX ? n_list : SM_SLOTS_MAX, sm_pick_look_for_any, p);
        p->slots = slots;
        if (p->any || !p->fallback)
                sm_loop(p->n < SM_SLOTS_MAX ? p->n : SM_SLOTS_MAX, sm_pick_from_key, p);
}
