/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "../src/engine/engine-route.h"
#include "parsing.h"

/* What is known of a caller's request while its send() lasts. */

/* By downstream; D's lock guards it. */
struct caller_scratch {
        struct parsing parsing;
        struct sm_work work;
        /* of the request */
        __u8 source[16] __attribute__((aligned(8)));
        __u32 random;
        __u32 root;
        /* what was chosen */
        __u32 route_index, route_state, timeout_ms;
        __u32 actions;   /* cell, absolute; 0 = none */
        __u32 effects;   /* enum sm_effect */
        __u32 splits;    /* the route goes to endpoints */
        __u32 subset_index, subset_state;
        __u32 endpoint;  /* 0: none was chosen */
        __u32 undecided; /* enum sm_slow */
};

struct {
        __uint(type, BPF_MAP_TYPE_ARRAY);
        __uint(max_entries, 1);
        __type(key, __u32);
        __type(value, struct caller_scratch);
} caller_scratches SEC(".maps");

/* What predicates see of the body, which the copy may have a part of. */
static __noinline __u32 body_length(const struct caller_scratch *scratch,
                                    const struct sm_request_copy *copy) {
        __u32 length = copy->length - scratch->parsing.head.length;

        return length > 0 && sm_body_is_coded(copy->bytes, &scratch->parsing.head) ? 0 : length;
}

static __always_inline struct sm_request request_of(struct caller_scratch *scratch,
                                                    const struct sm_request_copy *copy,
                                                    const struct sm_socket_context *socket) {
        return (struct sm_request){
                .bytes = copy->bytes,
                .head = &scratch->parsing.head,
                .source = scratch->source,
                .work = &scratch->work,
                .body_length = body_length(scratch, copy),
                .body_complete = copy->length == copy->size,
                .cgroup = socket->cgroup,
                .unit = socket->unit,
                .uid = socket->uid,
                .slice = socket->slice,
                .random = scratch->random,
        };
}
