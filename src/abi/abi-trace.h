/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <linux/types.h>

/*
 * What the relay tells slicemeshd of a traced request when it is over (SM_LINK_TRACE). Which requests are
 * traced, say sm_service.trace and sm_service_counters.traces. Times are nanoseconds.
 */
#define SM_TRACES_MAX 10000 /* that can be asked for at once */
#define SM_TRACE_ROUTES_MAX 64
#define SM_TRACE_METHOD_MAX 16
#define SM_TRACE_TARGET_MAX 128

#define SM_TRACE_NONE 0xffffffffU /* for an index: there was no choice */

struct sm_trace_route {
        __u16 last;    /* index of the predicate that decided */
        __u8 verdict;  /* enum sm_verdict */
        __u8 _pad;
};

struct sm_link_trace {
        __u32 service;
        __u32 root;     /* cell of the policy that it was decided by, 0 = it did not come to that */
        __u32 revision; /* of that policy: its place may be another's by now */
        __u32 route;    /* these two are indexes in the policy; SM_TRACE_NONE */
        __u32 subset;
        __u32 endpoint; /* id, 0 = none */
        __u32 shadows;  /* as in struct sm_choice */
        __u32 effects;  /* enum sm_effect */
        __u32 slice;    /* id */
        __u16 slow;     /* enum sm_slow: why the relay has it */
        __u16 reason;   /* enum sm_reason */
        __u16 status;   /* of the response, 0 = none was sent */
        __u16 n_routes; /* tried, from the first on, of which so many are in `routes` at most */
        __u32 target_length; /* in whole */
        __u64 cgroup;   /* the caller's */
        __u64 first_byte; /* from the request's first byte to the response's; 0 = none came */
        __u64 total;
        struct sm_trace_route routes[SM_TRACE_ROUTES_MAX];
        __u8 method[SM_TRACE_METHOD_MAX]; /* both filled up with zeros, and cut */
        __u8 target[SM_TRACE_TARGET_MAX];
};
_Static_assert(sizeof(struct sm_link_trace) == 472, "ABI");
