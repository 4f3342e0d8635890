/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "engine-caller.h"
#include "engine-content.h"
#include "engine-json-match.h"

/*
 * Whether the predicates of a route hold. Hosts are compared without their port and regardless of case.
 * Paths are compared byte by byte as they are here: where the policy wants them in normal form
 * (engine-path.h), that has been seen to.
 */

/* Length of the host in an authority: without ":port". At most five digits can follow the colon. */
static inline __u32 sm_host_length(const __u8 *bytes, struct sm_span authority) {
        for (__u32 i = 0; i < 6 && i < authority.length; i++) {
                __u8 c = sm_copy_byte(bytes, authority.offset + authority.length - 1U - i);

                if (c == ':')
                        return authority.length - 1U - i;
                if (!sm_is_digit(c))
                        break;
        }
        return authority.length;
}

SM_FRAME enum sm_verdict sm_match_host(struct sm_match *m) {
        struct sm_span authority = m->q->head->authority;
        struct sm_text_place *text = &m->w->compare.text;
        __u32 length = sm_host_length(m->bytes, authority), skip;

        sm_predicate_text(m, text);
        if (m->p->op == SM_OP_EXACT ? length != text->length : length <= text->length)
                return SM_VERDICT_NO;
        skip = m->p->op == SM_OP_SUFFIX ? length - text->length : 0;
        return sm_text_stands(m, authority.offset + skip, 1) ? SM_VERDICT_YES : SM_VERDICT_NO;
}

/* What a path begins with ends with one of its segments: it ends with '/' itself, or the path goes on so. */
static inline int sm_path_is_segment(const struct sm_match *m, struct sm_span path) {
        __u32 length = m->p->text.length;

        return path.length == length || length == 0 ||
               sm_copy_byte(m->bytes, path.offset + length - 1U) == '/' ||
               sm_copy_byte(m->bytes, path.offset + length) == '/';
}

SM_FRAME enum sm_verdict sm_match_path(struct sm_match *m) {
        struct sm_span path = m->q->head->path;
        enum sm_verdict verdict = sm_decide(m, path.offset, path.length, SM_CODING_NONE);

        if (verdict == SM_VERDICT_YES && m->p->op == SM_OP_PREFIX && !sm_path_is_segment(m, path))
                return SM_VERDICT_NO;
        return verdict;
}

/* What of a head or body has a name. */
static inline enum sm_verdict sm_match_named(struct sm_match *m) {
        const struct sm_head *head = m->q->head;
        const struct sm_text_place name = {
                .cell = m->w->search.base + m->p->name.cell,
                .length = m->p->name.length,
        };

        sm_find_start(m, &name);
        switch (m->p->kind) {

        case SM_MATCH_HEADER:
                return sm_find_field(m);

        case SM_MATCH_COOKIE:
                return sm_find_cookie(m);

        case SM_MATCH_QUERY:
                return sm_find_parameter(m, head->query.offset, head->query.length);

        case SM_MATCH_FORM:
                return sm_match_form(m);

        default:
                return sm_match_json(m);
        }
}

/* The predicate m->p, which is in cell search.cell; there is a head. */
static inline enum sm_verdict sm_predicate_judge(struct sm_match *m) {
        const struct sm_head *head = m->q->head;

        m->bytes = m->q->bytes;
        switch (m->p->kind) {

        case SM_MATCH_HOST:
                return sm_match_host(m);

        case SM_MATCH_PATH:
                return sm_match_path(m);

        case SM_MATCH_METHOD:
                return sm_decide(m, head->method_text.offset, head->method_text.length, SM_CODING_NONE);

        case SM_MATCH_CONTENT:
                return sm_match_content(m);

        case SM_MATCH_HEADER:
        case SM_MATCH_COOKIE:
        case SM_MATCH_QUERY:
        case SM_MATCH_FORM:
        case SM_MATCH_JSON:
                return sm_match_named(m);

        default:
                return SM_VERDICT_NO;
        }
}
