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
        __u32 _pad0;
        __u64 _pad1[4];
        /* Of one connection: written by the relay while UNUSED. */
        __u32 endpoint;
        __u32 stack; /* index in idle_slots that it returns to */
        struct sm_server_key key;
        __u64 _pad2[2];
};
_Static_assert(sizeof(struct sm_slot) == 2 * SM_CELL_SIZE, "ABI");

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

struct sm_downstream {
        struct sm_node node; /* word: generation << 32 | enum sm_downstream_owner */
        __u64 state;
        /* Written by sock_ops before anybody else knows of it. */
        __u64 cookie; /* of D, its key in the slice's SOCKHASH */
        __u32 service;
        __u32 slice;
        __u32 worker; /* by the relay, before IDLE */
        __u32 _pad0;
        __u64 _pad1[2];
        /*
         * How far the relay is; written by it alone. D's program takes a request only if D's stream has got
         * to exactly here both ways (sm_downstream_may_take()).
         */
        __u64 written;  /* bytes that go to D by TCP: raised before `answered`, or the state IDLE, says so */
        __u64 answered; /* bytes received from A whose requests are answered */
        __u64 _pad2[6];
};
_Static_assert(sizeof(struct sm_downstream) == 2 * SM_CELL_SIZE, "ABI");

/* Map `requests`, by downstream: what the kernel has taken, for the relay to send again or to answer.
 * Written by D's program between IDLE and WAITING, read by who has moved the slot to RELAY. */
struct sm_request_copy {
        __u32 length;      /* of bytes, head and body */
        __u32 head_length;
        __u32 revision;    /* of the policy that chose, and what it chose: */
        __u16 route;
        __u16 subset;
        __u8 bytes[SM_REQUEST_KEPT_MAX];
};
_Static_assert(sizeof(struct sm_request_copy) == 16 + SM_REQUEST_KEPT_MAX, "ABI");
