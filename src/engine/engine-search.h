/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "engine-match.h"

/* The first route that matches: two loops, over routes and over the predicates of each. */

struct sm_route_run {
        const struct sm_tables *t;
        const struct sm_request *q;
        __u32 base;       /* cell of the policy */
        __u32 predicates; /* of the route; cell, absolute */
        __u32 next;       /* result: the predicate that is next, or SM_GOTO_* */
        __u32 last;       /* result: the one that was looked at last */
};

/* Jumps go forward only, so one pass over the predicates is enough. */
static inline long sm_route_step(__u32 i, void *context) {
        struct sm_route_run *run = context;
        const struct sm_predicate *p = sm_cell_of(run->t, run->predicates + i);
        enum sm_verdict verdict;

        if (i != run->next)
                return 0;
        if (!p)
                return 1;
        run->last = i;
        verdict = sm_predicate_judge(run->t, run->base, run->predicates + i, run->q);
        if (verdict == SM_VERDICT_UNDECIDED)
                run->next = SM_GOTO_UNDECIDED;
        else
                run->next = verdict == SM_VERDICT_YES ? p->yes : p->no;
        return run->next >= SM_GOTO_UNDECIDED;
}

/* 0, but the verifier of Linux 6.1 does not know it: it would take what a loop starts with for what each
 * step of it finds. */
static inline __u32 sm_route_start(const struct sm_route *route) {
        return SM_READ_ONCE(route->n_predicates) - (__u32) SM_READ_ONCE(route->n_predicates);
}

/* Whether the route is one for this request; `ret_last`: the predicate that decided. */
static inline enum sm_verdict sm_route_judge(const struct sm_tables *t, __u32 base,
                                             const struct sm_route *route, const struct sm_request *q,
                                             __u32 *ret_last) {
        struct sm_route_run run = {
                .t = t,
                .q = q,
                .base = base,
                .predicates = base + route->predicates,
                .next = sm_route_start(route),
        };

        if (route->n_predicates == 0)
                return SM_VERDICT_YES;
        if (!q->head)
                return SM_VERDICT_NO;
        sm_loop(route->n_predicates, sm_route_step, &run);
        *ret_last = run.last;
        if (run.next == SM_GOTO_UNDECIDED)
                return SM_VERDICT_UNDECIDED;
        return run.next == SM_GOTO_MATCHED ? SM_VERDICT_YES : SM_VERDICT_NO;
}

struct sm_route_search {
        const struct sm_tables *t;
        const struct sm_request *q;
        __u32 base;       /* cell of the policy */
        __u32 routes;     /* cell, absolute */
        __u32 index;      /* result */
        __u32 found;
        __u32 undecided;  /* 1 + the predicate, of route `index`, that could not be decided */
        __u32 shadows;    /* shadow routes that match, a bit for each */
};

static inline long sm_route_try(__u32 i, void *context) {
        struct sm_route_search *s = context;
        const struct sm_route *route = sm_cell_of(s->t, s->routes + i);
        enum sm_verdict verdict;
        __u32 last = 0;

        if (!route)
                return 1;
        verdict = sm_route_judge(s->t, s->base, route, s->q, &last);
        if (verdict == SM_VERDICT_NO)
                return 0;
        if (verdict == SM_VERDICT_YES && route->shadow > 0) {
                s->shadows |= 1U << ((route->shadow - 1U) % SM_SHADOWS_MAX);
                return 0;
        }
        s->index = i;
        s->found = verdict == SM_VERDICT_YES;
        s->undecided = verdict == SM_VERDICT_YES ? 0 : last + 1;
        return 1;
}
