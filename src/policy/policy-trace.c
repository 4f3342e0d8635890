/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../basic/cleanup.h"
#include "../basic/json-writer.h"
#include "../basic/macro.h"
#include "../basic/parse-util.h"
#include "../basic/time-util.h"
#include "../engine/engine-route.h"
#include "policy-predicate-print.h"
#include "policy-trace.h"

typedef struct TraceWriter {
        const struct sm_tables *t;
        const struct sm_link_trace *trace;
        const struct sm_policy *policy; /* NULL: it was none, or is not there any more */
        JsonWriter json;
} TraceWriter;

/* A place that is another policy's by now is not taken for this one's. */
static const struct sm_policy *find_policy(const struct sm_tables *t, const struct sm_link_trace *trace) {
        const struct sm_policy *policy = trace->root > 0 ? sm_cell_of(t, trace->root) : NULL;

        if (!policy || policy->service != trace->service || policy->revision != trace->revision)
                return NULL;
        return policy;
}

static int write_text(TraceWriter *w, const char *key, const struct sm_text *text) {
        _cleanup_free_ char *copy = NULL;
        int r;

        r = policy_text_copy(w->t, w->trace->root, text, &copy);
        if (r >= 0)
                json_string(&w->json, key, copy);
        return r;
}

/* The predicate that decided; nothing where there is none to decide. */
static int write_predicate(TraceWriter *w, const struct sm_route *route, const struct sm_trace_route *told) {
        uint32_t cell = w->trace->root + route->predicates + told->last;
        const struct sm_predicate *p = sm_cell_of(w->t, cell);
        _cleanup_free_ char *text = NULL;
        int r;

        if (told->last >= route->n_predicates || !p) {
                json_null(&w->json, "predicate");
                return 0;
        }
        r = policy_predicate_format(w->t, w->trace->root, &cell, 1, false, &text);
        if (r < 0)
                return r;
        json_string(&w->json, "predicate", text);
        return 0;
}

/* Whether the request has what the predicate says: that can be what kept it from matching, by `not`. */
static int write_holds(TraceWriter *w, const struct sm_route *route, const struct sm_trace_route *told) {
        const struct sm_predicate *p = sm_cell_of(w->t, w->trace->root + route->predicates + told->last);
        uint16_t end = told->verdict == SM_VERDICT_YES ? SM_GOTO_MATCHED : SM_GOTO_FAILED;

        if (told->last >= route->n_predicates || !p || told->verdict == SM_VERDICT_UNDECIDED)
                json_null(&w->json, "holds");
        else
                json_boolean(&w->json, "holds", p->yes == end);
        return 0;
}

static int write_route(TraceWriter *w, uint32_t i) {
        static const char *const verdicts[] = {
                [SM_VERDICT_NO] = "failed",
                [SM_VERDICT_YES] = "matched",
                [SM_VERDICT_UNDECIDED] = "undecided",
        };
        const struct sm_route *route = sm_cell_of(w->t, w->trace->root + w->policy->routes + i);
        const struct sm_trace_route *told = &w->trace->routes[i];
        int r;

        if (!route || told->verdict >= ELEMENTSOF(verdicts))
                return -EBADMSG;
        json_open_object(&w->json, NULL);
        r = write_text(w, "name", &route->name);
        if (r >= 0)
                r = write_text(w, "origin", &route->origin);
        json_string(&w->json, "verdict", verdicts[told->verdict]);
        json_boolean(&w->json, "shadow", route->shadow > 0);
        if (r >= 0)
                r = write_predicate(w, route, told);
        if (r >= 0)
                r = write_holds(w, route, told);
        json_close(&w->json);
        return r;
}

static int write_routes(TraceWriter *w) {
        uint32_t n = MIN(w->trace->n_routes, SM_TRACE_ROUTES_MAX);
        int r = 0;

        json_unsigned(&w->json, "tried", w->trace->n_routes);
        json_open_array(&w->json, "routes");
        for (uint32_t i = 0; w->policy && r >= 0 && i < MIN(n, w->policy->n_routes); i++)
                r = write_route(w, i);
        json_close(&w->json);
        return r;
}

