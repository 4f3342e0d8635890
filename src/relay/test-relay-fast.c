/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../engine/engine-downstream.h"
#include "relay-downstream.h"
#include "relay-worker.h"

#define DOWNSTREAMS 4
#define INDEX 2
#define SLOT 5

/* A worker with one connection, and the memory that it shares with the programs. */
typedef struct Bench {
        Worker worker;
        SharedTables tables;
        struct sm_fast_control control;
        struct sm_stack unused;
        struct sm_downstream downstreams[DOWNSTREAMS];
        struct sm_caller caller;
        Downstream d;
} Bench;

static struct sm_downstream *shared_of(Bench *b) {
        return &b->downstreams[INDEX];
}

static enum sm_downstream_state state_of(Bench *b) {
        return sm_downstream_state(shared_of(b)->state);
}

/* As sock_ops leaves it. */
static void connect_caller(Bench *b) {
        __u64 *word = &b->caller.downstream_word;

        b->caller.socket.downstream = sm_downstream_new(&b->tables.tables, &b->unused, word);
        assert_int_equal(b->caller.socket.downstream, INDEX);
}

static Bench *bench_new(void) {
        Bench *b = calloc(1, sizeof(*b));

        assert_non_null(b);
        b->tables = (SharedTables){
                .tables = { .downstreams = b->downstreams, .n_downstreams = DOWNSTREAMS },
                .control = &b->control,
                .free_downstreams = &b->unused,
                .workers = 2,
                .memory = 1,
                .relay_contexts = -EBADF,
                .accepted_sockets = -EBADF,
                .users = 1,
        };
        b->worker.tables = &b->tables;
        b->worker.index = 1;
        for (size_t i = 0; i < FAST_BUCKETS; i++)
                list_init(&b->worker.fast[i]);
        b->d = (Downstream){ .worker = &b->worker, .socket = { .fd = -EBADF } };
        assert_true(sm_stack_push(&b->tables.tables, &b->unused, SM_STACK_DOWNSTREAMS, INDEX));
        connect_caller(b);
        return b;
}

static Bench *bench_adopted(void) {
        Bench *b = bench_new();

        fast_adopt(&b->d, &b->caller);
        assert_int_equal(state_of(b), SM_DOWNSTREAM_IDLE);
        return b;
}

static __u64 slot_word(__u32 turn) {
        return sm_slot_word(turn, 0, SM_SLOT_TAKEN);
}

static void test_adopt(void **state) {
        Bench *b = bench_adopted();
        SharedTables others = b->tables;

        assert_int_equal(shared_of(b)->worker, 1);
        assert_int_equal(sm_downstream_owners(shared_of(b)->node.word), SM_OWNER_SOCKET | SM_OWNER_RELAY);
        assert_int_equal(b->tables.users, 2);
        assert_ptr_equal(fast_find(&b->worker, &b->tables, INDEX), &b->d);
        assert_null(fast_find(&b->worker, &b->tables, INDEX + FAST_BUCKETS));
        others.memory = 2;
        assert_null(fast_find(&b->worker, &others, INDEX));

        sm_downstream_release(&b->tables.tables, &b->unused, INDEX, shared_of(b), SM_OWNER_SOCKET);
        assert_int_equal((__u32) b->unused.head, 0);
        assert_true(fast_close(&b->d.fast));
        fast_release(&b->d.fast);
        assert_int_equal((__u32) b->unused.head, INDEX);
        assert_int_equal(b->tables.users, 1);
        assert_null(fast_find(&b->worker, &b->tables, INDEX));
        fast_release(&b->d.fast); /* once more is nothing */
        assert_int_equal(b->tables.users, 1);
        free(b);
}

/* The connection is the relay's alone, and nothing about it is anybody's business. */
static void expect_none(Bench *b, enum sm_slow slow) {
        struct sm_choice choice;

        fast_adopt(&b->d, &b->caller);
        assert_int_equal(state_of(b), SM_DOWNSTREAM_CLOSED);
        assert_int_equal(b->tables.users, 1);
        assert_int_equal(fast_reason(&b->d.fast), slow);
        assert_int_equal(fast_kernel(&b->d.fast), 0);
        assert_int_equal(fast_used(&b->d.fast), 0);
        assert_false(fast_choice(&b->d.fast, &b->tables.tables, 0, 1, &choice));
        assert_false(fast_take_over(&b->d.fast, SLOT, slot_word(1)));
        fast_begin_answer(&b->d, 1);
        fast_publish(&b->d);
        fast_open(&b->d.fast);
        assert_true(fast_close(&b->d.fast));
        fast_release(&b->d.fast);
        assert_int_equal(state_of(b), SM_DOWNSTREAM_CLOSED);
        free(b);
}

