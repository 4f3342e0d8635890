/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "engine-parser.h"

/*
 * The values of known fields, understood byte by byte as they are read. Each step returns 0 or -(enum
 * sm_reason).
 */

/* HTAB is white space as well, but not behind a value that frames the message: llhttp, for one, finds no
 * "chunked" in "chunked" HTAB, and others would. */
static inline int sm_value_number(struct sm_head_parser *p, struct sm_head *head, __u8 c) {
        __u64 digit = (__u64) c - '0';

        if (c == ',' && p->value_state != SM_VALUE_EMPTY)
                return -SM_REASON_DUPLICATE_LENGTH;
        if (c == ' ') {
                p->value_state = SM_VALUE_AFTER;
                return 0;
        }
        if (!sm_is_digit(c) || p->value_state == SM_VALUE_AFTER)
                return -SM_REASON_BAD_LENGTH;
        if (head->content_length > SM_CONTENT_LENGTH_MAX / 10 ||
            head->content_length * 10 > SM_CONTENT_LENGTH_MAX - digit)
                return -SM_REASON_BAD_LENGTH;
        p->value_state = SM_VALUE_INSIDE;
        head->content_length = head->content_length * 10 + digit;
        return 0;
}

static inline int sm_value_word_error(const struct sm_head_parser *p) {
        return p->field == SM_FIELD_EXPECT ? -SM_REASON_BAD_EXPECT : -SM_REASON_BAD_TRANSFER_ENCODING;
}

static inline int sm_value_word(struct sm_head_parser *p, __u8 c) {
        if (c == ' ') {
                p->value_state = SM_VALUE_AFTER;
                return 0;
        }
        if (!sm_is_token(c) || p->value_state == SM_VALUE_AFTER)
                return sm_value_word_error(p);
        sm_word_add(&p->lexer.word, c | 0x20);
        return 0;
}

/* An element of Connection or TE is complete, without its parameters. */
static inline void sm_value_element(struct sm_head_parser *p, struct sm_head *head) {
        struct sm_word *w = &p->lexer.word;

        if (p->field == SM_FIELD_TE) {
                if (sm_word_is(w, "trailers"))
                        head->flags |= SM_HEAD_TE_TRAILERS;
        } else if (sm_word_is(w, "close"))
                head->flags |= SM_HEAD_CLOSE;
        else if (sm_word_is(w, "keep-alive"))
                head->flags |= SM_HEAD_KEEP_ALIVE;
        else if (sm_word_is(w, "upgrade"))
                head->flags |= SM_HEAD_UPGRADE;
        else if (w->length > 0)
                head->flags |= SM_HEAD_MORE_CONNECTION;
        sm_word_start(w);
}

static inline int sm_value_list(struct sm_head_parser *p, struct sm_head *head, __u8 c) {
        if (++p->list_bytes > SM_LISTS_MAX)
                return -SM_REASON_BAD_FIELD_VALUE;
        if (c == ',') {
                sm_value_element(p, head);
                p->value_state = SM_VALUE_EMPTY;
        } else if (p->value_state == SM_VALUE_PARAMETERS) {
                return 0;
        } else if (sm_is_space(c)) {
                if (p->value_state == SM_VALUE_INSIDE)
                        p->value_state = SM_VALUE_AFTER;
        } else if (sm_is_token(c) && p->value_state != SM_VALUE_AFTER) {
                p->value_state = SM_VALUE_INSIDE;
                sm_word_add(&p->lexer.word, c | 0x20);
        } else if (c == ';' && p->field == SM_FIELD_TE && p->value_state != SM_VALUE_EMPTY)
                p->value_state = SM_VALUE_PARAMETERS;
        else
                return -SM_REASON_BAD_FIELD_VALUE;
        return 0;
}

static inline int sm_value_host(struct sm_head_parser *p, __u8 c) {
        if (sm_is_space(c)) {
                p->value_state = SM_VALUE_AFTER;
                return 0;
        }
        if (p->value_state == SM_VALUE_AFTER || !sm_host_step(&p->host, c))
                return -SM_REASON_BAD_HOST;
        p->value_state = SM_VALUE_INSIDE;
        return 0;
}

/* A byte of the value, white space inside and behind it included. */
static inline int sm_value_step(struct sm_head_parser *p, struct sm_head *head, __u8 c) {
        switch (p->value_kind) {

        case SM_VALUE_HOST:
                return sm_value_host(p, c);

        case SM_VALUE_NUMBER:
                return sm_value_number(p, head, c);

        case SM_VALUE_WORD:
                return sm_value_word(p, c);

        case SM_VALUE_LIST:
                return sm_value_list(p, head, c);

        default:
                return 0;
        }
}

/* The value is complete. */
static inline int sm_value_end(struct sm_head_parser *p, struct sm_head *head) {
        switch (p->value_kind) {

        case SM_VALUE_HOST:
                /* Empty is what a client sends for a target without authority (RFC 9110, section 7.2). */
                if (p->value_state == SM_VALUE_EMPTY || sm_host_complete(&p->host))
                        return 0;
                return -SM_REASON_BAD_HOST;

        case SM_VALUE_NUMBER:
                head->flags |= SM_HEAD_LENGTH;
                return p->value_state == SM_VALUE_EMPTY ? -SM_REASON_BAD_LENGTH : 0;

        case SM_VALUE_WORD:
                if (p->field == SM_FIELD_EXPECT ? !sm_word_is(&p->lexer.word, "100-continue")
                                                : !sm_word_is(&p->lexer.word, "chunked"))
                        return sm_value_word_error(p);
                head->flags |= p->field == SM_FIELD_EXPECT ? SM_HEAD_EXPECT_CONTINUE : SM_HEAD_CHUNKED;
                return 0;

        case SM_VALUE_LIST:
                sm_value_element(p, head);
                return 0;

        default:
                return 0;
        }
}
