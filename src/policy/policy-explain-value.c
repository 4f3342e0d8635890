/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../basic/cleanup.h"
#include "../basic/parse-util.h"
#include "../basic/regex.h"
#include "policy-explain-parts.h"
#include "policy-predicate-print.h"

static int copy_bytes(const void *bytes, size_t n, char **ret) {
        char *s = strndup(n > 0 ? bytes : "", n);

        if (!s)
                return -ENOMEM;
        *ret = s;
        return 0;
}

static int copy_span(const Question *q, struct sm_span span, char **ret) {
        return copy_bytes(q->text + span.offset, span.length, ret);
}

/* The first of that name, as the engine finds it where any value would do. */
static int find_named(const Question *q, const struct sm_predicate *p, uint32_t cell, char **ret) {
        struct sm_predicate any = *p;
        struct sm_match m = { .t = &q->tables, .q = &q->request, .w = q->request.work, .p = &any };
        const struct sm_json *json = &m.w->json;

        any.op = SM_OP_PRESENT;
        m.w->search.base = q->base;
        m.w->search.cell = cell;
        if (sm_predicate_judge(&m) != SM_VERDICT_YES)
                return 0;
        if (p->kind == SM_MATCH_JSON)
                return copy_bytes(m.bytes + json->found_start, json->found_end - json->found_start, ret);
        return copy_bytes(m.bytes + m.w->find.value_offset, m.w->find.value_length, ret);
}

static int copy_caller(const Question *q, uint32_t kind, char **ret) {
        const ExplainRequest *asked = q->asked;
        char address[ADDRESS_STRLEN];
        const char *text = NULL;

        if (kind == SM_MATCH_SLICE)
                text = asked->slice;
        else if (kind == SM_MATCH_UNIT)
                text = asked->unit;
        else if (kind == SM_MATCH_USER)
                text = asked->user;
        else if (kind == SM_MATCH_SOURCE && asked->source)
                text = address_to_string(asked->source, address);
        return text ? copy_bytes(text, strlen(text), ret) : 0;
}

int explain_value(const Question *q, uint32_t cell, char **ret) {
        const struct sm_predicate *p = sm_cell_of(&q->tables, cell);
        struct sm_span host = q->head.authority;

        if (!p)
                return -EBADMSG;
        if (!sm_match_needs_head(p->kind))
                return copy_caller(q, p->kind, ret);
        if (!q->request.head)
                return 0;
        switch (p->kind) {
        case SM_MATCH_HOST:
                host.length = (__typeof__(host.length)) sm_host_length(q->request.bytes, host);
                return copy_span(q, host, ret);
        case SM_MATCH_PATH:
                return copy_span(q, q->head.path, ret);
        case SM_MATCH_METHOD:
                return copy_span(q, q->head.method_text, ret);
        case SM_MATCH_CONTENT:
                return 0;
        default:
                return find_named(q, p, cell, ret);
        }
}

int question_regex(void *context, __u32 cell, const __u8 *bytes, __u32 length) {
        const Question *q = context;
        const struct sm_predicate *p = sm_cell_of(&q->tables, cell);
        _cleanup_free_ char *pattern = NULL;
        pcre2_code *code;
        RegexError error;
        int r;

        if (!p)
                return SM_VERDICT_NO;
        if (p->text.cell > 0)
                r = policy_text_copy(&q->tables, q->base, &p->text, &pattern);
        else
                r = copy_bytes(p->inline_bytes, p->text.length % (SM_PREDICATE_INLINE + 1), &pattern);
        if (r < 0 || regex_compile(pattern, p->text.length, &code, &error) < 0)
                return SM_VERDICT_NO;
        r = regex_run(q->regex, code, bytes, length);
        pcre2_code_free(code);
        return r > 0 ? SM_VERDICT_YES : SM_VERDICT_NO; /* given up is no match, as in the relay */
}
