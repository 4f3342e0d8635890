/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "../basic/cleanup.h"
#include "../basic/macro.h"
#include "../engine/engine-unit.h"
#include "test-policy-model.h"

DEFINE_TRIVIAL_CLEANUP(Policy *, policy_free)

/* Matches as programs of jumps. Conditions here are header fields v0 ... v5 that are present or not. */

enum { VARIABLES = 6 };

static Policy *load_match(const char *match) {
        _cleanup_free_ char *text = NULL;

        assert_true(asprintf(&text, "{service: s, endpoints: [], routes: [{to: default, match: "
                                    "%s}]}", match) > 0);
        return test_load(text);
}

static const struct sm_predicate *program_of(const PolicyExtent *e, uint16_t *ret_n) {
        const struct sm_policy *policy = (const struct sm_policy *) e->cells;
        const struct sm_route *route = (const struct sm_route *) e->cells[policy->routes].bytes;

        *ret_n = route->n_predicates;
        return (const struct sm_predicate *) e->cells[route->predicates].bytes;
}

/* "kind.op:yes,no" for each; M = matched, F = failed. */
static void list_program(const PolicyExtent *e, char *text, size_t size) {
        static const char *const kinds[_SM_MATCH_MAX] = {
                "host", "path", "method", "header", "cookie", "query", "slice", "unit", "user", "source",
                "fraction", "content", "form", "json",
        };
        const struct sm_predicate *p;
        char yes[8], no[8];
        size_t at = 0;
        uint16_t n;

        p = program_of(e, &n);
        for (uint16_t i = 0; i < n; i++) {
                snprintf(yes, sizeof(yes), p[i].yes == SM_GOTO_MATCHED ? "M" : "%u", p[i].yes);
                snprintf(no, sizeof(no), p[i].no == SM_GOTO_MATCHED ? "M" : "%u", p[i].no);
                at += (size_t) snprintf(text + at, size - at, "%s%s:%s,%s", i > 0 ? " " : "",
                                        kinds[p[i].kind], p[i].yes == SM_GOTO_FAILED ? "F" : yes,
                                        p[i].no == SM_GOTO_FAILED ? "F" : no);
        }
}

