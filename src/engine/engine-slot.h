/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "engine-stack.h"

/*
 * The transitions of a slot (abi-slot.h), each a compare-and-swap of its word. docs/fast-path.md has the
 * picture; tests/model/slot.pml is the proof, with the same names.
 *
 * All take the word as it was read last, in `word`, and leave there what it is now. False: it was in
 * another state than the transition sets out from, or somebody else was faster; nothing has changed.
 */

#define SM_SLOT_TRIES 4 /* slots that a taker looks at before it gives up on finding one that is alive */

/* Which of idle_slots; `workers` as in sm_fast_control. */
static inline __u32 sm_idle_index(__u32 endpoint, __u32 worker, __u32 workers) {
        return endpoint * workers + worker;
}

static inline enum sm_slot_state sm_slot_state(__u64 word) {
        return word & 0xff;
}

static inline __u32 sm_slot_remaining(__u64 word) {
        return (__u32) word >> 8;
}

/* Of the slot's use: connection and turn. */
static inline __u32 sm_slot_generation(__u64 word) {
        return (__u32) (word >> 32);
}

static inline __u16 sm_slot_connection(__u64 word) {
        return (__u16) (word >> 48);
}

static inline __u64 sm_slot_word(__u32 generation, __u32 remaining, enum sm_slot_state state) {
        return (__u64) generation << 32 | remaining << 8 | state;
}

static inline bool sm_slot_move(struct sm_slot *s, __u64 *word, enum sm_slot_state from,
                                enum sm_slot_state to, __u32 remaining) {
        return sm_slot_state(*word) == from &&
               sm_swap(&s->node.word, word, sm_slot_word(sm_slot_generation(*word), remaining, to));
}

/* The next turn of the same connection. */
static inline __u32 sm_slot_next_turn(__u32 generation) {
        return (generation & 0xffff0000) | ((generation + 1) & 0xffff);
}

/* By who has popped it, for a downstream: D's program to TAKEN, the relay to RELAY. `word` is what the pop
 * told. If U has died meanwhile, the slot is left to the relay, which closes U. */
static inline bool sm_slot_take(struct sm_slot *s, __u64 *word, enum sm_slot_state to, __u32 downstream) {
        __u32 turn = sm_slot_next_turn(sm_slot_generation(*word));

        if (sm_slot_state(*word) == SM_SLOT_FREE &&
            sm_swap(&s->node.word, word, sm_slot_word(turn, 0, to))) {
                sm_store_32(&s->downstream, downstream);
                return true;
        }
        (void) sm_slot_move(s, word, SM_SLOT_DEAD, SM_SLOT_GONE, 0);
        return false;
}

/* Into its stack, what has just been made FREE: nobody else can have it in between, but U may die, and it
 * goes in DEAD. If there is no getting in, U is given up. */
static inline void sm_slot_return(const struct sm_tables *t, __u32 i, struct sm_slot *s, __u64 *word) {
        struct sm_stack *stack = sm_idle_entry(t, s->stack);

        if (stack && sm_stack_push(t, stack, SM_STACK_SLOTS, i))
                return;
        if (!sm_slot_move(s, word, SM_SLOT_FREE, SM_SLOT_GONE, 0))
                (void) sm_slot_move(s, word, SM_SLOT_DEAD, SM_SLOT_GONE, 0);
}

/* By the relay: gives the slot to a new U, whose fields are filled in. */
static inline bool sm_slot_bind(const struct sm_tables *t, __u32 i, struct sm_slot *s, __u64 *word) {
        __u32 generation = (__u32) (sm_slot_connection(*word) + 1) << 16;

        if (sm_slot_state(*word) != SM_SLOT_UNUSED ||
            !sm_swap(&s->node.word, word, sm_slot_word(generation, 0, SM_SLOT_FREE)))
                return false;
        sm_slot_return(t, i, s, word);
        return true;
}

/* By D's program from TAKEN, by the relay from RELAY: U can carry the next request. */
static inline bool sm_slot_put_back(const struct sm_tables *t, __u32 i, struct sm_slot *s, __u64 *word) {
        if (!sm_slot_move(s, word, SM_SLOT_TAKEN, SM_SLOT_FREE, 0) &&
            !sm_slot_move(s, word, SM_SLOT_RELAY, SM_SLOT_FREE, 0))
                return false;
        sm_slot_return(t, i, s, word);
        return true;
}

