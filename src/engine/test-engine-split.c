/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <math.h>

#include "engine-choice.h"
#include "test-engine-request.h"

/* Which subset of a split a request goes to, and what else happens to it. */

#define SUBSETS 4
#define KEYS 200000U

static const __u64 seeds[SUBSETS] = { 0x1234, 0x9e3779b97f4a7c15, 0xdeadbeef, 42 };

/* A route to those subsets, by slots or by shares of those weights. */
static struct sm_route *split_start(TestTables *t, enum sm_split_by by, const __u32 *weights, __u32 n) {
        struct sm_policy *policy = test_policy(t);
        struct sm_route *route;
        __u32 slots[64], used = 0;

        test_tables_start(t);
        policy->n_subsets = SUBSETS;
        policy->subsets = test_take(t, SUBSETS);
        policy->n_routes = 1;
        policy->routes = test_take(t, 1);
        route = test_cell(t, policy->routes);
        route->state = 1;
        route->split_by = (__u8) by;
        if (by == SM_SPLIT_BY_KEY) {
                struct sm_share *shares;

                route->split = (struct sm_schedule) { test_take(t, 1), n };
                shares = test_cell(t, route->split.slots);
                for (__u32 i = 0; i < n; i++)
                        shares[i] = (struct sm_share) { seeds[i], i, weights[i] };
        } else {
                for (__u32 i = 0; i < n; i++)
                        for (__u32 k = 0; k < weights[i]; k++)
                                slots[used++] = i;
                test_set_schedule(t, &route->split, slots, used);
        }
        return route;
}

static __u32 subset_of(TestTables *t, TestRequest *r) {
        struct sm_choice c;

        assert_int_equal(sm_choose_route(&t->view, TEST_BASE, &r->q, &c), SM_REASON_NONE);
        assert_int_equal(sm_choose_subset(&t->view, &c, &r->q), SM_REASON_NONE);
        return c.subset_index;
}

/* Exact over any window of as many requests as there are slots. */
static void test_in_turn(void **state) {
        static const __u32 weights[] = { 9, 0, 1, 3 };
        __u32 chosen[13 * 5];
        TestTables t;
        TestRequest r;

        split_start(&t, SM_SPLIT_IN_TURN, weights, SUBSETS);
        t.route_states[1].cursor = 13 * 1000 + 7;
        request_start(&r, "/", "Host: x\r\n");
        for (size_t i = 0; i < COUNT(chosen); i++)
                chosen[i] = subset_of(&t, &r);
        for (size_t first = 0; first + 13 <= COUNT(chosen); first++) {
                __u32 n[SUBSETS] = {};

                for (size_t i = 0; i < 13; i++)
                        n[chosen[first + i]]++;
                assert_memory_equal(n, weights, sizeof(n));
        }
        request_done(&r);
}

/* Counts of so many requests, each with a key of its own, or none. */
static void count_subsets(TestTables *t, __u32 n, __u32 *ret) {
        struct sm_request q = {};
        struct sm_choice c;

        memset(ret, 0, SUBSETS * sizeof(*ret));
        for (__u32 i = 0; i < n; i++) {
                q.random = i;
                assert_int_equal(sm_choose_route_for_connection(&t->view, TEST_BASE, &q, &c),
                                 SM_REASON_NONE);
                assert_int_equal(sm_choose_subset(&t->view, &c, &q), SM_REASON_NONE);
                ret[c.subset_index]++;
        }
}

/* Within four standard deviations of what the weights say. */
static void check_shares(const __u32 *counts, const __u32 *weights, __u32 n, __u32 requests) {
        double sum = 0;

        for (__u32 i = 0; i < n; i++)
                sum += weights[i];
        for (__u32 i = 0; i < n; i++) {
                double p = weights[i] / sum, off = fabs(counts[i] - p * requests);

                if (off > 4 * sqrt(requests * p * (1 - p)))
                        print_error("%u: %u of %u\n", i, counts[i], requests);
                assert_true(off <= 4 * sqrt(requests * p * (1 - p)));
        }
}

