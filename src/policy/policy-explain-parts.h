/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "../engine/engine-parse.h"
#include "../engine/engine-route.h"
#include "policy-explain.h"

/* What the files of policy-explain*.c share. All functions return 0 or negative errno: -ENOMEM, or -EBADMSG
 * where the tables do not reach what they refer to. */

/* What the engine is asked about, with the head that it reads. */
typedef struct Question {
        struct sm_tables tables; /* those of who asks, but that regular expressions can be decided */
        const ExplainRequest *asked;
        const struct sm_policy *policy;
        uint32_t base; /* its cell */
        struct sm_request request;
        struct sm_work work;
        struct sm_head head;
        char *text;
        size_t size; /* of head and body */
        bool was_not_normal; /* the path, which is now */
        struct RegexRunner *regex;
} Question;

static inline const struct sm_route *question_route(const Question *q, size_t i) {
        if (i >= q->policy->n_routes)
                return NULL;
        return sm_cell_of(&q->tables, q->base + q->policy->routes + (uint32_t) i);
}

/* sm_tables.regex, with the question as its context. */
int question_regex(void *context, __u32 cell, const __u8 *bytes, __u32 length);

/* How a route's predicates turn out. Chances are of EXPLAIN_ALWAYS requests that come to the route. */
typedef enum WalkResult { WALK_UNSEEN, WALK_NO, WALK_YES, WALK_CHANCE, WALK_UNDECIDED } WalkResult;

typedef struct Walk {
        uint64_t reached[SM_PREDICATES_MAX];
        uint8_t results[SM_PREDICATES_MAX]; /* WalkResult */
        uint64_t matched, failed, undecided;
        uint32_t first_undecided; /* predicate, of `undecided` */
} Walk;

/* Each predicate is the engine's to judge, but for those that throw dice: there both ways are gone. */
int route_walk(const struct sm_tables *t, uint32_t base, const struct sm_route *route,
               const struct sm_request *q, Walk *ret);

static inline uint64_t chance_of(uint64_t whole, uint64_t chance) {
        return chance >= EXPLAIN_ALWAYS ? whole : whole >= EXPLAIN_ALWAYS ? chance : (whole * chance) >> 32;
}

/* policy-explain-route.c: routes up to the one that matches whatever the dice say, which e->route becomes;
 * e->possible gets those before it that may. */
int explain_routes(Explanation *e, Question *q);

/* policy-explain-subset.c, policy-explain-action.c */
int explain_subsets(ExplainOutcome *o, Question *q, const struct sm_route *route);
int explain_actions(ExplainOutcome *o, const Question *q, const struct sm_route *route);

/* policy-explain-fast.c: whether the kernel may take requests of that outcome; `route` < 0: of none. */
int explain_fast(ExplainOutcome *o, Question *q, ssize_t route);

/* What a hash is taken of: "source", "header x-user". */
int explain_key(const Question *q, uint32_t source, const struct sm_text *name, char **ret);

/* What the request has where the predicate at that cell looks; *ret is NULL if it has nothing there. */
int explain_value(const Question *q, uint32_t cell, char **ret);
