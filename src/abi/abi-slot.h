/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <linux/types.h>

#include "abi-limits.h"

/*
 * The fast path's shared memory: who answers a request, and over which upstream connection. Mmapable arrays
 * like those of abi-state.h; index 0 of each means "none". docs/fast-path.md tells the protocol, and
 * src/engine/engine-slot.h and engine-downstream.h are all who may change the words that are called state.
 *
 * D is the caller's socket, A the relay's end of it; U is a pooled upstream connection, S the local server's
 * end of it.
 */

/* What can be an element of a stack; first in its struct. An index is in one stack at most. */
struct sm_node {
        __u64 word; /* the element's state; never decreases in its upper half but by wrapping */
        __u32 next; /* below it in its stack; 0 = it is the last */
        __u32 _pad;
};

/* What of the fast path is there, and not switched off. */
enum sm_fast_feature {
        SM_FAST_REQUESTS = 1 << 0, /* D's program takes requests */
        SM_FAST_SERVERS = 1 << 1,  /* servers are enrolled: the kernel moves their responses */
        SM_FAST_REPLIES = 1 << 2,  /* A's program puts the relay's small replies into D's ingress */
        SM_FAST_ANSWERS = 1 << 3,  /* D's program answers what goes to no endpoint */
        SM_FAST_ALL = (1 << 4) - 1,
};

/* Map `fast_control`, one entry. Written by slicemeshd. */
struct sm_fast_control {
        __u32 features; /* enum sm_fast_feature; may change at any time */
        __u32 workers;  /* that idle_slots has stacks for, for each endpoint */
        __u32 slow;     /* enum sm_slow: what is said where a feature is missing */
        /* What slicemeshd remembers over a restart: */
        __u32 disabled; /* switched off, by whoever spoke last */
        __u32 policy;   /* what mesh.yaml said last: 0 = nothing yet, 1 = enabled, 2 = not */
        __u32 head_max; /* longest head that the relay would take; what is more is for it to refuse */
        __u32 _pad[10];
};
_Static_assert(sizeof(struct sm_fast_control) == SM_CELL_SIZE, "ABI");

/* A stack of indexes. Map `idle_slots`: of FREE slots, by endpoint and worker (sm_idle_index()). Map
 * `free_downstreams`, one entry. The tag rises with every push and pop, so that who was interrupted
 * between reading a head and replacing it cannot mistake a new head for the one that it read. */
struct sm_stack {
        __u64 head; /* tag << 32 | index of the top */
        __u64 _pad[7];
};
_Static_assert(sizeof(struct sm_stack) == SM_CELL_SIZE, "ABI");

/*
 * Map `slots`: one for each pooled U. Its word is
 *
 *      connection << 48 | turn << 32 | remaining << 8 | enum sm_slot_state
 *
 * connection: raised when the slot is given to another U. turn: raised when the slot is taken: a word
 * that is equal to one read before means the same request. remaining: bytes still to come of a response.
 */
enum sm_slot_state {
        SM_SLOT_UNUSED,     /* no U. The relay's */
        SM_SLOT_FREE,       /* in its idle stack, or about to be put there by who freed it */
        SM_SLOT_TAKEN,      /* D's program has it and decides; nobody else may move it */
        SM_SLOT_WAITING,    /* the request is with S, or on the way; no byte of the response has moved */
        SM_SLOT_RESPONDING, /* the response moves from S to D; `remaining` bytes have not been let through */
        SM_SLOT_RELAY,      /* the relay reads and writes U; the programs keep out */
        SM_SLOT_DEAD,       /* U is of no use; still in the stack. Who pops it makes it GONE */
        SM_SLOT_GONE,       /* in no stack. The relay closes U and makes it UNUSED */
};

#define SM_REMAINING_MAX 0xffffff /* bytes in a response, head included, that the kernel may move */

/* Handed over by S's program; the relay then finds, as `remaining`: */
#define SM_REMAINING_ALL SM_REMAINING_MAX                  /* all of the response is in U; D has nothing */
#define SM_REMAINING_UNKNOWN (SM_REMAINING_MAX - 1)        /* it cannot be told what D has: close it */
#define SM_REMAINING_TOLD_MAX (SM_REMAINING_UNKNOWN - 1)   /* up to here: so many bytes from U are D's */

/* How S is found in the SOCKHASH of servers' sockets; addresses as in abi-connection.h. */
struct sm_server_key {
        __u8 server[16];
        __u8 peer[16]; /* U's own address */
        __be16 server_port;
        __be16 peer_port;
        __u32 _pad;
};
_Static_assert(sizeof(struct sm_server_key) == 40, "ABI");

struct sm_slot {
        struct sm_node node;
        /* Of one request. Others may read them too late, and compare the word afterwards. */
        __u64 since;      /* ns, CLOCK_MONOTONIC; by D's program while TAKEN */
        __u32 downstream; /* index; by who takes the slot */
        __u32 service;    /* these by D's program while TAKEN */
        __u32 slice;
        __u32 size;       /* of the request, in bytes */
        __u32 body;       /* of that the body; S's program: of the response */
        __u8 method;      /* enum sm_method */
        __u8 status;      /* of the response, its hundreds; by S's program */
        __u16 slow;       /* enum sm_slow: why S's program handed it over; before the state says so */
        __u64 _pad0[2];
        /* Of one connection: written by the relay while UNUSED; `local` also while RELAY. */
        __u32 endpoint;
        __u32 stack; /* index in idle_slots that it returns to */
        struct sm_server_key key;
        __u32 local; /* S is enrolled, and key says how it is found; else U is in upstream_sockets */
        __u32 _pad1[3];
};
_Static_assert(sizeof(struct sm_slot) == 2 * SM_CELL_SIZE, "ABI");
