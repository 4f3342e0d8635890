/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "engine-run.h"

/*
 * The head parser's driver for user space: takes runs of bytes where it can and steps through the rest,
 * at least one byte after each run.
 *
 *   sm_head_start(&parser, &head, SM_HEAD_REQUEST, limit);
 *   r = sm_head_parse(&parser, &head, bytes, n);     again with more of the same bytes while it is 0
 */

/* As sm_head_step(), for all bytes from where the last call stopped up to `length`; `bytes` are those
 * that earlier calls saw, and more. */
static inline int sm_head_parse(struct sm_head_parser *p, struct sm_head *head, const __u8 *bytes,
                                __u32 length) {
        __u32 end = length < p->limit ? length : p->limit;
        int r = 0;

        while (r == 0 && p->position < length) {
                r = sm_head_run(p, head, bytes, end - 1);
                if (r == 0)
                        r = sm_head_step(p, head, bytes[p->position]);
        }
        return r;
}
