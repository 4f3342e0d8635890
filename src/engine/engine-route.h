/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "engine-balance.h"
#include "engine-key.h"
#include "engine-search.h"

/*
 * From a request to an endpoint, in three steps: route, subset, endpoint. Pure over the tables of
 * engine-access.h but for the cursors. Each step returns SM_REASON_NONE or why the request cannot be
 * served.
 */

/* Which route, subset and endpoint were chosen; cells are absolute indexes. */
struct sm_choice {
        const struct sm_policy *policy;
        const struct sm_route *route;
        const struct sm_subset *subset;
        __u32 base; /* cell of the policy */
        __u32 route_index;
        __u32 subset_index;
        __u32 endpoint;    /* id */
        __u32 passed_over; /* slots whose endpoint was avoided or excluded on the way */
        __u32 panic;       /* all were to be avoided: this one is as well */
        __u32 undecided;   /* enum sm_slow: why it cannot be told which route it is; then there is none */
        __u32 shadows;     /* shadow routes before it that match, by number */
        __u32 effects;     /* enum sm_effect */
};

/* Why a predicate cannot be decided. */
static inline enum sm_slow sm_undecided_why(const struct sm_tables *t, __u32 cell) {
        const struct sm_predicate *p = sm_cell_of(t, cell);

        return p && p->kind < SM_MATCH_CONTENT ? SM_SLOW_REGEX : SM_SLOW_BODY;
}

/* The first route that matches, of the policy at cell `base` (sm_service.root). If choice->undecided is set
 * then, SM_REASON_NONE says nothing: it has to be asked again by who knows more. */
static inline enum sm_reason sm_choose_route(const struct sm_tables *t, __u32 base,
                                             const struct sm_request *q, struct sm_choice *choice) {
        struct sm_route_search s = {
                .t = t,
                .q = q,
                .base = base,
        };
        const struct sm_policy *policy = sm_cell_of(t, base);

        __builtin_memset(choice, 0, sizeof(*choice));
        if (base == 0 || !policy)
                return SM_REASON_NO_SERVICE;
        choice->policy = policy;
        choice->base = base;

        s.routes = base + policy->routes;
        if (policy->n_routes > 0)
                sm_loop(policy->n_routes, sm_route_try, &s);
        choice->shadows = s.shadows;
        if (!s.found && s.undecided == 0)
                return SM_REASON_NO_ROUTE;
        choice->route_index = s.index;
        choice->route = sm_cell_of(t, s.routes + s.index);
        if (!choice->route)
                return SM_REASON_INTERNAL;
        if (s.undecided > 0) {
                choice->undecided = sm_undecided_why(t, base + choice->route->predicates + s.undecided - 1);
                choice->route = NULL;
        }
        return SM_REASON_NONE;
}

/* The subset that is next in the route's split. */
static inline enum sm_reason sm_choose_subset(const struct sm_tables *t, struct sm_choice *choice) {
        const struct sm_route *route = choice->route;
        struct sm_route_state *state;
        __u32 n, turn = 0;
        __s64 slot;

        if (!route) /* it was undecided */
                return SM_REASON_INTERNAL;
        n = route->split.n;
        if (n == 0)
                return SM_REASON_NO_ENDPOINT;
        if (n > 1) {
                state = sm_route_state_at(t, route->state);
                if (!state)
                        return SM_REASON_INTERNAL;
                turn = sm_count_up(&state->cursor) % n;
        }
        slot = sm_slot_at(t, choice->base + route->split.slots, turn);
        if (slot < 0 || slot >= choice->policy->n_subsets)
                return SM_REASON_INTERNAL;
        choice->subset_index = (__u32) slot;
        choice->subset = sm_cell_of(t, choice->base + choice->policy->subsets + (__u32) slot);
        return choice->subset ? SM_REASON_NONE : SM_REASON_INTERNAL;
}

/* An endpoint of the chosen subset, none of the n_excluded ids that were tried before.
 * SM_REASON_NO_ENDPOINT if there is none. */
static inline enum sm_reason sm_choose_endpoint(const struct sm_tables *t, struct sm_choice *choice,
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
            !sm_key_of_request(t, choice->base, subset, q, &p.key))
                p.balance = SM_BALANCE_RANDOM;

        sm_pick_run(&p, choice->base + subset->endpoints, subset->n_endpoints);
        choice->panic = !p.endpoint && p.fallback;
        choice->endpoint = p.endpoint ?: p.fallback;
        choice->passed_over = p.passed_over;
        return choice->endpoint ? SM_REASON_NONE : SM_REASON_NO_ENDPOINT;
}

/* What those three chose before, under the policy at cell `base`, from its indexes: moves no cursor. Whether
 * there are such a route, subset and endpoint; if not, `choice` is of no use. */
static inline int sm_choice_restore(const struct sm_tables *t, __u32 base, __u32 route, __u32 subset,
                                    __u32 endpoint, struct sm_choice *choice) {
        const struct sm_policy *policy = sm_cell_of(t, base);

        __builtin_memset(choice, 0, sizeof(*choice));
        if (base == 0 || !policy || route >= policy->n_routes || subset >= policy->n_subsets ||
            endpoint == 0 || !sm_endpoint_at(t, endpoint))
                return 0;
        choice->policy = policy;
        choice->base = base;
        choice->route_index = route;
        choice->subset_index = subset;
        choice->endpoint = endpoint;
        choice->route = sm_cell_of(t, base + policy->routes + route);
        choice->subset = sm_cell_of(t, base + policy->subsets + subset);
        return choice->route && choice->subset;
}

/* All three for a connection of a tcp service, of which no head is known (q->head is NULL). */
static inline enum sm_reason sm_pick_for_connection(const struct sm_tables *t, __u32 base,
                                                    const struct sm_request *q, __u64 now,
                                                    struct sm_choice *choice) {
        enum sm_reason reason;

        reason = sm_choose_route(t, base, q, choice);
        if (reason != SM_REASON_NONE)
                return reason;
        reason = sm_choose_subset(t, choice);
        if (reason != SM_REASON_NONE)
                return reason;
        return sm_choose_endpoint(t, choice, q, now, NULL, 0);
}