/* By the same: U cannot. */
static inline bool sm_slot_drop(struct sm_slot *s, __u64 *word) {
        return sm_slot_move(s, word, SM_SLOT_TAKEN, SM_SLOT_GONE, 0) ||
               sm_slot_move(s, word, SM_SLOT_RELAY, SM_SLOT_GONE, 0);
}

/* By the relay, which has closed U. */
static inline bool sm_slot_release(struct sm_slot *s, __u64 *word) {
        return sm_slot_move(s, word, SM_SLOT_GONE, SM_SLOT_UNUSED, 0);
}

/* U has died, or S has spoken unasked: by sock_ops, S's program and the relay, of which each knows the
 * connection. If the slot is in use, who uses it will find out, and the relay is told by U itself. */
static inline bool sm_slot_kill(struct sm_slot *s, __u16 connection) {
        __u64 word = sm_load(&s->node.word);

        return sm_slot_connection(word) == connection &&
               sm_slot_move(s, &word, SM_SLOT_FREE, SM_SLOT_DEAD, 0);
}

/* By D's program: the request is going to move, and there is no way back. */
static inline bool sm_slot_wait(struct sm_slot *s, __u64 *word) {
        return sm_slot_move(s, word, SM_SLOT_TAKEN, SM_SLOT_WAITING, 0);
}

/* By S's program, with a word of its own connection, as what follows: the first bytes of the response are
 * let through, and so many will come after them. ret_downstream is whose they are. It is read first: once
 * the slot is RESPONDING, the relay may lose patience and somebody else take the slot, for another. */
static inline bool sm_slot_respond(struct sm_slot *s, __u64 *word, __u32 remaining, __u32 *ret_downstream) {
        __u32 downstream = sm_load_32(&s->downstream);

        if (remaining > SM_REMAINING_TOLD_MAX ||
            !sm_slot_move(s, word, SM_SLOT_WAITING, SM_SLOT_RESPONDING, remaining))
                return false;
        *ret_downstream = downstream;
        return true;
}

/* By S's program: `size` more of the bytes are let through; false also if there are not so many to come. */
static inline bool sm_slot_proceed(struct sm_slot *s, __u64 *word, __u32 size, __u32 *ret_downstream) {
        __u32 downstream = sm_load_32(&s->downstream), left = sm_slot_remaining(*word);

        if (size > left || !sm_slot_move(s, word, SM_SLOT_RESPONDING, SM_SLOT_RESPONDING, left - size))
                return false;
        *ret_downstream = downstream;
        return true;
}

/* By S's program, for a response that is not for the kernel; by the relay, for a request that waits too
 * long: whoever succeeds has settled that from now on the relay alone writes to D. `owed` as for
 * SM_REMAINING_*. */
static inline bool sm_slot_hand_over(struct sm_slot *s, __u64 *word, __u32 owed) {
        return sm_slot_move(s, word, SM_SLOT_WAITING, SM_SLOT_RELAY, owed) ||
               sm_slot_move(s, word, SM_SLOT_RESPONDING, SM_SLOT_RELAY, owed);
}

/* By a new relay, of what the old one has left: it has no connection, and who still knows one is refused.
 * Before the stacks are emptied and slots bound, programs that run now must have ended: one may be about to
 * push. */
static inline void sm_slot_reset(struct sm_slot *s) {
        __u64 word = sm_load(&s->node.word);

        while (!sm_swap(&s->node.word, &word,
                        sm_slot_word((__u32) (sm_slot_connection(word) + 1) << 16, 0, SM_SLOT_UNUSED)))
                ;
}

/* By the relay: takes out of a stack what is DEAD, to be closed. For a moment the stack is empty, and who
 * looks takes the slower way. */
static inline void sm_slot_sweep(const struct sm_tables *t, struct sm_stack *stack) {
        __u32 i = sm_stack_take_all(stack), next;
        struct sm_slot *s;
        __u64 word;

        for (; i > 0; i = next) {
                s = sm_slot_entry(t, i);
                if (!s)
                        return;
                next = sm_load_32(&s->node.next);
                word = sm_load(&s->node.word);
                if (!sm_slot_move(s, &word, SM_SLOT_DEAD, SM_SLOT_GONE, 0))
                        sm_slot_return(t, i, s, &word);
        }
}
