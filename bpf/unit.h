/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "../src/engine/engine-access.h"
#include "../src/engine/engine-unit.h"
#include "managed.h"

/*
 * The unit that the current task is in, as systemd has it: of its cgroup and those above, up to the managed
 * slice, the outermost that is no slice. What a unit with delegation makes below itself is of its own naming
 * and says nothing. 0: the task is in none.
 */

#define UNIT_NAME_MAX 256 /* bytes: NAME_MAX, and the end */
#define UNIT_PIECE 32     /* bytes of a name that are read together */

struct unit_walk {
        __u64 group;  /* struct cgroup; an address, since what is above the task stays there */
        __u64 result; /* of the outermost up to now */
};

struct unit_name {
        __u64 address;
        struct sm_unit_hash hash;
        char piece[UNIT_PIECE];
};

static long unit_add_byte(__u32 i, void *context) {
        struct unit_name *n = context;
        char c;

        sm_forget(i);
        c = n->piece[i % UNIT_PIECE];
        if (c == 0)
                return 1;
        sm_unit_hash_add(&n->hash, (__u8) c);
        return 0;
}

/* The name ends in the first piece that is not full. */
static long unit_add_piece(__u32 i, void *context) {
        struct unit_name *n = context;
        long size;

        size = bpf_probe_read_kernel_str(n->piece, sizeof(n->piece),
                                         (const char *) n->address + i * (UNIT_PIECE - 1));
        if (size <= 1)
                return 1;
        bpf_loop(UNIT_PIECE, unit_add_byte, n, 0);
        return size < UNIT_PIECE;
}

/* 0, but the verifier of Linux 6.1 must not know: of a loop it sees one round, after which the tail would be
 * one byte, which cannot be ".slice". */
__u64 unit_nothing;

static __noinline __u64 unit_hash_name(__u64 name) {
        struct unit_name n = { .address = name };

        sm_unit_hash_start(&n.hash);
        n.hash.tail = SM_READ_ONCE(unit_nothing);
        bpf_loop(UNIT_NAME_MAX / (UNIT_PIECE - 1) + 1, unit_add_piece, &n, 0);
        return sm_unit_hash_is_slice(&n.hash) ? 0 : sm_unit_hash_finish(&n.hash);
}

static long unit_go_up(__u32 i, void *context) {
        struct unit_walk *w = context;
        struct cgroup *group = (struct cgroup *) w->group;
        __u64 id = BPF_CORE_READ(group, kn, id), hash;

        if (bpf_map_lookup_elem(&managed_cgroups, &id))
                return 1;
        hash = unit_hash_name((__u64) BPF_CORE_READ(group, kn, name));
        if (hash != 0)
                w->result = hash;
        w->group = (__u64) BPF_CORE_READ(group, self.parent, cgroup);
        return w->group == 0;
}

static __noinline __u64 unit_of_current(void) {
        struct task_struct *task = (struct task_struct *) bpf_get_current_task();
        struct unit_walk w = { .group = (__u64) BPF_CORE_READ(task, cgroups, dfl_cgrp) };

        bpf_loop(CGROUP_LEVELS_MAX, unit_go_up, &w, 0);
        return w.result;
}
