/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "macro.h"
#include "regex.h"

static bool matches(const char *pattern, const char *text) {
        pcre2_match_data *data = pcre2_match_data_create(1, NULL);
        RegexError error;
        pcre2_code *code;
        int r;

        assert_non_null(data);
        assert_int_equal(regex_compile(pattern, strlen(pattern), &code, &error), 0);
        r = pcre2_match(code, (PCRE2_SPTR) text, strlen(text), 0, 0, data, NULL);
        pcre2_code_free(code);
        pcre2_match_data_free(data);
        return r >= 0;
}

static void test_language(void **state) {
        assert_true(matches("b+", "abbc"));
        assert_false(matches("^b", "ab"));
        assert_false(matches("B", "abc"));
        assert_true(matches("(?i)B", "abc"));
        assert_true(matches("c$", "abc"));
        assert_false(matches("c$", "abc\n"));
        assert_false(matches("^.$", "\xc3\xa4")); /* two bytes are two characters */
        assert_true(matches("", "abc"));
}

static void test_errors(void **state) {
        static const struct {
                const char *pattern;
                size_t offset;
        } cases[] = {
                { "a(b", 3 },
                { "*a", 0 },
                { "[a", 2 },
                { "(*UTF)a", 6 },
                { "(*UCP)a", 6 },
        };
        pcre2_code *code = NULL;

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                RegexError error = {};

                assert_int_equal(regex_compile(cases[i].pattern, strlen(cases[i].pattern), &code, &error),
                                 -EINVAL);
                assert_null(code);
                assert_int_equal(error.offset, cases[i].offset);
                assert_true(strlen(error.message) > 0);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_language),
                cmocka_unit_test(test_errors),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
