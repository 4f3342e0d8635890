/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "engine-access.h"
#include "engine-atomic.h"

/*
 * Stacks of indexes without a lock (Treiber), for slots and downstreams, in memory that kernel and relay
 * share. tests/model/stack.pml is the proof that they lose and double nothing.
 *
 * The kernel side cannot try for ever: after SM_STACK_TRIES attempts that others were ahead of, both fail,
 * and the caller goes the slower way.
 */

#define SM_STACK_TRIES 64

enum sm_stack_kind {
        SM_STACK_SLOTS,
        SM_STACK_DOWNSTREAMS,
};

static inline struct sm_node *sm_node_at(const struct sm_tables *t, enum sm_stack_kind kind, __u32 i) {
        struct sm_downstream *d;
        struct sm_slot *s;

        if (kind == SM_STACK_SLOTS) {
                s = sm_slot_entry(t, i);
                return s ? &s->node : NULL;
        }
        d = sm_downstream_entry(t, i);
        return d ? &d->node : NULL;
}

struct sm_stack_step {
        const struct sm_tables *t;
        struct sm_stack *stack;
        struct sm_node *node; /* to be pushed */
        __u64 word;           /* of what was popped, as it was while it still was in the stack */
        __u32 kind;           /* enum sm_stack_kind */
        __u32 index;          /* what is to be pushed, or was popped; 0 = none */
        __u32 done;
};

/* A head for `index`, later than `head`. */
static inline __u64 sm_stack_head(__u64 head, __u32 index) {
        return ((head >> 32) + 1) << 32 | index;
}

static inline long sm_stack_try_push(__u32 i, void *context) {
        struct sm_stack_step *s = context;
        __u64 head = sm_load(&s->stack->head);

        sm_store_32(&s->node->next, (__u32) head);
        if (!sm_swap(&s->stack->head, &head, sm_stack_head(head, s->index)))
                return 0;
        s->done = 1;
        return 1;
}

static inline long sm_stack_try_pop(__u32 i, void *context) {
        struct sm_stack_step *s = context;
        __u64 head = sm_load(&s->stack->head), word;
        __u32 index = (__u32) head, next;
        struct sm_node *node;

        node = index > 0 ? sm_node_at(s->t, s->kind, index) : NULL;
        if (!node)
                return 1;
        /* Both may be out of date already; then the head has moved on, and the swap fails. */
        next = sm_load_32(&node->next);
        word = sm_load(&node->word);
        if (!sm_swap(&s->stack->head, &head, sm_stack_head(head, next)))
                return 0;
        s->index = index;
        s->word = word;
        return 1;
}

/* Puts in what is in no stack and is the caller's. False: contention; it still is. */
static inline bool sm_stack_push(const struct sm_tables *t, struct sm_stack *stack, enum sm_stack_kind kind,
                                 __u32 index) {
        struct sm_stack_step s = { .stack = stack, .index = index };

        s.node = sm_node_at(t, kind, index);
        if (!s.node)
                return false;
        sm_loop(SM_STACK_TRIES, sm_stack_try_push, &s);
        return s.done;
}

/* What was on top is now the caller's; 0: the stack is empty, or contention. ret_word is untouched then. */
static inline __u32 sm_stack_pop(const struct sm_tables *t, struct sm_stack *stack, enum sm_stack_kind kind,
                                 __u64 *ret_word) {
        struct sm_stack_step s = { .t = t, .stack = stack, .kind = kind };

        sm_loop(SM_STACK_TRIES, sm_stack_try_pop, &s);
        if (s.index > 0)
                *ret_word = s.word;
        return s.index;
}

/* Takes out everything: returns the top, from where `next` leads on to 0. Not for the kernel side. */
static inline __u32 sm_stack_take_all(struct sm_stack *stack) {
        __u64 head = sm_load(&stack->head);
        __u32 top;

        do
                top = (__u32) head;
        while (!sm_swap(&stack->head, &head, sm_stack_head(head, 0)));
        return top;
}
