/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "../src/abi/abi-connection.h"
#include "../src/abi/abi-policy.h"
#include "../src/abi/abi-state.h"

/*
 * Every map. All are pinned by slicemeshd below /sys/fs/bpf/slicemesh and live until it is stopped for good;
 * weak, because each object file has them and the linker of libbpf makes them one.
 *
 * The arrays are shared memory (src/abi says who writes which word); their sizes are those of the policy's
 * caps and are set before loading.
 */

/* Compiled policy. Written by slicemeshd. */
struct {
        __uint(type, BPF_MAP_TYPE_ARRAY);
        __uint(map_flags, BPF_F_MMAPABLE);
        __uint(max_entries, 1);
        __type(key, __u32);
        __type(value, struct sm_cell);
} cells __weak SEC(".maps");

/* Which extent is in force for a service. Written by slicemeshd. */
struct {
        __uint(type, BPF_MAP_TYPE_ARRAY);
        __uint(map_flags, BPF_F_MMAPABLE);
        __uint(max_entries, 1);
        __type(key, __u32);
        __type(value, struct sm_service);
} services __weak SEC(".maps");

/* Written by slicemeshd. */
struct {
        __uint(type, BPF_MAP_TYPE_ARRAY);
        __uint(map_flags, BPF_F_MMAPABLE);
        __uint(max_entries, 1);
        __type(key, __u32);
        __type(value, struct sm_endpoint);
} endpoints __weak SEC(".maps");

/* Written by the programs for tcp services, by the relay for all others. */
struct {
        __uint(type, BPF_MAP_TYPE_ARRAY);
        __uint(map_flags, BPF_F_MMAPABLE);
        __uint(max_entries, 1);
        __type(key, __u32);
        __type(value, struct sm_endpoint_state);
} endpoint_states __weak SEC(".maps");

struct {
        __uint(type, BPF_MAP_TYPE_ARRAY);
        __uint(map_flags, BPF_F_MMAPABLE);
        __uint(max_entries, 1);
        __type(key, __u32);
        __type(value, struct sm_subset_state);
} subset_states __weak SEC(".maps");

struct {
        __uint(type, BPF_MAP_TYPE_ARRAY);
        __uint(map_flags, BPF_F_MMAPABLE);
        __uint(max_entries, 1);
        __type(key, __u32);
        __type(value, struct sm_route_state);
} route_states __weak SEC(".maps");

struct {
        __uint(type, BPF_MAP_TYPE_ARRAY);
        __uint(map_flags, BPF_F_MMAPABLE);
        __uint(max_entries, 1);
        __type(key, __u32);
        __type(value, struct sm_service_counters);
} service_counters __weak SEC(".maps");

/* Written by the programs. */
struct {
        __uint(type, BPF_MAP_TYPE_ARRAY);
        __uint(map_flags, BPF_F_MMAPABLE);
        __uint(max_entries, SM_SLICES_MAX);
        __type(key, __u32);
        __type(value, struct sm_slice_state);
} slice_states __weak SEC(".maps");

/* Addresses of services. Written by slicemeshd. */
struct {
        __uint(type, BPF_MAP_TYPE_HASH);
        __uint(map_flags, BPF_F_NO_PREALLOC);
        __uint(max_entries, 1);
        __type(key, struct sm_vip_key);
        __type(value, struct sm_vip);
} vips __weak SEC(".maps");

/* Connections on their way to the relay, and who opened them. Written by sock_ops, emptied by the relay;
 * least recently used ones give way, should either fail. */
struct {
        __uint(type, BPF_MAP_TYPE_LRU_HASH);
        __uint(max_entries, 1);
        __type(key, struct sm_caller_key);
        __type(value, struct sm_caller);
} callers __weak SEC(".maps");

/* What a socket asked for. Belongs to the programs; an entry lives as long as its socket. */
struct {
        __uint(type, BPF_MAP_TYPE_SK_STORAGE);
        __uint(map_flags, BPF_F_NO_PREALLOC);
        __type(key, int);
        __type(value, struct sm_socket_context);
} socket_contexts __weak SEC(".maps");

/* Which slice a program runs for. An entry is the kernel's, from attaching to a cgroup until its end;
 * slicemeshd fills it in last of all, which sets the slice going. Keyed by cgroup id alone, so that
 * programs of all attach types share it (Linux 5.9). */
struct {
        __uint(type, BPF_MAP_TYPE_CGROUP_STORAGE);
        __type(key, __u64);
        __type(value, struct sm_slice_context);
} slice_contexts __weak SEC(".maps");

/* struct sm_link_event of tcp services, from sock_ops to slicemeshd. An event that finds it full is
 * lost; the state it tells of is in endpoint_states. */
struct {
        __uint(type, BPF_MAP_TYPE_RINGBUF);
        __uint(max_entries, 65536);
} events __weak SEC(".maps");
