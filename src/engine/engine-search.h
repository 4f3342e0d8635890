/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "engine-match.h"

/* The first route that matches: two loops, over routes and over the predicates of each. */

struct sm_route_search {
        const struct sm_tables *t;
        const struct sm_request *q;
        __u32 base;       /* cell of the policy */
        __u32 routes;     /* cell, absolute */
        __u32 predicates; /* of the route being looked at; cell, absolute */
        __u32 failed;     /* one of them does not hold */
        __u32 index;      /* result */
        __u32 found;
};

static inline long sm_route_check_predicate(__u32 i, void *context) {
        struct sm_route_search *s = context;

        if (sm_predicate_holds(s->t, s->base, s->predicates + i, s->q))
                return 0;
        s->failed = 1;
        return 1;
}

/* Whether all predicates of the route in that cell hold. */
static inline int sm_route_matches(const struct sm_tables *t, __u32 base, const struct sm_route *route,
                                   const struct sm_request *q) {
        struct sm_route_search s = {
                .t = t,
                .q = q,
                .base = base,
                .predicates = base + route->predicates,
        };

        if (route->n_predicates > 0)
                sm_loop(route->n_predicates, sm_route_check_predicate, &s);
        return !s.failed;
}

static inline long sm_route_try(__u32 i, void *context) {
        struct sm_route_search *s = context;
        const struct sm_route *route = sm_cell_of(s->t, s->routes + i);

        if (!route)
                return 1;
        if (!sm_route_matches(s->t, s->base, route, s->q))
                return 0;
        s->index = i;
        s->found = 1;
        return 1;
}