static void test_programs(void **state) {
        static const struct {
                const char *match, *program;
        } cases[] = {
                { "{host: a}", "host:M,F" },
                { "{host: a, path: /b}", "host:1,F path:M,F" },
                { "{not: {host: a, path: /b}}", "host:1,M path:F,M" },
                { "{host: [a, b], path: /c}", "host:2,1 host:2,F path:M,F" },
                { "{headers: {x: {present: false}}}", "header:F,M" },
                { "{not: {headers: {x: {present: false}}}}", "header:M,F" },
                { "{any: [{host: a}, {path: /b}]}", "host:M,1 path:M,F" },
                { "{any: [{host: a, path: /b}, {not: {host: c}}]}", "host:1,2 path:M,2 host:F,M" },
                { "{all: [{any: [{host: a}, {host: b}]}, {method: GET}]}", "host:2,1 host:2,F method:M,F" },
                /* what the kernel cannot decide comes last, within its all or any */
                { "{path: {regex: a}, body: {contains: a}, fraction: 1%}", "fraction:1,F path:2,F content:M,F" },
                { "{any: [{body: {contains: a}}, {path: {regex: a}, host: b}, {host: a}]}",
                  "host:M,1 host:2,3 path:M,3 content:M,F" },
                { "{callers: [{slice: x.slice, user: 7}, b.service]}", "slice:1,2 user:M,2 unit:M,F" },
                { "{body: {json: {/a: [b, c]}, form: {d: e}}}", "json:2,1 json:2,F form:M,F" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(policy_freep) Policy *p = load_match(cases[i].match);
                _cleanup_(policy_extent_done) PolicyExtent e = {};
                char text[512];

                test_compile(p->services[0], &e);
                list_program(&e, text, sizeof(text));
                assert_string_equal(text, cases[i].program);
        }
}

static uint32_t next_random(uint32_t *seed) {
        *seed = *seed * 1664525u + 1013904223u;
        return *seed >> 8;
}

/* A random match, and in *ret for each assignment of the variables whether it is true. */
static void make_match(FILE *f, uint32_t *seed, unsigned depth, uint64_t *ret) {
        unsigned kind = depth == 0 ? 3 : next_random(seed) % 5, n = 1 + next_random(seed) % 3;
        uint64_t truth = kind == 0 ? UINT64_MAX : 0, child;

        if (kind == 2) {
                fputs("{not: ", f);
                make_match(f, seed, depth - 1, &child);
                truth = ~child;
        } else if (kind < 2) {
                fputs(kind == 0 ? "{all: [" : "{any: [", f);
                for (unsigned i = 0; i < n; i++) {
                        fputs(i > 0 ? ", " : "", f);
                        make_match(f, seed, depth - 1, &child);
                        truth = kind == 0 ? truth & child : truth | child;
                }
                fputs("]", f);
        } else {
                unsigned variable = next_random(seed) % VARIABLES;
                bool present = kind == 3;

                fprintf(f, "{headers: {v%u: {present: %s}}", variable, present ? "true" : "false");
                for (unsigned i = 0; i < 64; i++)
                        truth |= (uint64_t) (!(i >> variable & 1) ^ present) << i;
        }
        fputs("}", f);
        *ret = truth;
}

static bool run_program(const PolicyExtent *e, unsigned assignment) {
        const struct sm_predicate *p;
        uint16_t n, at = 0;

        p = program_of(e, &n);
        while (at < SM_GOTO_UNDECIDED) {
                unsigned variable;

                assert_true(at < n);
                variable = (unsigned) e->cells[p[at].name.cell].bytes[1] - '0';
                assert_true(p[at].yes > at && p[at].no > at);
                at = assignment >> variable & 1 ? p[at].yes : p[at].no;
        }
        return at == SM_GOTO_MATCHED;
}

static void test_all_assignments(void **state) {
        uint32_t seed = 4;

        for (unsigned i = 0; i < 2000; i++) {
                _cleanup_(policy_extent_done) PolicyExtent e = {};
                _cleanup_(policy_freep) Policy *p = NULL;
                _cleanup_free_ char *text = NULL;
                uint64_t truth;
                size_t size;
                FILE *f = open_memstream(&text, &size);

                make_match(f, &seed, 4, &truth);
                assert_int_equal(fclose(f), 0);
                p = load_match(text);
                test_compile(p->services[0], &e);
                for (unsigned a = 0; a < 1 << VARIABLES; a++)
                        assert_int_equal(run_program(&e, a), truth >> a & 1);
        }
}

/* What a name in the policy stands for: managed slices below it, a unit's hash, a user's number. */
static void test_callers(void **state) {
        static const BoundSlice slices[] = {
                { "a.slice", 3 }, { "a-b.slice", 4 }, { "ab.slice", 5 }, { "c-d.slice", 6 },
        };
        static const struct {
                const char *slice, *program;
                int64_t ids[3];
        } cases[] = {
                { "a.slice", "slice:M,1 slice:M,F", { 3, 4 } },
                { "a-b.slice", "slice:M,F", { 4 } },
                { "c.slice", "slice:M,F", { 6 } },
                { "e.slice", "slice:M,F", { SM_SLICES_MAX } },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(policy_freep) Policy *p = NULL;
                _cleanup_(policy_extent_done) PolicyExtent e = {};
                const struct sm_predicate *program;
                char match[64], text[128];
                TestBinding b;
                uint16_t n;

                snprintf(match, sizeof(match), "{callers: %s}", cases[i].slice);
                p = load_match(match);
                assert_true(p->services[0]->looks_at_slices);
                b = test_bind(p->services[0]);
                b.binding.slices = slices;
                b.binding.n_slices = ELEMENTSOF(slices);
                assert_int_equal(policy_compile(p->services[0], &b.binding, &e), 0);
                test_binding_done(&b);
                list_program(&e, text, sizeof(text));
                assert_string_equal(text, cases[i].program);
                program = program_of(&e, &n);
                for (uint16_t j = 0; j < n; j++)
                        assert_int_equal(program[j].low, cases[i].ids[j]);
        }
}

static void test_numbers(void **state) {
        _cleanup_(policy_freep) Policy *p = load_match(
                "{callers: [{unit: cart.service, user: 33}], source: 10.1.0.0/16, fraction: 25%, "
                "headers: {X-N: {range: -5..7}}, body: {first: 100, json: {/n: {range: 1..}}}}");
        static const uint8_t network[] = { [10] = 0xff, [11] = 0xff, [12] = 10, [13] = 1 };
        _cleanup_(policy_extent_done) PolicyExtent e = {};
        const struct sm_predicate *m;
        uint16_t n;

        test_compile(p->services[0], &e);
        m = program_of(&e, &n);
        assert_int_equal(n, 6);
        assert_int_equal(m[0].kind, SM_MATCH_HEADER);
        assert_memory_equal(e.cells[m[0].name.cell].bytes, "x-n", 3);
        assert_int_equal(m[0].low, -5);
        assert_int_equal(m[0].high, 7);
        assert_int_equal(m[1].low, (int64_t) sm_unit_hash_of("cart.service"));
        assert_int_equal(m[2].low, 33);
        assert_int_equal(m[3].low, 96 + 16);
        assert_memory_equal(m[3].inline_bytes, network, sizeof(network));
        assert_int_equal(m[4].low, 1 << 30);
        assert_int_equal(m[5].first, 100);
        assert_int_equal(m[5].low, 1);
        assert_int_equal(m[5].high, INT64_MAX);
}

/* As the bus and `explain` show it. */
static void test_format(void **state) {
        static const char *const cases[] = {
                "host: a.example, path: {prefix: /v2}, method: [GET, POST]",
                "host: \"*.example\", headers: {x-a: [b, {prefix: c}], x-b: {present: false}}, cookies: "
                "{sid: \"\"}",
                "callers: [a.slice, b.service, {slice: c.slice, user: root}, {user: root}], fraction: 0.25%",
                "query: {page: {range: 1..}}, source: [10.0.0.0/8, \"::1\"]",
                "body: {first: 1024, json: {/a: b}, form: {c: {regex: d}}, contains: [e, \"f g\"]}",
                "all: [{host: a}, {not: {path: /b}}], any: [{method: PUT}], not: {any: [{path: /c}, "
                "{path: /d}]}",
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(policy_freep) Policy *p = NULL;
                _cleanup_free_ char *match = NULL, *text = NULL;

                assert_true(asprintf(&match, "{%s}", cases[i]) > 0);
                p = load_match(match);
                assert_int_equal(policy_match_format(p->services[0]->routes[0]->match, &text), 0);
                assert_string_equal(text, cases[i]);
        }
}

static void test_fractions(void **state) {
        static const struct {
                unsigned fraction;
                uint64_t share;
                const char *text;
        } cases[] = {
                { 0, 0, "0%" },
                { 1, 43, "0.000001%" },
                { 12500000, UINT64_C(1) << 29, "12.5%" },
                { POLICY_WHOLE, UINT64_C(1) << 32, "100%" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                char text[FRACTION_STRLEN];

                assert_int_equal(fraction_to_share(cases[i].fraction), cases[i].share);
                assert_string_equal(fraction_to_string(cases[i].fraction, text), cases[i].text);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_programs),
                cmocka_unit_test(test_all_assignments),
                cmocka_unit_test(test_callers),
                cmocka_unit_test(test_numbers),
                cmocka_unit_test(test_format),
                cmocka_unit_test(test_fractions),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
