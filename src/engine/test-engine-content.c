/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "test-engine-request.h"

/* Predicates of bodies, with every part of the body that may be there when they are asked. */

#define FORM "Host: x\r\nContent-Type: application/x-www-form-urlencoded\r\n"

typedef struct Row {
        enum sm_predicate_op op;
        const char *name, *text;
        const char *body;
        enum sm_verdict verdict;
} Row;

/* What is decided with a part of the body stays so; with all of it, it is decided. */
static void check_parts(TestTables *t, TestRequest *r, const char *body, enum sm_verdict verdict) {
        const size_t n = strlen(body);

        for (size_t i = 0; i <= n; i++) {
                enum sm_verdict early;

                request_set_body(r, body, i, 0);
                early = test_verdict(t, r);
                if (early != SM_VERDICT_UNDECIDED && early != verdict)
                        print_error("%zu of %s\n", i, body);
                assert_true(early == SM_VERDICT_UNDECIDED || early == verdict);
        }
        request_set_body(r, body, n, 1);
        if (test_verdict(t, r) != verdict)
                print_error("%s\n", body);
        assert_int_equal(test_verdict(t, r), verdict);
}

static void check_row(enum sm_predicate_kind kind, const Row *row, const char *fields) {
        TestTables t;
        TestRequest r;

        request_start(&r, "/", fields);
        test_single(&t, kind, row->op, row->name, row->text);
        check_parts(&t, &r, row->body, row->verdict);
        request_done(&r);
}

static void test_content(void **state) {
        static const Row rows[] = {
                { SM_OP_EXACT, "", "needle", "a needle in hay", SM_VERDICT_YES },
                { SM_OP_EXACT, "", "needle", "needle", SM_VERDICT_YES },
                { SM_OP_EXACT, "", "needle", "nneedle", SM_VERDICT_YES },
                { SM_OP_EXACT, "", "needle", "needlneedl needle", SM_VERDICT_YES },
                { SM_OP_EXACT, "", "needle", "needl", SM_VERDICT_NO },
                { SM_OP_EXACT, "", "needle", "Needle", SM_VERDICT_NO },
                { SM_OP_EXACT, "", "needle", "", SM_VERDICT_NO },
                { SM_OP_EXACT, "", "x", "01234567890123456789012345678901x", SM_VERDICT_YES },
                { SM_OP_EXACT, "", "x", "0123456789012345678901234567890123456789012345678901234567890123x",
                  SM_VERDICT_YES },
                { SM_OP_EXACT, "", "twenty-four bytes and more, in cells",
                  "all of twenty-four bytes and more, in cell, or twenty-four bytes and more, in cells",
                  SM_VERDICT_YES },
        };

        for (size_t i = 0; i < COUNT(rows); i++)
                check_row(SM_MATCH_CONTENT, &rows[i], "Host: x\r\n");
}

static void test_form(void **state) {
        static const Row rows[] = {
                { SM_OP_EXACT, "f", "1", "f=1", SM_VERDICT_YES },
                { SM_OP_EXACT, "f", "1", "a=b&f=1&c=d", SM_VERDICT_YES },
                { SM_OP_EXACT, "f", "1", "f=12", SM_VERDICT_NO },
                { SM_OP_EXACT, "f", "a b&c", "f=a+b%26c", SM_VERDICT_YES },
                { SM_OP_EXACT, "f", "%4", "f=%4", SM_VERDICT_YES },
                { SM_OP_PREFIX, "f", "a b", "f=a%20bc", SM_VERDICT_YES },
                { SM_OP_SUFFIX, "f", "b c", "f=ab%20c", SM_VERDICT_YES },
                { SM_OP_PRESENT, "f", "", "a&f", SM_VERDICT_YES },
                { SM_OP_PRESENT, "f", "", "a&g", SM_VERDICT_NO },
                { SM_OP_PRESENT, "f", "", "", SM_VERDICT_NO },
                { SM_OP_EXACT, "a name", "1", "a+name=1", SM_VERDICT_YES },
        };

        for (size_t i = 0; i < COUNT(rows); i++)
                check_row(SM_MATCH_FORM, &rows[i], FORM);
}

