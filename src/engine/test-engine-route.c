/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "test-engine-request.h"

/* The same with only a Host. */
static __u32 route_of(TestTables *t, const char *host, const char *target) {
        struct sm_choice c;
        char fields[256];
        TestRequest r;

        snprintf(fields, sizeof(fields), "Host: %s\r\n", host);
        request_start(&r, target, fields);
        assert_int_equal(sm_choose_route(&t->view, TEST_BASE, &r.q, &c), SM_REASON_NONE);
        assert_ptr_equal(c.policy, test_policy(t));
        assert_ptr_equal(c.route, test_cell(t, c.policy->routes + c.route_index));
        request_done(&r);
        return c.route_index;
}

/* All three steps. */
static enum sm_reason pick(TestTables *t, TestRequest *r, struct sm_choice *c) {
        enum sm_reason reason = sm_choose_route(&t->view, TEST_BASE, &r->q, c);

        if (reason == SM_REASON_NONE)
                reason = sm_choose_subset(&t->view, c, &r->q);
        return reason == SM_REASON_NONE ? sm_choose_endpoint(&t->view, c, &r->q, 0, NULL, 0) : reason;
}

static void test_routes(void **state) {
        static const struct {
                const char *host, *target;
                __u32 route;
        } rows[] = {
                { "api.example", "/v2", TEST_ROUTE_API },
                { "api.example", "/v2/", TEST_ROUTE_API },
                { "api.example", "/v2/x", TEST_ROUTE_API },
                { "api.example", "/v2?x", TEST_ROUTE_API },
                { "API.Example:8080", "/v2", TEST_ROUTE_API },
                { "api.example:", "/v2", TEST_ROUTE_API },
                { "x", "http://api.example:80/v2", TEST_ROUTE_API }, /* the target overrides Host */
                { "api.example", "http://x/v2", TEST_ROUTE_REST },
                { "api.example", "/v20", TEST_ROUTE_REST },
                { "api.example", "/v", TEST_ROUTE_REST },
                { "api.example", "/V2", TEST_ROUTE_REST },
                { "api.example", "//v2", TEST_ROUTE_REST },
                { "api.example.", "/v2", TEST_ROUTE_REST },
                { "xapi.example", "/v2", TEST_ROUTE_REST },
                { "a.shop.example", "/", TEST_ROUTE_SHOP },
                { "a.b.SHOP.example:1", "/", TEST_ROUTE_SHOP },
                { "shop.example", "/", TEST_ROUTE_REST },
                { "xshop.example", "/", TEST_ROUTE_REST },
                { "a.shop.example", "/private", TEST_ROUTE_SHOP },
                { "a.shop.example", "/private/", TEST_ROUTE_REST },
                { "a.shop.example", "/private/x", TEST_ROUTE_REST },
                { "x", TEST_LONG_PATH, TEST_ROUTE_LONG },
                { "x", TEST_LONG_PATH "?x", TEST_ROUTE_LONG },
                { "x", TEST_LONG_PATH "/", TEST_ROUTE_REST },
                { "x", "/public/x", TEST_ROUTE_PUBLIC },
                { "", "/public/x", TEST_ROUTE_PUBLIC },
                { "[::1]", "/public/x", TEST_ROUTE_REST },
                { "[::1]:80", "/public/x", TEST_ROUTE_REST },
                { "[::2]:80", "/public/x", TEST_ROUTE_PUBLIC },
        };
        TestTables t;

        test_full_policy(&t);
        for (size_t i = 0; i < COUNT(rows); i++) {
                __u32 route = route_of(&t, rows[i].host, rows[i].target);

                if (route != rows[i].route)
                        print_error("%s %s\n", rows[i].host, rows[i].target);
                assert_int_equal(route, rows[i].route);
        }
}

static void test_no_route(void **state) {
        struct sm_choice c;
        TestRequest r;
        TestTables t;

        request_start(&r, "/", "Host: x\r\n");
        test_full_policy(&t);
        test_policy(&t)->n_routes = TEST_ROUTE_REST;
        assert_int_equal(sm_choose_route(&t.view, TEST_BASE, &r.q, &c), SM_REASON_NO_ROUTE);
        assert_ptr_equal(c.policy, test_policy(&t));
        test_policy(&t)->n_routes = 0;
        assert_int_equal(sm_choose_route(&t.view, TEST_BASE, &r.q, &c), SM_REASON_NO_ROUTE);
        assert_int_equal(sm_choose_route(&t.view, 0, &r.q, &c), SM_REASON_NO_SERVICE);
        assert_int_equal(sm_choose_route(&t.view, TEST_CELLS, &r.q, &c), SM_REASON_NO_SERVICE);
        assert_null(c.policy);
        request_done(&r);
}

