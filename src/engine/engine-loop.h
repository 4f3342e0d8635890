/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "engine-loop-field.h"
#include "engine-loop-line.h"

/*
 * The head parser's driver for the kernel. A return from the callback of bpf_loop() may cost as much as all
 * else that it does (9 ns, where returns have to be made safe), so each call takes what it can at once; what
 * is not quite common is left to sm_head_step().
 *
 *   sm_head_loop_start(&loop, SM_HEAD_REQUEST, length, limit);
 *   sm_loop(length, sm_head_steps, &loop);               loop.progress->result is as of sm_head_step()
 */

static inline void sm_loop_line(struct sm_head_loop *l) {
        struct sm_head_parser *p = l->parser;

        if (p->state == SM_PARSE_START)
                sm_loop_method(l);
        if (p->state == SM_PARSE_PATH || p->state == SM_PARSE_QUERY)
                sm_loop_target(l);
        if (p->state == SM_PARSE_VERSION)
                sm_loop_version(l);
        if (p->state == SM_PARSE_STATUS)
                sm_loop_status(l);
        if (p->state == SM_PARSE_REASON)
                sm_loop_reason(l);
}

static inline int sm_loop_field(struct sm_head_loop *l) {
        struct sm_head_parser *p = l->parser;
        int r = 0;

        if (p->lexer.state == SM_LEX_LINE)
                r = sm_loop_name(l);
        if (r == 0 && (p->lexer.state == SM_LEX_VALUE_START || p->lexer.state == SM_LEX_VALUE)) {
                sm_loop_value(l);
                r = sm_loop_line_end(l);
        }
        return r;
}

/* Of the runs and the step at least one takes something. */
static inline int sm_loop_turn(struct sm_head_loop *l) {
        struct sm_head_parser *p = l->parser;
        __u32 before = p->position;
        int r = 0;

        if (p->state < SM_PARSE_FIELDS)
                sm_loop_line(l);
        if (p->state == SM_PARSE_FIELDS)
                r = sm_loop_field(l);
        if (r != 0 || (p->position != before && p->lexer.state != SM_LEX_LAST_LF))
                return r;
        if (p->position >= l->progress->length)
                return 0;
        return sm_head_step(p, l->head, sm_byte_at(l->bytes, p->position));
}

static inline long sm_head_steps(__u32 i, void *context) {
        struct sm_head_loop *l = context;

        if (l->parser->position >= l->progress->length)
                return 1;
        l->progress->result = sm_loop_turn(l);
        return l->progress->result != 0;
}

/* With all of `l` set: makes ready for a head of at most `limit` bytes, 1 ... 65535, of which `length` are
 * there. */
static inline void sm_head_loop_start(struct sm_head_loop *l, enum sm_head_kind kind, __u32 length,
                                      __u32 limit) {
        sm_head_start(l->parser, l->head, kind, limit);
        l->progress->length = length;
        l->progress->run_end = length < limit ? length : limit - 1;
        l->progress->result = 0;
}