static void test_at_random(void **state) {
        static const __u32 weights[] = { 30, 0, 1, 9 };
        __u32 counts[SUBSETS];
        TestTables t;

        split_start(&t, SM_SPLIT_AT_RANDOM, weights, SUBSETS);
        count_subsets(&t, KEYS, counts);
        check_shares(counts, weights, SUBSETS, KEYS);
        assert_int_equal(counts[1], 0);
        assert_int_equal(t.route_states[1].cursor, 0);
}

static void test_by_key(void **state) {
        static const __u32 weights[][SUBSETS] = {
                { 1, 1, 1, 1 }, { 90, 10, 0, 0 }, { 0, 0, 0, 7 }, { 1000, 1, 1, 500 }, { 1, 999, 0, 0 },
        };
        __u32 counts[SUBSETS];
        TestTables t;

        for (size_t i = 0; i < COUNT(weights); i++) {
                split_start(&t, SM_SPLIT_BY_KEY, weights[i], SUBSETS);
                count_subsets(&t, KEYS, counts);
                check_shares(counts, weights[i], SUBSETS, KEYS);
        }
}

/* The share of u in [0, 1) that one of two wins, from the scores of every u on a grid: no chance is left. */
static void test_score(void **state) {
        double worst = 0;

        for (__u32 i = 1; i < 1000000; i++) {
                __u64 hash = ((__u64) i * 4294967 | 1) << 32, key = hash;
                double exact, score;

                /* The inverse of the finaliser, so that the score is of this very number. */
                key ^= key >> 33;
                key *= 0x9cb4b2f8129337dbULL;
                key ^= key >> 33;
                key *= 0x4f74430c22a54005ULL;
                key ^= key >> 33;
                assert_int_equal(sm_hash_finish(key), hash);
                score = (double) sm_share_score(key, 0) / (1 << SM_SCORE_BITS);
                exact = -log2((double) (hash >> 32) / 4294967296.0);
                worst = fmax(worst, fabs(score - exact));
        }
        assert_true(worst < 1.3e-7); /* two units */
}

static __u32 winner(const __u32 *weights, __u64 key) {
        __u64 best = 1, score;
        __u32 weight = 0, subset = 0;

        for (__u32 i = 0; i < SUBSETS; i++) {
                score = sm_share_score(key, seeds[i]);
                if (score * weight < best * weights[i]) {
                        best = score;
                        weight = weights[i];
                        subset = i;
                }
        }
        return subset;
}

/* When weights change, keys move only to subsets with more than before, and as few as there must. */
static void test_reassignment(void **state) {
        static const __u32 before[] = { 90, 10, 0, 0 }, after[] = { 80, 20, 0, 0 };
        static const __u32 more[] = { 90, 10, 0, 25 }, less[] = { 90, 0, 0, 0 };
        unsigned moved = 0;

        for (__u32 i = 0; i < KEYS; i++) {
                __u64 key = sm_hash_finish(i);
                __u32 first = winner(before, key), second = winner(after, key);

                if (first != second) {
                        assert_int_equal(second, 1);
                        moved++;
                }
                second = winner(more, key);
                assert_true(second == first || second == 3);
                second = winner(less, key);
                assert_int_equal(second, 0);
        }
        assert_in_range(moved, KEYS * 98 / 1000, KEYS * 102 / 1000);
}

/* Computed in Python, from what engine-split.h says. */
static void test_vectors(void **state) {
        assert_int_equal(sm_share_score(0, 0), 32ULL << SM_SCORE_BITS);
        assert_int_equal(sm_share_score(1, 0), sm_share_score(0, 1));
        assert_int_equal(sm_share_score(1, 0), 8479773);
        assert_int_equal(sm_share_score(0x0123456789abcdef, 0xfedcba9876543210), 22581369);
}

