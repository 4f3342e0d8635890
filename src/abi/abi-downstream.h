/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "abi-slot.h"

/*
 * Map `downstreams`: one for each captured http connection. Its state is
 *
 *      generation of the slot << 32 | slot << 8 | enum sm_downstream_state
 *
 * generation (the upper half of the slot's word) and slot are 0 in every state but KERNEL.
 */
enum sm_downstream_state {
        SM_DOWNSTREAM_CLOSED, /* the relay has not accepted yet, or is about to close A */
        SM_DOWNSTREAM_IDLE,   /* the kernel has none of its requests, and may take one if both are in step */
        SM_DOWNSTREAM_KERNEL, /* a request is answered over the slot named; the relay writes nothing to A */
        SM_DOWNSTREAM_RELAY,  /* the relay answers what the kernel had taken, from the copy */
};

/* Whose it is, in the lower half of the node's word; the upper half is raised with every allocation. Who
 * takes away the last puts it back into free_downstreams. */
enum sm_downstream_owner {
        SM_OWNER_SOCKET = 1 << 0, /* from TCP_CONNECT until D's state is TCP_CLOSE: sock_ops */
        SM_OWNER_RELAY = 1 << 1,  /* from accept until A is closed, and never while KERNEL */
        SM_OWNER_NOBODY = 1 << 2, /* could not be put back for contention: the relay does it when it looks */
};

#define SM_NOTHING_CHOSEN (~0ULL)

struct sm_downstream {
        struct sm_node node; /* word: generation << 32 | enum sm_downstream_owner */
        __u64 state;
        /* Written by sock_ops before anybody else knows of it. */
        __u64 cookie; /* of D, its key in the slice's SOCKHASH */
        __u32 service;
        __u32 slice;
        __u32 worker; /* by the relay, before IDLE */
        __u32 slow;   /* enum sm_slow: why D's last bytes went to A; by D's program and sock_ops */
        __u64 used;     /* ns, CLOCK_MONOTONIC: when a request was last taken; by D's program */
        __u64 injected; /* bytes that A's program has put into D's ingress, so that they are not TCP's */
        /*
         * How far the relay is; written by it alone. D's program takes a request only if D's stream has got
         * to exactly here both ways (sm_downstream_may_take()).
         */
        __u64 written;  /* bytes that go to D by TCP: raised before `answered`, or the state IDLE, says so */
        __u64 answered; /* bytes received from A whose requests are answered */
        /*
         * What D's program has chosen for a request that it then let go to A: the choice has moved cursors,
         * so it is to hold. By D's program; good for the request at that place of D's stream, under that
         * policy.
         */
        __u64 chosen_at;   /* sm_stream.sent, or SM_NOTHING_CHOSEN */
        __u32 chosen_root; /* sm_service.root */
        __u32 chosen_endpoint;
        __u32 chosen_route; /* these two are indexes in the policy */
        __u32 chosen_subset;
        __u32 chosen_revision; /* of that policy; its place may be another's by now */
        __u32 chosen_effects;  /* enum sm_effect */
        /* By the relay alone, while what it sends to A is the answer to a request that the kernel had taken,
         * of at most SM_FAST_MAX bytes, and everything sent before is `written`: what `injected` comes to
         * when all of it was injected. Else 0. */
        __u64 inject_until;
        __u64 _pad[1];
};
_Static_assert(sizeof(struct sm_downstream) == 2 * SM_CELL_SIZE, "ABI");

/* Map `requests`, by downstream: what the kernel has taken, for the relay to send again or to answer.
 * Written by D's program between IDLE and WAITING, read by who has moved the slot to RELAY. */
struct sm_request_copy {
        __u32 length;      /* of bytes, head and body */
        __u32 size;        /* of the request: what is more than `length` is not kept */
        __u32 route;       /* id of struct sm_route_state */
        __u32 timeout_ms;  /* of the route; 0 = none */
        __u8 bytes[SM_REQUEST_KEPT_MAX];
};
_Static_assert(sizeof(struct sm_request_copy) == 16 + SM_REQUEST_KEPT_MAX, "ABI");