static void test_form_type(void **state) {
        static const struct {
                const char *fields;
                enum sm_verdict verdict;
        } types[] = {
                { "Content-Type: application/x-www-form-urlencoded\r\n", SM_VERDICT_YES },
                { "content-type: Application/X-WWW-Form-URLEncoded; charset=utf-8\r\n", SM_VERDICT_YES },
                { "Content-Type: application/x-www-form-urlencoded ;a=b\r\n", SM_VERDICT_YES },
                { "Content-Type: application/x-www-form-urlencodedx\r\n", SM_VERDICT_NO },
                { "Content-Type: application/x-www-form-urlencode\r\n", SM_VERDICT_NO },
                { "Content-Type: application/x-www-form-urlencodee\r\n", SM_VERDICT_NO },
                { "Content-Type: text/plain\r\n", SM_VERDICT_NO },
                { "Content-Typo: application/x-www-form-urlencoded\r\n", SM_VERDICT_NO },
                { "", SM_VERDICT_NO },
        };
        const Row row = { SM_OP_EXACT, "f", "1", "f=1", SM_VERDICT_YES };

        for (size_t i = 0; i < COUNT(types); i++) {
                Row expected = row;
                char fields[256];

                snprintf(fields, sizeof(fields), "Host: x\r\n%s", types[i].fields);
                expected.verdict = types[i].verdict;
                check_row(SM_MATCH_FORM, &expected, fields);
        }
}

/* Nothing behind the bound makes a difference, and at it everything is decided. */
static void test_bound(void **state) {
        static const struct {
                enum sm_predicate_kind kind;
                const char *name, *text, *body;
                enum sm_verdict below, at; /* with a bound of a byte less than the body, and of all of it */
        } rows[] = {
                { SM_MATCH_CONTENT, "", "abc", "xabc", SM_VERDICT_NO, SM_VERDICT_YES },
                { SM_MATCH_FORM, "f", "12", "f=12", SM_VERDICT_NO, SM_VERDICT_YES },
                { SM_MATCH_FORM, "f", "1", "f=12", SM_VERDICT_YES, SM_VERDICT_NO },
                { SM_MATCH_JSON, "/f", "1", "{\"f\":1}", SM_VERDICT_NO, SM_VERDICT_YES },
                { SM_MATCH_JSON, "", "1", "12", SM_VERDICT_YES, SM_VERDICT_NO },
        };
        TestTables t;
        TestRequest r;

        for (size_t i = 0; i < COUNT(rows); i++)
                for (int complete = 0; complete < 2; complete++) {
                        struct sm_predicate *p = test_single(&t, rows[i].kind, SM_OP_EXACT, rows[i].name,
                                                             rows[i].text);
                        size_t n = strlen(rows[i].body);

                        request_start(&r, "/", FORM);
                        request_set_body(&r, rows[i].body, n, complete);
                        p->first = (__u16) (n - 1);
                        assert_int_equal(test_verdict(&t, &r), rows[i].below);
                        p->first = (__u16) n;
                        assert_int_equal(test_verdict(&t, &r), rows[i].at);
                        p->first = (__u16) (n + 1);
                        if (complete)
                                assert_int_equal(test_verdict(&t, &r), rows[i].at);
                        request_done(&r);
                }
}

#define DOCUMENT   \
        "{\"user\": {\"tier\": \"gold\", \"id\": -12, \"on\": true, \"e\": null, "   \
        "\"tags\": [\"a\", [1, 2], {\"b\": 3}]}, \"a/b\": 1, \"m~n\": 2, \"\": 3, "   \
        "\"\\u00e4\\ud83d\\ude00\": \"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0041\\u20ac\", \"x\": 1.5e3}"
#define JSON(op, pointer, text, body, v) { SM_OP_##op, pointer, text, body, SM_VERDICT_##v }

