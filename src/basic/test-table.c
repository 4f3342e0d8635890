/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "cleanup.h"
#include "table.h"

#define GREEN "gr\xc3\xbc\xc3\x9f"           /* 4 columns */
#define CHINESE "\xe4\xb8\xad\xe6\x96\x87" /* 4 columns */
#define ELLIPSIS "\xe2\x80\xa6"

DEFINE_TRIVIAL_CLEANUP(Table *, table_free)

static const TableColumn columns[] = {
        { .key = "name", .title = "NAME", .shrinks = true },
        { .key = "requests", .title = "REQUESTS", .right = true },
        { .key = "path" },
        { .key = "where", .title = "WHERE", .shrinks = true, .keeps_end = true },
        { .title = "NOTE" },
};

static Table *sample(void) {
        Table *t = table_new(columns, ELEMENTSOF(columns));

        assert_non_null(t);
        table_add_string(t, STYLE_NORMAL, GREEN);
        table_add_count(t, STYLE_BAD, 12345);
        table_add_string(t, STYLE_NORMAL, "/a");
        table_add_string(t, STYLE_NORMAL, CHINESE CHINESE);
        table_add_boolean(t, STYLE_NORMAL, true, "ja");

        table_add_format(t, STYLE_NORMAL, "%s-%d", "a-rather-long-name", 7);
        table_add_count(t, STYLE_NORMAL, 0);
        table_add_string(t, STYLE_NORMAL, NULL);
        table_add_string(t, STYLE_NORMAL, "x\ny\x1b[1m");
        table_add_string(t, STYLE_NORMAL, NULL);
        return t;
}

static void check(const TableView *view, const char *expected) {
        _cleanup_(table_freep) Table *t = sample();
        _cleanup_free_ char *text = NULL;
        size_t size;
        FILE *f = open_memstream(&text, &size);

        assert_int_equal(table_rows(t), 2);
        assert_int_equal(table_print(t, f, view), 0);
        fclose(f);
        assert_string_equal(text, expected);
}

static void test_print(void **state) {
        check(&(TableView) { .legend = true, .utf8 = true },
              "NAME                  REQUESTS  WHERE     NOTE\n"
              GREEN "                     12.3k  " CHINESE CHINESE "  ja\n"
              "a-rather-long-name-7         0  x?y?[1m   -\n");
        check(&(TableView) { .indent = 2 },
              "  " GREEN "                  12.3k  " CHINESE CHINESE "  ja\n"
              "  a-rather-long-name-7      0  x?y?[1m   -\n");
}

static void test_narrow(void **state) {
        /* The widest gives first, then both; a double-width character that does not fit leaves a space. */
        check(&(TableView) { .columns = 30, .legend = true, .utf8 = true },
              "NAME    REQUESTS  WHERE   NOTE\n"
              GREEN "       12.3k  " ELLIPSIS CHINESE "   ja\n"
              "a-rat" ELLIPSIS "         0  " ELLIPSIS "y?[1m  -\n");
        /* Titles are never cut, even if that is too wide. */
        check(&(TableView) { .columns = 5, .legend = true },
              "NAME  REQUESTS  WHERE  NOTE\n"
              GREEN "     12.3k  ...\xe6\x96\x87  ja\n"
              "a...         0  ...1m  -\n");
}

static void test_colors(void **state) {
        check(&(TableView) { .colors = true },
              GREEN "                  \x1b[1;31m12.3k\x1b[0m  " CHINESE CHINESE "  ja\n"
              "a-rather-long-name-7      0  x?y?[1m   -\n");
}

static void test_json(void **state) {
        _cleanup_(table_freep) Table *t = sample();
        _cleanup_free_ char *text = NULL;
        size_t size;
        FILE *f = open_memstream(&text, &size);
        JsonWriter w = JSON_WRITER(f, false);

        assert_int_equal(table_to_json(t, &w, NULL), 0);
        assert_int_equal(json_finish(&w), 0);
        fclose(f);
        assert_string_equal(text,
                            "[{\"name\":\"" GREEN "\",\"requests\":12345,\"path\":\"/a\","
                            "\"where\":\"" CHINESE CHINESE "\"},"
                            "{\"name\":\"a-rather-long-name-7\",\"requests\":0,\"path\":null,"
                            "\"where\":\"x\\ny\\u001b[1m\"}]");
}

static void test_counts(void **state) {
        static const struct {
                uint64_t n;
                const char *text;
        } cases[] = {
                { 0, "0" },           { 999, "999" },         { 1000, "1.00k" },
                { 1239, "1.23k" },    { 10000, "10.0k" },     { 12399, "12.3k" },
                { 999999, "999k" },   { 1000000, "1.00M" },   { UINT64_MAX, "18.4E" },
        };
        char buffer[COUNT_TEXT_MAX];

        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                assert_string_equal(count_to_text(cases[i].n, buffer), cases[i].text);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_print), cmocka_unit_test(test_narrow), cmocka_unit_test(test_colors),
                cmocka_unit_test(test_json),  cmocka_unit_test(test_counts),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
