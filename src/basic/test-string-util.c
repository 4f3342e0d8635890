/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "string-util.h"

static void test_strv(void **state) {
        _cleanup_strv_free_ char **l = NULL;
        char text[16];

        assert_int_equal(strv_length(NULL), 0);
        assert_false(strv_contains(NULL, "a"));
        for (int i = 0; i < 100; i++) {
                snprintf(text, sizeof(text), "item-%i", i);
                assert_int_equal(strv_push(&l, text), 0);
                assert_int_equal(strv_length(l), i + 1);
                assert_string_equal(l[i], text);
        }
        assert_string_equal(l[0], "item-0");
        assert_true(strv_contains(l, "item-99"));
        assert_false(strv_contains(l, "item-100"));
}

static void test_affixes(void **state) {
        assert_string_equal(startswith("route-1", "route-"), "1");
        assert_null(startswith("rout", "route"));
        assert_string_equal(endswith("a.slice", ".slice"), ".slice");
        assert_null(endswith("slice", ".slice"));
        assert_true(streq_null(NULL, NULL));
        assert_false(streq_null(NULL, ""));
        assert_false(streq_null("", NULL));
        assert_true(streq_null("a", "a"));
}

static void test_strdup_to(void **state) {
        _cleanup_free_ char *s = NULL;

        assert_int_equal(strdup_to(&s, "one"), 0);
        assert_string_equal(s, "one");
        assert_int_equal(strdup_to(&s, "two"), 0);
        assert_string_equal(s, "two");
        assert_int_equal(strdup_to(&s, NULL), 0);
        assert_null(s);
}

static void test_distance(void **state) {
        char longest[66] = {};

        assert_int_equal(string_distance("balance", "balance", 3), 0);
        assert_int_equal(string_distance("balence", "balance", 3), 1);
        assert_int_equal(string_distance("blaance", "balance", 3), 1); /* a swap */
        assert_int_equal(string_distance("balanc", "balance", 3), 1);
        assert_int_equal(string_distance("", "abc", 5), 3);
        assert_int_equal(string_distance("kitten", "sitting", 5), 3);
        assert_int_equal(string_distance("abc", "xyz", 1), 2); /* more than the limit */
        memset(longest, 'a', 65);
        assert_int_equal(string_distance(longest, longest, 2), 3);
        longest[64] = 0;
        assert_int_equal(string_distance(longest, longest, 2), 0);
}

static void test_quote(void **state) {
        char text[200], buffer[QUOTED_SIZE];

        assert_string_equal(string_quote("a b", buffer), "\"a b\"");
        assert_string_equal(string_quote("", buffer), "\"\"");
        assert_string_equal(string_quote("x\n\x1b[31m\xff", buffer), "\"x??[31m?\"");
        memset(text, 'x', sizeof(text) - 1);
        text[sizeof(text) - 1] = 0;
        assert_int_equal(strlen(string_quote(text, buffer)), 64 + 3 + 2);
        text[64] = 0;
        assert_int_equal(strlen(string_quote(text, buffer)), 64 + 2);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_strv),
                cmocka_unit_test(test_affixes),
                cmocka_unit_test(test_strdup_to),
                cmocka_unit_test(test_distance),
                cmocka_unit_test(test_quote),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
