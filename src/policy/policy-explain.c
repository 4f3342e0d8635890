/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdlib.h>
#include <strings.h>

#include "../basic/cleanup.h"
#include "../basic/macro.h"
#include "../basic/regex.h"
#include "../engine/engine-coded.h"
#include "../engine/engine-path-normal.h"
#include "../engine/engine-unit.h"
#include "policy-explain-parts.h"
#include "policy-predicate-print.h"

static void explain_outcome_done(ExplainOutcome *o) {
        for (size_t i = 0; i < o->n_subsets; i++) {
                free(o->subsets[i].name);
                free(o->subsets[i].hash);
                free(o->subsets[i].candidates);
        }
        for (size_t i = 0; i < o->n_actions; i++)
                free(o->actions[i].value);
        free(o->subsets);
        free(o->actions);
        free(o->split_key);
}

static void explain_route_done(ExplainRoute *r) {
        for (size_t i = 0; i < r->n_conditions; i++) {
                free(r->conditions[i].text);
                free(r->conditions[i].value);
        }
        free(r->conditions);
        free(r->name);
        free(r->origin);
        free(r->why);
}

Explanation *explanation_free(Explanation *e) {
        if (!e)
                return NULL;
        for (size_t i = 0; i < e->n_routes; i++)
                explain_route_done(&e->routes[i]);
        for (size_t i = 0; i < e->n_possible; i++)
                explain_outcome_done(&e->possible[i].outcome);
        explain_outcome_done(&e->outcome);
        free(e->routes);
        free(e->possible);
        free(e->path);
        free(e->service);
        free(e);
        return NULL;
}

DEFINE_TRIVIAL_CLEANUP(Explanation *, explanation_free)

static Question *question_free(Question *q) {
        if (!q)
                return NULL;
        regex_runner_free(q->regex);
        free(q->text);
        free(q);
        return NULL;
}

DEFINE_TRIVIAL_CLEANUP(Question *, question_free)

static bool says_length(const ExplainRequest *asked) {
        for (const char **field = asked->fields; field && *field; field++)
                if (strncasecmp(*field, "content-length:", 15) == 0 ||
                    strncasecmp(*field, "transfer-encoding:", 18) == 0)
                        return true;
        return false;
}

/* Brings the path into the form that routes and endpoints see. Returns as question_parse(). */
static int question_normalise(Question *q) {
        struct sm_span *path = &q->head.path;

        if (!(q->policy->flags & SM_POLICY_NORMAL_PATHS))
                return 0;
        switch (sm_path_judge((const __u8 *) q->text, *path, q->policy->flags, &q->work)) {

        case SM_PATH_NORMAL:
                return 0;

        case SM_PATH_AMBIGUOUS:
                return SM_REASON_AMBIGUOUS_PATH;

        default:
                path->length = (__u16) sm_path_normalise((__u8 *) q->text + path->offset, path->length);
                q->was_not_normal = true;
                return 0;
        }
}

/* The request as it would arrive. < 0: errno; > 0: enum sm_reason why it is refused. */
static int question_parse(Question *q) {
        const ExplainRequest *asked = q->asked;
        struct sm_head_parser parser;
        size_t head_size;
        FILE *f;
        int r;

        f = open_memstream(&q->text, &q->size);
        if (!f)
                return -ENOMEM;
        fprintf(f, "%s %s HTTP/1.1\r\nHost: %s\r\n", asked->method ?: "GET", asked->target ?: "/",
                asked->host ?: "");
        for (const char **field = asked->fields; field && *field; field++)
                fprintf(f, "%s\r\n", *field);
        if (asked->body && !says_length(asked))
                fprintf(f, "Content-Length: %zu\r\n", asked->body_length);
        fputs("\r\n", f);
        fflush(f);
        head_size = q->size;
        if (asked->body_length > 0)
                fwrite(asked->body, 1, asked->body_length, f);
        if (fclose(f) < 0)
                return -ENOMEM;
        sm_head_start(&parser, &q->head, SM_HEAD_REQUEST, SM_HEAD_MAX);
        r = sm_head_parse(&parser, &q->head, (const __u8 *) q->text,
                          (__u32) MIN(head_size, (size_t) UINT32_MAX));
        if (r == 0 || (r > 0 && (size_t) r < head_size)) /* a field with an empty line in it */
                return SM_REASON_BAD_FIELD_VALUE;
        if (r < 0)
                return -r;
        q->request.bytes = (const __u8 *) q->text;
        q->request.head = &q->head;
        q->request.body = q->request.bytes + head_size;
        if (!sm_body_is_coded(q->request.bytes, &q->head))
                q->request.body_length = (__u32) MIN(asked->body_length, (size_t) UINT32_MAX);
        q->request.body_complete = 1;
        return question_normalise(q);
}

