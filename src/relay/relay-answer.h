/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "../engine/engine-head.h"
#include "relay-buffer.h"
#include "relay-text.h"

/* An answer that a route gives by itself: a fixed one, or a redirect, which takes its Location from what was
 * asked for. Its texts are the policy's. */
typedef struct Answer {
        Text head, body, location;
        unsigned status;
        unsigned flags; /* enum sm_answer_flags */
        uint32_t skip;
} Answer;

/* Of the policy at cell `base`. -EBADMSG: the table does not hold it. */
int answer_read(const struct sm_tables *t, __u32 base, __u32 cell, Answer *ret);

/* More bytes than it can have as an answer to that request. */
size_t answer_size_max(const Answer *a, const struct sm_head *head);

/* Appends it; `options` are enum sm_reply_option. -ENOBUFS */
int answer_write(Buffer *out, const Answer *a, const uint8_t *bytes, const struct sm_head *head,
                 unsigned options);
