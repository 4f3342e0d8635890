/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "engine-parser.h"

/*
 * What known fields mean, read byte by byte along with their values. Everything that decides where a
 * message ends (RFC 9112, section 6) or to whom it goes is in here.
 */

static inline __u8 sm_word_field(const struct sm_word *w) {
#define SM_FIELD_IF(id, name)   \
        if (sm_word_is(w, name)) \
                return SM_FIELD_##id;
        SM_KNOWN_FIELDS(SM_FIELD_IF)
#undef SM_FIELD_IF
        return _SM_FIELD_KNOWN_MAX;
}

/* How a known field is understood, or -(enum sm_reason) if it may not stand here. */
static inline int sm_meaning_kind(const struct sm_head_parser *p, const struct sm_head *head, int again) {
        int request = p->kind == SM_HEAD_REQUEST;

        switch (p->field) {

        case SM_FIELD_HOST:
                if (!request)
                        return SM_VALUE_PLAIN;
                return again ? -SM_REASON_BAD_HOST : SM_VALUE_HOST;

        case SM_FIELD_CONTENT_LENGTH:
                return again ? -SM_REASON_DUPLICATE_LENGTH : SM_VALUE_NUMBER;

        case SM_FIELD_TRANSFER_ENCODING:
                /* HTTP/1.0 has none: whoever sends it there is wrong about the framing (section 6.1). */
                if (again || (head->flags & SM_HEAD_HTTP_1_0))
                        return -SM_REASON_BAD_TRANSFER_ENCODING;
                return SM_VALUE_WORD;

        case SM_FIELD_EXPECT:
                return request ? SM_VALUE_WORD : SM_VALUE_PLAIN;

        case SM_FIELD_TE:
                return request ? SM_VALUE_LIST : SM_VALUE_PLAIN;

        case SM_FIELD_CONNECTION:
                return SM_VALUE_LIST;

        default:
                return SM_VALUE_PLAIN;
        }
}

/* A name was read: field number head->n_fields. */
static inline int sm_meaning_start(struct sm_head_parser *p, struct sm_head *head) {
        int again = 0, r;

        p->value_kind = SM_VALUE_PLAIN;
        p->value_state = SM_VALUE_EMPTY;
        p->field = sm_word_field(&p->lexer.word);
        if (p->field < _SM_FIELD_KNOWN_MAX) {
                again = head->known[p->field] != 0;
                if (!again)
                        head->known[p->field] = (__u16) (head->n_fields + 1);
        }
        r = sm_meaning_kind(p, head, again);
        if (r < 0)
                return r;
        p->value_kind = (__u8) r;
        sm_word_start(&p->lexer.word);
        sm_host_start(&p->host);
        return 0;
}

static inline int sm_meaning_number(struct sm_head_parser *p, struct sm_head *head, __u8 c) {
        __u64 digit = (__u64) c - '0';

        if (c == ',' && p->value_state != SM_VALUE_EMPTY)
                return -SM_REASON_DUPLICATE_LENGTH;
        if (sm_is_space(c)) {
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

static inline int sm_meaning_word_error(const struct sm_head_parser *p) {
        return p->field == SM_FIELD_EXPECT ? -SM_REASON_BAD_EXPECT : -SM_REASON_BAD_TRANSFER_ENCODING;
}

static inline int sm_meaning_word(struct sm_head_parser *p, __u8 c) {
        if (sm_is_space(c)) {
                p->value_state = SM_VALUE_AFTER;
                return 0;
        }
        if (!sm_is_token(c) || p->value_state == SM_VALUE_AFTER)
                return sm_meaning_word_error(p);
        sm_word_add(&p->lexer.word, c | 0x20);
        return 0;
}

/* An element of Connection or TE is complete, without its parameters. */
static inline void sm_meaning_element(struct sm_head_parser *p, struct sm_head *head) {
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

static inline int sm_meaning_list(struct sm_head_parser *p, struct sm_head *head, __u8 c) {
        if (c == ',') {
                sm_meaning_element(p, head);
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

static inline int sm_meaning_host(struct sm_head_parser *p, __u8 c) {
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
static inline int sm_meaning_step(struct sm_head_parser *p, struct sm_head *head, __u8 c) {
        switch (p->value_kind) {

        case SM_VALUE_HOST:
                return sm_meaning_host(p, c);

        case SM_VALUE_NUMBER:
                return sm_meaning_number(p, head, c);

        case SM_VALUE_WORD:
                return sm_meaning_word(p, c);

        case SM_VALUE_LIST:
                return sm_meaning_list(p, head, c);

        default:
                return 0;
        }
}

/* The value is complete. */
static inline int sm_meaning_end(struct sm_head_parser *p, struct sm_head *head) {
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
                        return sm_meaning_word_error(p);
                head->flags |= p->field == SM_FIELD_EXPECT ? SM_HEAD_EXPECT_CONTINUE : SM_HEAD_CHUNKED;
                return 0;

        case SM_VALUE_LIST:
                sm_meaning_element(p, head);
                return 0;

        default:
                return 0;
        }
}

/* The head is complete: what only shows in the whole. */
static inline int sm_meaning_whole(const struct sm_head_parser *p, struct sm_head *head) {
        int old = head->flags & SM_HEAD_HTTP_1_0;

        if ((head->flags & SM_HEAD_CHUNKED) && (head->flags & SM_HEAD_LENGTH))
                return -SM_REASON_LENGTH_AND_CHUNKED;
        if (p->kind == SM_HEAD_REQUEST && !old && !head->known[SM_FIELD_HOST])
                return -SM_REASON_BAD_HOST;
        if (old)
                head->flags &= (__u16) ~SM_HEAD_EXPECT_CONTINUE; /* RFC 9110, section 10.1.1 */
        if (old || !head->known[SM_FIELD_UPGRADE])
                head->flags &= (__u16) ~SM_HEAD_UPGRADE; /* RFC 9110, section 7.8 */
        return 0;
}