/* -ENOENT if there is no policy. */
static int question_new(const struct sm_tables *t, uint32_t service, const ExplainRequest *asked,
                        Question **ret) {
        const struct sm_service *s = sm_service_at(t, service);
        _cleanup_(question_freep) Question *q = NULL; /* a parsed head is 1 KiB */

        q = calloc(1, sizeof(*q));
        if (!q)
                return -ENOMEM;
        q->base = s ? __atomic_load_n(&s->root, __ATOMIC_ACQUIRE) : 0;
        q->policy = q->base ? sm_cell_of(t, q->base) : NULL;
        if (!q->policy)
                return -ENOENT;
        q->regex = regex_runner_new();
        if (!q->regex)
                return -ENOMEM;
        q->tables = *t;
        q->tables.regex = question_regex;
        q->tables.regex_context = q;
        q->asked = asked;
        q->request.work = &q->work;
        q->request.source = asked->source ? asked->source->s6_addr : NULL;
        q->request.slice = asked->slice_id ?: SM_SLICES_MAX;
        q->request.unit = asked->unit ? sm_unit_hash_of(asked->unit) : 0;
        q->request.uid = asked->user ? asked->uid : UINT32_MAX;
        *ret = TAKE_PTR(q);
        return 0;
}

static int explain_outcome(ExplainOutcome *o, Question *q, size_t index) {
        const struct sm_route *route = question_route(q, index);
        bool answers = false;
        int r;

        r = explain_actions(o, q, route);
        if (r < 0)
                return r;
        for (size_t i = 0; i < o->n_actions; i++) {
                const ExplainAction *a = &o->actions[i];

                answers |= a->kind == EXPLAIN_RESPOND || a->kind == EXPLAIN_REDIRECT;
                if (a->kind == EXPLAIN_ABORT && a->chance >= EXPLAIN_ALWAYS) {
                        o->reason = SM_REASON_FAULT_INJECTED;
                        return 0;
                }
        }
        return answers ? 0 : explain_subsets(o, q, route);
}

/* An endpoint that may be elsewhere counts as one that is. */
static bool may_be_remote(const ExplainOutcome *o) {
        for (size_t i = 0; i < o->n_subsets; i++)
                for (size_t j = 0; j < o->subsets[i].n_candidates; j++) {
                        const ExplainCandidate *c = &o->subsets[i].candidates[j];

                        if (c->share_permille > 0 && c->place != PLACE_HERE)
                                return true;
                }
        return false;
}

static int explain_fast_path(Explanation *e, Question *q) {
        bool remote = may_be_remote(&e->outcome);
        int r = 0;

        for (size_t i = 0; i < e->n_possible; i++)
                remote |= may_be_remote(&e->possible[i].outcome);
        e->n_limits = fast_limits(q->policy, remote, e->limits);
        if (!e->is_http)
                return 0;
        for (size_t i = 0; r >= 0 && i < e->n_possible; i++)
                r = explain_fast(&e->possible[i].outcome, q, (ssize_t) e->possible[i].route);
        return r < 0 ? r : explain_fast(&e->outcome, q, e->route);
}

static int explain(Explanation *e, Question *q) {
        int r = 0;

        e->is_http = q->policy->protocol != SM_PROTOCOL_TCP;
        r = policy_text_copy(&q->tables, q->base, &q->policy->name, &e->service);
        if (r >= 0 && e->is_http)
                r = question_parse(q);
        if (r < 0)
                return r;
        e->outcome.reason = (enum sm_reason) r;
        if (q->was_not_normal) {
                e->path = strndup(q->text + q->head.path.offset, q->head.path.length);
                if (!e->path)
                        return -ENOMEM;
        }
        if (r == SM_REASON_NONE) {
                r = explain_routes(e, q);
                for (size_t i = 0; r >= 0 && i < e->n_possible; i++)
                        r = explain_outcome(&e->possible[i].outcome, q, e->possible[i].route);
                if (r >= 0 && e->route >= 0)
                        r = explain_outcome(&e->outcome, q, (size_t) e->route);
                else
                        e->outcome.reason = SM_REASON_NO_ROUTE;
        }
        return r < 0 ? r : explain_fast_path(e, q);
}

int policy_explain(const struct sm_tables *t, uint32_t service, const ExplainRequest *request,
                   Explanation **ret) {
        _cleanup_(explanation_freep) Explanation *e = NULL;
        _cleanup_(question_freep) Question *q = NULL;
        int r;

        r = question_new(t, service, request, &q);
        if (r < 0)
                return r;
        e = calloc(1, sizeof(*e));
        if (!e)
                return -ENOMEM;
        e->route = -1;
        r = explain(e, q);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(e);
        return 0;
}

void explanation_set_slow(Explanation *e, enum sm_slow slow, const char *sentence) {
        if (!e->is_http)
                return;
        for (size_t i = 0; i < e->n_possible; i++)
                e->possible[i].outcome.slow = slow;
        e->outcome.slow = slow;
        e->slow_sentence = sentence;
}

static void outcome_without_answers(ExplainOutcome *o) {
        if (o->slow != SM_SLOW_NONE)
                return;
        if (o->reason == SM_REASON_NO_ROUTE || o->reason == SM_REASON_NO_ENDPOINT)
                o->slow = SM_SLOW_REFUSED;
        else if (o->n_subsets == 0)
                o->slow = SM_SLOW_ACTION;
}

void explanation_without_answers(Explanation *e) {
        if (!e->is_http)
                return;
        for (size_t i = 0; i < e->n_possible; i++)
                outcome_without_answers(&e->possible[i].outcome);
        outcome_without_answers(&e->outcome);
}
