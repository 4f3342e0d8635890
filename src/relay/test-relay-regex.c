/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "../engine/engine-match.h"
#include "relay-regex.h"

/* A policy in memory: its cell, its name, and one predicate with a pattern in cells of its own. */
enum { BASE = 3, NAME = 1, PREDICATE = 2, PATTERN = 3, N_CELLS = 12, SERVICE = 1 };

typedef struct Fixture {
        struct sm_cell cells[N_CELLS];
        struct sm_service_counters counters[2];
        struct sm_tables tables;
        RegexCache cache;
        RegexContext context;
} Fixture;

static int set_up(void **state) {
        static Fixture f;
        struct sm_policy *policy = (struct sm_policy *) f.cells[BASE].bytes;

        memset(&f, 0, sizeof(f));
        *policy = (struct sm_policy){ .service = SERVICE, .name = { .cell = NAME, .length = 4 } };
        memcpy(f.cells[BASE + NAME].bytes, "shop", 4);
        f.tables = (struct sm_tables){
                .cells = f.cells,
                .n_cells = N_CELLS,
                .service_counters = f.counters,
                .n_services = 2,
        };
        regex_cache_init(&f.cache, false);
        f.context = (RegexContext){ .cache = &f.cache, .tables = &f.tables, .base = BASE };
        *state = &f;
        return 0;
}

static int tear_down(void **state) {
        Fixture *f = *state;

        regex_cache_done(&f->cache);
        assert_int_equal(f->cache.n, 0);
        return 0;
}

static int ask(Fixture *f, __u32 cell, const char *text) {
        return regex_context_judge(&f->context, cell, (const __u8 *) text, (__u32) strlen(text));
}

/* With the pattern in cells, and if it fits in the predicate as well: both are one to the cache. */
static bool judge(Fixture *f, const char *pattern, const char *text) {
        struct sm_predicate *p = (struct sm_predicate *) f->cells[BASE + PREDICATE].bytes;
        int verdict;
        size_t n;

        *p = (struct sm_predicate){ .op = SM_OP_REGEX, .text = { PATTERN, (__u32) strlen(pattern) } };
        memcpy(f->cells[BASE + PATTERN].bytes, pattern, strlen(pattern));
        verdict = ask(f, BASE + PREDICATE, text);
        n = f->cache.n;
        if (strlen(pattern) <= SM_PREDICATE_INLINE) {
                p->text.cell = 0;
                memcpy(p->inline_bytes, pattern, strlen(pattern));
                assert_int_equal(ask(f, BASE + PREDICATE, text), verdict);
                assert_int_equal(f->cache.n, n);
        }
        assert_true(verdict == SM_VERDICT_YES || verdict == SM_VERDICT_NO);
        return verdict == SM_VERDICT_YES;
}

static uint64_t given_up(const Fixture *f) {
        return f->counters[SERVICE].reasons[SM_REASON_REGEX_LIMIT];
}

static void test_verdicts(void **state) {
        Fixture *f = *state;

        assert_true(judge(f, "^/v[12]/", "/v2/x"));
        assert_false(judge(f, "^/v[12]/", "/v3/x"));
        assert_true(judge(f, "", ""));
        assert_true(judge(f, "^(alpha|beta|gamma|delta|epsilon|zeta|eta|theta|iota|kappa|xi)$", "xi"));
        assert_int_equal(f->cache.n, 3);
        assert_int_equal(given_up(f), 0);
}

static void test_machine_code(void **state) {
        Fixture *f = *state;

        f->cache.accelerate = true;
        assert_true(judge(f, "b+$", "abb"));
        assert_false(judge(f, "b+$", "abba"));
}

static void test_limits(void **state) {
        Fixture *f = *state;

        assert_false(judge(f, "(a+)+$", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab"));
        assert_int_equal(given_up(f), 2);
        assert_true(judge(f, "(a+)+$", "aaaa"));
        assert_int_equal(given_up(f), 2);
}

/* What the policy's reader does not let through, or what is torn, matches nothing and reads nothing. */
static void test_broken(void **state) {
        Fixture *f = *state;
        struct sm_predicate *p = (struct sm_predicate *) f->cells[BASE + PREDICATE].bytes;

        assert_false(judge(f, "a(", "a("));
        *p = (struct sm_predicate){ .op = SM_OP_REGEX, .text = { PATTERN, N_CELLS * SM_CELL_SIZE } };
        assert_int_equal(ask(f, BASE + PREDICATE, "a"), SM_VERDICT_NO);
        p->text = (struct sm_text){ UINT32_MAX, 1 };
        assert_int_equal(ask(f, BASE + PREDICATE, "a"), SM_VERDICT_NO);
        p->text = (struct sm_text){ 0, SM_PREDICATE_INLINE + 1 };
        assert_int_equal(ask(f, BASE + PREDICATE, "a"), SM_VERDICT_NO);
        assert_int_equal(ask(f, N_CELLS, "a"), SM_VERDICT_NO);
        assert_int_equal(given_up(f), 0);
}

/* The one that was used longest ago makes room. */
static void test_room(void **state) {
        Fixture *f = *state;
        char pattern[16];

        for (unsigned round = 0; round < 2; round++)
                for (unsigned i = 0; i < REGEX_CACHED_MAX + 10; i++) {
                        assert_true(judge(f, "used", "used"));
                        snprintf(pattern, sizeof(pattern), "^%u$", i);
                        assert_false(judge(f, pattern, pattern + 1));
                        assert_true(f->cache.n <= REGEX_CACHED_MAX);
                }
        assert_int_equal(f->cache.n, REGEX_CACHED_MAX);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_verdicts, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_machine_code, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_limits, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_broken, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_room, set_up, tear_down),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
