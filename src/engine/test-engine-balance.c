/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "engine-route.h"
#include "test-engine-policy.h"
#include "test-engine.h"

#define NOW 1000

static const __u32 three[] = { 1, 2, 3 };

/* A policy with one route to one subset. */
static void start(TestTables *t, enum sm_balance balance, const __u32 *slots, __u32 n, const __u32 *list,
                  __u32 n_list) {
        static const __u32 first[] = { 0 };
        struct sm_route *route;
        __u32 cell;

        test_tables_start(t);
        cell = test_take(t, 1);
        test_subset(t, cell, balance, slots, n, list, n_list);
        test_policy(t)->subsets = cell;
        test_policy(t)->n_subsets = 1;

        cell = test_take(t, 1);
        test_policy(t)->routes = cell;
        test_policy(t)->n_routes = 1;
        route = test_cell(t, cell);
        route->split.slots = test_ids(t, first, 1);
        route->split.n = 1;
}

static enum sm_reason pick(TestTables *t, __u32 random, const __u32 *excluded, __u32 n,
                           struct sm_choice *ret) {
        struct sm_request q = { .random = random };
        enum sm_reason reason;

        reason = sm_pick_for_connection(&t->view, TEST_BASE, &q, NOW, ret);
        if (n == 0)
                return reason;
        return sm_choose_endpoint(&t->view, ret, &q, NOW, excluded, n);
}

static __u32 picked(TestTables *t, __u32 random) {
        struct sm_choice c;

        assert_int_equal(pick(t, random, NULL, 0, &c), SM_REASON_NONE);
        return c.endpoint;
}

static void test_round_robin(void **state) {
        static const __u32 slots[] = { 1, 1, 2, 1, 3 };
        TestTables t;

        start(&t, SM_BALANCE_ROUND_ROBIN, slots, COUNT(slots), three, 3);
        for (int i = 0; i < 100; i++)
                assert_int_equal(picked(&t, (__u32) i * 7), slots[i % 5]);
        assert_int_equal(t.subset_states[1].cursor, 100);

        /* 2^32 is no multiple of the schedule's length: one irregular step in four thousand million. */
        t.subset_states[1].cursor = UINT32_MAX;
        assert_int_equal(picked(&t, 0), slots[UINT32_MAX % 5]);
        assert_int_equal(picked(&t, 0), slots[0]);
}

static void test_avoided(void **state) {
        unsigned count[4] = { 0 };
        struct sm_choice c;
        TestTables t;

        start(&t, SM_BALANCE_ROUND_ROBIN, three, 3, three, 3);
        t.endpoint_states[2].avoid_until = NOW + 1;
        t.endpoint_states[3].avoid_until = NOW; /* over */
        for (int i = 0; i < 30; i++) {
                assert_int_equal(pick(&t, 0, NULL, 0, &c), SM_REASON_NONE);
                assert_false(c.panic);
                count[c.endpoint]++;
        }
        /* What would have gone to 2 is shared by the others. */
        assert_int_equal(count[1], 15);
        assert_int_equal(count[2], 0);
        assert_int_equal(count[3], 15);
}

static void test_panic(void **state) {
        for (int b = 0; b < _SM_BALANCE_MAX; b++) {
                unsigned count[4] = { 0 };
                struct sm_choice c;
                TestTables t;

                start(&t, (enum sm_balance) b, three, 3, three, 3);
                for (int i = 1; i <= 3; i++)
                        t.endpoint_states[i].avoid_until = UINT64_MAX;
                for (__u32 i = 0; i < 300; i++) {
                        assert_int_equal(pick(&t, i, NULL, 0, &c), SM_REASON_NONE);
                        assert_true(c.panic);
                        assert_int_equal(c.passed_over, SM_PICK_TRIES);
                        count[c.endpoint]++;
                }
                /* Still balanced: none of them takes it all. */
                for (int i = 1; i <= 3; i++)
                        assert_in_range(count[i], 60, 140);
        }
}

