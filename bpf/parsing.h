/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "../src/engine/engine-step.h"

/*
 * Parsing of a head that lies in a map's value. So does the parser: what a sk_msg program knows of a message
 * has no room on the stack, and no place in a per-CPU map, as it may be interrupted by another one.
 */

struct parsing {
        struct sm_head_parser parser;
        struct sm_head head;
        __s32 result; /* of sm_head_step() */
        __u32 _pad;
};

struct parsing_step {
        struct parsing *parsing;
        const __u8 *bytes;
};

static long parsing_step(__u32 i, void *context) {
        struct parsing_step *s = context;
        struct parsing *p = s->parsing;

        p->result = sm_head_step(&p->parser, &p->head, sm_byte_at(s->bytes, p->parser.position));
        return p->result != 0;
}

/* As sm_head_step(), for the first `length` bytes; the head may take all of them. */
static __noinline int parse(struct parsing *p, const __u8 *bytes, enum sm_head_kind kind, __u32 length) {
        struct parsing_step s = { .parsing = p, .bytes = bytes };

        sm_head_start(&p->parser, &p->head, kind, length);
        p->result = 0;
        bpf_loop(length, parsing_step, &s, 0);
        return p->result;
}
