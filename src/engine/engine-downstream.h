/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "engine-slot.h"

/* The states of a downstream (abi-downstream.h), and what moves it and a slot together. */

static inline enum sm_downstream_state sm_downstream_state(__u64 state) {
        return state & 0xff;
}

static inline __u32 sm_downstream_slot(__u64 state) {
        return (__u32) state >> 8;
}

/* How D's side of its connection stands, as the kernel sees it in struct tcp_sock, with D's lock held. */
struct sm_stream {
        __u64 received; /* bytes_received */
        __u64 sent;     /* bytes_acked - 1 (that is the SYN) + write_seq - snd_una */
        __u32 rcv_nxt;
        __u32 copied_seq;
        __u8 established; /* sk_state is TCP_ESTABLISHED: until then and afterwards D is not to be touched */
};

/*
 * Whether D's program may take a request from D. D's lock is held: D sends one thing at a time, and nothing
 * but this program makes IDLE into KERNEL, so what is true now stays true.
 *
 * Everything D sent before must be answered, or the relay and the kernel would answer out of order; and
 * everything the relay wrote must have been read, or the answers would be read out of order. `answered` is
 * read before `written`: an answer is counted there only when all of it is counted here.
 */
static inline bool sm_downstream_may_take(struct sm_downstream *d, const struct sm_stream *s) {
        return s->established && sm_downstream_state(sm_load(&d->state)) == SM_DOWNSTREAM_IDLE &&
               sm_load(&d->answered) == s->sent && sm_load(&d->written) == s->received &&
               s->rcv_nxt == s->copied_seq;
}

static inline __u64 sm_downstream_kernel(__u32 slot, __u64 word) {
        return (__u64) sm_slot_generation(word) << 32 | slot << 8 | SM_DOWNSTREAM_KERNEL;
}

/* By D's program: the slot, TAKEN with this word, is to answer. False: the relay is closing A. */
static inline bool sm_downstream_begin(struct sm_downstream *d, __u32 slot, __u64 word) {
        __u64 idle = SM_DOWNSTREAM_IDLE;

        return sm_swap(&d->state, &idle, sm_downstream_kernel(slot, word));
}

/* By who holds the slot, for which D's program had begun, with a word of the same turn: it no longer
 * answers. */
static inline bool sm_downstream_end(struct sm_downstream *d, __u32 slot, __u64 word,
                                     enum sm_downstream_state to) {
        __u64 kernel = sm_downstream_kernel(slot, word);

        return sm_swap(&d->state, &kernel, to);
}

/* By the relay, between the states that are not KERNEL. */
static inline bool sm_downstream_move(struct sm_downstream *d, enum sm_downstream_state from,
                                      enum sm_downstream_state to) {
        __u64 state = from;

        return sm_swap(&d->state, &state, to);
}

/*
 * By the program at the end of S's send(), of that thread that let the last bytes through: only now have
 * they moved. RESPONDING -> FREE decides; then D may send the next request; and last of all the slot can be
 * taken again.
 */
static inline bool sm_slot_finish(const struct sm_tables *t, __u32 i, struct sm_slot *s, __u64 *word) {
        struct sm_downstream *d;

        if (sm_slot_remaining(*word) > 0 ||
            !sm_slot_move(s, word, SM_SLOT_RESPONDING, SM_SLOT_FREE, 0))
                return false;
        d = sm_downstream_entry(t, sm_load_32(&s->downstream));
        if (d)
                (void) sm_downstream_end(d, i, *word, SM_DOWNSTREAM_IDLE);
        sm_slot_return(t, i, s, word);
        return true;
}

/* Bits of enum sm_downstream_owner. */
static inline __u32 sm_downstream_owners(__u64 word) {
        return (__u32) word;
}

/* By sock_ops at TCP_CONNECT. 0: none left. The caller fills in its fields; the relay opens it. */
static inline __u32 sm_downstream_new(const struct sm_tables *t, struct sm_stack *unused, __u64 *ret_word) {
        struct sm_downstream *d;
        __u64 word = 0;
        __u32 i = sm_stack_pop(t, unused, SM_STACK_DOWNSTREAMS, &word);

        d = i > 0 ? sm_downstream_entry(t, i) : NULL;
        if (!d)
                return 0;
        sm_store(&d->state, SM_DOWNSTREAM_CLOSED);
        sm_store(&d->written, 0);
        sm_store(&d->answered, 0);
        d->injected = 0;
        d->chosen_at = SM_NOTHING_CHOSEN;
        *ret_word = ((word >> 32) + 1) << 32 | SM_OWNER_SOCKET;
        sm_store(&d->node.word, *ret_word);
        return i;
}

/* By the relay, which was told the word that it had when it was new. False: D has closed meanwhile. */
static inline bool sm_downstream_adopt(struct sm_downstream *d, __u64 *word) {
        return sm_downstream_owners(*word) == SM_OWNER_SOCKET &&
               sm_swap(&d->node.word, word, *word | SM_OWNER_RELAY);
}

/* By the relay, of one that it finds in the state NOBODY. */
static inline bool sm_downstream_recover(const struct sm_tables *t, struct sm_stack *unused, __u32 i,
                                         struct sm_downstream *d, __u64 *word) {
        if (sm_downstream_owners(*word) != SM_OWNER_NOBODY ||
            !sm_swap(&d->node.word, word, *word & ~(__u64) SM_OWNER_NOBODY))
                return false;
        if (!sm_stack_push(t, unused, SM_STACK_DOWNSTREAMS, i))
                sm_store(&d->node.word, *word | SM_OWNER_NOBODY);
        return true;
}

/* By an owner: it lets go. The relay has seen to it that the state is CLOSED. */
static inline void sm_downstream_release(const struct sm_tables *t, struct sm_stack *unused, __u32 i,
                                         struct sm_downstream *d, enum sm_downstream_owner owner) {
        __u64 word = __sync_fetch_and_and(&d->node.word, ~(__u64) owner) & ~(__u64) owner;

        if (sm_downstream_owners(word) == 0 && !sm_stack_push(t, unused, SM_STACK_DOWNSTREAMS, i))
                sm_store(&d->node.word, word | SM_OWNER_NOBODY);
}

/* By a new relay, of what the old one has left: D is on its own, and will find that A is closed. */
static inline void sm_downstream_reset(const struct sm_tables *t, struct sm_stack *unused, __u32 i,
                                       struct sm_downstream *d) {
        sm_store(&d->state, SM_DOWNSTREAM_CLOSED);
        if (sm_downstream_owners(sm_load(&d->node.word)) & SM_OWNER_RELAY)
                sm_downstream_release(t, unused, i, d, SM_OWNER_RELAY);
}