/* Without a head only a route without predicates matches, not one that negates. */
static void test_connection(void **state) {
        struct sm_request q = { .source = test_source };
        struct sm_choice c;
        TestTables t;

        test_full_policy(&t);
        assert_int_equal(sm_pick_for_connection(&t.view, TEST_BASE, &q, 0, &c), SM_REASON_NONE);
        assert_int_equal(c.route_index, TEST_ROUTE_REST);
        assert_int_equal(c.subset_index, 4);
        assert_in_range(c.endpoint, 1, 17);
}

static void test_split(void **state) {
        static const __u32 expected[] = { 0, 1, 0, 0, 0, 1, 0, 0 };
        struct sm_choice c;
        TestRequest r;
        TestTables t;

        test_full_policy(&t);
        request_start(&r, "/v2", "Host: api.example\r\n");
        for (size_t i = 0; i < COUNT(expected); i++) {
                assert_int_equal(sm_choose_route(&t.view, TEST_BASE, &r.q, &c), SM_REASON_NONE);
                assert_int_equal(sm_choose_subset(&t.view, &c, &r.q), SM_REASON_NONE);
                assert_int_equal(c.subset_index, expected[i]);
                assert_ptr_equal(c.subset, test_cell(&t, c.policy->subsets + expected[i]));
        }
        assert_int_equal(t.route_states[TEST_ROUTE_API + 1].cursor, COUNT(expected));
        request_done(&r);
}

/* Tables that lead astray are met with a reason. */
static void test_broken_tables(void **state) {
        struct sm_choice c;
        struct sm_route *route;
        TestRequest r;
        TestTables t;

        test_full_policy(&t);
        request_start(&r, "/v2", "Host: api.example\r\n");
        route = test_cell(&t, test_policy(&t)->routes + TEST_ROUTE_API);
        test_set_schedule(&t, &route->split, (const __u32[]) { 5 }, 1);
        assert_int_equal(pick(&t, &r, &c), SM_REASON_INTERNAL);
        route->split.slots = TEST_CELLS;
        assert_int_equal(pick(&t, &r, &c), SM_REASON_INTERNAL);
        route->split.n = 0;
        assert_int_equal(pick(&t, &r, &c), SM_REASON_NO_ENDPOINT);
        route->split.n = 2;
        route->state = TEST_IDS;
        assert_int_equal(pick(&t, &r, &c), SM_REASON_INTERNAL);
        route->predicates = TEST_CELLS;
        assert_int_equal(sm_choose_route(&t.view, TEST_BASE, &r.q, &c), SM_REASON_NONE);
        assert_int_equal(c.route_index, TEST_ROUTE_REST);
        request_done(&r);
}

static void test_restore(void **state) {
        struct sm_choice chosen, c;
        TestRequest r;
        TestTables t;

        test_full_policy(&t);
        request_start(&r, "/v2", "Host: api.example\r\n");
        for (__u32 i = 0; i < 3; i++) {
                __u32 split, cursor;

                assert_int_equal(pick(&t, &r, &chosen),
                                 SM_REASON_NONE);
                split = t.route_states[chosen.route->state].cursor;
                cursor = t.subset_states[chosen.subset->state].cursor;
                assert_true(sm_choice_restore(&t.view, TEST_BASE, chosen.route_index, chosen.subset_index,
                                              chosen.endpoint, 0, &c));
                assert_memory_equal(&c, &chosen, sizeof(c));
                assert_int_equal(t.route_states[chosen.route->state].cursor, split);
                assert_int_equal(t.subset_states[chosen.subset->state].cursor, cursor);
        }
        request_done(&r);

        assert_false(sm_choice_restore(&t.view, TEST_BASE, TEST_ROUTES, 0, 1, 0, &c));
        assert_false(sm_choice_restore(&t.view, TEST_BASE, 0, 5, 1, 0, &c));
        assert_false(sm_choice_restore(&t.view, TEST_BASE, 0, 0, TEST_IDS, 0, &c));
        assert_false(sm_choice_restore(&t.view, 0, 0, 0, 1, 0, &c));
        assert_false(sm_choice_restore(&t.view, TEST_CELLS, 0, 0, 1, 0, &c));
        test_policy(&t)->subsets = TEST_CELLS;
        assert_false(sm_choice_restore(&t.view, TEST_BASE, 0, 0, 1, 0, &c));
}

/* The key that a request has, 0 if it has none. */
static __u64 key_of(TestTables *t, __u32 subset, const char *fields) {
        const struct sm_subset *s = test_cell(t, test_policy(t)->subsets + subset);
        char text[512];
        TestRequest r;
        __u64 key = 0;
        int found;

        snprintf(text, sizeof(text), "Host: x\r\n%s", fields);
        request_start(&r, "/", text);
        sm_key_of_subset(&t->view, TEST_BASE, s, &r.q);
        found = sm_key_of_request(&r.q, s->hash, &key);
        assert_int_equal(found, key != 0);
        request_done(&r);
        return key;
}

