/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../basic/cleanup.h"
#include "../basic/macro.h"
#include "ctl-options.h"

static void test_anywhere(void **state) {
        _cleanup_(options_done) Options o = {};
        char *argv[] = {
                "ctl", "show", "--json", "shop", "-H", "a: b", "--root=/x", "-Hc: d", "--from", "s.slice",
                NULL,
        };
        int first;

        assert_int_equal(options_parse(ELEMENTSOF(argv) - 1, argv, &o, &first), 0);
        assert_int_equal(first, ELEMENTSOF(argv) - 1 - 2);
        assert_string_equal(argv[first], "show");
        assert_string_equal(argv[first + 1], "shop");
        assert_true(o.json);
        assert_false(o.persist);
        assert_string_equal(o.root, "/x");
        assert_string_equal(o.from, "s.slice");
        assert_int_equal(o.n_headers, 2);
        assert_string_equal(o.headers[1], "c: d");
        assert_int_equal(o.given, OPTION_BIT(OPTION_JSON) | OPTION_BIT(OPTION_HEADER) |
                                          OPTION_BIT(OPTION_ROOT) | OPTION_BIT(OPTION_FROM));
}

static void test_end_of_options(void **state) {
        _cleanup_(options_done) Options o = {};
        char *argv[] = { "ctl", "-h", "--", "--json", NULL };
        int first;

        assert_int_equal(options_parse(ELEMENTSOF(argv) - 1, argv, &o, &first), 0);
        assert_int_equal(first, 3);
        assert_true(o.help);
        assert_false(o.json);
}

static void test_wrong(void **state) {
        static char *const cases[] = { "--nonsense", "-x", "--root", "-H", "--json=yes" };

        /* getopt's words for it are not of interest here. */
        assert_non_null(freopen("/dev/null", "w", stderr));
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                char *argv[] = { "ctl", cases[i], NULL };
                Options o = { .n_headers = 77 };
                int first = -1;

                assert_int_equal(options_parse(2, argv, &o, &first), -EINVAL);
                assert_int_equal(first, -1);
                assert_int_equal(o.n_headers, 77);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_anywhere),
                cmocka_unit_test(test_end_of_options),
                cmocka_unit_test(test_wrong),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
