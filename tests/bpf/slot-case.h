/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "../../src/engine/engine-downstream.h"

/*
 * A script of transitions, run by the program of slot.bpf.c and natively: values of its maps `script` and
 * `trace`. A hand holds a slot or a downstream, with the word as it was left by the last transition.
 */

#define SLOT_OPS 128
#define SLOT_HANDS 4

enum slot_op_kind {
        SLOT_OP_TAKE,      /* for a downstream, to a state */
        SLOT_OP_READ,      /* a slot, as one who has not taken it */
        SLOT_OP_BEGIN,
        SLOT_OP_WAIT,
        SLOT_OP_RESPOND,
        SLOT_OP_PROCEED,
        SLOT_OP_FINISH,
        SLOT_OP_HAND_OVER,
        SLOT_OP_END,       /* of a downstream, to a state */
        SLOT_OP_PUT_BACK,
        SLOT_OP_DROP,
        SLOT_OP_RELEASE,
        SLOT_OP_BIND,
        SLOT_OP_KILL,
        SLOT_OP_MOVE,      /* of a downstream, to a state */
        SLOT_OP_MAY_TAKE,
        SLOT_OP_NEW,
        SLOT_OP_ADOPT,
        SLOT_OP_RECOVER,
        SLOT_OP_LET_GO,    /* of a downstream: an owner */
        _SLOT_OP_MAX,
};

struct slot_op {
        __u8 kind; /* enum slot_op_kind */
        __u8 hand;
        __u8 downstream;
        __u8 state;
        __u32 argument;
};

struct slot_script {
        struct slot_op ops[SLOT_OPS];
        __u32 n;
        __u32 _pad;
};

struct slot_hand {
        __u64 word;
        __u32 index;
        __u32 downstream; /* whose the response is */
};

struct slot_trace {
        struct slot_hand hands[SLOT_HANDS];
        __u64 results[SLOT_OPS];
        __u64 taken; /* slots in all, by slot_cycle */
};

static inline __u64 slot_op_on_slot(const struct sm_tables *t, const struct slot_op *o, struct slot_hand *h,
                                    struct sm_slot *s, struct sm_downstream *d) {
        switch (o->kind) {
        case SLOT_OP_BEGIN: return sm_downstream_begin(d, h->index, h->word);
        case SLOT_OP_WAIT: return sm_slot_wait(s, &h->word);
        case SLOT_OP_RESPOND: return sm_slot_respond(s, &h->word, o->argument, &h->downstream);
        case SLOT_OP_PROCEED: return sm_slot_proceed(s, &h->word, o->argument, &h->downstream);
        case SLOT_OP_FINISH: return sm_slot_finish(t, h->index, s, &h->word);
        case SLOT_OP_HAND_OVER: return sm_slot_hand_over(s, &h->word, o->argument);
        case SLOT_OP_END: return sm_downstream_end(d, h->index, h->word, o->state);
        case SLOT_OP_PUT_BACK: return sm_slot_put_back(t, h->index, s, &h->word);
        case SLOT_OP_DROP: return sm_slot_drop(s, &h->word);
        case SLOT_OP_RELEASE: return sm_slot_release(s, &h->word);
        case SLOT_OP_BIND: return sm_slot_bind(t, h->index, s, &h->word);
        case SLOT_OP_KILL: return sm_slot_kill(s, (__u16) o->argument);
        default: return 99;
        }
}

static inline __u64 slot_op_on_downstream(const struct sm_tables *t, struct sm_stack *unused,
                                          const struct slot_op *o, struct slot_hand *h,
                                          struct sm_downstream *d) {
        const struct sm_stream stream = {
                .received = o->argument & 1, .sent = o->argument >> 1 & 1, .established = 1,
        };

        switch (o->kind) {
        case SLOT_OP_MOVE: return sm_downstream_move(d, o->argument & 3, o->state);
        case SLOT_OP_MAY_TAKE: return sm_downstream_may_take(d, &stream);
        case SLOT_OP_ADOPT: return sm_downstream_adopt(d, &h->word);
        case SLOT_OP_RECOVER:
                h->word = sm_load(&d->node.word);
                return sm_downstream_recover(t, unused, o->downstream, d, &h->word);
        case SLOT_OP_LET_GO:
                sm_downstream_release(t, unused, o->downstream, d, o->argument);
                return sm_load(&d->node.word);
        default: return 98;
        }
}

static inline __u64 slot_op_take(const struct sm_tables *t, const struct slot_op *o, struct slot_hand *h) {
        struct sm_stack *stack = sm_idle_entry(t, 1);
        struct sm_slot *s;
        __u64 word;
        __u32 i;

        if (!stack)
                return 97;
        i = sm_stack_pop(t, stack, SM_STACK_SLOTS, &word);
        s = i > 0 ? sm_slot_entry(t, i) : NULL;
        if (!s)
                return 0;
        h->index = i;
        h->word = word;
        return sm_slot_take(s, &h->word, o->state, o->downstream) ? i : 96;
}

/* What it comes to. */
static inline __u64 slot_op_run(const struct sm_tables *t, struct sm_stack *unused, const struct slot_op *o,
                                struct slot_hand *h) {
        struct sm_downstream *d = sm_downstream_entry(t, o->downstream);
        struct sm_slot *s;

        if (!d)
                return 95;
        if (o->kind == SLOT_OP_TAKE)
                return slot_op_take(t, o, h);
        if (o->kind == SLOT_OP_NEW)
                return sm_downstream_new(t, unused, &h->word);
        if (o->kind == SLOT_OP_READ)
                h->index = o->argument;
        s = sm_slot_entry(t, h->index);
        if (!s)
                return 94;
        if (o->kind == SLOT_OP_READ)
                return h->word = sm_load(&s->node.word);
        if (o->kind < SLOT_OP_MOVE)
                return slot_op_on_slot(t, o, h, s, d);
        return slot_op_on_downstream(t, unused, o, h, d);
}
