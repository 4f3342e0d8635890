/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "../src/abi/abi-downstream.h"
#include "../src/abi/abi-reply.h"
#include "../src/abi/abi-state.h"

/*
 * The fast path's shared memory. Changed by the programs and the relay, by src/engine/engine-slot.h and
 * engine-downstream.h alone.
 */

struct {
        __uint(type, BPF_MAP_TYPE_ARRAY);
        __uint(map_flags, BPF_F_MMAPABLE);
        __uint(max_entries, 1);
        __type(key, __u32);
        __type(value, struct sm_slot);
} slots __weak SEC(".maps");

struct {
        __uint(type, BPF_MAP_TYPE_ARRAY);
        __uint(map_flags, BPF_F_MMAPABLE);
        __uint(max_entries, 1);
        __type(key, __u32);
        __type(value, struct sm_downstream);
} downstreams __weak SEC(".maps");

struct {
        __uint(type, BPF_MAP_TYPE_ARRAY);
        __uint(map_flags, BPF_F_MMAPABLE);
        __uint(max_entries, 1);
        __type(key, __u32);
        __type(value, struct sm_stack);
} idle_slots __weak SEC(".maps");

struct {
        __uint(type, BPF_MAP_TYPE_ARRAY);
        __uint(map_flags, BPF_F_MMAPABLE);
        __uint(max_entries, 1);
        __type(key, __u32);
        __type(value, struct sm_stack);
} free_downstreams __weak SEC(".maps");

/* What of the fast path is to be used. Written by slicemeshd. */
struct {
        __uint(type, BPF_MAP_TYPE_ARRAY);
        __uint(map_flags, BPF_F_MMAPABLE);
        __uint(max_entries, 1);
        __type(key, __u32);
        __type(value, struct sm_fast_control);
} fast_control __weak SEC(".maps");

/* By downstream. Written by D's program. */
struct {
        __uint(type, BPF_MAP_TYPE_ARRAY);
        __uint(map_flags, BPF_F_MMAPABLE);
        __uint(max_entries, 1);
        __type(key, __u32);
        __type(value, struct sm_request_copy);
} requests __weak SEC(".maps");

/* By SM_REPLY_INDEX(). Written by slicemeshd before anything is attached. */
struct {
        __uint(type, BPF_MAP_TYPE_ARRAY);
        __uint(map_flags, BPF_F_RDONLY_PROG);
        __uint(max_entries, SM_REPLIES_MAX);
        __type(key, __u32);
        __type(value, struct sm_reply);
} replies __weak SEC(".maps");

/* By service, and by slice. */
struct {
        __uint(type, BPF_MAP_TYPE_ARRAY);
        __uint(map_flags, BPF_F_MMAPABLE);
        __uint(max_entries, 1);
        __type(key, __u32);
        __type(value, struct sm_path_counters);
} service_paths __weak SEC(".maps");

struct {
        __uint(type, BPF_MAP_TYPE_ARRAY);
        __uint(map_flags, BPF_F_MMAPABLE);
        __uint(max_entries, SM_SLICES_MAX);
        __type(key, __u32);
        __type(value, struct sm_path_counters);
} slice_paths __weak SEC(".maps");

/* The managed cgroups, and which slice each is. Written by slicemeshd. */
struct {
        __uint(type, BPF_MAP_TYPE_HASH);
        __uint(max_entries, SM_SLICES_MAX);
        __type(key, __u64);
        __type(value, __u32);
} managed_cgroups __weak SEC(".maps");