static void test_json(void **state) {
        static const Row rows[] = {
                JSON(EXACT, "/user/tier", "gold", DOCUMENT, YES),
                JSON(EXACT, "/user/tier", "golf", DOCUMENT, NO),
                JSON(PREFIX, "/user/tier", "go", DOCUMENT, YES),
                JSON(SUFFIX, "/user/tier", "ld", DOCUMENT, YES),
                JSON(PRESENT, "/user/tier", "", DOCUMENT, YES),
                JSON(PRESENT, "/user/none", "", DOCUMENT, NO),
                JSON(PRESENT, "/user", "", DOCUMENT, YES),
                JSON(PRESENT, "/user/tags", "", DOCUMENT, YES),
                JSON(PRESENT, "", "", DOCUMENT, YES),
                JSON(EXACT, "/user", "", DOCUMENT, NO),
                JSON(EXACT, "/user/id", "-12", DOCUMENT, YES),
                JSON(EXACT, "/user/on", "true", DOCUMENT, YES),
                JSON(EXACT, "/user/e", "null", DOCUMENT, YES),
                JSON(PRESENT, "/user/e", "", DOCUMENT, YES),
                JSON(EXACT, "/user/tags/0", "a", DOCUMENT, YES),
                JSON(EXACT, "/user/tags/1/1", "2", DOCUMENT, YES),
                JSON(EXACT, "/user/tags/2/b", "3", DOCUMENT, YES),
                JSON(PRESENT, "/user/tags/3", "", DOCUMENT, NO),
                JSON(PRESENT, "/user/tags/01", "", DOCUMENT, NO),
                JSON(PRESENT, "/user/tags/-", "", DOCUMENT, NO),
                JSON(PRESENT, "/user/tags/", "", DOCUMENT, NO),
                JSON(PRESENT, "/user/tier/x", "", DOCUMENT, NO),
                JSON(PRESENT, "/tier", "", DOCUMENT, NO),
                JSON(EXACT, "/a~1b", "1", DOCUMENT, YES),
                JSON(PRESENT, "/a/b", "", DOCUMENT, NO),
                JSON(EXACT, "/m~0n", "2", DOCUMENT, YES),
                JSON(EXACT, "/", "3", DOCUMENT, YES),
                JSON(EXACT, "/\u00e4\U0001f600", "\"\\/\b\f\n\r\tA\u20ac", DOCUMENT, YES),
                JSON(SUFFIX, "/\u00e4\U0001f600", "\u20ac", DOCUMENT, YES),
                JSON(EXACT, "/x", "1.5e3", DOCUMENT, YES),
                JSON(EXACT, "/x", "1500", DOCUMENT, NO),
                JSON(EXACT, "", "0", " 0 ", YES),
                JSON(EXACT, "", "true", "true", YES),
                JSON(EXACT, "", "a", "\"a\"", YES),
                JSON(EXACT, "/0/0/0", "1", "[[[1]]]", YES),
                JSON(EXACT, "/0/1/0", "1", "[[[0],[1]]]", YES),
                JSON(EXACT, "/1/0", "1", "[[0,1],[1]]", YES),
                JSON(EXACT, "/0/1", "1", "[[0],[1,1]]", NO),
                JSON(EXACT, "/12", "1", "[0,0,0,0,0,0,0,0,0,0,0,0,1]", YES),
                /* the last of a name counts */
                JSON(EXACT, "/a", "2", "{\"a\":1,\"a\":2}", YES),
                JSON(EXACT, "/a", "1", "{\"a\":1,\"a\":2}", NO),
                JSON(PRESENT, "/a/b", "", "{\"a\":{\"b\":1},\"a\":{}}", NO),
                JSON(PRESENT, "/a/b", "", "{\"a\":{\"b\":1},\"a\":0}", NO),
                JSON(EXACT, "/a/b", "2", "{\"a\":{\"b\":1},\"a\":{\"c\":0,\"b\":2}}", YES),
                JSON(EXACT, "/a/b", "1", "{\"a\":{},\"b\":1,\"a\":{\"b\":1}}", YES),
                /* a token is compared whole */
                JSON(PRESENT, "/ab", "", "{\"a\":1,\"abc\":1}", NO),
                JSON(PRESENT, "/a", "", "{\"b\":{\"a\":1}}", NO),
                JSON(PRESENT, "/b/a", "", "{\"a\":{\"b\":{\"a\":1}}}", NO),
        };

        for (size_t i = 0; i < COUNT(rows); i++)
                check_row(SM_MATCH_JSON, &rows[i], "Host: x\r\n");
}

