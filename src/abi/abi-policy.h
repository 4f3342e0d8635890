/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <linux/types.h>

#include "abi-limits.h"

/*
 * A service's compiled policy: one contiguous extent of 64-byte cells in the `cells` array, written once
 * by slicemeshd and then only read, by the BPF programs, the relay and `explain`.
 *
 * The first cell is a struct sm_policy. Every reference inside is a cell index *relative to that first
 * cell*, so an extent means the same wherever it is placed; 0 refers to the first cell itself and so
 * stands for "none". A commit writes the new extent into free cells and then stores its place into
 * sm_service.root (release); a reader loads root once per request (acquire) and so sees one generation.
 * The old extent is freed when no reader can hold it any more.
 *
 * What must outlive a commit (cursors, in-flight counts, counters) is not here but in abi-state.h, under
 * stable ids that cells carry.
 */

struct sm_cell {
        __u8 bytes[SM_CELL_SIZE];
} __attribute__((aligned(SM_CELL_SIZE)));

/* Text of `length` bytes, without terminator, in consecutive cells from `cell` on. */
struct sm_text {
        __u32 cell;
        __u32 length;
};

enum sm_protocol {
        SM_PROTOCOL_HTTP,
        SM_PROTOCOL_GRPC,
        SM_PROTOCOL_TCP,
        _SM_PROTOCOL_MAX,
};

enum sm_balance {
        SM_BALANCE_ROUND_ROBIN,
        SM_BALANCE_RANDOM,
        SM_BALANCE_LEAST_REQUEST,
        SM_BALANCE_CONSISTENT_HASH,
        _SM_BALANCE_MAX,
};

/* What a consistent hash, or a sticky split, is taken of. A request that lacks it goes at random. */
enum sm_hash_source {
        SM_HASH_SOURCE_ADDRESS, /* the caller's, with its unit's cgroup: on one host it is the same */
        SM_HASH_HEADER,
        SM_HASH_COOKIE,
        _SM_HASH_MAX,
};

/*
 * A precomputed order of choices. Slots are __u32, 16 to a cell. The meaning of a slot depends on the
 * owner: endpoint ids in a subset, subset indexes in a split.
 *
 *   round-robin         slots in the smoothest order in which each choice occurs weight/gcd times;
 *                       slot[cursor++ % n]: exact over any window of n requests
 *   random              the same slots; slot[random % n]
 *   least-request       the same slots; two at random, the one with fewer in flight
 *   consistent-hash     a Maglev table of prime size; slot[hash % n]
 *
 * A choice with weight 0, drained or disabled has no slot. n == 0: nothing to choose from.
 */
struct sm_schedule {
        __u32 slots; /* cell */
        __u32 n;
};

#define SM_SLOTS_PER_CELL (SM_CELL_SIZE / sizeof(__u32))

enum sm_policy_flags {
        SM_POLICY_FORWARDED_FOR = 1 << 0, /* append the caller to X-Forwarded-For */
        SM_POLICY_VIA = 1 << 1,           /* append to Via, both ways */
        SM_POLICY_FAST_NEVER = 1 << 2,    /* all requests are the relay's */
        SM_POLICY_FAST_ALWAYS = 1 << 3,   /* even callers' blocking sockets take the fast path */
        SM_POLICY_NORMAL_PATHS = 1 << 4,  /* paths are brought into normal form before they are matched and
                                           * sent (engine-path.h) */
        SM_POLICY_KEEP_SLASHES = 1 << 5,  /* %2F and %5C in a path stay as they are; else refused */
        SM_POLICY_KEEP_NULS = 1 << 6,     /* likewise %00 */
};

struct sm_policy {
        __u32 n_cells; /* size of the extent, this cell included */
        __u32 service; /* id */
        __u32 revision;
        __u8 protocol; /* enum sm_protocol */
        __u8 _pad0;
        __u16 flags;   /* enum sm_policy_flags */
        __u32 routes;  /* cell of the first of n_routes consecutive struct sm_route */
        __u32 subsets; /* cell of the first of n_subsets consecutive struct sm_subset */
        __u16 n_routes;
        __u16 n_subsets;
        struct sm_text name;
        __u32 connect_timeout_ms; /* one attempt */
        __u32 idle_timeout_ms;    /* keep-alive connections of callers, and tunnels */
        __u32 pool_idle_ms;       /* unused upstream connections */
        __u32 attempts;           /* endpoints tried before any byte was sent; at least 1 */
        __u32 _pad1[3];
};
_Static_assert(sizeof(struct sm_policy) == SM_CELL_SIZE, "a policy is one cell");

struct sm_subset {
        __u32 state;  /* id of struct sm_subset_state */
        __u8 balance; /* enum sm_balance */
        __u8 hash;    /* enum sm_hash_source */
        __u16 _pad0;
        struct sm_schedule schedule; /* of endpoint ids */
        __u32 endpoints;             /* cell: all endpoint ids, drained ones too, 16 to a cell */
        __u32 n_endpoints;
        struct sm_text hash_name; /* header (lower case) or cookie */
        struct sm_text name;
        __u8 _pad[24];
};
_Static_assert(sizeof(struct sm_subset) == SM_CELL_SIZE, "a subset is one cell");
