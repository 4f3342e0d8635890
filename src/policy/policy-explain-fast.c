/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "../basic/macro.h"
#include "policy-explain-parts.h"

/* Whether the kernel can tell that it is this route: it has no regular expressions, and of a body only what
 * its copy holds. *ret is why it cannot. */
static int kernel_search(Question *q, ssize_t index, enum sm_slow *ret) {
        uint32_t kept = (uint32_t) MIN(q->size, (size_t) SM_REQUEST_KEPT_MAX);
        struct sm_tables tables = q->tables;
        struct sm_request request = q->request;
        uint64_t left = EXPLAIN_ALWAYS, chance;
        enum sm_slow why = SM_SLOW_NONE;
        int r;

        tables.regex = NULL;
        request.body_length = MIN(request.body_length, kept > q->head.length ? kept - q->head.length : 0);
        request.body_complete = kept == q->size;
        for (size_t i = 0; i < q->policy->n_routes && left > 0; i++) {
                const struct sm_route *route = question_route(q, i);
                Walk walk;

                if (!route)
                        return -EBADMSG;
                r = route_walk(&tables, q->base, route, &request, &walk);
                if (r < 0)
                        return r;
                if (walk.undecided > 0 && why == SM_SLOW_NONE)
                        why = sm_undecided_why(&tables, q->base + route->predicates + walk.first_undecided);
                chance = (ssize_t) i == index ? walk.matched :
                         route->shadow > 0    ? walk.failed + walk.matched :
                                                walk.failed;
                left = chance_of(left, chance);
                if ((ssize_t) i == index)
                        break;
        }
        *ret = left > 0 ? SM_SLOW_NONE : why;
        return 0;
}

int explain_fast(ExplainOutcome *o, Question *q, ssize_t route) {
        int r;

        if (route < 0 && o->reason != SM_REASON_NO_ROUTE) {
                o->slow = SM_SLOW_REFUSED;
                return 0;
        }
        o->slow = fast_request(q->policy, &q->head);
        if (o->slow == SM_SLOW_NONE && q->was_not_normal)
                o->slow = SM_SLOW_REWRITTEN;
        if (o->slow != SM_SLOW_NONE)
                return 0;
        r = kernel_search(q, route, &o->slow);
        if (r >= 0 && o->slow == SM_SLOW_NONE && route >= 0)
                o->slow = fast_actions(&q->tables, q->base, question_route(q, (size_t) route),
                                       q->head.method == SM_METHOD_HEAD);
        return r;
}
