/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdlib.h>

#include "../basic/array-util.h"
#include "../basic/cleanup.h"
#include "../basic/macro.h"
#include "policy-explain-parts.h"
#include "policy-predicate-print.h"

static void walk_goto(const struct sm_route *route, Walk *w, uint32_t i, uint32_t next, uint64_t chance) {
        if (next == SM_GOTO_MATCHED)
                w->matched += chance;
        else if (next == SM_GOTO_UNDECIDED) {
                if (w->undecided == 0)
                        w->first_undecided = i;
                w->undecided += chance;
        } else if (next > i && next < route->n_predicates)
                w->reached[next] += chance;
        else
                w->failed += chance;
}

int route_walk(const struct sm_tables *t, uint32_t base, const struct sm_route *route,
               const struct sm_request *q, Walk *ret) {
        struct sm_match m = { .t = t, .q = q, .w = q->work };

        *ret = (Walk) {};
        if (route->n_predicates > SM_PREDICATES_MAX)
                return -EBADMSG;
        if (route->n_predicates == 0)
                ret->matched = EXPLAIN_ALWAYS;
        ret->reached[0] = EXPLAIN_ALWAYS;
        q->work->search.base = base;
        for (uint32_t i = 0; i < route->n_predicates; i++) {
                uint64_t reached = ret->reached[i], chance;
                uint32_t next;

                if (reached == 0)
                        continue;
                q->work->search.cell = base + route->predicates + i;
                m.p = sm_cell_of(t, q->work->search.cell);
                if (!m.p)
                        return -EBADMSG;
                if (m.p->kind == SM_MATCH_FRACTION) {
                        chance = chance_of(reached, (uint64_t) m.p->low);
                        ret->results[i] = chance == 0 ? WALK_NO : chance < reached ? WALK_CHANCE : WALK_YES;
                        walk_goto(route, ret, i, m.p->yes, chance);
                        walk_goto(route, ret, i, m.p->no, reached - chance);
                        continue;
                }
                next = sm_search_judge(&m, &q->work->search);
                ret->results[i] = next == SM_GOTO_UNDECIDED ? WALK_UNDECIDED :
                                  next == m.p->yes          ? WALK_YES :
                                                              WALK_NO;
                walk_goto(route, ret, i, next, reached);
        }
        return 0;
}

/* A route while its conditions are told. */
typedef struct Telling {
        const Question *q;
        const struct sm_route *route;
        const Walk *walk;
        ExplainRoute *result;
} Telling;

static const struct sm_predicate *predicate_at(const Telling *g, uint32_t i) {
        return sm_cell_of(&g->q->tables, g->q->base + g->route->predicates + i);
}

/* Had it turned out the other way, the route might have, too: that way leads to something that was not seen,
 * and not to the same end. */
static bool is_decisive(const Telling *g, uint32_t i) {
        const struct sm_predicate *p = predicate_at(g, i);
        uint32_t other = g->walk->results[i] == WALK_YES ? p->no : p->yes;
        bool by_chance = g->walk->matched > 0 && g->walk->failed > 0;

        if (g->walk->results[i] == WALK_CHANCE)
                return by_chance;
        if (other < g->route->n_predicates)
                return g->walk->results[other] == WALK_UNSEEN;
        return by_chance || (other == SM_GOTO_MATCHED ? g->walk->matched == 0 : g->walk->failed == 0);
}

static bool same_text(const Question *q, const struct sm_text *a, const struct sm_text *b) {
        if (a->length != b->length)
                return false;
        for (uint32_t i = 0; i < a->length; i++)
                if (sm_text_at(&q->tables, q->base + a->cell, i) !=
                    sm_text_at(&q->tables, q->base + b->cell, i))
                        return false;
        return true;
}

/* Whether predicate i + 1 goes by the same as predicate i, which has failed: values of one list. */
static bool goes_on(const Telling *g, uint32_t i) {
        const struct sm_predicate *p = predicate_at(g, i), *next;

        if (i + 1 >= g->route->n_predicates || g->walk->results[i] != WALK_NO || p->no != i + 1 ||
            p->op == SM_OP_PRESENT)
                return false;
        next = predicate_at(g, i + 1);
        return next && next->kind == p->kind && next->op != SM_OP_PRESENT && next->first == p->first &&
               next->yes == p->yes && same_text(g->q, &next->name, &p->name);
}

