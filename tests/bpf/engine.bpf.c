/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "../../src/engine/engine-route.h"
#include "../../src/engine/engine-step.h"
#include "engine-case.h"

/*
 * The engine under the verifier: from the bytes of a head to an endpoint, all of it in one program, as
 * the fast path will do it. In a tc program because that can be run from user space (BPF_PROG_TEST_RUN);
 * the packet is not looked at.
 */

struct {
        __uint(type, BPF_MAP_TYPE_ARRAY);
        __uint(max_entries, 1);
        __type(key, __u32);
        __type(value, struct engine_input);
} input SEC(".maps");

struct {
        __uint(type, BPF_MAP_TYPE_ARRAY);
        __uint(max_entries, 1);
        __type(key, __u32);
        __type(value, struct engine_output);
} output SEC(".maps");

struct step_context {
        const struct engine_input *in;
        struct engine_output *out;
};

static long step(__u32 i, void *context) {
        struct step_context *c = context;

        c->out->parsed = sm_head_step(&c->out->parser, &c->out->head,
                                      sm_byte_at(c->in->bytes, c->out->parser.position));
        return c->out->parsed != 0;
}

static void choose(const struct engine_input *in, struct engine_output *out, const struct sm_head *head) {
        struct sm_request q = {
                .bytes = in->bytes,
                .head = head,
                .source = in->source,
                .cgroup = in->cgroup,
                .random = in->random,
        };
        struct sm_choice choice;

        out->reason = sm_choose_route(NULL, in->base, &q, &choice);
        if (out->reason != SM_REASON_NONE)
                return;
        out->route_index = choice.route_index;
        out->reason = sm_choose_subset(NULL, &choice);
        if (out->reason != SM_REASON_NONE)
                return;
        out->subset_index = choice.subset_index;
        out->reason = sm_choose_endpoint(NULL, &choice, &q, in->now, NULL, 0);
        out->endpoint = choice.endpoint;
        out->passed_over = choice.passed_over;
        out->panic = choice.panic;
}

SEC("tc")
int engine_request(struct __sk_buff *skb) {
        struct step_context c;
        __u32 zero = 0;

        c.in = bpf_map_lookup_elem(&input, &zero);
        c.out = bpf_map_lookup_elem(&output, &zero);
        if (!c.in || !c.out)
                return 1;
        sm_head_start(&c.out->parser, &c.out->head, c.in->kind, c.in->limit);
        c.out->parsed = 0;
        if (c.in->length > 0)
                bpf_loop(c.in->length, step, &c, 0);
        if (c.out->parsed > 0 && c.in->kind == SM_HEAD_REQUEST)
                choose(c.in, c.out, &c.out->head);
        return 0;
}

SEC("tc")
int engine_connection(struct __sk_buff *skb) {
        const struct engine_input *in;
        struct engine_output *out;
        __u32 zero = 0;

        in = bpf_map_lookup_elem(&input, &zero);
        out = bpf_map_lookup_elem(&output, &zero);
        if (!in || !out)
                return 1;
        choose(in, out, NULL);
        return 0;
}

char _license[] SEC("license") = "GPL";