/* The same caller, the same subset; without the key it is drawn. */
static void test_sticky(void **state) {
        static const __u32 weights[] = { 1, 1, 1, 1 };
        static const char *const fields[] = {
                "Host: x\r\nX-User: carol\r\n",
                "Host: x\r\nCookie: a=b\r\nCookie: uid=carol\r\n",
                "Host: x\r\n",
        };
        static const char *const names[] = { "x-user", "uid", "" };
        static const __u8 sources[] = { SM_HASH_HEADER, SM_HASH_COOKIE, SM_HASH_SOURCE_ADDRESS };

        for (size_t i = 0; i < COUNT(fields); i++)
                for (int lacks = 0; lacks < 2; lacks++) {
                        struct sm_route *route;
                        unsigned seen = 0;
                        TestTables t;
                        TestRequest r;

                        route = split_start(&t, SM_SPLIT_BY_KEY, weights, SUBSETS);
                        route->split_hash = sources[i];
                        route->split_hash_name = test_text(&t, names[i]);
                        request_start(&r, "/", lacks ? "Host: x\r\nX: y\r\n" : fields[i]);
                        r.q.source = lacks ? NULL : test_source;
                        for (__u32 k = 0; k < 100; k++) {
                                r.q.random = k;
                                seen |= 1U << subset_of(&t, &r);
                        }
                        assert_int_equal(__builtin_popcount(seen), lacks ? SUBSETS : 1);
                        request_done(&r);
                }
}

static void test_effects(void **state) {
        static const __u32 weights[] = { 1 };
        unsigned n[8] = {};
        struct sm_request q = {};
        struct sm_actions *a;
        struct sm_route *route;
        struct sm_choice c;
        TestTables t;

        route = split_start(&t, SM_SPLIT_IN_TURN, weights, 1);
        for (__u32 i = 0; i < 100; i++) {
                q.random = i;
                assert_int_equal(sm_choose_route_for_connection(&t.view, TEST_BASE, &q, &c), SM_REASON_NONE);
                sm_choose_effects(&t.view, &c, &q);
                assert_int_equal(c.effects, 0);
        }
        route->actions = test_take(&t, 2);
        a = test_cell(&t, route->actions);
        a->abort_share = 1ULL << 31;
        a->delay_share = 1ULL << 30;
        a->mirror_share = 1ULL << 32;
        for (__u32 i = 0; i < KEYS; i++) {
                q.random = i;
                sm_choose_effects(&t.view, &c, &q);
                n[c.effects]++;
        }
        assert_int_equal(n[0] + n[SM_EFFECT_ABORT] + n[SM_EFFECT_DELAY], 0);
        assert_in_range(n[SM_EFFECT_MIRROR], KEYS * 37 / 100, KEYS * 38 / 100);
        assert_in_range(n[SM_EFFECT_MIRROR | SM_EFFECT_DELAY], KEYS * 12 / 100, KEYS * 13 / 100);
        assert_in_range(n[SM_EFFECT_MIRROR | SM_EFFECT_ABORT], KEYS * 37 / 100, KEYS * 38 / 100);
}

static void test_shadows(void **state) {
        struct sm_route *routes;
        struct sm_choice c;
        TestTables t;
        TestRequest r;

        test_full_policy(&t);
        routes = test_cell(&t, test_policy(&t)->routes);
        routes[TEST_ROUTE_API].shadow = 32;
        routes[TEST_ROUTE_SHOP].shadow = 1;
        request_start(&r, "/v2", "Host: api.example\r\n");
        assert_int_equal(sm_choose_route(&t.view, TEST_BASE, &r.q, &c), SM_REASON_NONE);
        assert_int_equal(c.route_index, TEST_ROUTE_REST);
        assert_int_equal(c.shadows, 1U << 31);
        sm_count_shadows(&t.view, &c);
        assert_int_equal(t.route_states[TEST_ROUTE_API + 1].shadow, 1);
        assert_int_equal(t.route_states[TEST_ROUTE_SHOP + 1].shadow, 0);
        assert_int_equal(t.route_states[TEST_ROUTE_REST + 1].shadow, 0);
        test_policy(&t)->n_routes = TEST_ROUTE_SHOP;
        assert_int_equal(sm_choose_route(&t.view, TEST_BASE, &r.q, &c), SM_REASON_NO_ROUTE);
        sm_count_shadows(&t.view, &c);
        assert_int_equal(t.route_states[TEST_ROUTE_API + 1].shadow, 2);
        request_done(&r);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_in_turn),
                cmocka_unit_test(test_at_random),
                cmocka_unit_test(test_by_key),
                cmocka_unit_test(test_score),
                cmocka_unit_test(test_vectors),
                cmocka_unit_test(test_reassignment),
                cmocka_unit_test(test_sticky),
                cmocka_unit_test(test_effects),
                cmocka_unit_test(test_shadows),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
