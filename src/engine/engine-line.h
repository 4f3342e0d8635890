/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "engine-target.h"

/*
 * The start line: method SP target SP version, or version SP status SP reason (RFC 9112, sections 3 and
 * 4). Each step returns 0 or -(enum sm_reason).
 */

static inline int sm_line_error(const struct sm_head_parser *p) {
        return p->kind == SM_HEAD_REQUEST ? -SM_REASON_BAD_REQUEST_LINE : -SM_REASON_UPSTREAM_BAD_HEAD;
}

static inline __u8 sm_word_method(const struct sm_word *w) {
#define SM_METHOD_IF(id, text)  \
        if (sm_word_is(w, text)) \
                return SM_METHOD_##id;
        SM_METHODS(SM_METHOD_IF)
#undef SM_METHOD_IF
        return SM_METHOD_OTHER;
}

static inline int sm_line_method(struct sm_head_parser *p, struct sm_head *head, __u8 c) {
        struct sm_word *w = &p->lexer.word;

        if (sm_is_token(c)) {
                if (p->state == SM_PARSE_START) {
                        sm_span_open(&head->method_text, p);
                        p->state = SM_PARSE_METHOD;
                }
                sm_word_add(w, c);
                return 0;
        }
        if (p->state == SM_PARSE_START && c == '\r' && p->empty_lines == 0) {
                p->state = SM_PARSE_EMPTY_LF;
                return 0;
        }
        if (p->state == SM_PARSE_START || c != ' ')
                return -SM_REASON_BAD_REQUEST_LINE;

        sm_span_close(&head->method_text, p);
        head->method = sm_word_method(w);
        sm_word_start(w);
        p->state = SM_PARSE_TARGET;
        return 0;
}

/* "HTTP/" DIGIT "." DIGIT, case-sensitive, of which we speak 1.0 and 1.1. */
static inline int sm_line_version(struct sm_head_parser *p, struct sm_head *head, __u8 c) {
        struct sm_word *w = &p->lexer.word;

        if (w->length < 8) {
                if (c <= ' ' || c >= 0x7f)
                        return sm_line_error(p);
                sm_word_add(w, c);
                if (w->length < 8)
                        return 0;
        }
        if (sm_word_is(w, "HTTP/1.0"))
                head->flags |= SM_HEAD_HTTP_1_0;
        else if (!sm_word_is(w, "HTTP/1.1"))
                return (w->parts[0] & 0xffffffffff) == SM_LITERAL_PART("HTTP/", 0) && sm_is_digit(c) ?
                        -SM_REASON_BAD_VERSION : sm_line_error(p);

        sm_word_start(w);
        p->state = p->kind == SM_HEAD_REQUEST ? SM_PARSE_LINE_CR : SM_PARSE_STATUS;
        return 0;
}

/* SP 3DIGIT, then SP and the reason phrase, either of which servers leave out. */
static inline int sm_line_status(struct sm_head_parser *p, struct sm_head *head, __u8 c) {
        struct sm_word *w = &p->lexer.word;

        sm_word_add(w, c);
        if (w->length == 1)
                return c == ' ' ? 0 : sm_line_error(p);
        if (w->length <= 4) {
                head->status = (__u16) (head->status * 10 + (c - '0'));
                return sm_is_digit(c) ? 0 : sm_line_error(p);
        }
        if (head->status < 100 || (c != ' ' && c != '\r'))
                return sm_line_error(p);

        head->reason.offset = (__u16) (p->position + 1);
        p->state = c == ' ' ? SM_PARSE_REASON : SM_PARSE_LINE_LF;
        return 0;
}

static inline int sm_line_reason(struct sm_head_parser *p, struct sm_head *head, __u8 c) {
        if (sm_is_text(c))
                return 0;
        if (c != '\r')
                return sm_line_error(p);
        sm_span_close(&head->reason, p);
        p->state = SM_PARSE_LINE_LF;
        return 0;
}

static inline int sm_line_end(struct sm_head_parser *p, __u8 c) {
        switch (p->state) {
        case SM_PARSE_EMPTY_LF:
                p->empty_lines++;
                p->state = SM_PARSE_START;
                return c == '\n' ? 0 : -SM_REASON_BARE_LF;

        case SM_PARSE_LINE_CR:
                p->state = SM_PARSE_LINE_LF;
                return c == '\r' ? 0 : -SM_REASON_BAD_REQUEST_LINE;

        default:
                p->state = SM_PARSE_FIELDS;
                return c == '\n' ? 0 : -SM_REASON_BARE_LF;
        }
}

static inline int sm_line_step(struct sm_head_parser *p, struct sm_head *head, __u8 c) {
        if (c == '\n' && p->state != SM_PARSE_EMPTY_LF && p->state != SM_PARSE_LINE_LF)
                return -SM_REASON_BARE_LF;

        switch (p->state) {
        case SM_PARSE_START:
        case SM_PARSE_METHOD:
                return sm_line_method(p, head, c);
        case SM_PARSE_TARGET:
                return sm_line_target(p, head, c);
        case SM_PARSE_SCHEME:
                return sm_line_scheme(p, head, c);
        case SM_PARSE_AUTHORITY:
                return sm_line_authority(p, head, c);
        case SM_PARSE_TARGET_END:
        case SM_PARSE_PATH:
        case SM_PARSE_QUERY:
                return sm_line_path(p, head, c);
        case SM_PARSE_VERSION:
                return sm_line_version(p, head, c);
        case SM_PARSE_STATUS:
                return sm_line_status(p, head, c);
        case SM_PARSE_REASON:
                return sm_line_reason(p, head, c);
        default:
                return sm_line_end(p, c);
        }
}