/* The condition that predicate *i begins; *i becomes its last one. */
static int tell_condition(const Telling *g, uint32_t *i) {
        ExplainCondition *c = &g->result->conditions[g->result->n_conditions++];
        uint32_t base = g->q->base, first = *i, n = 0, cells[SM_PREDICATES_MAX];
        bool failed = g->walk->matched == 0, absent;
        WalkResult result;
        int r;

        for (;; (*i)++) {
                cells[n++] = base + g->route->predicates + *i;
                if (!goes_on(g, *i))
                        break;
        }
        result = g->walk->results[*i];
        c->decisive = is_decisive(g, *i);
        /* {present: false} is {present: true} with its jumps exchanged. */
        absent = predicate_at(g, first)->op == SM_OP_PRESENT && c->decisive &&
                 result == (failed ? WALK_YES : WALK_NO);
        c->chance = (result == WALK_YES) != absent && result != WALK_CHANCE ? EXPLAIN_ALWAYS : 0;
        if (result == WALK_CHANCE)
                c->chance = (uint64_t) predicate_at(g, *i)->low;
        r = policy_predicate_format(&g->q->tables, base, cells, n, absent, &c->text);
        return r < 0 ? r : explain_value(g->q, cells[n - 1], &c->value);
}

static void print_condition(const ExplainCondition *c, bool failed, FILE *f) {
        bool holds = c->chance >= EXPLAIN_ALWAYS;

        fprintf(f, "%s %s", c->text, c->chance > 0 && !holds ? "may hold" :
                                     holds && failed         ? "must not hold" :
                                     holds                   ? "holds" :
                                                               "does not hold");
        if (c->value && (!holds || failed))
                fprintf(f, ": it is %s", *c->value ? c->value : "empty");
}

/* What was decisive, in one sentence. */
static int tell_why(ExplainRoute *route) {
        const char *separator = "";
        size_t size;
        FILE *f;

        f = open_memstream(&route->why, &size);
        if (!f)
                return -ENOMEM;
        if (route->n_conditions == 0)
                fputs("it has no conditions", f);
        for (size_t i = 0; i < route->n_conditions; i++) {
                if (!route->conditions[i].decisive)
                        continue;
                fputs(separator, f);
                print_condition(&route->conditions[i], route->chance == 0, f);
                separator = "; ";
        }
        return fclose(f) < 0 ? -ENOMEM : 0;
}

static int tell_route(const Question *q, const struct sm_route *route, const Walk *walk, ExplainRoute *ret) {
        const Telling g = { .q = q, .route = route, .walk = walk, .result = ret };
        int r;

        ret->shadow = route->shadow > 0;
        ret->chance = walk->matched;
        ret->matched = walk->matched >= EXPLAIN_ALWAYS;
        r = policy_text_copy(&q->tables, q->base, &route->name, &ret->name);
        if (r >= 0)
                r = policy_text_copy(&q->tables, q->base, &route->origin, &ret->origin);
        if (r < 0)
                return r;
        ret->conditions = calloc(route->n_predicates + 1U, sizeof(*ret->conditions));
        if (!ret->conditions)
                return -ENOMEM;
        for (uint32_t i = 0; r >= 0 && i < route->n_predicates; i++)
                if (walk->results[i] != WALK_UNSEEN)
                        r = tell_condition(&g, &i);
        return r < 0 ? r : tell_why(ret);
}

static int add_possible(Explanation *e, size_t route, uint64_t chance) {
        int r;

        r = array_reserve(&e->possible, e->n_possible, sizeof(*e->possible));
        if (r >= 0)
                e->possible[e->n_possible++] = (ExplainPossible) { .route = route, .chance = chance };
        return r;
}

int explain_routes(Explanation *e, Question *q) {
        uint64_t left = EXPLAIN_ALWAYS;
        int r;

        e->routes = calloc(q->policy->n_routes + 1U, sizeof(*e->routes));
        if (!e->routes)
                return -ENOMEM;
        for (size_t i = 0; e->route < 0 && i < q->policy->n_routes; i++) {
                const struct sm_route *route = question_route(q, i);
                Walk walk;

                if (!route)
                        return -EBADMSG;
                r = route_walk(&q->tables, q->base, route, &q->request, &walk);
                if (r >= 0)
                        r = tell_route(q, route, &walk, &e->routes[e->n_routes++]);
                if (r >= 0 && route->shadow == 0 && walk.matched >= EXPLAIN_ALWAYS)
                        e->route = (ssize_t) i;
                else if (r >= 0 && route->shadow == 0 && walk.matched > 0)
                        r = add_possible(e, i, chance_of(left, walk.matched));
                if (r < 0)
                        return r;
                if (route->shadow == 0)
                        left -= chance_of(left, walk.matched);
        }
        return 0;
}
