/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "test-engine-request.h"

/* Every kind of predicate that looks at a head or a caller, with every operator. */

typedef struct Row {
        enum sm_predicate_kind kind;
        enum sm_predicate_op op;
        const char *name, *text;
        const char *target, *fields;
        enum sm_verdict verdict;
} Row;

static void check_rows(const Row *rows, size_t n) {
        TestTables t;
        TestRequest r;

        for (size_t i = 0; i < n; i++) {
                const Row *row = &rows[i];
                enum sm_verdict verdict;
                char fields[512];

                snprintf(fields, sizeof(fields), "Host: x\r\n%s", row->fields);
                request_start(&r, row->target, fields);
                test_single(&t, row->kind, row->op, row->name, row->text);
                verdict = test_verdict(&t, &r);
                if (verdict != row->verdict)
                        print_error("row %zu: %s %s\n", i, row->target, row->fields);
                assert_int_equal(verdict, row->verdict);
                request_done(&r);
        }
}

#define LONG_SUFFIX "a-suffix-of-more-than-thirty-two-bytes-in-cell"

#define PATH(op, text, target, v) { SM_MATCH_PATH, SM_OP_##op, "", text, target, "", SM_VERDICT_##v }
#define QUERY(op, name, text, target, v) \
        { SM_MATCH_QUERY, SM_OP_##op, name, text, target, "", SM_VERDICT_##v }
#define HEADER(op, text, fields, v) { SM_MATCH_HEADER, SM_OP_##op, "x-a", text, "/", fields, SM_VERDICT_##v }
#define COOKIE(op, text, fields, v) { SM_MATCH_COOKIE, SM_OP_##op, "sid", text, "/", fields, SM_VERDICT_##v }

static void test_path(void **state) {
        static const Row rows[] = {
                PATH(SUFFIX, ".html", "/a/index.html", YES),
                PATH(SUFFIX, ".html", "/a/index.html?x", YES),
                PATH(SUFFIX, ".html", "/a/index.htm", NO),
                PATH(SUFFIX, ".html", "/html", NO),
                PATH(SUFFIX, "/a/index.html", "/a/index.html", YES),
                PATH(SUFFIX, "//a/index.html", "/a/index.html", NO),
                PATH(SUFFIX, LONG_SUFFIX "s", "/" LONG_SUFFIX "s", YES),
                PATH(SUFFIX, LONG_SUFFIX "s", "/" LONG_SUFFIX "z", NO),
                PATH(EXACT, "/12345678", "/12345678", YES),
                PATH(EXACT, "/12345678", "/12345679", NO),
                PATH(PREFIX, "/1234567", "/1234567/8", YES),
                PATH(PREFIX, "/1234567", "/12345678", NO),
                PATH(PREFIX, "/", "/x", YES),
                PATH(REGEX, "^/a", "/a", UNDECIDED),
        };

        check_rows(rows, COUNT(rows));
}

static void test_header(void **state) {
        static const Row rows[] = {
                HEADER(EXACT, "b", "X-A: b\r\n", YES),
                HEADER(EXACT, "b", "x-a:b \r\n", YES),
                HEADER(EXACT, "b", "X-A: B\r\n", NO),
                HEADER(EXACT, "b", "X-A: bb\r\n", NO),
                HEADER(EXACT, "b", "X-A: a\r\nX-B: b\r\nX-A: b\r\n", YES),
                HEADER(EXACT, "b", "X-AA: b\r\nX: b\r\n", NO),
                HEADER(EXACT, "", "X-A:\r\n", YES),
                HEADER(EXACT, "", "X-B:\r\n", NO),
                HEADER(PREFIX, "ab", "X-A: abc\r\n", YES),
                HEADER(PREFIX, "ab", "X-A: ab\r\n", YES),
                HEADER(PREFIX, "ab", "X-A: a\r\n", NO),
                HEADER(PREFIX, "ab", "X-A: cab\r\nX-A: abs\r\n", YES),
                HEADER(SUFFIX, "bc", "X-A: abc\r\n", YES),
                HEADER(SUFFIX, "bc", "X-A: bcd\r\n", NO),
                HEADER(SUFFIX, "bc", "X-A: c\r\n", NO),
                HEADER(PRESENT, "", "X-A: anything\r\n", YES),
                HEADER(PRESENT, "", "X-A:\r\n", YES),
                HEADER(PRESENT, "", "X-B: x-a\r\n", NO),
                HEADER(REGEX, "b", "X-A: b\r\n", UNDECIDED),
                HEADER(REGEX, "b", "X-B: b\r\n", NO), /* no value to be looked at */
                { SM_MATCH_HEADER, SM_OP_EXACT, "a-name-of-more-than-eight-bytes", "v", "/",
                  "A-Name-Of-More-Than-Eight-Bytes: v\r\n", SM_VERDICT_YES },
                { SM_MATCH_HEADER, SM_OP_EXACT, "a-name-of-more-than-eight-bytes", "v", "/",
                  "A-Name-Of-More-Than-Eight-Bytez: v\r\n", SM_VERDICT_NO },
        };

        check_rows(rows, COUNT(rows));
}

static void test_cookie(void **state) {
        static const Row rows[] = {
                COOKIE(EXACT, "1", "Cookie: sid=1\r\n", YES),
                COOKIE(EXACT, "1", "Cookie: a=b; sid=1; c=d\r\n", YES),
                COOKIE(EXACT, "1", "Cookie: a=b;sid=1\r\n", YES),
                COOKIE(EXACT, "1", "Cookie: a=b;  sid=1\r\n", NO),
                COOKIE(EXACT, "1", "Cookie: Sid=1\r\n", NO),
                COOKIE(EXACT, "1", "Cookie: xsid=1\r\n", NO),
                COOKIE(EXACT, "1", "Cookie: sid=2; sid=1\r\n", YES),
                COOKIE(EXACT, "1", "Cookie: sid=2\r\nX: y\r\nCookie: sid=1\r\n", YES),
                COOKIE(EXACT, "1", "Cookie: a\r\nCookie:\r\ncookie: b; sid=1\r\n", YES),
                COOKIE(EXACT, "1", "Cookies: sid=1\r\n", NO),
                COOKIE(EXACT, "a=b", "Cookie: sid=a=b\r\n", YES),
                COOKIE(EXACT, "%41+", "Cookie: sid=%41+\r\n", YES),
                COOKIE(EXACT, "", "Cookie: sid=; a=b\r\n", YES),
                COOKIE(EXACT, "", "Cookie: sid\r\n", NO),
                COOKIE(PRESENT, "", "Cookie: sid\r\n", NO),
                COOKIE(PRESENT, "", "Cookie: sid=\r\n", YES),
                COOKIE(PREFIX, "ab", "Cookie: a=1; sid=abcdefghijklmnopqrstuvwxyz0123456789; b=2\r\n", YES),
                COOKIE(SUFFIX, "789", "Cookie: a=1; sid=abcdefghijklmnopqrstuvwxyz0123456789; b=2\r\n", YES),
                COOKIE(SUFFIX, "; b", "Cookie: sid=1; b\r\n", NO),
                COOKIE(REGEX, "1", "Cookie: sid=1\r\n", UNDECIDED),
        };

        check_rows(rows, COUNT(rows));
}

static void test_query(void **state) {
        static const Row rows[] = {
                QUERY(EXACT, "p", "1", "/?p=1", YES),
                QUERY(EXACT, "p", "1", "/?a=b&p=1&c", YES),
                QUERY(EXACT, "p", "1", "/?p=2&p=1", YES),
                QUERY(EXACT, "p", "1", "/?pp=1&P=1", NO),
                QUERY(EXACT, "p", "1", "/p=1", NO),
                QUERY(EXACT, "p", "a b", "/?p=a+b", YES),
                QUERY(EXACT, "p", "a b", "/?p=a%20b", YES),
                QUERY(EXACT, "p", "a+b", "/?p=a%2bb", YES),
                QUERY(EXACT, "p", "a&b=c", "/?p=a%26b=c", YES),
                QUERY(EXACT, "p", "%4", "/?p=%4", YES),
                QUERY(EXACT, "p", "%zz", "/?p=%zz", YES),
                QUERY(EXACT, "p", "%A", "/?p=%%41", YES),
                QUERY(EXACT, "p&q", "1", "/?%70%26q=1", YES),
                QUERY(EXACT, "a b", "1", "/?a+b=1", YES),
                QUERY(EXACT, "p", "", "/?p", YES),
                QUERY(EXACT, "p", "", "/?&&p&", YES),
                QUERY(EXACT, "p", "", "/?p=", YES),
                QUERY(EXACT, "p", "", "/?q", NO),
                QUERY(EXACT, "p", "", "/?", NO),
                QUERY(PRESENT, "p", "", "/?q=p&p", YES),
                QUERY(PREFIX, "p", "a b", "/?p=a+bc", YES),
                QUERY(PREFIX, "p", "a b", "/?p=a+", NO),
                QUERY(PREFIX, "p", "", "/?p", YES),
                QUERY(SUFFIX, "p", "b c", "/?p=a%62+c", YES),
                QUERY(SUFFIX, "p", "b c", "/?p=b+cd", NO),
                QUERY(SUFFIX, "p", "abc", "/?p=%62c", NO),
                QUERY(SUFFIX, "p", "", "/?p", YES),
                QUERY(REGEX, "p", "a", "/?p=a", UNDECIDED),
        };

        check_rows(rows, COUNT(rows));
}

static void test_method(void **state) {
        static const char *const methods[] = {
                "GET", "get", "GETS", "GE", "PURGE", "A-METHOD-OF-ANOTHER-KIND",
        };
        TestTables t;
        TestRequest r;

        for (size_t i = 0; i < COUNT(methods); i++)
                for (size_t k = 0; k < COUNT(methods); k++) {
                        request_start_method(&r, methods[i], "/", "Host: x\r\n");
                        test_single(&t, SM_MATCH_METHOD, SM_OP_EXACT, "", methods[k]);
                        assert_int_equal(test_verdict(&t, &r), i == k);
                        request_done(&r);
                }
}

static void test_range(void **state) {
        static const struct {
                const char *value;
                __s64 low, high;
                int within;
        } rows[] = {
                { "5", 1, 10, 1 }, { "1", 1, 10, 1 }, { "10", 1, 10, 1 }, { "0", 1, 10, 0 }, { "11", 1, 10, 0 },
                { "-5", -10, -1, 1 }, { "-11", -10, -1, 0 }, { "007", 7, 7, 1 }, { "-0", 0, 0, 1 },
                { "", 0, 0, 0 }, { "-", 0, 0, 0 }, { "+5", 1, 10, 0 }, { "5x", 1, 10, 0 }, { "5-", 1, 10, 0 },
                { "--5", -10, 10, 0 }, { "5 5", 1, 100, 0 }, { "5.0", 1, 10, 0 },
                { "9223372036854775807", INT64_MAX, INT64_MAX, 1 }, { "9223372036854775808", 0, INT64_MAX, 0 },
                { "-9223372036854775807", INT64_MIN, 0, 1 }, { "-9223372036854775808", INT64_MIN, 0, 0 },
                { "18446744073709551617", 0, 10, 0 }, { "99999999999999999999999", 0, INT64_MAX, 0 },
                { "000000000000000000000000000000000005", 5, 5, 1 },
        };
        TestTables t;
        TestRequest r;

        for (size_t i = 0; i < COUNT(rows); i++)
                for (int query = 0; query < 2; query++) {
                        enum sm_predicate_kind kind = query ? SM_MATCH_QUERY : SM_MATCH_HEADER;
                        char fields[128], target[128];
                        struct sm_predicate *p;

                        if (query && strpbrk(rows[i].value, "+ "))
                                continue;
                        snprintf(fields, sizeof(fields), "Host: x\r\nX-A: y\r\nX-A: %s\r\n", rows[i].value);
                        snprintf(target, sizeof(target), "/?x-a=y&x-a=%s", query ? rows[i].value : "");
                        request_start(&r, target, fields);
                        p = test_single(&t, kind, SM_OP_RANGE, "x-a", "");
                        p->low = rows[i].low;
                        p->high = rows[i].high;
                        if ((int) test_verdict(&t, &r) != rows[i].within)
                                print_error("%s\n", rows[i].value);
                        assert_int_equal(test_verdict(&t, &r), rows[i].within);
                        request_done(&r);
                }
}

static int caller_matches(const struct sm_request *q, enum sm_predicate_kind kind, __s64 low,
                          const __u8 *network) {
        struct sm_predicate *p;
        struct sm_choice c, same;
        TestTables t;
        TestRequest r;
        int matches;

        p = test_single(&t, kind, SM_OP_EXACT, "", "");
        p->low = low;
        if (network)
                memcpy(p->inline_bytes, network, 16);
        matches = sm_choose_route_for_connection(&t.view, TEST_BASE, q, &c) == SM_REASON_NONE;
        request_start(&r, "/", "Host: x\r\n");
        r.q.source = q->source;
        r.q.slice = q->slice;
        r.q.unit = q->unit;
        r.q.uid = q->uid;
        r.q.random = q->random;
        assert_int_equal(sm_choose_route(&t.view, TEST_BASE, &r.q, &same) == SM_REASON_NONE, matches);
        request_done(&r);
        return matches;
}

static void test_caller(void **state) {
        struct sm_request q = { .slice = 3, .uid = 1000, .unit = 0xfedcba9876543210ULL };

        assert_true(caller_matches(&q, SM_MATCH_SLICE, 3, NULL));
        assert_false(caller_matches(&q, SM_MATCH_SLICE, 4, NULL));
        assert_false(caller_matches(&q, SM_MATCH_SLICE, 3 + (1LL << 32), NULL));
        assert_true(caller_matches(&q, SM_MATCH_USER, 1000, NULL));
        assert_false(caller_matches(&q, SM_MATCH_USER, 0, NULL));
        assert_true(caller_matches(&q, SM_MATCH_UNIT, (__s64) q.unit, NULL));
        assert_false(caller_matches(&q, SM_MATCH_UNIT, (__s64) q.unit + 1, NULL));
        q.unit = 0;
        assert_false(caller_matches(&q, SM_MATCH_UNIT, 0, NULL));
}

static void test_network(void **state) {
        __u8 source[16], network[16];
        struct sm_request q = { .source = source };

        for (int i = 0; i < 16; i++)
                source[i] = network[i] = (__u8) (i * 29 + 3);
        for (__u32 differs = 0; differs < 128; differs++) {
                memcpy(network, source, 16);
                network[differs / 8] ^= (__u8) (0x80 >> differs % 8);
                for (__u32 bits = 0; bits <= 128; bits++)
                        assert_int_equal(caller_matches(&q, SM_MATCH_SOURCE, bits, network),
                                         bits <= differs);
        }
        assert_true(caller_matches(&q, SM_MATCH_SOURCE, 128, source));
        q.source = NULL;
        assert_false(caller_matches(&q, SM_MATCH_SOURCE, 0, network));
}

/* The share holds, and two fractions of one policy are independent. */
static void test_fraction(void **state) {
        struct sm_predicate first = { .kind = SM_MATCH_FRACTION, .low = 1LL << 30 };
        unsigned n[2] = {}, both = 0;

        for (__u32 i = 0; i < 100000; i++) {
                struct sm_request q = { .random = i };
                int a = sm_match_caller(&q, &first, 10), b = sm_match_caller(&q, &first, 11);

                n[0] += (unsigned) a;
                n[1] += (unsigned) b;
                both += (unsigned) (a && b);
        }
        assert_in_range(n[0], 24500, 25500);
        assert_in_range(n[1], 24500, 25500);
        assert_in_range(both, 5900, 6600);
        for (__u32 i = 0; i < 1000; i++) {
                const struct sm_request q = { .random = i };

                assert_false(caller_matches(&q, SM_MATCH_FRACTION, 0, NULL));
                assert_true(caller_matches(&q, SM_MATCH_FRACTION, 1LL << 32, NULL));
        }
}

/* Without a head even the opposite of what would need one does not hold. */
static void test_no_head(void **state) {
        struct sm_request q = { .slice = 3, .uid = 5 };
        struct sm_predicate *p;
        struct sm_choice c;
        TestTables t;

        for (__u32 kind = 0; kind < _SM_MATCH_MAX; kind++) {
                int needs_head = kind < SM_MATCH_SLICE || kind > SM_MATCH_FRACTION;

                p = test_single(&t, (enum sm_predicate_kind) kind, SM_OP_EXACT, "a", "b");
                p->yes = SM_GOTO_FAILED;
                p->no = SM_GOTO_MATCHED;
                assert_int_equal(sm_choose_route_for_connection(&t.view, TEST_BASE, &q, &c),
                                 needs_head ? SM_REASON_NO_ROUTE : SM_REASON_NONE);
        }
}

/* A value that a regular expression sees. */
static int see(void *context, __u32 cell, const __u8 *bytes, __u32 length) {
        char *seen = context;

        assert_int_equal(cell, TEST_BASE + 2);
        memcpy(seen, bytes, length);
        seen[length] = '\0';
        return length == 3 ? SM_VERDICT_YES : SM_VERDICT_NO;
}

static void test_regex(void **state) {
        char seen[64];
        TestTables t;
        TestRequest r;

        request_start(&r, "/a/b?p=%41b&p=%41+%2f", "Host: x\r\n");
        test_single(&t, SM_MATCH_QUERY, SM_OP_REGEX, "p", "x");
        t.view.regex = see;
        t.view.regex_context = seen;
        assert_int_equal(test_verdict(&t, &r), SM_VERDICT_YES);
        assert_string_equal(seen, "A /");
        test_single(&t, SM_MATCH_PATH, SM_OP_REGEX, "", "x");
        t.view.regex = see;
        t.view.regex_context = seen;
        assert_int_equal(test_verdict(&t, &r), SM_VERDICT_NO);
        assert_string_equal(seen, "/a/b");
        request_done(&r);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_path),
                cmocka_unit_test(test_header),
                cmocka_unit_test(test_cookie),
                cmocka_unit_test(test_query),
                cmocka_unit_test(test_method),
                cmocka_unit_test(test_range),
                cmocka_unit_test(test_caller),
                cmocka_unit_test(test_network),
                cmocka_unit_test(test_fraction),
                cmocka_unit_test(test_no_head),
                cmocka_unit_test(test_regex),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
