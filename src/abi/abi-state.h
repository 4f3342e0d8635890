/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <linux/types.h>

#include "abi-limits.h"
#include "abi-reason.h"
#include "abi-slow.h"

/*
 * Arrays that live as long as the mesh does, indexed by stable ids that slicemeshd hands out. All are
 * mmapable BPF arrays: the BPF programs, slicemeshd and the relay read and write the same words. Index 0
 * of each is unused, so that id 0 can mean "none".
 *
 * Times are nanoseconds of CLOCK_MONOTONIC (bpf_ktime_get_ns). Counters only grow; fields are changed by
 * atomic operations only, except where a single writer is named.
 */

/* Map `services`. Written by slicemeshd. An id is given to another service only after `generation` was
 * raised: a connection that was captured under an older one belongs to no service any more. */
struct sm_service {
        __u32 root;     /* cell of the struct sm_policy in force, 0 = none; store-release, load-acquire */
        __u32 revision; /* of the policy in force */
        __u32 generation;
        __u32 trace; /* not 0: requests are to be traced, so the relay is to have them */
};
_Static_assert(sizeof(struct sm_service) == 16, "ABI");

/* Map `endpoints`. Written by slicemeshd before any schedule refers to the id. An id is given to another
 * endpoint only after `generation` was raised and another epoch has passed: by then the relay has closed the
 * pooled connections that were made under an older one. */
struct sm_endpoint {
        __u8 address[16]; /* IPv6, or IPv4 mapped into ::ffff:0:0/96 */
        __be16 port;
        __u16 flags;
        __u32 generation;
        __u32 service;
        __u32 weight;
        __u8 _pad[32];
};
_Static_assert(sizeof(struct sm_endpoint) == SM_CELL_SIZE, "ABI");

/* Map `endpoint_states`. */
struct sm_endpoint_state {
        __u32 in_flight;      /* requests, or connections of a tcp service */
        __u32 connections;    /* upstream connections that are open, idle ones included */
        __u64 avoid_until;    /* picks pass over this endpoint until then, while there is another */
        __u32 failures_in_row; /* connections that failed since one last succeeded */
        __u32 enrolled; /* 1 + enum sm_enrolled, of the connection that was pooled last; 0 = of none yet */
        __u64 requests; /* sent to it, or connections of a tcp service */
        __u64 failures; /* connections that failed, and responses that broke off */
        __u64 _pad[3];
};
_Static_assert(sizeof(struct sm_endpoint_state) == SM_CELL_SIZE, "ABI");

/* Map `subset_states`. */
struct sm_subset_state {
        __u32 cursor; /* round robin */
        __u32 _pad0;
        __u64 requests;
        __u64 _pad[6];
};
_Static_assert(sizeof(struct sm_subset_state) == SM_CELL_SIZE, "ABI");

/* Map `route_states`. */
struct sm_route_state {
        __u32 cursor; /* of the split */
        __u32 _pad0;
        __u64 requests;
        __u64 shadow;   /* requests that a shadow route would have taken */
        __u64 aborted;  /* by fault injection; these three by who carries it out */
        __u64 delayed;  /* likewise */
        __u64 mirrored; /* copies sent */
        __u64 mirrors_dropped; /* not sent: no room, a body too large, or no endpoint */
        __u64 _pad;
};
_Static_assert(sizeof(struct sm_route_state) == SM_CELL_SIZE, "ABI");

/* Map `service_counters`. */
struct sm_service_counters {
        __u64 connections; /* captured */
        __u64 requests;
        __u64 active;      /* requests being served now */
        __u64 status[6];   /* responses by class: [1] = 1xx ... [5] = 5xx, [0] = none was sent */
        __u64 request_bytes;  /* bodies */
        __u64 response_bytes; /* bodies */
        __u64 traces;      /* requests still to be traced: set by slicemeshd, counted down by the relay */
        __u64 traces_lost; /* of these, there was no room to tell of */
        __u64 _pad[3];
        __u64 reasons[SM_REASON_SLOTS];
};
_Static_assert(sizeof(struct sm_service_counters) == 16 * 8 + SM_REASON_SLOTS * 8, "ABI");

/* Map `slice_states`. Written by the BPF programs. */
struct sm_slice_state {
        __u64 connects;  /* TCP connections that the slice opened, to anywhere */
        __u64 captured;  /* those that went to a service */
        __u64 refused;   /* to a service that does not list the slice among its callers */
        __u64 foreign;   /* from another network namespace than the mesh's */
        __u64 failed;    /* captured, but no endpoint or no record */
        __u32 open;      /* connections of tcp services that sock_ops will still have to count down */
        __u32 _pad0;
        __u64 _pad[2];
};
_Static_assert(sizeof(struct sm_slice_state) == SM_CELL_SIZE, "ABI");

/* Maps `service_paths` and `slice_paths`: which way requests went. Written by the programs (the first) and
 * the relay (the others); a request counts under exactly one. */
struct sm_path_counters {
        __u64 fast;   /* decided and moved by the kernel, both ways */
        __u64 remote; /* decided and sent by the kernel, answered by way of the relay */
        __u64 slow[SM_SLOW_SLOTS]; /* by the relay, and why: enum sm_slow */
};
_Static_assert(sizeof(struct sm_path_counters) == 6 * SM_CELL_SIZE, "ABI");
