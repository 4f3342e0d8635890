/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "engine-access.h"
#include "engine-head.h"

/*
 * From a request to an endpoint: route match, split, balance. Pure over the tables of engine-access.h.
 */

/* What is known of a request when a route is chosen. */
struct sm_request {
        const __u8 *bytes; /* of the head */
        const struct sm_head *head;
        const __u8 *source; /* caller's address, 16 bytes */
        __u64 cgroup;       /* of the caller's unit, mixed into a hash by source */
        __u32 slice;
        __u32 random; /* fresh for each request */
};

/* Which route, subset and endpoint were chosen; cells are absolute indexes. */
struct sm_choice {
        const struct sm_policy *policy;
        const struct sm_route *route;
        const struct sm_subset *subset;
        __u32 base;     /* cell of the policy */
        __u32 route_index;
        __u32 subset_index;
        __u32 endpoint; /* id */
        __u32 passed_over; /* endpoints that were avoided or excluded on the way */
};
