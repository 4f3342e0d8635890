/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "../abi/abi-state.h"

/*
 * What becomes of an endpoint when connections to it fail or succeed: the same rule for sock_ops, which
 * sees those of tcp services, and the relay, which makes all others. `now` is CLOCK_MONOTONIC in
 * nanoseconds.
 */
#define SM_AVOID_FIRST_NS 1000000000ULL /* doubled by each failure that follows, up to: */
#define SM_AVOID_LONGEST_NS 30000000000ULL
#define SM_AVOID_DOUBLINGS 5 /* after which the longest is reached */

/* A connection failed: picks pass the endpoint over for a while. Returns 1 if they did not already. */
static inline int sm_endpoint_failed(struct sm_endpoint_state *state, __u64 now) {
        __u32 before = __sync_fetch_and_add(&state->failures_in_row, 1);
        __u64 pause = before < SM_AVOID_DOUBLINGS ? SM_AVOID_FIRST_NS << before : SM_AVOID_LONGEST_NS;
        volatile __u64 *avoid_until = &state->avoid_until;
        int fresh = *avoid_until <= now;

        __sync_fetch_and_add(&state->failures, 1);
        *avoid_until = now + pause;
        return fresh;
}

/* A connection succeeded. Returns 1 if the endpoint was avoided, or had been and was on trial. */
static inline int sm_endpoint_succeeded(struct sm_endpoint_state *state) {
        volatile __u32 *failures_in_row = &state->failures_in_row;
        volatile __u64 *avoid_until = &state->avoid_until;

        if (*failures_in_row == 0)
                return 0;
        *failures_in_row = 0;
        *avoid_until = 0;
        return 1;
}