static void test_excluded(void **state) {
        static const __u32 tried[] = { 1, 3, 2 };
        struct sm_choice c;
        TestTables t;

        start(&t, SM_BALANCE_ROUND_ROBIN, three, 3, three, 3);
        for (int i = 0; i < 10; i++) {
                assert_int_equal(pick(&t, 0, tried, 2, &c), SM_REASON_NONE);
                assert_int_equal(c.endpoint, 2);
        }
        /* One that is avoided is still better than one that was tried. */
        t.endpoint_states[2].avoid_until = NOW + 1;
        assert_int_equal(pick(&t, 0, tried, 2, &c), SM_REASON_NONE);
        assert_int_equal(c.endpoint, 2);
        assert_true(c.panic);
        assert_int_equal(pick(&t, 0, tried, 3, &c), SM_REASON_NO_ENDPOINT);
}

/* A good endpoint of little weight behind more bad slots than are tried. */
static void test_light_one_is_found(void **state) {
        __u32 slots[200];
        TestTables t;

        for (size_t i = 0; i < COUNT(slots); i++)
                slots[i] = i == 150 ? 2 : 1;
        for (int b = 0; b < _SM_BALANCE_MAX; b++) {
                start(&t, (enum sm_balance) b, slots, COUNT(slots), three, 3);
                t.endpoint_states[1].avoid_until = NOW + 1;
                t.endpoint_states[3].avoid_until = NOW + 1;
                for (__u32 i = 0; i < 50; i++)
                        assert_int_equal(picked(&t, i), 2);
        }
}

/* Listed but without a slot: drained. It is not picked, not even when all others are avoided. */
static void test_drained(void **state) {
        static const __u32 slots[] = { 1, 2 };
        struct sm_choice c;
        TestTables t;

        start(&t, SM_BALANCE_RANDOM, slots, 2, three, 3);
        t.endpoint_states[1].avoid_until = t.endpoint_states[2].avoid_until = NOW + 1;
        for (__u32 i = 0; i < 50; i++) {
                assert_int_equal(pick(&t, i, NULL, 0, &c), SM_REASON_NONE);
                assert_int_not_equal(c.endpoint, 3);
                assert_true(c.panic);
        }
}

static void test_random(void **state) {
        static const __u32 slots[] = { 1, 2, 2, 3 };
        unsigned count[4] = { 0 };
        TestTables t;

        start(&t, SM_BALANCE_RANDOM, slots, 4, three, 3);
        for (__u32 i = 0; i < 4000; i++)
                count[picked(&t, i)]++;
        assert_in_range(count[1], 900, 1100);
        assert_in_range(count[2], 1850, 2150);
        assert_in_range(count[3], 900, 1100);
}

static void test_least_request(void **state) {
        static const __u32 slots[] = { 1, 2 };
        TestTables t;

        start(&t, SM_BALANCE_LEAST_REQUEST, slots, 2, slots, 2);
        t.endpoint_states[1].in_flight = 5;
        t.endpoint_states[2].in_flight = 4;
        for (__u32 i = 0; i < 50; i++)
                assert_int_equal(picked(&t, i), 2);

        /* By weight: 5 in flight of weight 3 is less than 4 of weight 1. */
        t.endpoints[1].weight = 3;
        t.endpoints[2].weight = 1;
        for (__u32 i = 0; i < 50; i++)
                assert_int_equal(picked(&t, i), 1);

        /* Avoided wins over idle. */
        t.endpoint_states[1].avoid_until = NOW + 1;
        for (__u32 i = 0; i < 50; i++)
                assert_int_equal(picked(&t, i), 2);
}

