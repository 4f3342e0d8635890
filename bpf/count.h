/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "../src/engine/engine-access.h"

/* What the kernel counts when a request is over that it has served from beginning to end. */

static __always_inline void count_fast(__u32 service, __u32 slice) {
        struct sm_path_counters *of_service = bpf_map_lookup_elem(&service_paths, &service);
        struct sm_path_counters *of_slice = bpf_map_lookup_elem(&slice_paths, &slice);

        if (of_service)
                __sync_fetch_and_add(&of_service->fast, 1);
        if (of_slice)
                __sync_fetch_and_add(&of_slice->fast, 1);
}

static __always_inline void count_status(struct sm_service_counters *counters, __u32 hundreds) {
        sm_forget(hundreds); /* one that is read from the stack twice is bounded once, on Linux 6.1 */
        if (hundreds < sizeof(counters->status) / sizeof(counters->status[0]))
                __sync_fetch_and_add(&counters->status[hundreds], 1);
}
