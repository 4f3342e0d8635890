/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../basic/macro.h"
#include "ctl-endpoint.h"
#include "ctl-explain.h"

static MeshEndpoint endpoints[] = {
        { .subset = "stable", .text = "10.1.0.1:80", .address = "10.1.0.1:80" },
        { .subset = "stable", .text = "10.1.0.11:80", .address = "10.1.0.11:80" },
        { .subset = "stable", .text = "10.1.0.11:81", .address = "10.1.0.11:81" },
        { .subset = "canary", .text = "10.1.0.1:80", .address = "10.1.0.1:80" },
        { .subset = "canary", .text = "db.example:5432", .address = "192.0.2.1:5432" },
        { .subset = "canary", .text = "db.example:5432", .address = "192.0.2.2:5432" },
        { .subset = "canary", .text = "[2001:db8::1]:80", .address = "[2001:db8::1]:80" },
};

static const MeshService service = {
        .name = "shop", .endpoints = endpoints, .n_endpoints = ELEMENTSOF(endpoints),
};

static void test_find(void **state) {
        static const struct {
                const char *pattern;
                int result;
                size_t index;
        } cases[] = {
                { "10.1.0.11:81", 0, 2 },
                { "10.1.0.1:80", ENDPOINT_E_AMBIGUOUS, 0 }, /* in both subsets */
                { "stable/10.1.0.1:80", 0, 0 },
                { "canary/10.1.0.1:80", 0, 3 },
                { "stable/10.1.0.1", 0, 0 }, /* the host, though others begin like that */
                { "10.1.0.11", ENDPOINT_E_AMBIGUOUS, 0 },
                { "10.1.0.11:8", ENDPOINT_E_AMBIGUOUS, 0 },
                { "canary/10", 0, 3 },
                { "stable/10", ENDPOINT_E_AMBIGUOUS, 0 },
                { "db.example", 0, 4 }, /* one entry of the policy, of two addresses */
                { "db", 0, 4 },
                { "192.0.2.2", 0, 5 },
                { "2001:db8::1", 0, 6 },
                { "[2001:db8::1]", 0, 6 },
                { "[2001", 0, 6 },
                { "", ENDPOINT_E_NONE, 0 },
                { "canary/", ENDPOINT_E_NONE, 0 },
                { "/10.1.0.11:81", ENDPOINT_E_NONE, 0 },
                { "can/db.example", ENDPOINT_E_NONE, 0 },
                { "10.1.0.12", ENDPOINT_E_NONE, 0 },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                const MeshEndpoint *found = NULL;

                assert_int_equal(endpoint_find(&service, cases[i].pattern, &found), cases[i].result);
                assert_ptr_equal(found, cases[i].result == 0 ? &endpoints[cases[i].index] : NULL);
        }
}

static void test_slices(void **state) {
        static const char *const list[] = { "shop.slice", "a-b.slice" };

        assert_true(slice_is_in("shop.slice", list, 2));
        assert_true(slice_is_in("shop-web-1.slice", list, 2));
        assert_true(slice_is_in("a-b.slice", list, 2));
        assert_false(slice_is_in("a.slice", list, 2)); /* above it */
        assert_false(slice_is_in("shopping.slice", list, 2));
        assert_false(slice_is_in("sho.slice", list, 2));
        assert_false(slice_is_in("shop.slice", list, 0));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_find),
                cmocka_unit_test(test_slices),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
