/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "engine-balance.h"
#include "engine-choice.h"
#include "engine-split.h"

/*
 * From a request to an endpoint, in three steps: route, subset, endpoint. Pure over the tables of
 * engine-access.h but for the cursors. Each step returns SM_REASON_NONE or why the request cannot be
 * served.
 */

/* Looks for the first route that matches, of the policy at cell `base` (sm_service.root); what it comes
 * to is in q->work, for sm_choice_of() and sm_choose_subset(). */
static inline void sm_search_route(const struct sm_tables *t, __u32 base, const struct sm_request *q) {
        const struct sm_policy *policy = sm_cell_of(t, base);
        struct sm_match m = { .t = t, .q = q, .w = q->work };
        const struct sm_route *route;

        m.w->search.base = 0;
        if (base == 0 || !policy)
                return;
        sm_search_start(&m.w->search, base, policy);
        if (policy->n_routes > 0)
                sm_loop(sm_search_steps(policy), sm_search_step, &m);
        if (!m.w->search.found)
                return;
        route = sm_cell_of(t, m.w->search.routes + m.w->search.index);
        if (route)
                sm_key_of_route(t, base, route, q);
}

/* Both at once, for who has the room on its stack. */
static inline enum sm_reason sm_choose_route(const struct sm_tables *t, __u32 base,
                                             const struct sm_request *q, struct sm_choice *choice) {
        sm_search_route(t, base, q);
        return sm_choice_of(t, &q->work->search, choice);
}

/* The same for a connection of a tcp service; q->work is not needed. */
static inline enum sm_reason sm_choose_route_for_connection(const struct sm_tables *t, __u32 base,
                                                            const struct sm_request *q,
                                                            struct sm_choice *choice) {
        const struct sm_policy *policy = sm_cell_of(t, base);
        struct sm_connection_search c = { .m.t = t, .m.q = q };

        if (base > 0 && policy) {
                sm_search_start(&c.s, base, policy);
                if (policy->n_routes > 0)
                        sm_loop(sm_search_steps(policy), sm_connection_step, &c);
        }
        return sm_choice_of(t, &c.s, choice);
}

/* The subset whose turn it is in the route's split; -1 if there is none. */
static inline __s64 sm_split_next(const struct sm_tables *t, __u32 base, const struct sm_route *route,
                                  const struct sm_request *q) {
        struct sm_route_state *state;
        __u32 n = route->split.n, turn = 0;

        if (route->split_by == SM_SPLIT_BY_KEY)
                return sm_split_by_key(t, base, route, q);
        if (n > 1 && route->split_by == SM_SPLIT_AT_RANDOM) {
                turn = sm_dice(q->random, SM_SALT_SPLIT) % n;
        } else if (n > 1) {
                state = sm_route_state_at(t, route->state);
                if (!state)
                        return -1;
                turn = sm_count_up(&state->cursor) % n;
        }
        return sm_slot_at(t, base + route->split.slots, turn);
}

/* The subset that the route's split gives this request to. SM_REASON_NO_ENDPOINT if it has none. */
static inline enum sm_reason sm_choose_subset(const struct sm_tables *t, struct sm_choice *choice,
                                              const struct sm_request *q) {
        const struct sm_route *route = choice->route;
        __s64 subset;

        if (!route) /* it was undecided */
                return SM_REASON_INTERNAL;
        if (route->split.n == 0)
                return SM_REASON_NO_ENDPOINT;
        subset = sm_split_next(t, choice->base, route, q);
        if (subset < 0 || subset >= choice->policy->n_subsets)
                return SM_REASON_INTERNAL;
        choice->subset_index = (__u32) subset;
        choice->subset = sm_cell_of(t, choice->base + choice->policy->subsets + (__u32) subset);
        return choice->subset ? SM_REASON_NONE : SM_REASON_INTERNAL;
}

/* The second half of sm_choose_endpoint(), for who has no room on its stack for both: when
 * sm_key_of_subset() was called, or there is no head. */
static inline enum sm_reason sm_take_endpoint(const struct sm_tables *t, struct sm_choice *choice,
                                              const struct sm_request *q, __u64 now, const __u32 *excluded,
                                              __u32 n_excluded) {
        const struct sm_subset *subset = choice->subset;
        struct sm_subset_state *state = sm_subset_state_at(t, subset->state);
        struct sm_pick p = {
                .t = t,
                .excluded = excluded,
                .n_excluded = n_excluded,
                .cursor = state ? &state->cursor : NULL,
                .now = now,
                .key = q->random,
                .slots = choice->base + subset->schedule.slots,
                .n = subset->schedule.n,
                .balance = subset->balance,
        };

        if (p.n == 0)
                return SM_REASON_NO_ENDPOINT;
        if (p.balance == SM_BALANCE_CONSISTENT_HASH &&
            !sm_key_of_request(q, subset->hash, &p.key))
                p.balance = SM_BALANCE_RANDOM;

        sm_pick_run(&p, choice->base + subset->endpoints, subset->n_endpoints);
        choice->panic = !p.endpoint && p.fallback;
        choice->endpoint = p.endpoint ?: p.fallback;
        choice->passed_over = p.passed_over;
        return choice->endpoint ? SM_REASON_NONE : SM_REASON_NO_ENDPOINT;
}

/* An endpoint of the chosen subset, none of the n_excluded ids that were tried before.
 * SM_REASON_NO_ENDPOINT if there is none. */
static inline enum sm_reason sm_choose_endpoint(const struct sm_tables *t, struct sm_choice *choice,
                                                const struct sm_request *q, __u64 now, const __u32 *excluded,
                                                __u32 n_excluded) {
        sm_key_of_subset(t, choice->base, choice->subset, q);
        return sm_take_endpoint(t, choice, q, now, excluded, n_excluded);
}

/* All three for a connection of a tcp service, of which no head is known (q->head is NULL). */
static inline enum sm_reason sm_pick_for_connection(const struct sm_tables *t, __u32 base,
                                                    const struct sm_request *q, __u64 now,
                                                    struct sm_choice *choice) {
        enum sm_reason reason;

        reason = sm_choose_route_for_connection(t, base, q, choice);
        if (reason != SM_REASON_NONE)
                return reason;
        reason = sm_choose_subset(t, choice, q);
        if (reason != SM_REASON_NONE)
                return reason;
        return sm_take_endpoint(t, choice, q, now, NULL, 0);
}
