/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "engine-downstream.h"
#include "test-engine.h"

/*
 * Every transition of slots and downstreams from every state, and what the stacks do. Threads are in
 * test-engine-slot-threads.c.
 */

#define SLOTS 4 /* and the unused index 0 */

typedef struct Pool {
        struct sm_slot slots[SLOTS + 1];
        struct sm_downstream downstreams[SLOTS + 1];
        struct sm_stack idle[2], unused;
        struct sm_tables t;
} Pool;

static Pool pool;

static int setup(void **state) {
        memset(&pool, 0, sizeof(pool));
        pool.t = (struct sm_tables) {
                .slots = pool.slots, .n_slots = SLOTS + 1,
                .downstreams = pool.downstreams, .n_downstreams = SLOTS + 1,
                .idle_slots = pool.idle, .n_idle_slots = 2,
        };
        for (__u32 i = 1; i <= SLOTS; i++)
                pool.slots[i].stack = 1;
        return 0;
}

static __u64 word_of(__u32 i) {
        return sm_load(&pool.slots[i].node.word);
}

static __u32 pop(__u64 *word) {
        return sm_stack_pop(&pool.t, &pool.idle[1], SM_STACK_SLOTS, word);
}

static void bind(__u32 i) {
        __u64 word = word_of(i);

        assert_true(sm_slot_bind(&pool.t, i, &pool.slots[i], &word));
        assert_int_equal(sm_slot_state(word_of(i)), SM_SLOT_FREE);
}

static void test_stack_is_last_in_first_out(void **state) {
        __u64 word = 17;

        assert_int_equal(pop(&word), 0);
        assert_int_equal(word, 17);
        for (__u32 i = 1; i <= SLOTS; i++)
                assert_true(sm_stack_push(&pool.t, &pool.idle[1], SM_STACK_SLOTS, i));
        assert_int_equal(pool.idle[1].head >> 32, SLOTS);
        for (__u32 i = SLOTS; i > 0; i--)
                assert_int_equal(pop(&word), i);
        assert_int_equal(pop(&word), 0);
        assert_int_equal(pool.idle[1].head >> 32, 2 * SLOTS);
}

static void test_stack_outlives_its_tag(void **state) {
        __u64 word;

        pool.idle[1].head = 0xffffffff00000000ULL;
        assert_true(sm_stack_push(&pool.t, &pool.idle[1], SM_STACK_SLOTS, 3));
        assert_int_equal(pool.idle[1].head, 3);
        assert_int_equal(pop(&word), 3);
}

static void test_stack_of_nonsense(void **state) {
        __u64 word = 0;

        assert_false(sm_stack_push(&pool.t, &pool.idle[1], SM_STACK_SLOTS, SLOTS + 1));
        pool.idle[1].head = SLOTS + 1;
        assert_int_equal(pop(&word), 0);
}

/* Which transitions leave which state: rows by enum sm_slot_state. */
enum { TAKE = 1, PUT_BACK = 2, DROP = 4, RELEASE = 8, KILL = 16, WAIT = 32, RESPOND = 64, PROCEED = 128,
       HAND_OVER = 256, BIND = 512, FINISH = 1024 };

static const unsigned allowed[] = {
        [SM_SLOT_UNUSED] = BIND,
        [SM_SLOT_FREE] = TAKE | KILL,
        [SM_SLOT_TAKEN] = PUT_BACK | DROP | WAIT,
        [SM_SLOT_WAITING] = RESPOND | HAND_OVER,
        [SM_SLOT_RESPONDING] = PROCEED | HAND_OVER | FINISH,
        [SM_SLOT_RELAY] = PUT_BACK | DROP,
        [SM_SLOT_DEAD] = 0, /* take() refuses it, see below */
        [SM_SLOT_GONE] = RELEASE,
};

static bool try(unsigned transition, struct sm_slot *s, __u64 *word) {
        __u32 d;

        switch (transition) {
        case TAKE: return sm_slot_take(s, word, SM_SLOT_TAKEN, 0);
        case PUT_BACK: return sm_slot_put_back(&pool.t, 1, s, word);
        case DROP: return sm_slot_drop(s, word);
        case RELEASE: return sm_slot_release(s, word);
        case KILL: return sm_slot_kill(s, sm_slot_connection(*word));
        case WAIT: return sm_slot_wait(s, word);
        case RESPOND: return sm_slot_respond(s, word, 5, &d);
        case PROCEED: return sm_slot_proceed(s, word, 0, &d);
        case HAND_OVER: return sm_slot_hand_over(s, word, SM_REMAINING_ALL);
        case BIND: return sm_slot_bind(&pool.t, 1, s, word);
        default: return sm_slot_finish(&pool.t, 1, s, word);
        }
}