static void test_json_grammar(void **state) {
        static const char *const good[] = {
                "0", "-0", "10", "1.0", "1e5", "1E+5", "1.5e-10", "\"\"", "[]", "{}", " [ ] ",
                "\t{\r\n}", "[1,2]",
                "null", "false", "{\"a\":[]}", "\"\\ud800\\udc00\"", "\"\x80\"", "[[],{},\"\",0]",
        };
        static const char *const bad[] = {
                "", " ", "-", "01", "1.", ".5", "1e", "1e+", "+1", "--1", "1 2", "[", "]", "[1",
                "[1,]", "[,1]",
                "{", "}",
                "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{a:1}", "{1:1}", "{\"a\":1]", "[1}", "nul",
                "nulll", "True",
                "tru e",
                "\"", "\"\\\"", "\"\\x\"", "\"\\u12\"", "\"\\u12g4\"", "\"\\ud800\"", "\"\\udc00\"",
                "\"\\ud800\\u0041\"",
                "\"\\ud800\\ud800\"", "\"\n\"", "\"\x1f\"", "[] []", "{} x", "'a'", "//\n1", "[1 2]",
                "{\"a\" 1}",
                "{\"a\":1 \"b\":2}", "nan", "1a", "\xef\xbb\xbf" "1",
        };

        for (size_t i = 0; i < COUNT(good); i++)
                check_row(SM_MATCH_JSON, &(Row) JSON(PRESENT, "", "", good[i], YES), "Host: x\r\n");
        for (size_t i = 0; i < COUNT(bad); i++)
                check_row(SM_MATCH_JSON, &(Row) JSON(PRESENT, "", "", bad[i], NO), "Host: x\r\n");
}

static void test_json_depth(void **state) {
        char body[2 * (SM_JSON_DEPTH_MAX + 1) + 1];
        Row row = { SM_OP_PRESENT, "", "", body, SM_VERDICT_YES };

        for (int depth = 1; depth <= SM_JSON_DEPTH_MAX + 1; depth++) {
                memset(body, '[', (size_t) depth);
                memset(body + depth, ']', (size_t) depth);
                body[2 * depth] = '\0';
                row.verdict = depth <= SM_JSON_DEPTH_MAX ? SM_VERDICT_YES : SM_VERDICT_NO;
                check_row(SM_MATCH_JSON, &row, "Host: x\r\n");
        }
}

static void test_json_range(void **state) {
        static const struct {
                const char *body;
                int within;
        } rows[] = {
                { "{\"n\":5}", 1 }, { "{\"n\":11}", 0 }, { "{\"n\":\"5\"}", 1 }, { "{\"n\":5.0}", 0 },
                { "{\"n\":5e0}", 0 }, { "{\"n\":true}", 0 }, { "{\"n\":[5]}", 0 }, { "{\"n\":\"\\u0035\"}", 1 },
        };
        struct sm_predicate *p;
        TestTables t;
        TestRequest r;

        p = test_single(&t, SM_MATCH_JSON, SM_OP_RANGE, "/n", "");
        p->low = 1;
        p->high = 10;
        request_start(&r, "/", "Host: x\r\n");
        for (size_t i = 0; i < COUNT(rows); i++)
                check_parts(&t, &r, rows[i].body, rows[i].within ? SM_VERDICT_YES : SM_VERDICT_NO);
        request_done(&r);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_content),
                cmocka_unit_test(test_form),
                cmocka_unit_test(test_form_type),
                cmocka_unit_test(test_bound),
                cmocka_unit_test(test_json),
                cmocka_unit_test(test_json_grammar),
                cmocka_unit_test(test_json_depth),
                cmocka_unit_test(test_json_range),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
