/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "engine-match.h"

/*
 * The first route that matches. One loop over the predicates of all routes: each step judges one and says
 * where to go on, which is further on in the same route or in the next one.
 */

#define SM_LOOP_MAX (1U << 23) /* steps, of bpf_loop() */

static inline __u32 sm_search_goto(const struct sm_predicate *p, enum sm_verdict verdict) {
        if (verdict == SM_VERDICT_UNDECIDED)
                return SM_GOTO_UNDECIDED;
        return verdict == SM_VERDICT_YES ? p->yes : p->no;
}

/* 1 if the search is over. */
static inline long sm_search_settle(struct sm_search *s, const struct sm_route *route, __u32 next) {
        if (next == SM_GOTO_MATCHED && route->shadow > 0)
                s->shadows |= 1U << ((route->shadow - 1U) % SM_SHADOWS_MAX);
        else if (next == SM_GOTO_MATCHED)
                s->found = 1;
        else if (next == SM_GOTO_UNDECIDED)
                s->undecided = s->predicate + 1;
        else if (next > s->predicate && next < route->n_predicates) {
                s->predicate = next;
                return 0;
        }
        if (s->found || s->undecided)
                return 1;
        s->index++;
        s->predicate = 0;
        return 0;
}

/* The route that is next; NULL at the end. m->p becomes its predicate, or NULL if it has none. */
static inline const struct sm_route *sm_search_at(struct sm_match *m, struct sm_search *s) {
        const struct sm_route *route;

        if (s->index >= s->n_routes)
                return NULL;
        route = sm_cell_of(m->t, s->routes + s->index);
        if (!route)
                return NULL;
        s->cell = s->base + route->predicates + s->predicate;
        m->p = route->n_predicates > 0 ? sm_cell_of(m->t, s->cell) : NULL;
        return route;
}

/* Without a head nothing that would need it can be told, nor its opposite: the route does not match. */
static inline __u32 sm_search_without_head(const struct sm_match *m, const struct sm_search *s) {
        int holds;

        if (sm_match_needs_head(m->p->kind))
                return SM_GOTO_FAILED;
        holds = sm_match_caller(m->q, m->p, s->cell - s->base);
        return sm_search_goto(m->p, holds ? SM_VERDICT_YES : SM_VERDICT_NO);
}

static inline __u32 sm_search_judge(struct sm_match *m, const struct sm_search *s) {
        if (sm_match_needs_head(m->p->kind) && m->q->head)
                return sm_search_goto(m->p, sm_predicate_judge(m));
        return sm_search_without_head(m, s);
}

static inline long sm_search_step(__u32 i, void *context) {
        struct sm_match *m = context;
        struct sm_search *s = &m->w->search;
        const struct sm_route *route = sm_search_at(m, s);
        __u32 next;

        if (!route)
                return 1;
        if (m->p)
                next = sm_search_judge(m, s);
        else
                next = route->n_predicates > 0 ? SM_GOTO_FAILED : SM_GOTO_MATCHED;
        return sm_search_settle(s, route, next);
}

/* For connections of tcp services: the kernel's program that takes those has nothing of the rest. */
struct sm_connection_search {
        struct sm_match m;
        struct sm_search s;
};

static inline long sm_connection_step(__u32 i, void *context) {
        struct sm_connection_search *c = context;
        const struct sm_route *route = sm_search_at(&c->m, &c->s);
        __u32 next;

        if (!route)
                return 1;
        if (c->m.p)
                next = sm_search_without_head(&c->m, &c->s);
        else
                next = route->n_predicates > 0 ? SM_GOTO_FAILED : SM_GOTO_MATCHED;
        return sm_search_settle(&c->s, route, next);
}

static inline __u32 sm_search_steps(const struct sm_policy *policy) {
        __u32 n = policy->n_routes * (SM_PREDICATES_MAX + 1U);

        return n < SM_LOOP_MAX ? n : SM_LOOP_MAX;
}

/* All fields that a step branches on come from elsewhere: see engine-access.h. */
static inline void sm_search_start(struct sm_search *s, __u32 base, const struct sm_policy *policy) {
        __u32 zero = SM_READ_ONCE(policy->n_routes) - (__u32) SM_READ_ONCE(policy->n_routes);

        s->base = base;
        s->routes = base + policy->routes;
        s->n_routes = policy->n_routes;
        s->index = s->predicate = s->cell = zero;
        s->found = s->undecided = s->shadows = zero;
}

/* Whether a route, a shadow or not, is one for this request; `ret_last`: the predicate that decided. Not for
 * the kernel. */
static inline enum sm_verdict sm_route_judge(const struct sm_tables *t, __u32 base,
                                             const struct sm_route *route, const struct sm_request *q,
                                             __u32 *ret_last) {
        struct sm_match m = { .t = t, .q = q, .w = q->work };
        __u32 next = route->n_predicates > 0 ? 0 : SM_GOTO_MATCHED;

        q->work->search.base = base;
        for (__u32 i = 0; i < route->n_predicates; i++) {
                if (i != next)
                        continue;
                *ret_last = i;
                q->work->search.cell = base + route->predicates + i;
                m.p = sm_cell_of(t, q->work->search.cell);
                if (!m.p)
                        return SM_VERDICT_NO;
                next = sm_search_judge(&m, &q->work->search);
        }
        if (next == SM_GOTO_UNDECIDED)
                return SM_VERDICT_UNDECIDED;
        return next == SM_GOTO_MATCHED ? SM_VERDICT_YES : SM_VERDICT_NO;
}
