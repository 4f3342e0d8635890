/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdlib.h>
#include <string.h>

#include "../basic/macro.h"
#include "relay-count.h"
#include "relay-downstream.h"
#include "relay-steps.h"
#include "relay-trace.h"
#include "relay-worker.h"

static void count_lost(const struct sm_tables *t, uint32_t service) {
        struct sm_service_counters *c = sm_service_counters_at(t, service);

        if (c)
                count(&c->traces_lost, 1);
}

/* One of those that are still to be traced. */
static bool take_one(struct sm_service_counters *c) {
        __u64 n = __atomic_load_n(&c->traces, __ATOMIC_RELAXED);

        while (n > 0)
                if (__atomic_compare_exchange_n(&c->traces, &n, n - 1, true, __ATOMIC_RELAXED,
                                                __ATOMIC_RELAXED))
                        return true;
        return false;
}

/* Of a malformed head there may be less, or nothing. */
static void copy_span(__u8 *to, size_t size, Buffer *in, const struct sm_span *span) {
        if (in && (size_t) span->offset + span->length <= buffer_filled(in))
                memcpy(to, buffer_at(in) + span->offset, MIN((size_t) span->length, size));
}

static bool trace_begin(Exchange *x) {
        struct sm_service_counters *c = sm_service_counters_at(&x->tables->tables, x->service);
        const Downstream *d = x->downstream;
        struct sm_link_trace *trace;

        if (!c || !take_one(c))
                return false;
        trace = calloc(1, sizeof(*trace));
        if (!trace) {
                count_lost(&x->tables->tables, x->service);
                return false;
        }
        *trace = (struct sm_link_trace){
                .service = x->service,
                .route = SM_TRACE_NONE,
                .subset = SM_TRACE_NONE,
                .slice = d->slice,
                .cgroup = d->cgroup,
                .slow = (__u16) fast_reason(&d->fast),
                .target_length = x->head.target.length,
        };
        copy_span(trace->method, sizeof(trace->method), d->in, &x->head.method_text);
        copy_span(trace->target, sizeof(trace->target), d->in, &x->head.target);
        x->trace = trace;
        return true;
}

/* The random number that the choice was made with is gone, and only a fraction goes by that. */
static __u16 find_fraction(const struct sm_tables *t, uint32_t base, const struct sm_route *route,
                           uint32_t otherwise) {
        for (uint32_t i = 0; i < route->n_predicates; i++) {
                const struct sm_predicate *p = sm_cell_of(t, base + route->predicates + i);

                if (p && p->kind == SM_MATCH_FRACTION)
                        return (__u16) i;
        }
        return (__u16) otherwise;
}

/* What was said of a route is known by the choice; this finds out why. */
static struct sm_trace_route judge(const struct sm_tables *t, const struct sm_choice *c, uint32_t i,
                                   const struct sm_request *q) {
        const struct sm_route *route = sm_cell_of(t, c->base + c->policy->routes + i);
        enum sm_verdict said = SM_VERDICT_NO, verdict;
        uint32_t last = 0;

        if (!route)
                return (struct sm_trace_route){};
        verdict = sm_route_judge(t, c->base, route, q, &last);
        if (c->undecided && i == c->route_index)
                said = SM_VERDICT_UNDECIDED;
        else if (route->shadow > 0) /* the kernel does not leave these */
                said = verdict == SM_VERDICT_UNDECIDED ? SM_VERDICT_NO : verdict;
        else if (c->route && i == c->route_index)
                said = SM_VERDICT_YES;
        if (verdict != said)
                last = find_fraction(t, c->base, route, last);
        return (struct sm_trace_route){ .last = (__u16) last, .verdict = (__u8) said };
}

static void trace_routes(const Exchange *x, struct sm_link_trace *trace) {
        const struct sm_choice *c = &x->choice;
        bool stopped = c->route || c->undecided;
        struct sm_request q;

        exchange_fill_request(x, &q);
        trace->n_routes = stopped ? (__u16) (c->route_index + 1) : c->policy->n_routes;
        for (uint32_t i = 0; i < MIN(trace->n_routes, SM_TRACE_ROUTES_MAX); i++)
                trace->routes[i] = judge(&x->tables->tables, c, i, &q);
}

void trace_choice(Exchange *x, enum sm_reason reason) {
        const struct sm_choice *c = &x->choice;
        struct sm_link_trace *trace;

        if (!c->policy || x->trace || !trace_begin(x))
                return;
        trace = x->trace;
        trace->root = c->base;
        trace->revision = c->policy->revision;
        trace->reason = (__u16) reason;
        trace->shadows = c->shadows;
        trace->effects = c->effects;
        if (c->route)
                trace->route = c->route_index;
        if (c->subset)
                trace->subset = c->subset_index;
        trace_routes(x, trace);
}

void trace_reply(Exchange *x, enum sm_reason reason, unsigned status) {
        if (!x->trace && (x->state != EXCHANGE_READING || !trace_begin(x)))
                return;
        x->trace->reason = (__u16) reason;
        if (!x->response_sent)
                x->trace->status = (__u16) status;
}

void trace_response(Exchange *x) {
        if (!x->trace)
                return;
        x->trace->status = x->response_head.status;
        x->trace->first_byte = x->worker->now - x->started;
}

void trace_end(Exchange *x) {
        Mail mail = { .type = MAIL_TRACE, .worker = x->worker->index, .trace = x->trace };
        struct sm_link_trace *trace = x->trace;

        if (!trace)
                return;
        x->trace = NULL;
        trace->endpoint = x->n_tried > 0 ? x->tried[x->n_tried - 1] : 0;
        trace->total = x->worker->now - x->started;
        if (mailbox_offer(&x->worker->shared->inbox, &mail) >= 0)
                return;
        count_lost(&x->tables->tables, trace->service);
        free(trace);
}

void trace_tell(Link *l, const SharedTables *t, struct sm_link_trace *trace) {
        if (link_offer(l, SM_LINK_TRACE, trace) < 0 && t)
                count_lost(&t->tables, trace->service);
        free(trace);
}
