/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "../../src/engine/engine-loop.h"

/* What the program of engine.bpf.c is given, and what it makes of it: values of its maps `input` and
 * `output`. */

struct engine_input {
        __u8 bytes[SM_REQUEST_KEPT_MAX];
        __u8 source[16];
        __u64 cgroup;
        __u64 unit;
        __u64 now;
        __u32 length; /* of bytes, head and body */
        __u32 kind;   /* enum sm_head_kind */
        __u32 limit;
        __u32 base; /* cell of the policy */
        __u32 random;
        __u32 slice;
        __u32 uid;
        __u32 body_complete;
        __u32 connection; /* of a tcp service: no head */
};

struct engine_output {
        struct sm_head_parser parser;
        struct sm_head head;
        struct sm_head_progress progress;
        struct sm_work work; /* whatever it comes to */
        __s32 parsed; /* what sm_head_step() returned last */
        __u32 plain;  /* sm_request_is_plain() or sm_response_cut() */
        struct sm_span cut;
        __u32 reason; /* enum sm_reason of the choice */
        __u32 route_index;
        __u32 subset_index;
        __u32 endpoint;
        __u32 passed_over;
        __u32 panic;
        __u32 undecided;
        __u32 effects;
};
