/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "../basic/cleanup.h"
#include "../basic/macro.h"
#include "policy-predicate-print.h"
#include "test-policy-model.h"

DEFINE_TRIVIAL_CLEANUP(Policy *, policy_free)

enum { BASE = 3 };

/* What is asked of the predicates of the first route of a policy. */
typedef struct Compiled {
        struct sm_cell *cells;
        struct sm_tables tables;
        uint32_t first;
} Compiled;

static void compiled_done(Compiled *c) {
        free(c->cells);
}

static void compile(const char *match, Compiled *ret) {
        _cleanup_(policy_freep) Policy *p = NULL;
        _cleanup_free_ char *text = NULL;
        PolicyExtent extent = {};
        const struct sm_policy *policy;
        const struct sm_route *route;

        assert_true(asprintf(&text, "{service: s, endpoints: [], routes: [{to: default, match: {%s}}]}",
                             match) > 0);
        p = test_load(text);
        test_compile(p->services[0], &extent);
        *ret = (Compiled) {
                .cells = aligned_alloc(SM_CELL_SIZE, (extent.n_cells + BASE) * sizeof(struct sm_cell)),
                .tables = { .n_cells = extent.n_cells + BASE },
        };
        memset(ret->cells, 0xee, BASE * sizeof(struct sm_cell));
        memcpy(ret->cells + BASE, extent.cells, extent.n_cells * sizeof(struct sm_cell));
        policy_extent_done(&extent);
        ret->tables.cells = ret->cells;
        policy = sm_cell_of(&ret->tables, BASE);
        route = sm_cell_of(&ret->tables, BASE + policy->routes);
        ret->first = BASE + route->predicates;
}

static char *format(const Compiled *c, size_t n, bool absent) {
        uint32_t cells[8];
        char *text = NULL;

        for (size_t i = 0; i < n; i++)
                cells[i] = c->first + (uint32_t) i;
        assert_int_equal(policy_predicate_format(&c->tables, BASE, cells, n, absent, &text), 0);
        return text;
}

/* Every kind and form comes back as the file has it. */
static void test_words(void **state) {
        static const char *const matches[] = {
                "host: shop.example",
                "host: \"*.shop.example\"",
                "path: /x",
                "path: {prefix: /a-path-that-is-longer-than-what-a-predicate-holds}",
                "path: {suffix: \".png\"}",
                "path: {regex: \"^/[a-z]+$\"}",
                "method: GET",
                "headers: {x-beta: \"\"}",
                "headers: {x-beta: {present: true}}",
                "headers: {x-n: {range: 1..100}}",
                "headers: {x-n: {range: -5..}}",
                "headers: {x-user: {prefix: a}}",
                "cookies: {sid: abc}",
                "query: {page: \"a b\"}",
                "callers: shop.slice",
                "source: 10.0.0.0/8",
                "source: \"fd00::/8\"",
                "fraction: 5%",
                "fraction: 0.000001%",
                "fraction: 100%",
                "body: {json: {/user/tier: gold}}",
                "body: {first: 100, form: {field: {suffix: x}}}",
                "body: {contains: text}",
        };

        for (size_t i = 0; i < ELEMENTSOF(matches); i++) {
                _cleanup_(compiled_done) Compiled c = {};
                _cleanup_free_ char *text = NULL;

                compile(matches[i], &c);
                text = format(&c, 1, false);
                assert_string_equal(text, matches[i]);
        }
}

static void test_several(void **state) {
        _cleanup_(compiled_done) Compiled c = {}, user = {};
        _cleanup_free_ char *list = NULL, *one = NULL, *number = NULL;

        compile("headers: {x-beta: [\"1\", {prefix: b}]}", &c);
        list = format(&c, 2, false);
        assert_string_equal(list, "headers: {x-beta: [1, {prefix: b}]}");
        one = format(&c, 1, false);
        assert_string_equal(one, "headers: {x-beta: 1}");
        compile("callers: {user: root}", &user);
        number = format(&user, 1, false);
        assert_string_equal(number, "callers: {user: root}");
}

static void test_absent(void **state) {
        _cleanup_(compiled_done) Compiled c = {}, path = {};
        _cleanup_free_ char *text = NULL, *as_it_is = NULL;

        compile("headers: {x-gone: {present: false}}", &c);
        text = format(&c, 1, true);
        assert_string_equal(text, "headers: {x-gone: {present: false}}");
        compile("path: /x", &path);
        as_it_is = format(&path, 1, true);
        assert_string_equal(as_it_is, "path: /x");
}

/* Tables that end too early are noticed. */
static void test_torn(void **state) {
        _cleanup_(compiled_done) Compiled c = {};
        char *text = NULL;
        uint32_t whole;

        compile("headers: {x-beta: {prefix: a-text-that-is-longer-than-what-a-predicate-holds}}", &c);
        whole = c.tables.n_cells;
        for (c.tables.n_cells = 0; c.tables.n_cells <= c.first; c.tables.n_cells++)
                assert_int_equal(policy_predicate_format(&c.tables, BASE, &c.first, 1, false, &text),
                                 -EBADMSG);
        for (; c.tables.n_cells < whole; c.tables.n_cells++) {
                _cleanup_free_ char *maybe = NULL;
                int r = policy_predicate_format(&c.tables, BASE, &c.first, 1, false, &maybe);

                assert_true(r == 0 || r == -EBADMSG);
        }
        assert_null(text);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_words),
                cmocka_unit_test(test_several),
                cmocka_unit_test(test_absent),
                cmocka_unit_test(test_torn),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
