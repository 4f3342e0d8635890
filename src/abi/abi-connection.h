/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <linux/types.h>

#include "abi-slot.h"

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
        __u64 unit;   /* sm_unit_hash() of its unit's name, 0 = it is in none */
        __u32 pid;
        __u32 downstream; /* index, of an http connection that may take the fast path; else 0 */
        __u32 slow;       /* enum sm_slow: why it may not, as far as that is known when it connects */
        __u32 _pad;
};
_Static_assert(sizeof(struct sm_socket_context) == 72, "ABI");

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
        __u64 downstream_word; /* of socket.downstream when it was new: what sm_downstream_adopt() takes */
};
_Static_assert(sizeof(struct sm_caller) == 96, "ABI");

/* Map `relay_contexts`, sk_storage of the relay's sockets, set by the relay through the descriptor. */
struct sm_relay_context {
        __u32 slot;       /* of U, else 0 */
        __u32 connection; /* of that slot, the upper 16 bits of its word */
        __u32 downstream; /* of A, else 0 */
        __u32 injected;   /* bytes in the current send() on A, by its program */
};
_Static_assert(sizeof(struct sm_relay_context) == 16, "ABI");

/* Map `server_contexts`, sk_storage of S, set when it is enrolled; written in S's send() alone. */
struct sm_server_context {
        __u32 slot;
        __u32 connection;  /* as above */
        __u64 sender;      /* pid_tgid of the thread whose send() lets bytes through; 0 = none */
        __u64 word;        /* of the slot, as that thread has left it */
        __u32 let_through; /* bytes, in this call */
        __u32 _pad;
};
_Static_assert(sizeof(struct sm_server_context) == 32, "ABI");

/* What the relay runs the program `enrol` with (BPF_PROG_TEST_RUN): the server's end of a connection that it
 * has just put into the pool. Returns enum sm_enrolled. */
struct sm_enrolment {
        __u8 ethernet[16]; /* a packet is expected, and this is not looked at */
        struct sm_server_key key;
        __u32 slot;
        __u32 connection;
};
_Static_assert(sizeof(struct sm_enrolment) == 64, "ABI");

/*
 * Whether the kernel moves the server's responses, or why they come by way of the relay. The texts are
 * stable, the numbers are not.
 *
 * X(identifier, text, sentence for people)
 */
#define SM_ENROLLED_LIST(X)                                                                              \
        X(ENROLLED, "direct", "The kernel moves the server's responses straight to its callers.")        \
        X(ENROLLED_NOT_HERE, "not-here", "The server is on another host, or in another network namespace.") \
        X(ENROLLED_UNMANAGED, "unmanaged", "The server is in no managed slice.")                         \
        X(ENROLLED_BLOCKING, "blocking", "The server's socket is blocking.")                             \
        X(ENROLLED_UNREAD, "unread", "The server has not read everything that it was sent.")             \
        X(ENROLLED_BUSY, "busy",                                                                         \
          "The server's socket has a program of somebody else's, or there is no room for it.")

enum sm_enrolled {
#define SM_ENROLLED_ENUM(id, text, sentence) SM_##id,
        SM_ENROLLED_LIST(SM_ENROLLED_ENUM)
#undef SM_ENROLLED_ENUM
        _SM_ENROLLED_MAX,
};
