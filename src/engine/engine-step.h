/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "engine-line.h"
#include "engine-meaning.h"

/*
 * The parser for HTTP/1 heads (RFC 9112): one byte at a time, no look-ahead, no allocation, no libc, so
 * that the same text runs in the relay, in BPF (inside bpf_loop) and under the fuzzers.
 */

static inline int sm_field_name_start(struct sm_head_parser *p, struct sm_head *head) {
        if (head->n_fields >= SM_HEAD_FIELDS_MAX)
                return -SM_REASON_TOO_MANY_FIELDS;
        sm_span_open(&head->fields[head->n_fields].name, p);
        return 0;
}

static inline int sm_field_name_end(struct sm_head_parser *p, struct sm_head *head) {
        __u32 i = head->n_fields;

        if (i >= SM_HEAD_FIELDS_MAX)
                return -SM_REASON_TOO_MANY_FIELDS;
        sm_span_close(&head->fields[i].name, p);
        head->fields[i].value.offset = (__u16) (p->position + 1);
        p->value_end = p->position + 1;
        return sm_meaning_start(p, head);
}

static inline int sm_field_value(struct sm_head_parser *p, struct sm_head *head, int token, __u8 c) {
        __u32 i = head->n_fields;

        if (i >= SM_HEAD_FIELDS_MAX)
                return -SM_REASON_TOO_MANY_FIELDS;
        if (token == SM_TOKEN_VALUE_START)
                sm_span_open(&head->fields[i].value, p);
        if (!sm_is_space(c))
                p->value_end = p->position + 1;
        return sm_value_step(p, head, c);
}

static inline int sm_field_end(struct sm_head_parser *p, struct sm_head *head) {
        __u32 i = head->n_fields;

        if (i >= SM_HEAD_FIELDS_MAX)
                return -SM_REASON_TOO_MANY_FIELDS;
        head->fields[i].value.length = (__u16) (p->value_end - head->fields[i].value.offset);
        if (p->value_kind == SM_VALUE_HOST && head->target_form != SM_TARGET_ABSOLUTE &&
            head->target_form != SM_TARGET_AUTHORITY)
                head->authority = head->fields[i].value;
        head->n_fields = (__u16) (i + 1);
        return sm_value_end(p, head);
}

static inline int sm_field_step(struct sm_head_parser *p, struct sm_head *head, __u8 c) {
        int token, r;

        token = sm_lexer_step(&p->lexer, c);
        switch (token) {

        case SM_TOKEN_NAME_START:
                return sm_field_name_start(p, head);

        case SM_TOKEN_NAME_END:
                return sm_field_name_end(p, head);

        case SM_TOKEN_VALUE_START:
        case SM_TOKEN_VALUE:
                return sm_field_value(p, head, token, c);

        case SM_TOKEN_LINE_END:
                return sm_field_end(p, head);

        case SM_TOKEN_END:
                r = sm_meaning_whole(p, head);
                if (r < 0)
                        return r;
                head->length = (__u16) (p->position + 1);
                p->state = SM_PARSE_DONE;
                return head->length;

        default:
                return token;
        }
}

/* 0 = the head goes on, > 0 = it is complete: its length, < 0 = -(enum sm_reason). Not to be called again
 * after the latter two. */
static inline int sm_head_step(struct sm_head_parser *p, struct sm_head *head, __u8 c) {
        int r;

        r = p->state < SM_PARSE_FIELDS ? sm_line_step(p, head, c) : sm_field_step(p, head, c);
        p->position++;
        if (r != 0 || p->position < p->limit)
                return r;
        return p->kind == SM_HEAD_REQUEST ? -SM_REASON_HEAD_TOO_LARGE : -SM_REASON_UPSTREAM_HEAD_TOO_LARGE;
}
