/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "engine-parser.h"

/*
 * The target of a request line in its four forms (RFC 9112, section 3.2). Each step returns 0 or
 * -(enum sm_reason).
 */

/* The first byte tells the form (RFC 9112, section 3.2). */
static inline int sm_line_target(struct sm_head_parser *p, struct sm_head *head, __u8 c) {
        sm_span_open(&head->target, p);
        if (head->method == SM_METHOD_CONNECT) {
                head->target_form = SM_TARGET_AUTHORITY;
                sm_span_open(&head->authority, p);
                p->state = SM_PARSE_AUTHORITY;
                return sm_host_step(&p->host, c) ? 0 : -SM_REASON_BAD_TARGET;
        }
        if (c == '/') {
                head->target_form = SM_TARGET_ORIGIN;
                sm_span_open(&head->path, p);
                p->state = SM_PARSE_PATH;
                return 0;
        }
        if (c == '*' && head->method == SM_METHOD_OPTIONS) {
                head->target_form = SM_TARGET_ASTERISK;
                sm_span_open(&head->path, p);
                p->state = SM_PARSE_TARGET_END;
                return 0;
        }
        if (!sm_is_token(c))
                return -SM_REASON_BAD_TARGET;

        head->target_form = SM_TARGET_ABSOLUTE;
        sm_word_add(&p->lexer.word, c | 0x20);
        p->state = SM_PARSE_SCHEME;
        return 0;
}

/* Only "http://": others would be misdirected to a service that is reached without TLS. */
static inline int sm_line_scheme(struct sm_head_parser *p, struct sm_head *head, __u8 c) {
        struct sm_word *w = &p->lexer.word;

        if (!sm_is_token(c) && c != ':' && c != '/')
                return -SM_REASON_BAD_TARGET;

        sm_word_add(w, c | 0x20);
        if (w->length < 7)
                return 0;
        if (!sm_word_is(w, "http://"))
                return -SM_REASON_BAD_TARGET;

        head->authority.offset = (__u16) (p->position + 1);
        p->state = SM_PARSE_AUTHORITY;
        return 0;
}

static inline int sm_line_target_end(struct sm_head_parser *p, struct sm_head *head) {
        sm_span_close(&head->target, p);
        if (p->state == SM_PARSE_QUERY)
                sm_span_close(&head->query, p);
        else if (p->state != SM_PARSE_AUTHORITY)
                sm_span_close(&head->path, p);
        sm_word_start(&p->lexer.word);
        p->state = SM_PARSE_VERSION;
        return 0;
}

static inline int sm_line_authority(struct sm_head_parser *p, struct sm_head *head, __u8 c) {
        int absolute = head->target_form == SM_TARGET_ABSOLUTE;

        if (c != ' ' && !(absolute && (c == '/' || c == '?')))
                return sm_host_step(&p->host, c) ? 0 : -SM_REASON_BAD_TARGET;
        if (!sm_host_complete(&p->host))
                return -SM_REASON_BAD_TARGET;
        if (!absolute && p->host.state != SM_HOST_PORT_DIGITS)
                return -SM_REASON_BAD_TARGET;

        sm_span_close(&head->authority, p);
        sm_span_open(&head->path, p);
        if (c == '/') {
                p->state = SM_PARSE_PATH;
                return 0;
        }
        if (absolute && !(c == ' ' && head->method == SM_METHOD_OPTIONS)) {
                /* No path means "/"; the last byte of "//" is one. */
                head->path.offset = (__u16) (head->authority.offset - 1);
                head->path.length = 1;
        }
        if (c == ' ')
                return sm_line_target_end(p, head);

        head->query.offset = (__u16) (p->position + 1);
        p->state = SM_PARSE_QUERY;
        return 0;
}

/* Path and query may contain any visible ASCII character but "#", also those that RFC 3986 would have had
 * encoded: clients send them, and they mean nothing to whoever frames the message. */
static inline int sm_is_target(__u8 c) {
        return c > ' ' && c < 0x7f && c != '#';
}

static inline int sm_line_path(struct sm_head_parser *p, struct sm_head *head, __u8 c) {
        if (c == ' ')
                return sm_line_target_end(p, head);
        if (c == '\r')
                return -SM_REASON_BAD_REQUEST_LINE; /* HTTP/0.9 */
        if (!sm_is_target(c) || p->state == SM_PARSE_TARGET_END)
                return -SM_REASON_BAD_TARGET;
        if (c != '?' || p->state == SM_PARSE_QUERY)
                return 0;

        sm_span_close(&head->path, p);
        head->query.offset = (__u16) (p->position + 1);
        p->state = SM_PARSE_QUERY;
        return 0;
}
