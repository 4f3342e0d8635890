/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "engine-access.h"
#include "engine-eight.h"
#include "engine-parser.h"

/* Looking ahead from the parser's position. A run takes what stepping would take to the same state. */

/* Beside the parser, not on the stack: see engine-access.h. */
struct sm_head_progress {
        __s32 result;  /* as of sm_head_step() */
        __u32 length;  /* bytes that are there */
        __u32 run_end; /* runs may take these: not the last one up to the limit, which stepping sees */
        __u32 _pad;
};

struct sm_head_loop {
        struct sm_head_parser *parser;
        struct sm_head *head;
        struct sm_head_progress *progress;
        const __u8 *bytes;
};

/* Byte `n` from here, 0 if a run may not take it. */
static inline __u8 sm_loop_byte(const struct sm_head_loop *l, __u32 n) {
        __u32 i = l->parser->position + n;

        return i < l->progress->run_end ? sm_byte_at(l->bytes, i) : 0;
}

static inline __u64 sm_loop_eight(const struct sm_head_loop *l, __u32 n) {
        return sm_eight_at(l->bytes, l->parser->position + n, l->progress->run_end);
}

static inline int sm_loop_at_crlf(const struct sm_head_loop *l) {
        return sm_loop_byte(l, 0) == '\r' && sm_loop_byte(l, 1) == '\n';
}

static inline __u32 sm_loop_clamp(const struct sm_head_loop *l, __u32 n) {
        __u32 room = l->progress->run_end - l->parser->position;

        return n < room ? n : room;
}

static inline __u32 sm_loop_run_of_eight(const struct sm_head_loop *l, __u32 n, int target) {
        __u64 eight = sm_loop_eight(l, n);

        return sm_first_flagged(target ? sm_flag_no_target(eight) : sm_flag_control(eight));
}

/* The run of text, or of bytes of a target, at most 32. */
static inline __u32 sm_loop_run(const struct sm_head_loop *l, int target) {
        __u32 n = sm_loop_run_of_eight(l, 0, target);

        if (n == 8)
                n += sm_loop_run_of_eight(l, 8, target);
        if (n == 16)
                n += sm_loop_run_of_eight(l, 16, target);
        if (n == 24)
                n += sm_loop_run_of_eight(l, 24, target);
        return sm_loop_clamp(l, n);
}

static inline __u32 sm_loop_word_of_eight(const struct sm_head_loop *l, __u32 at, __u64 *ret, __u64 fold) {
        __u64 eight = sm_loop_eight(l, at);
        __u32 n = sm_first_flagged(sm_flag_no_word(eight));

        *ret = (eight | fold) & sm_low_bytes(n);
        return n;
}

/* Letters, digits, '-' and '.', at most SM_WORD_MAX; left in `w` with the bits of `fold`. The byte behind
 * them is to be looked at: they may reach beyond what a run may take. */
static inline __u32 sm_loop_word(const struct sm_head_loop *l, struct sm_word *w, __u64 fold) {
        __u32 n;

        sm_word_start(w);
        n = sm_loop_word_of_eight(l, 0, &w->parts[0], fold);
        if (n == 8)
                n += sm_loop_word_of_eight(l, 8, &w->parts[1], fold);
        if (n == 16)
                n += sm_loop_word_of_eight(l, 16, &w->parts[2], fold);
        w->length = (__u8) n;
        return n;
}
