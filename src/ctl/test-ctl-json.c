/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "../basic/macro.h"
#include "ctl-json.h"

/* Parses and writes again. */
static void check_same(const char *in, const char *expected) {
        _cleanup_(json_value_freep) JsonValue *v = NULL;
        _cleanup_free_ char *text = NULL;
        size_t size;
        FILE *f = open_memstream(&text, &size);
        JsonWriter w = JSON_WRITER(f, false);

        assert_int_equal(json_parse(in, &v), 0);
        json_value_write(v, &w, NULL);
        assert_int_equal(json_finish(&w), 0);
        fclose(f);
        assert_string_equal(text, expected);
}

static void test_valid(void **state) {
        check_same("null", "null");
        check_same(" [ ] ", "[]");
        check_same("{\"a\" : [1, -0.5e+3, true,false , null], \"b\":{}}",
                   "{\"a\":[1,-0.5e+3,true,false,null],\"b\":{}}");
        check_same("\"\\u0041\\n\\/\\\"\\u00fc\\u20ac\\ud83c\\udf88\"",
                   "\"A\\n/\\\"\xc3\xbc\xe2\x82\xac\xf0\x9f\x8e\x88\"");
}

static void test_invalid(void **state) {
        static const char *const cases[] = {
                "", " ", "[", "]", "[1", "[1,]", "[,1]", "{", "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{a:1}",
                "{1:1}",
                "\"", "\"\\", "\"\\x\"", "\"\\u12\"", "\"\\u0000\"", "\"\\ud800\"", "\"\\ud800\\u0041\"",
                "\"\\udc00\"", "\"\n\"", "01", "1.", ".5", "-", "1e", "+1", "nul", "nullx", "1 2", "tRue",
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                JsonValue *v = NULL;

                assert_int_equal(json_parse(cases[i], &v), -EBADMSG);
                assert_null(v);
        }
}

static void test_depth(void **state) {
        char text[2 * JSON_DEPTH_MAX + 3] = "";
        _cleanup_(json_value_freep) JsonValue *v = NULL;
        JsonValue *none = NULL;

        memset(text, '[', JSON_DEPTH_MAX);
        memset(text + JSON_DEPTH_MAX, ']', JSON_DEPTH_MAX);
        assert_int_equal(json_parse(text, &v), 0);
        memset(text, '[', JSON_DEPTH_MAX + 1);
        memset(text + JSON_DEPTH_MAX + 1, ']', JSON_DEPTH_MAX + 1);
        assert_int_equal(json_parse(text, &none), -EBADMSG);
}

static void test_access(void **state) {
        _cleanup_(json_value_freep) JsonValue *v = NULL;

        assert_int_equal(json_parse("{\"t\":\"x\",\"n\":42,\"m\":-1,\"y\":true}", &v), 0);
        assert_string_equal(json_get_text(v, "t"), "x");
        assert_string_equal(json_get_text(v, "n"), "");
        assert_string_equal(json_get_text(NULL, "t"), "");
        assert_int_equal(json_get_unsigned(v, "n"), 42);
        assert_int_equal(json_get_unsigned(v, "m"), 0);
        assert_int_equal(json_get_unsigned(v, "t"), 0);
        assert_true(json_get_boolean(v, "y"));
        assert_false(json_get_boolean(v, "z"));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_valid),
                cmocka_unit_test(test_invalid),
                cmocka_unit_test(test_depth),
                cmocka_unit_test(test_access),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