static void test_none(void **state) {
        Bench *b = bench_new();

        b->caller.socket.downstream = 0;
        b->caller.socket.slow = SM_SLOW_BLOCKING;
        expect_none(b, SM_SLOW_BLOCKING);

        b = bench_new(); /* D has closed, and its index has another generation */
        sm_downstream_release(&b->tables.tables, &b->unused, INDEX, shared_of(b), SM_OWNER_SOCKET);
        expect_none(b, SM_SLOW_CALLER_GONE);

        b = bench_new();
        b->d.refused = true;
        expect_none(b, SM_SLOW_FULL);

        b = bench_new();
        b->worker.index = b->tables.workers;
        expect_none(b, SM_SLOW_NOT_IN_STEP);

        b = bench_new();
        b->caller.socket.downstream = DOWNSTREAMS;
        b->caller.socket.slow = _SM_SLOW_MAX;
        expect_none(b, SM_SLOW_NOT_IN_STEP);
}

static void test_close(void **state) {
        Bench *b = bench_adopted();
        Fast *f = &b->d.fast;

        assert_true(fast_close(f));
        assert_true(fast_close(f));
        assert_int_equal(state_of(b), SM_DOWNSTREAM_CLOSED);
        assert_false(sm_downstream_begin(shared_of(b), SLOT, slot_word(1)));
        fast_open(f);
        assert_true(sm_downstream_begin(shared_of(b), SLOT, slot_word(1)));
        assert_int_equal(fast_kernel(f), sm_downstream_kernel(SLOT, slot_word(1)));
        assert_false(fast_close(f));
        fast_open(f);
        assert_int_equal(state_of(b), SM_DOWNSTREAM_KERNEL);

        assert_false(fast_take_over(f, SLOT + 1, slot_word(1)));
        assert_false(fast_take_over(f, SLOT, slot_word(2)));
        assert_true(fast_take_over(f, SLOT, slot_word(1)));
        assert_int_equal(fast_kernel(f), 0);
        assert_int_equal(state_of(b), SM_DOWNSTREAM_RELAY);
        assert_true(fast_close(f));
        assert_int_equal(state_of(b), SM_DOWNSTREAM_CLOSED);
        fast_release(f);
        free(b);
}

static void take_over(Bench *b, __u32 turn) {
        assert_true(sm_downstream_begin(shared_of(b), SLOT, slot_word(turn)));
        assert_true(fast_take_over(&b->d.fast, SLOT, slot_word(turn)));
}

static void test_publish(void **state) {
        Bench *b = bench_adopted();
        struct sm_downstream *s = shared_of(b);
        _Alignas(Buffer) uint8_t memory[sizeof(Buffer) + 100] = {};
        Buffer *in = (Buffer *) memory;

        in->capacity = 100;
        assert_int_equal(buffer_append(in, "next", 4), 0);
        b->d.socket.received = 104;
        b->d.socket.sent = 50;
        b->d.in = in;
        fast_publish(&b->d);
        assert_int_equal(s->answered, 100);
        assert_int_equal(s->written, 50);
        assert_int_equal(state_of(b), SM_DOWNSTREAM_IDLE);

        /* The kernel's request never came from A; of its answer a part did not go by TCP. */
        take_over(b, 1);
        fast_begin_answer(&b->d, 30);
        assert_int_equal(s->inject_until, 30);
        s->injected += 20;
        b->d.socket.sent += 30;
        assert_int_equal(s->written, 50);
        fast_publish(&b->d);
        assert_int_equal(s->answered, 100);
        assert_int_equal(s->written, 60);
        assert_int_equal(s->inject_until, 0);
        assert_int_equal(state_of(b), SM_DOWNSTREAM_IDLE);
        fast_release(&b->d.fast);
        free(b);
}

