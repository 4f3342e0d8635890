/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "../src/abi/abi-connection.h"

/*
 * The sockets of the fast path, and what is known of each. A socket leaves its map when it is closed, and is
 * never taken out before: that would destroy what waits to be read.
 *
 * There is one map of callers' sockets, not one for each slice, because a server answers callers of every
 * slice with one program. What is a slice's own stands in the socket's storage.
 */

/* D by cookie. Filled by sock_ops. Programs: sm_msg_caller, sm_pass. */
struct {
        __uint(type, BPF_MAP_TYPE_SOCKHASH);
        __uint(max_entries, 1);
        __type(key, __u64);
        __type(value, __u64);
} caller_sockets __weak SEC(".maps");

/* S by its addresses. Filled by sm_enrol. Programs: sm_msg_server, sm_pass. */
struct {
        __uint(type, BPF_MAP_TYPE_SOCKHASH);
        __uint(max_entries, 1);
        __type(key, struct sm_server_key);
        __type(value, __u64);
} server_sockets __weak SEC(".maps");

/* U by slot, where S is not enrolled. Filled by the relay. No program. */
struct {
        __uint(type, BPF_MAP_TYPE_SOCKHASH);
        __uint(max_entries, 1);
        __type(key, __u32);
        __type(value, __u64);
} upstream_sockets __weak SEC(".maps");

/* A by downstream. Filled by the relay. Program: sm_msg_accepted. */
struct {
        __uint(type, BPF_MAP_TYPE_SOCKHASH);
        __uint(max_entries, 1);
        __type(key, __u32);
        __type(value, __u64);
} accepted_sockets __weak SEC(".maps");

/* Of U and A. Set by the relay. */
struct {
        __uint(type, BPF_MAP_TYPE_SK_STORAGE);
        __uint(map_flags, BPF_F_NO_PREALLOC);
        __type(key, int);
        __type(value, struct sm_relay_context);
} relay_contexts __weak SEC(".maps");

/* Of S. Made by sm_enrol. */
struct {
        __uint(type, BPF_MAP_TYPE_SK_STORAGE);
        __uint(map_flags, BPF_F_NO_PREALLOC);
        __type(key, int);
        __type(value, struct sm_server_context);
} server_contexts __weak SEC(".maps");
