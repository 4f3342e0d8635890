/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once

#include <bpf/bpf_helpers.h>

#include "kernel-types.h"
#include "slot-maps.h"

#define CGROUP_LEVELS_MAX 16 /* that are looked at, from the socket's own up */

/* The slice that the socket was made in: of its cgroup, or of the nearest one above that is managed. 0: of
 * none. */
static __always_inline __u32 managed_slice(const struct sock *sk) {
        const struct cgroup *cgroup = sk->sk_cgrp_data.cgroup;

        for (int i = 0; cgroup && i < CGROUP_LEVELS_MAX; i++) {
                const struct cgroup_subsys_state *parent = cgroup->self.parent;
                __u64 id = cgroup->kn->id;
                const __u32 *slice = bpf_map_lookup_elem(&managed_cgroups, &id);

                if (slice)
                        return *slice;
                cgroup = parent ? parent->cgroup : NULL;
        }
        return 0;
}