static void test_promise(void **state) {
        Bench *b = bench_adopted();
        struct sm_downstream *s = shared_of(b);

        b->d.socket.received = 40;
        b->d.socket.sent = 10;
        fast_promise(&b->d, 90);
        assert_int_equal(s->written, 100);
        assert_int_equal(s->answered, 40);
        b->d.socket.sent += 90;
        fast_publish(&b->d);
        assert_int_equal(s->written, 100);
        assert_int_equal(s->answered, 40);

        /* What was taken over did not come by A, and is told by the state. */
        take_over(b, 1);
        fast_promise(&b->d, 5);
        assert_int_equal(s->written, 100);
        fast_release(&b->d.fast);
        free(b);
}

static void test_inject(void **state) {
        Bench *b = bench_adopted();
        struct sm_downstream *s = shared_of(b);

        fast_begin_answer(&b->d, 1); /* of a request that came by A */
        assert_int_equal(s->inject_until, 0);
        take_over(b, 1);
        fast_begin_answer(&b->d, SM_FAST_MAX + 1);
        assert_int_equal(s->inject_until, 0);
        b->d.socket.sent++; /* something of it has gone already */
        fast_begin_answer(&b->d, 1);
        assert_int_equal(s->inject_until, 0);
        fast_publish(&b->d);
        take_over(b, 2);
        s->injected += 7;
        b->d.socket.sent += 7;
        fast_begin_answer(&b->d, SM_FAST_MAX);
        assert_int_equal(s->inject_until, 7 + SM_FAST_MAX);
        assert_true(fast_close(&b->d.fast));
        fast_release(&b->d.fast);

        /* The next one with this index does not inherit it. */
        sm_downstream_release(&b->tables.tables, &b->unused, INDEX, s, SM_OWNER_SOCKET);
        connect_caller(b);
        b->d.socket.sent = 0;
        fast_adopt(&b->d, &b->caller);
        assert_int_equal(s->inject_until, 0);
        fast_release(&b->d.fast);
        free(b);
}

static void test_choice(void **state) {
        Bench *b = bench_adopted();
        struct sm_cell cells[4] = {};
        struct sm_endpoint endpoints[8] = {};
        struct sm_policy *policy = (struct sm_policy *) cells[1].bytes;
        struct sm_tables *t = &b->tables.tables;
        struct sm_downstream *s = shared_of(b);
        struct sm_choice c;

        t->cells = cells;
        t->n_cells = 4;
        t->endpoints = endpoints;
        t->n_endpoints = 8;
        policy->n_routes = policy->n_subsets = 1;
        policy->routes = 1;
        policy->subsets = 2;
        ((struct sm_route *) cells[2].bytes)->split.n = 1;
        assert_false(fast_choice(&b->d.fast, t, SM_NOTHING_CHOSEN - 1, 1, &c));
        s->chosen_root = 1;
        s->chosen_endpoint = 7;
        s->chosen_effects = SM_EFFECT_MIRROR;
        s->chosen_at = 100;
        assert_false(fast_choice(&b->d.fast, t, 99, 1, &c));
        assert_false(fast_choice(&b->d.fast, t, 100, 2, &c));
        assert_true(fast_choice(&b->d.fast, t, 100, 1, &c));
        assert_int_equal(c.endpoint, 7);
        assert_int_equal(c.effects, SM_EFFECT_MIRROR);
        assert_ptr_equal(c.policy, policy);
        policy->revision = 2; /* another policy at the same place */
        assert_false(fast_choice(&b->d.fast, t, 100, 1, &c));
        s->chosen_revision = 2;
        assert_true(fast_choice(&b->d.fast, t, 100, 1, &c));
        s->chosen_route = 1;
        assert_false(fast_choice(&b->d.fast, t, 100, 1, &c));
        fast_release(&b->d.fast);
        free(b);
}

static void test_reason(void **state) {
        Bench *b = bench_adopted();

        assert_int_equal(fast_reason(&b->d.fast), SM_SLOW_NOT_IN_STEP);
        shared_of(b)->slow = SM_SLOW_SPLIT;
        assert_int_equal(fast_reason(&b->d.fast), SM_SLOW_SPLIT);
        shared_of(b)->slow = _SM_SLOW_MAX;
        assert_int_equal(fast_reason(&b->d.fast), SM_SLOW_NOT_IN_STEP);
        fast_release(&b->d.fast);
        free(b);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_adopt), cmocka_unit_test(test_none), cmocka_unit_test(test_close),
                cmocka_unit_test(test_publish), cmocka_unit_test(test_promise),
                cmocka_unit_test(test_inject), cmocka_unit_test(test_choice), cmocka_unit_test(test_reason),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
