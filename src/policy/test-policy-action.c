/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "../basic/cleanup.h"
#include "../basic/macro.h"
#include "test-policy-model.h"

DEFINE_TRIVIAL_CLEANUP(Policy *, policy_free)

static const void *cell(const PolicyExtent *e, uint32_t i) {
        assert_true(i < e->n_cells);
        return e->cells[i].bytes;
}

static void check_text(const PolicyExtent *e, struct sm_text text, const char *expected) {
        assert_int_equal(text.length, strlen(expected));
        if (text.length > 0)
                assert_memory_equal(cell(e, text.cell), expected, text.length);
}

/* The only route of a service with subsets a and b. */
static const struct sm_route *compile_route_of(const char *route, PolicyExtent *ret) {
        _cleanup_(policy_freep) Policy *p = NULL;
        _cleanup_free_ char *text = NULL;

        assert_true(asprintf(&text, "{service: s, subsets: {a: {endpoints: []}, b: {endpoints: []}}, "
                             "routes: [{%s}]}", route) > 0);
        p = test_load(text);
        test_compile(p->services[0], ret);
        return cell(ret, ((const struct sm_policy *) cell(ret, 0))->routes);
}

static const struct sm_actions *compile_actions_of(const char *route, PolicyExtent *ret) {
        const struct sm_route *r = compile_route_of(route, ret);

        assert_int_not_equal(r->actions, 0);
        return cell(ret, r->actions);
}

static void test_answers(void **state) {
        static const struct {
                const char *route, *head, *body, *location;
                unsigned flags, skip;
        } cases[] = {
                { "respond: {status: 403, body: \"No.\\n\"}",
                  "HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: "
                  "4\r\n",
                  "No.\n", "", 0, 0 },
                { "respond: {status: 200, content-type: a/b, headers: {X-A: [b, c], X-D: e}}",
                  "HTTP/1.1 200 OK\r\nContent-Type: a/b\r\nContent-Length: 0\r\nX-A: b\r\nX-A: c\r\nX-D: "
                  "e\r\n",
                  "", "", 0, 0 },
                { "respond: {status: 204}", "HTTP/1.1 204 No Content\r\n", "", "", 0, 0 },
                { "respond: {status: 299}", "HTTP/1.1 299 \r\nContent-Length: 0\r\n", "", "", 0, 0 },
                { "redirect: {url: 'https://shop.example/new', status: 308}",
                  "HTTP/1.1 308 Permanent Redirect\r\nContent-Length: 0\r\n", "", "https://shop.example/new",
                  SM_ANSWER_REDIRECT, 0 },
                { "match: {path: {prefix: /old}}, redirect: {prefix: /new}",
                  "HTTP/1.1 302 Found\r\nContent-Length: 0\r\n", "", "/new",
                  SM_ANSWER_REDIRECT | SM_ANSWER_PATH | SM_ANSWER_QUERY | SM_ANSWER_HOST, 4 },
                { "redirect: {host: 'a.example:8080'}", "HTTP/1.1 302 Found\r\nContent-Length: 0\r\n", "",
                  "http://a.example:8080", SM_ANSWER_REDIRECT | SM_ANSWER_PATH | SM_ANSWER_QUERY, 0 },
                { "match: {path: {prefix: /old/}}, redirect: {host: a.example, scheme: https, prefix: /}",
                  "HTTP/1.1 302 Found\r\nContent-Length: 0\r\n", "", "https://a.example/",
                  SM_ANSWER_REDIRECT | SM_ANSWER_PATH | SM_ANSWER_QUERY, 5 },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(policy_extent_done) PolicyExtent e = {};
                const struct sm_answer *a;

                a = cell(&e, compile_actions_of(cases[i].route, &e)->answer);
                check_text(&e, a->head, cases[i].head);
                check_text(&e, a->body, cases[i].body);
                check_text(&e, a->location, cases[i].location);
                assert_int_equal(a->flags, cases[i].flags);
                assert_int_equal(a->skip, cases[i].skip);
        }
}

static void test_faults(void **state) {
        _cleanup_(policy_extent_done) PolicyExtent e = {};
        const struct sm_actions *actions = compile_actions_of(
                "to: a, fault: {delay: {for: 1500us, fraction: 50%}, abort: {status: 503, fraction: 25%, "
                "body: x}}", &e);
        const struct sm_answer *a;

        assert_int_equal(actions->answer, 0);
        assert_int_equal(actions->delay_ms, 2);
        assert_int_equal(actions->delay_share, UINT64_C(1) << 31);
        assert_int_equal(actions->abort_share, UINT64_C(1) << 30);
        a = cell(&e, actions->abort);
        assert_int_equal(a->status, 503);
        check_text(&e, a->head, "HTTP/1.1 503 Service Unavailable\r\n"
                   "Content-Type: text/plain; charset=utf-8\r\nContent-Length: 1\r\n"
                   "X-Slicemesh: fault-injected\r\n");
        check_text(&e, a->body, "x");
}

static void test_rewrites(void **state) {
        _cleanup_(policy_extent_done) PolicyExtent e = {}, host = {};
        const struct sm_actions *a = compile_actions_of(
                "to: a, match: {path: {prefix: /old}}, rewrite: {prefix: /new/, host: 'h.example:81'}", &e);

        assert_int_equal(a->flags, SM_ACTION_REWRITE_PATH | SM_ACTION_REWRITE_HOST);
        check_text(&e, a->prefix, "/new/");
        check_text(&e, a->host, "h.example:81");
        assert_int_equal(a->skip, 4);
        a = compile_actions_of("to: a, rewrite: {host: h}", &host);
        assert_int_equal(a->flags, SM_ACTION_REWRITE_HOST);
}