/* Requests that never finish end up in flight evenly. */
static void test_least_request_levels(void **state) {
        static const __u32 slots[] = { 1, 2, 3, 4, 5 };
        TestTables t;

        start(&t, SM_BALANCE_LEAST_REQUEST, slots, 5, slots, 5);
        for (__u32 i = 0; i < 1000; i++)
                t.endpoint_states[picked(&t, i)].in_flight++;
        for (int i = 1; i <= 5; i++)
                assert_in_range(t.endpoint_states[i].in_flight, 197, 203);
}

static void test_consistent_hash(void **state) {
        static const __u32 slots[] = { 3, 1, 2, 2, 1, 3, 1 };
        static const __u8 source[16] = { [10] = 0xff, [11] = 0xff, [12] = 127, [15] = 1 };
        unsigned count[4] = { 0 }, moved = 0;
        struct sm_choice c;
        TestTables t;

        start(&t, SM_BALANCE_CONSISTENT_HASH, slots, COUNT(slots), three, 3);
        for (__u32 i = 0; i < 1000; i++) {
                struct sm_request q = { .source = source, .cgroup = i };
                __u32 first;

                assert_int_equal(sm_pick_for_connection(&t.view, TEST_BASE, &q, NOW, &c), SM_REASON_NONE);
                first = c.endpoint;
                count[first]++;
                q.random = i * 77; /* of no consequence */
                assert_int_equal(sm_pick_for_connection(&t.view, TEST_BASE, &q, NOW, &c), SM_REASON_NONE);
                assert_int_equal(c.endpoint, first);

                /* Only keys of an endpoint that is avoided move, and each always to the same place. */
                t.endpoint_states[2].avoid_until = NOW + 1;
                assert_int_equal(sm_pick_for_connection(&t.view, TEST_BASE, &q, NOW, &c), SM_REASON_NONE);
                t.endpoint_states[2].avoid_until = 0;
                assert_int_not_equal(c.endpoint, 2);
                assert_true(first == 2 || c.endpoint == first);
                moved += c.endpoint != first;
        }
        assert_int_equal(moved, count[2]);
        assert_in_range(count[1], 380, 480); /* 3 of 7 */
        assert_in_range(count[2], 240, 330); /* 2 of 7 */
}

/* The very values: keys must not move because the code was touched. */
static void test_hash_is_stable(void **state) {
        __u64 h = sm_hash_start(3);

        h = sm_hash_add(sm_hash_add(sm_hash_add(h, 'a'), 'b'), 'c');
        assert_int_equal(sm_hash_finish(h), 0x532f1c717a29ccb7ULL);
        assert_int_equal(sm_hash_finish(0), 0);
}

static void test_nothing_to_choose_from(void **state) {
        struct sm_choice c;
        TestTables t;

        start(&t, SM_BALANCE_ROUND_ROBIN, three, 0, three, 3);
        assert_int_equal(pick(&t, 0, NULL, 0, &c), SM_REASON_NO_ENDPOINT);
        assert_int_equal(c.endpoint, 0);

        /* Slots that lead outside the tables, or nowhere. */
        start(&t, SM_BALANCE_ROUND_ROBIN, (const __u32[]){ 0, TEST_IDS, UINT32_MAX }, 3, three, 3);
        assert_int_equal(pick(&t, 0, NULL, 0, &c), SM_REASON_NO_ENDPOINT);
        ((struct sm_subset *) test_cell(&t, test_policy(&t)->subsets))->schedule.slots = UINT32_MAX - 5;
        assert_int_equal(pick(&t, 0, NULL, 0, &c), SM_REASON_NO_ENDPOINT);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_round_robin),
                cmocka_unit_test(test_avoided),
                cmocka_unit_test(test_panic),
                cmocka_unit_test(test_excluded),
                cmocka_unit_test(test_light_one_is_found),
                cmocka_unit_test(test_drained),
                cmocka_unit_test(test_random),
                cmocka_unit_test(test_least_request),
                cmocka_unit_test(test_least_request_levels),
                cmocka_unit_test(test_consistent_hash),
                cmocka_unit_test(test_hash_is_stable),
                cmocka_unit_test(test_nothing_to_choose_from),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
