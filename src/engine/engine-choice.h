/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "engine-hash.h"
#include "engine-search.h"

/* What becomes of a request: the outcome of engine-route.h, and what it says beside the endpoint. */

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

/* What a search has come to. If choice->undecided is set then, SM_REASON_NONE says nothing: it has to be
 * asked again by who knows more. */
static inline enum sm_reason sm_choice_of(const struct sm_tables *t, const struct sm_search *s,
                                          struct sm_choice *choice) {
        __builtin_memset(choice, 0, sizeof(*choice));
        if (s->base == 0)
                return SM_REASON_NO_SERVICE;
        choice->policy = sm_cell_of(t, s->base);
        if (!choice->policy)
                return SM_REASON_NO_SERVICE;
        choice->base = s->base;
        choice->shadows = s->shadows;
        if (!s->found && s->undecided == 0)
                return SM_REASON_NO_ROUTE;
        choice->route_index = s->index;
        choice->route = sm_cell_of(t, s->routes + s->index);
        if (!choice->route)
                return SM_REASON_INTERNAL;
        if (s->undecided > 0) {
                choice->undecided = sm_undecided_why(t, s->cell);
                choice->route = NULL;
        }
        return SM_REASON_NONE;
}

struct sm_shadow_count {
        const struct sm_tables *t;
        __u32 routes; /* cell, absolute */
        __u32 shadows;
};

static inline long sm_shadow_step(__u32 i, void *context) {
        struct sm_shadow_count *c = context;
        const struct sm_route *route = sm_cell_of(c->t, c->routes + i);
        struct sm_route_state *state;

        if (!route)
                return 1;
        if (route->shadow == 0 || !(c->shadows >> (route->shadow - 1U) % SM_SHADOWS_MAX & 1))
                return 0;
        state = sm_route_state_at(c->t, route->state);
        if (state)
                __sync_fetch_and_add(&state->shadow, 1);
        return 0;
}

/* Counts what shadow routes would have taken. By who makes the choice, once, and unless it is undecided. */
static inline void sm_count_shadows(const struct sm_tables *t, const struct sm_choice *choice) {
        struct sm_shadow_count c = { .t = t, .shadows = choice->shadows };

        if (choice->shadows == 0)
                return;
        c.routes = choice->base + choice->policy->routes;
        if (choice->policy->n_routes > 0)
                sm_loop(choice->policy->n_routes, sm_shadow_step, &c);
}

/* Throws the dice for what the route does to a share of its requests only. By who makes the choice, once:
 * what was left to somebody else is restored with it. */
static inline void sm_choose_effects(const struct sm_tables *t, struct sm_choice *choice,
                                     const struct sm_request *q) {
        const struct sm_actions *a;

        choice->effects = 0;
        if (!choice->route || choice->route->actions == 0)
                return;
        a = sm_cell_of(t, choice->base + choice->route->actions);
        if (!a)
                return;
        if (sm_dice_below(q->random, SM_SALT_ABORT, a->abort_share))
                choice->effects |= SM_EFFECT_ABORT;
        if (sm_dice_below(q->random, SM_SALT_DELAY, a->delay_share))
                choice->effects |= SM_EFFECT_DELAY;
        if (sm_dice_below(q->random, SM_SALT_MIRROR, a->mirror_share))
                choice->effects |= SM_EFFECT_MIRROR;
}

/*
 * What was chosen before under the policy at cell `base`, from its indexes: moves no cursor, throws no dice.
 * Endpoint 0: none was chosen, because the route answers by itself (then `subset` says nothing, either) or
 * because it has not come to that. Whether there are such a route, subset and endpoint; if not, `choice` is
 * of no use.
 */
static inline int sm_choice_restore(const struct sm_tables *t, __u32 base, __u32 route, __u32 subset,
                                    __u32 endpoint, __u32 effects, struct sm_choice *choice) {
        const struct sm_policy *policy = sm_cell_of(t, base);

        __builtin_memset(choice, 0, sizeof(*choice));
        if (base == 0 || !policy || route >= policy->n_routes ||
            (endpoint > 0 && !sm_endpoint_at(t, endpoint)))
                return 0;
        choice->policy = policy;
        choice->base = base;
        choice->route_index = route;
        choice->endpoint = endpoint;
        choice->effects = effects;
        choice->route = sm_cell_of(t, base + policy->routes + route);
        if (!choice->route || choice->route->split.n == 0)
                return choice->route && endpoint == 0;
        if (subset >= policy->n_subsets)
                return 0;
        choice->subset_index = subset;
        choice->subset = sm_cell_of(t, base + policy->subsets + subset);
        return choice->subset != NULL;
}
