/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "../src/abi/abi-slot.h"

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
