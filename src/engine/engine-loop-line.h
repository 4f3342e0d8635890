/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "engine-line.h"
#include "engine-loop-run.h"

/* The start line, in runs. */

/* Method SP, and the slash of the target. */
static inline void sm_loop_method(struct sm_head_loop *l) {
        struct sm_head_parser *p = l->parser;
        struct sm_head *head = l->head;
        struct sm_word w;
        __u32 n = sm_loop_word(l, &w, 0);

        if (n == 0 || sm_loop_byte(l, n) != ' ' || sm_loop_byte(l, n + 1) != '/')
                return;
        head->method = sm_word_method(&w);
        if (head->method == SM_METHOD_CONNECT)
                return;
        sm_span_open(&head->method_text, p);
        head->method_text.length = (__u16) n;
        p->position += n + 1;
        (void) sm_line_target(p, head, '/');
        p->position++;
}

static inline void sm_loop_target(struct sm_head_loop *l) {
        struct sm_head_parser *p = l->parser;

        p->position += sm_loop_run(l, 1);
        if (sm_loop_byte(l, 0) == ' ') {
                (void) sm_line_target_end(p, l->head);
                p->position++;
        }
}

/* The version that nearly all messages have. */
static inline void sm_loop_version(struct sm_head_loop *l) {
        struct sm_head_parser *p = l->parser;

        if (p->lexer.word.length > 0 || sm_loop_byte(l, 9) == 0)
                return;
        if (sm_loop_eight(l, 0) != SM_LITERAL_PART("HTTP/1.1", 0))
                return;
        if (p->kind == SM_HEAD_RESPONSE) {
                p->position += 8;
                p->state = SM_PARSE_STATUS;
        } else if (sm_loop_byte(l, 8) == '\r' && sm_loop_byte(l, 9) == '\n') {
                p->position += 10;
                p->state = SM_PARSE_FIELDS;
        }
}

/* SP 3DIGIT SP */
static inline void sm_loop_status(struct sm_head_loop *l) {
        struct sm_head_parser *p = l->parser;
        __u8 a = sm_loop_byte(l, 1), b = sm_loop_byte(l, 2), c = sm_loop_byte(l, 3);

        if (p->lexer.word.length > 0 || sm_loop_byte(l, 0) != ' ' || sm_loop_byte(l, 4) != ' ')
                return;
        if (!sm_is_digit(a) || a == '0' || !sm_is_digit(b) || !sm_is_digit(c))
                return;
        l->head->status = (__u16) ((a - '0') * 100 + (b - '0') * 10 + (c - '0'));
        p->lexer.word.length = 5;
        p->position += 5;
        l->head->reason.offset = (__u16) p->position;
        p->state = SM_PARSE_REASON;
}

static inline void sm_loop_reason(struct sm_head_loop *l) {
        struct sm_head_parser *p = l->parser;

        p->position += sm_loop_run(l, 0);
        if (sm_loop_at_crlf(l)) {
                sm_span_close(&l->head->reason, p);
                p->position += 2;
                p->state = SM_PARSE_FIELDS;
        }
}
