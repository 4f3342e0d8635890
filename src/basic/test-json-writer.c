/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>

#include <cmocka.h>

#include "cleanup.h"
#include "json-writer.h"
#include "macro.h"
#include "utf8.h"

static void check_string(const char *in, size_t n, const char *expected) {
        _cleanup_free_ char *text = NULL;
        size_t size;
        FILE *f = open_memstream(&text, &size);
        JsonWriter w = JSON_WRITER(f, false);

        json_string_n(&w, NULL, in, n);
        assert_int_equal(json_finish(&w), 0);
        fclose(f);
        assert_string_equal(text, expected);
}

static void test_strings(void **state) {
        check_string("", 0, "\"\"");
        check_string("a\"b\\c/", 6, "\"a\\\"b\\\\c/\"");
        check_string("\n\t\r\b\f", 5, "\"\\n\\t\\r\\b\\f\"");
        check_string("\0\x01\x1f\x7f", 4, "\"\\u0000\\u0001\\u001f\\u007f\"");
        check_string("\xc2\x9b", 2, "\"\\u009b\"");
        check_string("gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x8e\x88", 15,
                     "\"gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x8e\x88\"");
        /* stray continuation, cut short, overlong, surrogate, beyond Unicode */
        check_string("\x80", 1, "\"\xef\xbf\xbd\"");
        check_string("\xe2\x82", 2, "\"\xef\xbf\xbd\xef\xbf\xbd\"");
        check_string("\xc0\xaf", 2, "\"\xef\xbf\xbd\xef\xbf\xbd\"");
        check_string("\xed\xa0\x80", 3, "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");
        check_string("\xf4\x90\x80\x80", 4, "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");
}

static void write_document(JsonWriter *w) {
        json_open_object(w, NULL);
        json_unsigned(w, "n", UINT64_MAX);
        json_signed(w, "i", INT64_MIN);
        json_open_array(w, "list");
        json_string(w, NULL, "x");
        json_boolean(w, NULL, true);
        json_null(w, NULL);
        json_close(w);
        json_open_array(w, "empty");
        json_close(w);
        json_open_object(w, "o");
        json_string(w, "s", NULL);
        json_close(w);
        json_raw(w, "raw", "[1]");
        json_close(w);
}

static void test_structure(void **state) {
        static const char *expected[] = {
                "{\"n\":18446744073709551615,\"i\":-9223372036854775808,\"list\":[\"x\",true,null],"
                "\"empty\":[],\"o\":{\"s\":null},\"raw\":[1]}",
                "{\n  \"n\": 18446744073709551615,\n  \"i\": -9223372036854775808,\n"
                "  \"list\": [\n    \"x\",\n    true,\n    null\n  ],\n  \"empty\": [],\n"
                "  \"o\": {\n    \"s\": null\n  },\n  \"raw\": [1]\n}\n",
        };

        for (size_t i = 0; i < ELEMENTSOF(expected); i++) {
                _cleanup_free_ char *text = NULL;
                size_t size;
                FILE *f = open_memstream(&text, &size);
                JsonWriter w = JSON_WRITER(f, i == 1);

                write_document(&w);
                assert_int_equal(json_finish(&w), 0);
                fclose(f);
                assert_string_equal(text, expected[i]);
        }
}

static void test_stream_error(void **state) {
        FILE *f = fopen("/dev/full", "w");
        JsonWriter w = JSON_WRITER(f, false);

        assert_non_null(f);
        write_document(&w);
        assert_int_equal(json_finish(&w), -EIO);
        fclose(f);
}

static void test_columns(void **state) {
        assert_int_equal(utf8_columns('a'), 1);
        assert_int_equal(utf8_columns('\n'), 0);
        assert_int_equal(utf8_columns(0x301), 0);  /* combining acute */
        assert_int_equal(utf8_columns(0x2026), 1); /* ellipsis */
        assert_int_equal(utf8_columns(0x4e2d), 2); /* CJK */
        assert_int_equal(utf8_columns(0x1f388), 2); /* balloon */
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_strings),
                cmocka_unit_test(test_structure),
                cmocka_unit_test(test_stream_error),
                cmocka_unit_test(test_columns),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
