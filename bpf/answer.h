/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "../src/abi/abi-action.h"
#include "../src/abi/abi-reply.h"
#include "../src/engine/engine-access.h"
#include "../src/engine/engine-plan.h"

/*
 * A policy's own answer, put together as the relay does it for a connection that goes on: the head, an empty
 * line, and unless the request was HEAD the body. Where something of the request goes into it, or it is
 * longer than SM_REPLY_MAX, it is left to the relay.
 */

struct answer_text {
        __u8 *to; /* SM_REPLY_MAX bytes */
        __u32 at; /* in there */
        __u32 cell;
};

/* What it writes behind the end of the text is overwritten by what comes next, or not sent. */
static long answer_add_eight(__u32 i, void *context) {
        struct answer_text *a = context;
        const struct sm_cell *c = sm_cell_at(NULL, a->cell + i / (SM_CELL_SIZE / 8));
        __u32 at = a->at + i * 8;

        sm_forget(at);
        if (!c || at > SM_REPLY_MAX - 8)
                return 1;
        *(__u64 *) (a->to + at) = ((const __u64 *) c->bytes)[i % (SM_CELL_SIZE / 8)];
        return 0;
}

static __noinline int answer_add(__u8 *to, __u32 at, __u32 cell, __u32 length) {
        struct answer_text a = { .to = to, .at = at, .cell = cell };

        if (length > 0 && length < SM_REPLY_MAX)
                bpf_loop((length + 7) / 8, answer_add_eight, &a, 0);
        return 0;
}

static __always_inline void answer_end_line(__u8 *to, __u32 at) {
        sm_forget(at);
        if (at > SM_REPLY_MAX - 2)
                return;
        to[at] = '\r';
        to[at + 1] = '\n';
}

static __always_inline void answer_begin_location(__u8 *to, __u32 at) {
        sm_forget(at);
        if (at <= SM_REPLY_MAX - sizeof(SM_ANSWER_LOCATION))
                __builtin_memcpy(to + at, SM_ANSWER_LOCATION, sizeof(SM_ANSWER_LOCATION) - 1);
}

/* Into `to`. The length, or 0 if it is the relay's. `base` is the cell of the policy. */
static __noinline __u32 answer_write(__u8 *to, __u32 base, const struct sm_answer *answer, int is_head) {
        __u32 at = answer->head.length, body = is_head ? 0 : answer->body.length;
        __u32 location = sm_answer_location_size(answer);

        if (!sm_answer_is_fast(answer, is_head))
                return 0;
        answer_add(to, 0, base + answer->head.cell, at);
        if (location > 0) {
                answer_begin_location(to, at);
                answer_add(to, at + sizeof(SM_ANSWER_LOCATION) - 1, base + answer->location.cell,
                           answer->location.length);
                at += location;
                answer_end_line(to, at - 2);
        }
        answer_end_line(to, at);
        answer_add(to, at + 2, base + answer->body.cell, body);
        return at + 2 + body;
}
