/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "../src/engine/engine-coded.h"
#include "address.h"
#include "caller-scratch.h"

/*
 * What the policy says of a request: the engine's steps, each in a frame of its own that is gone when the
 * next one needs the room, as the stack is 512 bytes. What they come to is kept in the scratch.
 */

static __noinline void search_route(struct sk_msg_md *msg, struct caller_scratch *scratch,
                                    const struct sm_request_copy *copy,
                                    const struct sm_socket_context *socket) {
        const struct sm_request request = request_of(scratch, copy, socket);

        scratch->random = bpf_get_prandom_u32();
        /* The kernel keeps the mapped form in the IPv6 fields of an IPv4 socket. */
        address_set(scratch->source, msg->local_ip6[0], msg->local_ip6[1], msg->local_ip6[2],
                    msg->local_ip6[3]);
        sm_search_route(NULL, scratch->root, &request);
}

static __noinline enum sm_reason choose_route(struct caller_scratch *scratch) {
        const struct sm_request request = { .random = scratch->random };
        struct sm_choice choice;
        enum sm_reason reason;

        reason = sm_choice_of(NULL, &scratch->work.search, &choice);
        scratch->undecided = choice.undecided;
        scratch->actions = scratch->effects = scratch->endpoint = scratch->subset_index = 0;
        if (reason != SM_REASON_NONE || !choice.route)
                return reason;
        scratch->route_index = choice.route_index;
        scratch->route_state = choice.route->state;
        scratch->timeout_ms = choice.route->timeout_ms;
        scratch->splits = choice.route->split.n;
        if (choice.route->actions > 0) {
                scratch->actions = scratch->root + choice.route->actions;
                sm_choose_effects(NULL, &choice, &request);
                scratch->effects = choice.effects;
        }
        return SM_REASON_NONE;
}

static __noinline int count_shadows(struct caller_scratch *scratch) {
        struct sm_choice choice = { .shadows = scratch->work.search.shadows, .base = scratch->root };

        choice.policy = sm_cell_of(NULL, scratch->root);
        if (choice.policy)
                sm_count_shadows(NULL, &choice);
        return 0;
}

static __noinline enum sm_reason choose_subset(struct caller_scratch *scratch,
                                               const struct sm_request_copy *copy,
                                               const struct sm_socket_context *socket) {
        const struct sm_request request = request_of(scratch, copy, socket);
        struct sm_choice choice = { .base = scratch->root };
        enum sm_reason reason;

        choice.policy = sm_cell_of(NULL, scratch->root);
        if (!choice.policy)
                return SM_REASON_INTERNAL;
        choice.route = sm_cell_of(NULL, scratch->root + choice.policy->routes + scratch->route_index);
        reason = sm_choose_subset(NULL, &choice, &request);
        if (reason != SM_REASON_NONE)
                return reason;
        scratch->subset_index = choice.subset_index;
        scratch->subset_state = choice.subset->state;
        return SM_REASON_NONE;
}

static __always_inline const struct sm_subset *chosen_subset(const struct caller_scratch *scratch) {
        const struct sm_policy *policy = sm_cell_of(NULL, scratch->root);

        return policy ? sm_cell_of(NULL, scratch->root + policy->subsets + scratch->subset_index) : NULL;
}

static __noinline int find_key(struct caller_scratch *scratch, const struct sm_request_copy *copy,
                               const struct sm_socket_context *socket) {
        const struct sm_request request = request_of(scratch, copy, socket);
        const struct sm_subset *subset = chosen_subset(scratch);

        if (subset)
                sm_key_of_subset(NULL, scratch->root, subset, &request);
        return 0;
}

static __noinline enum sm_reason choose_endpoint(struct caller_scratch *scratch,
                                                 const struct sm_request_copy *copy,
                                                 const struct sm_socket_context *socket) {
        const struct sm_request request = request_of(scratch, copy, socket);
        struct sm_choice choice = { .base = scratch->root, .subset = chosen_subset(scratch) };
        enum sm_reason reason;

        if (!choice.subset)
                return SM_REASON_INTERNAL;
        reason = sm_take_endpoint(NULL, &choice, &request, bpf_ktime_get_ns(), NULL, 0);
        scratch->endpoint = choice.endpoint;
        return reason;
}