static int write_choice(TraceWriter *w) {
        const struct sm_link_trace *trace = w->trace;
        const struct sm_endpoint *e = trace->endpoint > 0 ? sm_endpoint_at(w->t, trace->endpoint) : NULL;
        const struct sm_route *route = NULL;
        const struct sm_subset *subset = NULL;
        char address[ADDRESS_PORT_STRLEN];
        struct in6_addr a;
        int r = 0;

        if (w->policy && trace->route < w->policy->n_routes)
                route = sm_cell_of(w->t, trace->root + w->policy->routes + trace->route);
        if (w->policy && trace->subset < w->policy->n_subsets)
                subset = sm_cell_of(w->t, trace->root + w->policy->subsets + trace->subset);
        if (route)
                r = write_text(w, "route", &route->name);
        else
                json_null(&w->json, "route");
        if (r >= 0 && subset)
                r = write_text(w, "subset", &subset->name);
        else if (r >= 0)
                json_null(&w->json, "subset");
        if (e) {
                memcpy(&a, e->address, sizeof(a));
                json_string(&w->json, "endpoint", address_port_to_string(&a, ntohs(e->port), address));
        } else
                json_null(&w->json, "endpoint");
        return r;
}

static void write_effects(TraceWriter *w) {
        static const struct {
                enum sm_effect effect;
                const char *text;
        } effects[] = {
                { SM_EFFECT_ABORT, "abort" }, { SM_EFFECT_DELAY, "delay" }, { SM_EFFECT_MIRROR, "mirror" },
        };

        json_open_array(&w->json, "effects");
        for (size_t i = 0; i < ELEMENTSOF(effects); i++)
                if (w->trace->effects & effects[i].effect)
                        json_string(&w->json, NULL, effects[i].text);
        json_close(&w->json);
}

static void write_outcome(TraceWriter *w) {
        static const char *const reasons[_SM_REASON_MAX] = {
#define REASON_TEXT(id, text, status, sentence) text,
                SM_REASONS(REASON_TEXT)
#undef REASON_TEXT
        };
        static const char *const slows[_SM_SLOW_MAX] = {
#define SLOW_TEXT(id, text, sentence) text,
                SM_SLOW_LIST(SLOW_TEXT)
#undef SLOW_TEXT
        };
        const struct sm_link_trace *trace = w->trace;

        json_boolean(&w->json, "fast", trace->slow == SM_SLOW_TRACED);
        json_string(&w->json, "slow", trace->slow < ELEMENTSOF(slows) ? slows[trace->slow] : NULL);
        json_string(&w->json, "reason", trace->reason < ELEMENTSOF(reasons) ? reasons[trace->reason] : NULL);
        json_unsigned(&w->json, "status", trace->status);
        if (trace->first_byte > 0)
                json_unsigned(&w->json, "first-byte-usec", trace->first_byte / NSEC_PER_USEC);
        else
                json_null(&w->json, "first-byte-usec");
        json_unsigned(&w->json, "total-usec", trace->total / NSEC_PER_USEC);
}

static void write_request(TraceWriter *w, const TraceNames *names) {
        const struct sm_link_trace *trace = w->trace;
        size_t target = MIN(trace->target_length, SM_TRACE_TARGET_MAX);

        json_string(&w->json, "service", names->service);
        json_string_n(&w->json, "method", (const char *) trace->method,
                      strnlen((const char *) trace->method, sizeof(trace->method)));
        json_string_n(&w->json, "target", (const char *) trace->target,
                      strnlen((const char *) trace->target, target));
        json_boolean(&w->json, "cut", trace->target_length > SM_TRACE_TARGET_MAX);
        json_string(&w->json, "slice", names->slice);
        json_string(&w->json, "cgroup", names->cgroup);
}

int policy_trace_to_json(const struct sm_tables *t, const TraceNames *names,
                         const struct sm_link_trace *trace, char **ret) {
        TraceWriter w = { .t = t, .trace = trace, .policy = find_policy(t, trace) };
        char *text = NULL;
        size_t size;
        FILE *f;
        int r, k;

        f = open_memstream(&text, &size);
        if (!f)
                return -errno;
        w.json = JSON_WRITER(f, false);
        json_open_object(&w.json, NULL);
        write_request(&w, names);
        r = write_routes(&w);
        if (r >= 0)
                r = write_choice(&w);
        if (r >= 0) {
                write_effects(&w);
                write_outcome(&w);
                json_close(&w.json);
                r = json_finish(&w.json);
        }
        k = fclose(f);
        if (r >= 0 && k != 0)
                r = -ENOMEM;
        if (r < 0) {
                free(text);
                return r;
        }
        *ret = text;
        return 0;
}
