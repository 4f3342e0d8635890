/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "engine-loop-run.h"
#include "engine-step.h"

/* Field lines, in runs. */

/* Name, colon, and one SP behind it. */
static inline int sm_loop_name(struct sm_head_loop *l) {
        struct sm_head_parser *p = l->parser;
        struct sm_word w;
        __u32 n = sm_loop_word(l, &w, SM_EACH_BYTE(0x20));
        int r;

        if (n == 0 || sm_loop_byte(l, n) != ':')
                return 0;
        r = sm_field_name_start(p, l->head);
        if (r < 0)
                return r;
        p->lexer.word = w;
        p->lexer.state = SM_LEX_VALUE_START;
        p->position += n;
        r = sm_field_name_end(p, l->head);
        p->position++;
        if (r == 0 && sm_loop_byte(l, 0) == ' ')
                p->position++;
        return r;
}

/* A decimal number, the first eight digits of it; returns how many there are. */
static inline __u32 sm_loop_digits(const struct sm_head_loop *l, __u32 at, __u32 *ret) {
        __u64 eight = sm_loop_eight(l, at);
        __u32 n = sm_loop_clamp(l, at + sm_first_flagged(sm_flag_no_digit(eight))) - at;

        *ret = n > 0 ? sm_decimal(eight, n) : 0;
        return n;
}

/* How many bytes of the value can be taken, the last of them no white space. */
static inline __u32 sm_loop_value_run(struct sm_head_loop *l) {
        struct sm_head_parser *p = l->parser;
        struct sm_word w;
        __u32 n, m, value;

        switch (p->value_kind) {

        case SM_VALUE_PLAIN:
                n = sm_loop_run(l, 0);
                if (n > 0 && sm_loop_byte(l, n - 1) == ' ')
                        n--;
                if (n == 0 || sm_loop_byte(l, n - 1) == ' ' || sm_loop_byte(l, 0) == ' ')
                        return 0;
                return n;

        case SM_VALUE_HOST:
                n = sm_loop_clamp(l, sm_loop_word(l, &w, 0));
                if (p->value_state == SM_VALUE_AFTER || p->host.state > SM_HOST_NAME || n == 0)
                        return 0;
                p->value_state = SM_VALUE_INSIDE;
                p->host.state = SM_HOST_NAME;
                if (sm_loop_byte(l, n) != ':')
                        return n;
                m = sm_loop_digits(l, n + 1, &value);
                if (m == 0 || m > 5 || value > 65535)
                        return n;
                p->host.port = value;
                p->host.state = SM_HOST_PORT_DIGITS;
                return n + 1 + m;

        case SM_VALUE_NUMBER:
                n = sm_loop_digits(l, 0, &value);
                if (p->value_state != SM_VALUE_EMPTY || n == 0)
                        return 0;
                p->value_state = SM_VALUE_INSIDE;
                l->head->content_length = value;
                return n;

        case SM_VALUE_LIST:
                n = sm_loop_word(l, &w, SM_EACH_BYTE(0x20));
                if (p->value_state != SM_VALUE_EMPTY || n == 0 || sm_loop_byte(l, n) == 0 ||
                    p->list_bytes + n > SM_LISTS_MAX)
                        return 0;
                p->list_bytes += (__u16) n;
                p->value_state = SM_VALUE_INSIDE;
                p->lexer.word = w;
                return n;

        default:
                return 0;
        }
}

static inline void sm_loop_value(struct sm_head_loop *l) {
        struct sm_head_parser *p = l->parser;
        __u32 n = sm_loop_value_run(l), i = l->head->n_fields;

        if (n == 0 || i >= SM_HEAD_FIELDS_MAX)
                return;
        if (p->lexer.state == SM_LEX_VALUE_START)
                sm_span_open(&l->head->fields[i].value, p);
        p->lexer.state = SM_LEX_VALUE;
        p->position += n;
        p->value_end = p->position;
}

static inline int sm_loop_line_end(struct sm_head_loop *l) {
        struct sm_head_parser *p = l->parser;
        int r;

        if (!sm_loop_at_crlf(l))
                return 0;
        p->lexer.state = SM_LEX_LINE;
        p->position += 2;
        r = sm_field_end(p, l->head);
        if (r == 0 && sm_loop_byte(l, 0) == '\r') {
                p->lexer.state = SM_LEX_LAST_LF;
                p->position++;
        }
        return r;
}
