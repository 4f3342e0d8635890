/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "../basic/macro.h"
#include "../engine/engine-access.h"

/* Counters that others read at any time, and that several threads count in. */

static inline void count(__u64 *counter, __u64 by) {
        __atomic_fetch_add(counter, by, __ATOMIC_RELAXED);
}

static inline void count_reason(const struct sm_tables *t, __u32 service, enum sm_reason reason) {
        struct sm_service_counters *c = sm_service_counters_at(t, service);

        if (c && reason != SM_REASON_NONE)
                count(&c->reasons[reason], 1);
}

/* Status 0: no response was sent. One of no class that there is counts as a server's error (RFC 9110,
 * section 15). */
static inline void count_status(const struct sm_tables *t, __u32 service, unsigned status) {
        struct sm_service_counters *c = sm_service_counters_at(t, service);

        if (c)
                count(&c->status[status < 600 ? status / 100 : 5], 1);
}

/* Which way a request went: under one of these, or with what the kernel counts. SM_SLOW_NONE: the kernel
 * sent it, and its response came by way of the relay, as it had to. Else the relay served it, from the start
 * or from some point on. */
static inline void count_path(const struct sm_tables *t, __u32 service, __u32 slice, enum sm_slow why) {
        struct sm_path_counters *const counters[] = {
                sm_service_paths_at(t, service),
                sm_slice_paths_at(t, slice),
        };

        for (size_t i = 0; i < ELEMENTSOF(counters); i++)
                if (counters[i])
                        count(why == SM_SLOW_NONE ? &counters[i]->remote : &counters[i]->slow[why], 1);
}
