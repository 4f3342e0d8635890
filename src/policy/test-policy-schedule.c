/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../abi/abi-limits.h"
#include "../basic/cleanup.h"
#include "../basic/macro.h"
#include "policy-schedule.h"

/* A sequence that is the same in every run. */
static uint32_t next_random(uint64_t *state) {
        *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        return (uint32_t) (*state >> 33);
}

/* Every choice has, at every point, its share to within less than one turn. */
static void check_smooth(const unsigned *weights, size_t n, const uint32_t *turns, size_t length) {
        _cleanup_free_ uint64_t *taken = calloc(n, sizeof(*taken));
        uint64_t sum = 0;

        for (size_t i = 0; i < n; i++)
                sum += weights[i];
        for (size_t t = 1; t <= length; t++) {
                assert_true(turns[t - 1] < n);
                taken[turns[t - 1]]++;
                for (size_t i = 0; i < n; i++) {
                        int64_t lag = (int64_t) (t * weights[i]) - (int64_t) (taken[i] * sum);

                        assert_true(lag > -(int64_t) sum && lag < (int64_t) sum);
                }
        }
        for (size_t i = 0; i < n && length == sum; i++)
                assert_int_equal(taken[i], weights[i]);
}

static void test_known_orders(void **state) {
        static const struct {
                unsigned weights[4];
                size_t n;
                const char *order;
        } cases[] = {
                { { 1 }, 1, "a" },
                { { 7 }, 1, "a" }, /* divided by the common divisor */
                { { 1, 1, 1 }, 3, "abc" },
                { { 2, 2, 2 }, 3, "abc" },
                { { 2, 1 }, 2, "aba" },
                { { 5, 1, 1 }, 3, "abaacaa" },
                { { 0, 3, 0, 3 }, 4, "bd" },
                { { 0, 0 }, 2, "" },
                { { 0 }, 0, "" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_free_ uint32_t *slots = NULL;
                uint32_t n;

                assert_int_equal(schedule_round_robin(cases[i].weights, cases[i].n, &slots, &n), 0);
                assert_int_equal(n, strlen(cases[i].order));
                for (uint32_t j = 0; j < n; j++)
                        assert_int_equal('a' + slots[j], cases[i].order[j]);
        }
}

static void test_smooth_for_any_weights(void **state) {
        uint64_t seed = 1;

        for (int round = 0; round < 200; round++) {
                unsigned weights[12];
                size_t n = 1 + next_random(&seed) % ELEMENTSOF(weights), length;
                _cleanup_free_ uint32_t *turns = NULL;
                uint64_t sum = 0;

                for (size_t i = 0; i < n; i++)
                        sum += weights[i] = 1 + next_random(&seed) % (round % 2 ? SM_WEIGHT_MAX : 9);
                length = round % 3 ? sum : 1 + sum / 3;
                turns = calloc(length, sizeof(*turns));
                assert_int_equal(schedule_turns(weights, n, turns, length, false), 0);
                check_smooth(weights, n, turns, length);
        }
}

static void test_too_many_slots(void **state) {
        _cleanup_free_ unsigned *weights = calloc(SM_SLOTS_MAX + 1, sizeof(*weights));
        uint32_t *slots = NULL, n = 42;

        for (size_t i = 0; i <= SM_SLOTS_MAX; i++)
                weights[i] = 1;
        assert_int_equal(schedule_slots(weights, SM_SLOTS_MAX), SM_SLOTS_MAX);
        assert_int_equal(schedule_round_robin(weights, SM_SLOTS_MAX + 1, &slots, &n), -E2BIG);
        assert_null(slots);
        assert_int_equal(n, 42);
        assert_int_equal(schedule_round_robin(weights, SM_SLOTS_MAX, &slots, &n), 0);
        assert_int_equal(n, SM_SLOTS_MAX);
        assert_int_equal(slots[SM_SLOTS_MAX - 1], SM_SLOTS_MAX - 1);
        free(slots);
        weights[0] = 7;
        weights[1] = 1000;
        assert_int_equal(schedule_slots(weights, 2), 1007);
}

static MaglevChoice *make_choices(size_t n) {
        MaglevChoice *choices = calloc(n, sizeof(*choices));

        for (size_t i = 0; i < n; i++) {
                choices[i].address.s6_addr[10] = choices[i].address.s6_addr[11] = 0xff;
                choices[i].address.s6_addr32[3] = htonl(0x0a010000 + (uint32_t) i);
                choices[i].port = 8080;
                choices[i].weight = 1;
        }
        return choices;
}

static uint32_t *maglev(const MaglevChoice *choices, size_t n, uint32_t *ret_n) {
        uint32_t *table = NULL;

        assert_int_equal(schedule_maglev(choices, n, &table, ret_n), 0);
        return table;
}

static void count(const uint32_t *table, uint32_t size, uint32_t *counts) {
        for (uint32_t i = 0; i < size; i++)
                counts[table[i]]++;
}

static void test_maglev_shares(void **state) {
        static const size_t sizes[] = { 1, 2, 3, 10, 11, 81, 82, 200 };

        for (size_t s = 0; s < ELEMENTSOF(sizes); s++) {
                size_t n = sizes[s];
                _cleanup_free_ MaglevChoice *choices = make_choices(n);
                _cleanup_free_ uint32_t *table = NULL, *counts = calloc(n, sizeof(*counts));
                uint64_t sum = 0;
                uint32_t size;

                for (size_t i = 0; i < n; i++)
                        sum += choices[i].weight = 1 + (unsigned) (i % 5);
                table = maglev(choices, n, &size);
                assert_true(size >= 100 * n);
                count(table, size, counts);
                for (size_t i = 0; i < n; i++) {
                        int64_t off = (int64_t) (counts[i] * sum) - (int64_t) (size * choices[i].weight);

                        assert_true(off > -(int64_t) sum && off < (int64_t) sum); /* less than one slot */
                }
        }
}

static void test_maglev_least_share(void **state) {
        _cleanup_free_ MaglevChoice *choices = make_choices(12);
        uint32_t counts[12] = {}, size;
        _cleanup_free_ uint32_t *table = NULL;

        for (size_t i = 1; i < 12; i++)
                choices[i].weight = SM_WEIGHT_MAX;
        choices[3].weight = 0;
        table = maglev(choices, 12, &size);
        count(table, size, counts);
        assert_in_range(counts[0], 1, 2); /* however little, it is something */
        assert_int_equal(counts[3], 0);
}

static void test_maglev_ignores_order(void **state) {
        enum { N = 50 };
        _cleanup_free_ MaglevChoice *choices = make_choices(N), *backwards = make_choices(N);
        _cleanup_free_ uint32_t *a = NULL, *b = NULL;
        uint32_t size_a, size_b;

        for (size_t i = 0; i < N; i++)
                choices[i].weight = 1 + (unsigned) i % 3;
        for (size_t i = 0; i < N; i++)
                backwards[i] = choices[N - 1 - i];
        a = maglev(choices, N, &size_a);
        b = maglev(backwards, N, &size_b);
        assert_int_equal(size_a, size_b);
        for (uint32_t i = 0; i < size_a; i++)
                assert_int_equal(a[i], N - 1 - b[i]);
}

/* Of what does not have to move, as permille of the table, when choice `gone` gets no slot any more. */
static unsigned moved_needlessly(size_t n, size_t gone) {
        _cleanup_free_ MaglevChoice *choices = make_choices(n);
        _cleanup_free_ uint32_t *before = NULL, *after = NULL;
        uint32_t size, size_after, moved = 0;

        before = maglev(choices, n, &size);
        choices[gone].weight = 0; /* drained: the size stays, as it also does when one is taken out */
        after = maglev(choices, n, &size_after);
        assert_int_equal(size, size_after);
        for (uint32_t i = 0; i < size; i++) {
                assert_true(after[i] != gone);
                moved += before[i] != gone && before[i] != after[i];
        }
        return moved * 1000 / size;
}

static void test_maglev_moves_little(void **state) {
        static const size_t sizes[] = { 2, 5, 10, 50, 100 };

        for (size_t s = 0; s < ELEMENTSOF(sizes); s++)
                for (size_t gone = 0; gone < MIN(sizes[s], (size_t) 5); gone++)
                        assert_in_range(moved_needlessly(sizes[s], gone), 0, 40);
}

static void test_maglev_limits(void **state) {
        _cleanup_free_ MaglevChoice *choices = make_choices(65522);
        uint32_t *table = NULL, n = 42;

        assert_int_equal(schedule_maglev(choices, 65522, &table, &n), -E2BIG);
        assert_null(table);
        assert_int_equal(n, 42);
        assert_int_equal(schedule_maglev(choices, 65521, &table, &n), 0);
        assert_int_equal(n, 65521);
        free(table);
        assert_int_equal(schedule_maglev(NULL, 0, &table, &n), 0);
        assert_null(table);
        assert_int_equal(n, 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_known_orders),
                cmocka_unit_test(test_smooth_for_any_weights),
                cmocka_unit_test(test_too_many_slots),
                cmocka_unit_test(test_maglev_shares),
                cmocka_unit_test(test_maglev_least_share),
                cmocka_unit_test(test_maglev_ignores_order),
                cmocka_unit_test(test_maglev_moves_little),
                cmocka_unit_test(test_maglev_limits),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
