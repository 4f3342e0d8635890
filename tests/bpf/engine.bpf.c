/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "../../src/engine/engine-loop.h"
#include "../../src/engine/engine-plain.h"
#include "../../src/engine/engine-route.h"
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

static __noinline void parse(const struct engine_input *in, struct engine_output *out) {
        struct sm_head_loop loop = {
                .parser = &out->parser,
                .head = &out->head,
                .progress = &out->progress,
                .bytes = in->bytes,
        };

        sm_head_loop_start(&loop, in->kind, in->length, in->limit);
        if (in->length > 0)
                sm_loop(in->length, sm_head_steps, &loop);
        out->parsed = out->progress.result;
        if (out->parsed > 0)
                out->plain = in->kind == SM_HEAD_REQUEST ? sm_request_is_plain(&out->head, 0) :
                                                           sm_response_cut(&out->head, 0, &out->cut);
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
        const struct engine_input *in;
        struct engine_output *out;
        __u32 zero = 0;

        in = bpf_map_lookup_elem(&input, &zero);
        out = bpf_map_lookup_elem(&output, &zero);
        if (!in || !out)
                return 1;
        parse(in, out);
        if (out->parsed > 0 && in->kind == SM_HEAD_REQUEST)
                choose(in, out, &out->head);
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