static void test_every_transition_from_every_state(void **state) {
        struct sm_slot *s = &pool.slots[1];

        for (enum sm_slot_state from = 0; from < COUNT(allowed); from++)
                for (unsigned transition = TAKE; transition <= FINISH; transition <<= 1) {
                        __u64 word = sm_slot_word(0x70009, 0, from), before = word;

                        s->node.word = word;
                        assert_int_equal(try(transition, s, &word), (allowed[from] & transition) != 0);
                        if (!(allowed[from] & transition) && !(from == SM_SLOT_DEAD && transition == TAKE))
                                assert_int_equal(s->node.word, before);

                        /* the same of one that somebody else was faster to move */
                        word = before;
                        s->node.word = before ^ 1ULL << 32;
                        assert_false(transition != KILL && try(transition, s, &word));
                }
}

static void test_turns_and_connections(void **state) {
        struct sm_slot *s = &pool.slots[1];
        __u64 word = 0, first;

        bind(1);
        assert_int_equal(sm_slot_connection(word_of(1)), 1);
        assert_int_equal(pop(&word), 1);
        first = word;
        assert_true(sm_slot_take(s, &word, SM_SLOT_TAKEN, 0));
        assert_int_not_equal(sm_slot_generation(word), sm_slot_generation(first));
        assert_false(sm_slot_take(s, &first, SM_SLOT_TAKEN, 0));
        assert_int_equal(first, word);

        /* the turn starts again, and does not run over into the connection */
        s->node.word = sm_slot_word(0x0001ffff, 0, SM_SLOT_FREE);
        word = word_of(1);
        assert_true(sm_slot_take(s, &word, SM_SLOT_RELAY, 0));
        assert_int_equal(sm_slot_generation(word), 0x00010000);

        assert_true(sm_slot_drop(s, &word));
        assert_true(sm_slot_release(s, &word));
        bind(1);
        assert_int_equal(sm_slot_connection(word_of(1)), 2);
        assert_false(sm_slot_kill(s, 1));
        assert_true(sm_slot_kill(s, 2));
}

static void test_dead_are_left_to_the_relay(void **state) {
        __u64 word = 0;

        for (__u32 i = 1; i <= SLOTS; i++)
                bind(i);
        assert_true(sm_slot_kill(&pool.slots[4], 1));
        assert_true(sm_slot_kill(&pool.slots[2], 1));
        assert_int_equal(pop(&word), 4);
        assert_false(sm_slot_take(&pool.slots[4], &word, SM_SLOT_TAKEN, 0));
        assert_int_equal(sm_slot_state(word_of(4)), SM_SLOT_GONE);

        /* one that dies between the pop and the take */
        assert_int_equal(pop(&word), 3);
        assert_true(sm_slot_kill(&pool.slots[3], 1));
        assert_false(sm_slot_take(&pool.slots[3], &word, SM_SLOT_TAKEN, 0));
        assert_int_equal(sm_slot_state(word_of(3)), SM_SLOT_GONE);

        sm_slot_sweep(&pool.t, &pool.idle[1]);
        assert_int_equal(sm_slot_state(word_of(2)), SM_SLOT_GONE);
        assert_int_equal(pop(&word), 1);
        assert_int_equal(pop(&word), 0);
}

/* A stack that was lost is no reason to lose the slot. */
static void test_no_stack_to_return_to(void **state) {
        __u64 word = 0;

        pool.slots[1].stack = 2;
        assert_true(sm_slot_bind(&pool.t, 1, &pool.slots[1], &word));
        assert_int_equal(sm_slot_state(word_of(1)), SM_SLOT_GONE);
}

static void take_request(__u32 i, __u32 d, __u64 *word) {
        struct sm_downstream *down = &pool.downstreams[d];

        assert_int_equal(pop(word), i);
        assert_true(sm_slot_take(&pool.slots[i], word, SM_SLOT_TAKEN, d));
        assert_true(sm_downstream_begin(down, i, *word));
        assert_int_equal(sm_downstream_state(down->state), SM_DOWNSTREAM_KERNEL);
        assert_int_equal(sm_downstream_slot(down->state), i);
        assert_true(sm_slot_wait(&pool.slots[i], word));
}