static void test_edits(void **state) {
        _cleanup_(policy_extent_done) PolicyExtent e = {};
        const struct sm_actions *a = compile_actions_of(
                "to: a, request-headers: {add: {X-A: [b, c]}, set: {x-d: e}, remove: [f]}, "
                "response-headers: {set: {Server: ''}}", &e);
        static const struct {
                enum sm_edit_kind kind;
                const char *name, *value;
        } expected[] = {
                { SM_EDIT_REMOVE, "f", "" }, { SM_EDIT_SET, "x-d", "e" }, { SM_EDIT_ADD, "X-A", "b" },
                { SM_EDIT_ADD, "X-A", "c" }, { SM_EDIT_SET, "Server", "" },
        };

        assert_int_equal(a->n_request_edits, 4);
        assert_int_equal(a->n_response_edits, 1);
        for (uint32_t i = 0; i < ELEMENTSOF(expected); i++) {
                const struct sm_edit *edit = cell(&e, a->edits + i);

                assert_int_equal(edit->kind, expected[i].kind);
                check_text(&e, edit->name, expected[i].name);
                check_text(&e, edit->value, expected[i].value);
        }
}

static void test_mirror(void **state) {
        _cleanup_(policy_extent_done) PolicyExtent e = {}, all = {};
        const struct sm_actions *a = compile_actions_of("to: a, mirror: {to: b, fraction: 50%, body: "
                                                        "1K}", &e);

        assert_int_equal(a->mirror_subset, 1);
        assert_int_equal(a->mirror_share, UINT64_C(1) << 31);
        assert_int_equal(a->mirror_max, 1024);
        a = compile_actions_of("to: a, mirror: {to: a}", &all);
        assert_int_equal(a->mirror_share, UINT64_C(1) << 32);
        assert_int_equal(a->mirror_max, 65536);
}

static void test_sticky_split(void **state) {
        _cleanup_(policy_extent_done) PolicyExtent e = {}, other = {}, turns = {};
        const struct sm_route *r = compile_route_of("split: {a: 3, b: 0}, split-by: {header: X-User}", &e);
        const struct sm_share *shares = cell(&e, r->split.slots);

        assert_int_equal(r->split_by, SM_SPLIT_BY_KEY);
        assert_int_equal(r->split_hash, SM_HASH_HEADER);
        check_text(&e, r->split_hash_name, "x-user");
        assert_int_equal(r->split.n, 2);
        assert_int_equal(shares[0].subset, 0);
        assert_int_equal(shares[0].weight, 3);
        assert_int_equal(shares[1].subset, 1);
        assert_int_equal(shares[1].weight, 0);
        assert_int_not_equal(shares[0].seed, shares[1].seed);

        /* A subset's seed is its name's, wherever it stands. */
        r = compile_route_of("split: {b: 3}, split-by: source", &other);
        assert_int_equal(((const struct sm_share *) cell(&other, r->split.slots))->seed, shares[1].seed);

        r = compile_route_of("split: {a: 2, b: 4}, split-by: random", &turns);
        assert_int_equal(r->split_by, SM_SPLIT_AT_RANDOM);
        assert_int_equal(r->split.n, 3);
}

static void test_service(void **state) {
        static const struct {
                const char *rest;
                unsigned flags;
        } cases[] = {
                { "", 0 },
                { "routes: [{to: default, match: {host: a}}]", 0 },
                { "routes: [{to: default, match: {not: {path: /a}}}]", SM_POLICY_NORMAL_PATHS },
                { "routes: [{to: default, match: {path: /a}}], paths: {normalize: never}", 0 },
                { "paths: {normalize: always, encoded-slash: keep}",
                  SM_POLICY_NORMAL_PATHS | SM_POLICY_KEEP_SLASHES },
                { "paths: {encoded-nul: keep}", SM_POLICY_KEEP_NULS },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(policy_freep) Policy *p = NULL;
                _cleanup_(policy_extent_done) PolicyExtent e = {};
                _cleanup_free_ char *text = NULL;

                assert_true(asprintf(&text, "{service: s, endpoints: [], %s}", cases[i].rest) > 0);
                p = test_load(text);
                test_compile(p->services[0], &e);
                assert_int_equal(((const struct sm_policy *) cell(&e, 0))->flags, cases[i].flags);
        }
}

static void test_shadows(void **state) {
        _cleanup_(policy_freep) Policy *p = test_load(
                "{service: s, endpoints: [], routes: [{to: default, shadow: true}, {to: default}, "
                "{to: default, shadow: true}]}");
        static const unsigned expected[] = { 1, 0, 2 };
        _cleanup_(policy_extent_done) PolicyExtent e = {};

        test_compile(p->services[0], &e);
        for (uint32_t i = 0; i < ELEMENTSOF(expected); i++) {
                const struct sm_policy *policy = cell(&e, 0);
                const struct sm_route *route = cell(&e, policy->routes + i);

                assert_int_equal(route->shadow, expected[i]);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_answers),
                cmocka_unit_test(test_faults),
                cmocka_unit_test(test_rewrites),
                cmocka_unit_test(test_edits),
                cmocka_unit_test(test_mirror),
                cmocka_unit_test(test_sticky_split),
                cmocka_unit_test(test_service),
                cmocka_unit_test(test_shadows),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
