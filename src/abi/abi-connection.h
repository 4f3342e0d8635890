/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <linux/types.h>

/*
 * How a captured connection is known: keys and values of the maps between the connect hook, sock_ops and
 * the relay. IPv4 addresses are always stored mapped (::ffff:a.b.c.d); ports are in network order.
 */

/* Map `vips`, a hash: which service an address belongs to. A service that takes every managed slice has
 * one entry, with slice 0. One that lists its callers has an entry for each of their slices, and one with
 * slice 0 and SM_VIP_REFUSE for all others. */
struct sm_vip_key {
        __u8 address[16];
        __be16 port;
        __u16 _pad;
        __u32 slice;
};
_Static_assert(sizeof(struct sm_vip_key) == 24, "ABI");

enum sm_vip_flags {
        SM_VIP_REFUSE = 1 << 0, /* connect() fails with EPERM */
};

struct sm_vip {
        __u32 service;
        __u8 protocol; /* enum sm_protocol */
        __u8 flags;    /* enum sm_vip_flags */
        __u16 _pad;
        __u32 generation; /* of the service */
};
_Static_assert(sizeof(struct sm_vip) == 12, "ABI");

/* Map `slice_contexts`, cgroup storage keyed by cgroup id: what the programs know of the slice that they
 * are attached to. */
struct sm_slice_context {
        __u32 slice; /* id, index of slice_states; 0 = not told yet */
        __u32 _pad;
};
_Static_assert(sizeof(struct sm_slice_context) == 8, "ABI");

/* Map `socket_contexts`, sk_storage of the caller's socket, set in the connect hook. */
struct sm_socket_context {
        __u8 address[16]; /* that the application asked for */
        __be16 port;
        __u8 protocol; /* enum sm_protocol */
        __u8 recorded; /* sock_ops has put it into `callers`, or of a tcp service counted it */
        __u32 service;
        __u32 generation; /* of the service */
        __u32 slice;
        __u32 endpoint; /* of a tcp service, else 0 */
        __u32 uid;
        __u64 cgroup; /* id of the caller's own cgroup, that is of its unit */
        __u32 pid;
        __u32 _pad;
};
_Static_assert(sizeof(struct sm_socket_context) == 56, "ABI");

/* Map `callers`, LRU hash: from the peer address that the relay sees to who it is. Written by sock_ops
 * before the SYN leaves, deleted by the relay when it has accepted, or by sock_ops when D closes. */
struct sm_caller_key {
        __u8 address[16] __attribute__((aligned(4)));
        __be16 port;
        __u16 _pad[3];
};
_Static_assert(sizeof(struct sm_caller_key) == 24, "ABI");

struct sm_caller {
        struct sm_socket_context socket;
        __u64 cookie; /* of D */
        __u64 since;  /* ns, CLOCK_MONOTONIC */
};
_Static_assert(sizeof(struct sm_caller) == 72, "ABI");
