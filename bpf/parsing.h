/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "../src/engine/engine-loop.h"

/*
 * Parsing of a head that lies in a map's value. So does the parser: what a sk_msg program knows of a message
 * has no room on the stack, and no place in a per-CPU map, as it may be interrupted by another one.
 */

struct parsing {
        struct sm_head_parser parser;
        struct sm_head head;
        struct sm_head_progress progress;
};

/* As sm_head_step(), for the first `length` bytes; the head may take all of them. */
static __noinline int parse(struct parsing *p, const __u8 *bytes, enum sm_head_kind kind, __u32 length) {
        struct sm_head_loop loop = {
                .parser = &p->parser,
                .head = &p->head,
                .progress = &p->progress,
                .bytes = bytes,
        };

        sm_head_loop_start(&loop, kind, length, length);
        sm_loop(length, sm_head_steps, &loop);
        return p->progress.result;
}