static void test_response_in_parts(void **state) {
        struct sm_slot *s = &pool.slots[1];
        __u64 word, early;
        __u32 d = 0;

        bind(1);
        pool.downstreams[2].state = SM_DOWNSTREAM_IDLE;
        take_request(1, 2, &word);
        assert_false(sm_slot_respond(s, &word, SM_REMAINING_TOLD_MAX + 1, &d));
        assert_true(sm_slot_respond(s, &word, 10, &d));
        assert_int_equal(d, 2);
        assert_false(sm_slot_finish(&pool.t, 1, s, &word));
        assert_false(sm_slot_proceed(s, &word, 11, &d));
        assert_true(sm_slot_proceed(s, &word, 4, &d));
        early = word;
        assert_true(sm_slot_proceed(s, &word, 6, &d));
        assert_false(sm_slot_finish(&pool.t, 1, s, &early)); /* of an outdated word */
        assert_int_equal(sm_downstream_state(pool.downstreams[2].state), SM_DOWNSTREAM_KERNEL);
        assert_true(sm_slot_finish(&pool.t, 1, s, &word));
        assert_int_equal(pool.downstreams[2].state, SM_DOWNSTREAM_IDLE);
        take_request(1, 2, &word);
}

static void test_hand_over_settles_it(void **state) {
        struct sm_downstream *down = &pool.downstreams[2];
        struct sm_slot *s = &pool.slots[1];
        __u64 word, other;
        __u32 d;

        bind(1);
        down->state = SM_DOWNSTREAM_IDLE;
        take_request(1, 2, &word);
        other = word;
        assert_true(sm_slot_hand_over(s, &word, SM_REMAINING_ALL));
        assert_false(sm_slot_respond(s, &other, 1, &d));
        assert_int_equal(other, word);
        assert_int_equal(sm_slot_remaining(word), SM_REMAINING_ALL);
        assert_true(sm_downstream_end(down, 1, word, SM_DOWNSTREAM_RELAY));
        assert_false(sm_downstream_begin(down, 1, word));
        assert_true(sm_slot_put_back(&pool.t, 1, s, &word));
        assert_true(sm_downstream_move(down, SM_DOWNSTREAM_RELAY, SM_DOWNSTREAM_IDLE));

        /* the next turn on the same slot is not mistaken for this one */
        take_request(1, 2, &word);
        assert_false(sm_downstream_end(down, 1, other, SM_DOWNSTREAM_IDLE));
        assert_true(sm_slot_respond(s, &word, 7, &d));
        assert_true(sm_slot_hand_over(s, &word, sm_slot_remaining(word)));
        assert_int_equal(sm_slot_remaining(word), 7);
        assert_false(sm_slot_proceed(s, &word, 7, &d));
}

static void test_may_take(void **state) {
        static const struct sm_stream in_step = {
                .received = 300, .sent = 200, .rcv_nxt = 9, .copied_seq = 9, .established = 1,
        };
        struct sm_downstream d = { .state = SM_DOWNSTREAM_IDLE, .written = 300, .answered = 200 };
        struct sm_stream s = in_step;

        assert_true(sm_downstream_may_take(&d, &s));
        s.received--; /* a response of the relay is on its way */
        assert_false(sm_downstream_may_take(&d, &s));
        s = in_step;
        s.sent++; /* a request is on its way to the relay, or a part of one */
        assert_false(sm_downstream_may_take(&d, &s));
        s = in_step;
        s.copied_seq--; /* the application has not read all */
        assert_false(sm_downstream_may_take(&d, &s));
        s = in_step;
        s.established = 0;
        assert_false(sm_downstream_may_take(&d, &s));
        for (enum sm_downstream_state other = 0; other <= SM_DOWNSTREAM_RELAY; other++) {
                d.state = other;
                assert_int_equal(sm_downstream_may_take(&d, &in_step), other == SM_DOWNSTREAM_IDLE);
        }
}

