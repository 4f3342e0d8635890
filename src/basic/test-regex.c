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

static int run(const char *pattern, bool accelerate, const char *text, size_t length) {
        RegexRunner *runner = regex_runner_new();
        RegexError error;
        pcre2_code *code;
        int r;

        assert_non_null(runner);
        assert_int_equal(regex_compile(pattern, strlen(pattern), &code, &error), 0);
        if (accelerate)
                assert_true(regex_accelerate(code));
        r = regex_run(runner, code, (const uint8_t *) text, length);
        pcre2_code_free(code);
        regex_runner_free(runner);
        return r;
}

/* Of long texts a part after the other is searched, which must make no difference. */
static void test_long_texts(void **state) {
        static char text[32768];

        memset(text, '-', sizeof(text));
        for (size_t at = 0; at < sizeof(text) - 2; at += 61) {
                memcpy(text + at, "xyz", 3);
                for (int accelerate = 0; accelerate < 2; accelerate++) {
                        assert_int_equal(run("xyz", accelerate, text, sizeof(text)), 1);
                        assert_int_equal(run("(?<=y)z", accelerate, text, sizeof(text)), 1);
                        assert_int_equal(run("xyz$", accelerate, text, at + 3), 1);
                        assert_int_equal(run("xyz", accelerate, text, at + 2), 0);
                        assert_int_equal(run("^xyz", accelerate, text, sizeof(text)), at == 0);
                }
                memset(text + at, '-', 3);
        }
        assert_int_equal(run("$", false, text, sizeof(text)), 1);
        assert_int_equal(run("-{40}$", false, text, sizeof(text)), 1);
}

/* These would take minutes to centuries. */
static void test_limits(void **state) {
        static char text[32768];

        for (size_t i = 0; i < sizeof(text); i++)
                text[i] = "ab"[i % 2];
        text[sizeof(text) - 1] = 'c';
        text[sizeof(text) - 2] = 'a';
        for (int accelerate = 0; accelerate < 2; accelerate++) {
                assert_int_equal(run("(b|a+b?)+x", accelerate, text, sizeof(text)), 0); /* there is no x */
                assert_int_equal(run("((a|b)+)+bc", accelerate, text, sizeof(text)), -EDQUOT);
                assert_int_equal(run("^(a|b)*?(a|b)*?(a|b)*?bc", accelerate, text, sizeof(text)), -EDQUOT);
        }
        assert_int_equal(run("a.*bc", false, text, sizeof(text)), -EDQUOT);
        memset(text, 'a', sizeof(text));
        text[sizeof(text) - 1] = 'b';
        for (int accelerate = 0; accelerate < 2; accelerate++) {
                assert_int_equal(run("(a+)+$", accelerate, text, sizeof(text)), -EDQUOT);
                assert_int_equal(run("(a+)+$", accelerate, text + sizeof(text) - 40, 40), -EDQUOT);
                assert_int_equal(run("(a+)+$", accelerate, text, 40), 1);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_language),
                cmocka_unit_test(test_errors),
                cmocka_unit_test(test_long_texts),
                cmocka_unit_test(test_limits),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