static __u64 hash_of(const char *text) {
        __u64 h = sm_hash_start(strlen(text));

        for (; *text; text++)
                h = sm_hash_add(h, (__u8) *text);
        return sm_hash_finish(h);
}

static void test_hash_header(void **state) {
        TestTables t;

        test_full_policy(&t);
        assert_int_equal(key_of(&t, 1, "X-User: carol\r\n"), hash_of("carol"));
        assert_int_equal(key_of(&t, 1, "X-Users: a\r\nX-USER:carol \r\nX-User: b\r\n"), hash_of("carol"));
        assert_int_equal(key_of(&t, 1, "X-User: Carol\r\n"), hash_of("Carol"));
        assert_int_equal(key_of(&t, 1, "X-User:\r\n"), hash_of(""));
        assert_int_equal(key_of(&t, 1, "X-Use: carol\r\n"), 0);
        assert_int_equal(key_of(&t, 1, "Cookie: x-user=carol\r\n"), 0);
}

static void test_hash_cookie(void **state) {
        TestTables t;

        test_full_policy(&t);
        assert_int_equal(key_of(&t, 3, "Cookie: Session=abc\r\n"), hash_of("abc"));
        assert_int_equal(key_of(&t, 3, "Cookie: a=b; Session=abc; c=d\r\n"), hash_of("abc"));
        assert_int_equal(key_of(&t, 3, "Cookie: a=b;Session=abc;c=d\r\n"), hash_of("abc"));
        assert_int_equal(key_of(&t, 3, "Cookie: Session=a=b; Session=c\r\n"), hash_of("a=b"));
        assert_int_equal(key_of(&t, 3, "Cookie: Session=\r\n"), hash_of(""));
        assert_int_equal(key_of(&t, 3, "Cookie: Session=; a=b\r\n"), hash_of(""));
        assert_int_equal(key_of(&t, 3, "Cookie: XSession=abc; a Session=x\r\n"), 0);
        assert_int_equal(key_of(&t, 3, "Cookie: session=abc\r\n"), 0);
        assert_int_equal(key_of(&t, 3, "Cookie: Session\r\n"), 0);
        assert_int_equal(key_of(&t, 3, "Cookie:\r\n"), 0);
        assert_int_equal(key_of(&t, 3, "X-User: carol\r\n"), 0);
}

static void test_hash_source(void **state) {
        const struct sm_subset *s;
        struct sm_request q = { .source = test_source };
        __u64 first, second;
        TestTables t;

        test_full_policy(&t);
        s = test_cell(&t, test_policy(&t)->subsets + 4);
        assert_int_equal(sm_key_of_request(&q, s->hash, &first), 1);
        q.cgroup = 1;
        assert_int_equal(sm_key_of_request(&q, s->hash, &second), 1);
        assert_true(first != second);
        q.source = NULL;
        assert_int_equal(sm_key_of_request(&q, s->hash, &second), 0);
}

/* One key, one endpoint, whatever is drawn at random; without a key it is drawn. */
static void test_hash_decides(void **state) {
        __u32 seen = 0, first = 0;
        struct sm_choice c;
        TestRequest r;
        TestTables t;

        test_full_policy(&t);
        request_start(&r, "/", "Host: a.shop.example\r\nX-User: carol\r\n");
        for (__u32 i = 0; i < 50; i++) {
                r.q.random = i;
                assert_int_equal(pick(&t, &r, &c), SM_REASON_NONE);
                assert_int_equal(c.subset_index, 1);
                first = first ?: c.endpoint;
                assert_int_equal(c.endpoint, first);
        }
        request_done(&r);

        request_start(&r, "/", "Host: a.shop.example\r\n");
        for (__u32 i = 0; i < 200; i++) {
                r.q.random = i;
                assert_int_equal(pick(&t, &r, &c), SM_REASON_NONE);
                seen |= 1U << c.endpoint;
        }
        assert_int_equal(seen, 0x3fffe);
        request_done(&r);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_routes),
                cmocka_unit_test(test_no_route),
                cmocka_unit_test(test_connection),
                cmocka_unit_test(test_split),
                cmocka_unit_test(test_broken_tables),
                cmocka_unit_test(test_restore),
                cmocka_unit_test(test_hash_header),
                cmocka_unit_test(test_hash_cookie),
                cmocka_unit_test(test_hash_source),
                cmocka_unit_test(test_hash_decides),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