static void test_downstream_belongs_to_two(void **state) {
        struct sm_downstream *d = &pool.downstreams[1];
        __u64 word = 0, again;

        assert_int_equal(sm_downstream_new(&pool.t, &pool.unused, &word), 0);
        assert_true(sm_stack_push(&pool.t, &pool.unused, SM_STACK_DOWNSTREAMS, 1));
        d->written = d->answered = 3;
        d->state = SM_DOWNSTREAM_RELAY;
        assert_int_equal(sm_downstream_new(&pool.t, &pool.unused, &word), 1);
        assert_int_equal(d->state, SM_DOWNSTREAM_CLOSED);
        assert_int_equal(d->written + d->answered, 0);
        again = word;
        assert_true(sm_downstream_adopt(d, &word));
        assert_false(sm_downstream_adopt(d, &word));
        sm_downstream_release(&pool.t, &pool.unused, 1, d, SM_OWNER_SOCKET);
        assert_int_equal((__u32) pool.unused.head, 0);
        sm_downstream_release(&pool.t, &pool.unused, 1, d, SM_OWNER_RELAY);
        assert_int_equal((__u32) pool.unused.head, 1);

        /* a connection that has closed before it was accepted, and one that has got its index */
        assert_false(sm_downstream_adopt(d, &again));
        assert_int_equal(sm_downstream_new(&pool.t, &pool.unused, &word), 1);
        again &= ~0xffffffffULL;
        again |= SM_OWNER_SOCKET;
        assert_int_not_equal(word, again);
        assert_false(sm_downstream_adopt(d, &again));
}

static void test_new_relay(void **state) {
        struct sm_downstream *d = &pool.downstreams[2];
        __u64 in_flight, popped = 0, word;

        bind(1);
        bind(2);
        d->state = SM_DOWNSTREAM_IDLE;
        d->node.word = 7ULL << 32 | SM_OWNER_SOCKET | SM_OWNER_RELAY;
        take_request(2, 2, &in_flight);
        assert_int_equal(pop(&popped), 1); /* by somebody who then pauses */
        for (__u32 i = 1; i <= SLOTS; i++) {
                sm_slot_reset(&pool.slots[i]);
                sm_downstream_reset(&pool.t, &pool.unused, i, &pool.downstreams[i]);
        }
        (void) sm_stack_take_all(&pool.idle[1]);
        bind(1);
        bind(2);

        assert_false(sm_slot_take(&pool.slots[1], &popped, SM_SLOT_TAKEN, 1));
        assert_int_equal(sm_slot_state(word_of(1)), SM_SLOT_FREE);
        assert_false(sm_slot_hand_over(&pool.slots[2], &in_flight, SM_REMAINING_ALL));
        assert_int_equal(d->state, SM_DOWNSTREAM_CLOSED);
        assert_int_equal(sm_downstream_owners(d->node.word), SM_OWNER_SOCKET);
        assert_int_equal((__u32) pool.unused.head, 0);
        sm_downstream_release(&pool.t, &pool.unused, 2, d, SM_OWNER_SOCKET);
        assert_int_equal((__u32) pool.unused.head, 2);
        assert_int_equal(pop(&word), 2);
        assert_int_equal(pop(&word), 1);
        assert_int_equal(pop(&word), 0);
}

static void test_downstream_of_nobody(void **state) {
        struct sm_downstream *d = &pool.downstreams[1];
        __u64 word = 7ULL << 32 | SM_OWNER_SOCKET;

        d->node.word = word;
        assert_false(sm_downstream_recover(&pool.t, &pool.unused, 1, d, &word));
        word = d->node.word = 7ULL << 32 | SM_OWNER_NOBODY;
        assert_true(sm_downstream_recover(&pool.t, &pool.unused, 1, d, &word));
        assert_int_equal((__u32) pool.unused.head, 1);
        assert_int_equal(d->node.word, 7ULL << 32);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup(test_stack_is_last_in_first_out, setup),
                cmocka_unit_test_setup(test_stack_outlives_its_tag, setup),
                cmocka_unit_test_setup(test_stack_of_nonsense, setup),
                cmocka_unit_test_setup(test_every_transition_from_every_state, setup),
                cmocka_unit_test_setup(test_turns_and_connections, setup),
                cmocka_unit_test_setup(test_dead_are_left_to_the_relay, setup),
                cmocka_unit_test_setup(test_no_stack_to_return_to, setup),
                cmocka_unit_test_setup(test_response_in_parts, setup),
                cmocka_unit_test_setup(test_hand_over_settles_it, setup),
                cmocka_unit_test_setup(test_may_take, setup),
                cmocka_unit_test_setup(test_downstream_belongs_to_two, setup),
                cmocka_unit_test_setup(test_new_relay, setup),
                cmocka_unit_test_setup(test_downstream_of_nobody, setup),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
