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

static __always_inline void describe(const struct engine_input *in, struct engine_output *out,
                                     struct sm_request *q) {
        *q = (struct sm_request){
                .bytes = in->bytes,
                .head = &out->head,
                .work = &out->work,
                .source = in->source,
                .body_length = in->length - out->head.length,
                .body_complete = in->body_complete,
                .cgroup = in->cgroup,
                .unit = in->unit,
                .uid = in->uid,
                .slice = in->slice,
                .random = in->random,
        };
}

/* In frames of their own, as in bpf/caller.bpf.c. */
static __noinline void search(const struct engine_input *in, struct engine_output *out) {
        struct sm_request q;

        describe(in, out, &q);
        sm_search_route(NULL, in->base, &q);
}

static __always_inline void choose(const struct engine_input *in, struct engine_output *out,
                                   const struct sm_request *q, struct sm_choice *choice) {
        out->route_index = choice->route_index;
        out->undecided = choice->undecided;
        sm_count_shadows(NULL, choice);
        if (choice->undecided)
                return;
        sm_choose_effects(NULL, choice, q);
        out->effects = choice->effects;
        out->reason = sm_choose_subset(NULL, choice, q);
        out->subset_index = choice->subset_index;
}

static __noinline void choose_subset(const struct engine_input *in, struct engine_output *out) {
        struct sm_choice choice;
        struct sm_request q;

        describe(in, out, &q);
        out->reason = sm_choice_of(NULL, &out->work.search, &choice);
        if (out->reason == SM_REASON_NONE)
                choose(in, out, &q, &choice);
}

static __noinline void find_key(const struct engine_input *in, struct engine_output *out) {
        const struct sm_policy *policy = sm_cell_of(NULL, in->base);
        const struct sm_subset *subset;
        struct sm_request q;

        describe(in, out, &q);
        subset = policy ? sm_cell_of(NULL, in->base + policy->subsets + out->subset_index) : NULL;
        if (subset)
                sm_key_of_subset(NULL, in->base, subset, &q);
}

static __noinline void choose_endpoint(const struct engine_input *in, struct engine_output *out) {
        const struct sm_policy *policy = sm_cell_of(NULL, in->base);
        struct sm_choice choice = { .base = in->base };
        struct sm_request q;

        if (!policy)
                return;
        choice.subset = sm_cell_of(NULL, in->base + policy->subsets + out->subset_index);
        if (!choice.subset)
                return;
        describe(in, out, &q);
        out->reason = sm_take_endpoint(NULL, &choice, &q, in->now, NULL, 0);
        out->endpoint = choice.endpoint;
        out->passed_over = choice.passed_over;
        out->panic = choice.panic;
}

static void choose_for_connection(const struct engine_input *in, struct engine_output *out) {
        struct sm_request q = {
                .source = in->source,
                .cgroup = in->cgroup,
                .unit = in->unit,
                .uid = in->uid,
                .slice = in->slice,
                .random = in->random,
        };
        struct sm_choice choice;

        out->reason = sm_pick_for_connection(NULL, in->base, &q, in->now, &choice);
        out->route_index = choice.route_index;
        out->subset_index = choice.subset_index;
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
        if (out->parsed <= 0 || in->kind != SM_HEAD_REQUEST)
                return 0;
        search(in, out);
        choose_subset(in, out);
        if (out->reason != SM_REASON_NONE || out->undecided)
                return 0;
        find_key(in, out);
        choose_endpoint(in, out);
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
        choose_for_connection(in, out);
        return 0;
}

char _license[] SEC("license") = "GPL";
