/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdio.h>

#include "engine-fields.h"
#include "engine-framing.h"
#include "engine-loop.h"
#include "engine-parse.h"
#include "test-engine.h"

#define PREFIX "GET / HTTP/1.1\r\nHost: a\r\n"

static int parse(const char *text, enum sm_head_kind kind, __u32 limit, struct sm_head *head) {
        struct sm_head_parser parser;
        size_t n = strlen(text);
        __u8 *bytes = test_copy(text, n);
        int r;

        memset(head, 0, sizeof(*head));
        sm_head_start(&parser, head, kind, limit);
        r = sm_head_parse(&parser, head, bytes, (__u32) n);
        free(bytes);
        return r;
}

/* The same in two portions, the first of them alone in memory. */
static int parse_split(const char *text, enum sm_head_kind kind, __u32 limit, size_t split,
                       struct sm_head *head) {
        struct sm_head_parser parser;
        size_t n = strlen(text);
        __u8 *bytes = test_copy(text, split);
        int r;

        memset(head, 0, sizeof(*head));
        sm_head_start(&parser, head, kind, limit);
        r = sm_head_parse(&parser, head, bytes, (__u32) split);
        free(bytes);
        if (r != 0)
                return r;
        bytes = test_copy(text, n);
        r = sm_head_parse(&parser, head, bytes, (__u32) n);
        free(bytes);
        return r;
}

/* The same byte by byte. */
static int parse_stepwise(const char *text, enum sm_head_kind kind, __u32 limit, struct sm_head *head) {
        struct sm_head_parser parser;
        int r = 0;

        memset(head, 0, sizeof(*head));
        sm_head_start(&parser, head, kind, limit);
        for (const char *c = text; r == 0 && *c; c++)
                r = sm_head_step(&parser, head, (__u8) *c);
        return r;
}

/* The same as the kernel does it. */
static int parse_by_loop(const char *text, enum sm_head_kind kind, __u32 limit, struct sm_head *head) {
        struct sm_head_parser parser;
        __u32 n = (__u32) strlen(text);
        __u8 *bytes = test_copy(text, n);
        struct sm_head_progress progress;
        struct sm_head_loop loop = { &parser, head, &progress, bytes };

        memset(head, 0, sizeof(*head));
        sm_head_loop_start(&loop, kind, n, limit);
        sm_loop(n, sm_head_steps, &loop);
        free(bytes);
        return progress.result;
}

static const char *reason_name(int r) {
        static const char *const names[] = {
#define REASON_NAME(id, text, status, sentence) [SM_REASON_##id] = text,
                SM_REASONS(REASON_NAME)
#undef REASON_NAME
        };

        return r < 0 ? names[-r] : r > 0 ? "accepted" : "needs more";
}

static const struct {
        const char *text, *outcome;
        int response;
} cases[] = {
#include "test-engine-head-cases.h"
};

/* Real heads, which take all the runs of the driver. */
static const struct {
        const char *text;
        enum sm_head_kind kind;
} heads[] = {
        { "POST http://Shop.example:8080/a/b%20c?d=/e?f HTTP/1.1\r\n"
          "hOST: shop.example:8080\r\n"
          "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0)\tGecko/20100101 Firefox/140.0\r\n"
          "Accept:text/html,application/xhtml+xml;q=0.9,*/*;q=0.8\r\n"
          "Cookie: a=b; session=0123456789abcdef0123456789abcdef\r\n"
          "X-Empty:\r\nX-Blank:    \t  \r\nX-Padded: \t  a  b \t \r\n"
          "Connection: Upgrade, , X-Named\r\nConnection:close\r\nUpgrade: websocket\r\n"
          "A-Name-Much-Longer-Than-Any-Known-Field-Name: \x80\xff\r\n"
          "TE: gzip;q=0.5, Trailers\r\nExpect: 100-Continue\r\nContent-Length:   42  \r\n\r\n"
          "body", SM_HEAD_REQUEST },
        { "HTTP/1.1 404 Not \x80 Found\r\nServer: nginx\r\nTransfer-Encoding: chunked\r\n"
          "Connection: keep-alive\r\n\r\n5\r\n", SM_HEAD_RESPONSE },
        { "HTTP/1.0 200\r\nContent-Length: 0\r\nConnection: Keep-Alive, Upgrade\r\nUpgrade: x\r\n\r\n",
          SM_HEAD_RESPONSE },
};

static void test_outcomes(void **state) {
        for (size_t i = 0; i < COUNT(cases); i++) {
                struct sm_head head;
                int r = parse(cases[i].text, cases[i].response, SM_HEAD_MAX, &head);

                if (strcmp(reason_name(r), cases[i].outcome) != 0)
                        print_error("%s\n", cases[i].text);
                assert_string_equal(reason_name(r), cases[i].outcome);
                if (r > 0)
                        assert_int_equal(r, strlen(cases[i].text));
        }
}

/* Whole, byte by byte and as the kernel does it: always the same. */
static void check_drivers(const char *text, enum sm_head_kind kind, __u32 limit) {
        struct sm_head whole, other;
        int r;

        r = parse(text, kind, limit, &whole);
        assert_int_equal(parse_stepwise(text, kind, limit, &other), r);
        assert_memory_equal(&whole, &other, sizeof(whole));
        assert_int_equal(parse_by_loop(text, kind, limit, &other), r);
        assert_memory_equal(&whole, &other, sizeof(whole));
}

/* And so in any two portions. */
static void check_splits(const char *text, enum sm_head_kind kind, __u32 limit) {
        struct sm_head whole, other;
        int r;

        check_drivers(text, kind, limit);
        r = parse(text, kind, limit, &whole);
        for (size_t i = 0; i <= strlen(text); i++) {
                assert_int_equal(parse_split(text, kind, limit, i, &other), r);
                assert_memory_equal(&whole, &other, sizeof(whole));
        }
}

static void test_splits(void **state) {
        for (size_t i = 0; i < COUNT(cases); i++)
                check_splits(cases[i].text, cases[i].response, SM_HEAD_MAX);
        for (size_t i = 0; i < COUNT(heads); i++)
                check_splits(heads[i].text, heads[i].kind, SM_HEAD_MAX);
}

/* Every byte of a head replaced by every other: the drivers take no run that they should not. */
static void test_substitutions(void **state) {
        for (size_t i = 0; i < COUNT(heads); i++) {
                size_t n = strlen(heads[i].text);
                char *text = (char *) test_copy(heads[i].text, n + 1);

                for (size_t at = 0; at < n; at++) {
                        for (int byte = 1; byte < 256; byte++) {
                                text[at] = (char) byte;
                                check_drivers(text, heads[i].kind, SM_HEAD_MAX);
                        }
                        text[at] = heads[i].text[at];
                }
                free(text);
        }
}

/* A head of exactly the limit is accepted, whatever comes behind it; one byte more is not, and is known
 * to be too large as soon as the limit is reached. */
static void test_limits(void **state) {
        for (size_t i = 0; i < COUNT(heads); i++) {
                struct sm_head head;
                int length = parse(heads[i].text, heads[i].kind, SM_HEAD_MAX, &head);
                int large = heads[i].kind == SM_HEAD_REQUEST ? SM_REASON_HEAD_TOO_LARGE :
                                                               SM_REASON_UPSTREAM_HEAD_TOO_LARGE;

                assert_true(length > 0);
                assert_int_equal(head.length, length);
                assert_int_equal(parse(heads[i].text, heads[i].kind, (__u32) length, &head), length);
                for (int limit = 1; limit < length; limit++) {
                        assert_int_equal(parse(heads[i].text, heads[i].kind, (__u32) limit, &head), -large);
                        check_splits(heads[i].text, heads[i].kind, (__u32) limit);
                }
        }
}

static void test_too_many_fields(void **state) {
        char text[SM_HEAD_FIELDS_MAX * 4 + 64];
        struct sm_head head;
        size_t n;

        n = (size_t) sprintf(text, "HTTP/1.1 200 OK\r\n");
        for (int i = 0; i < SM_HEAD_FIELDS_MAX; i++)
                n += (size_t) sprintf(text + n, "a:\r\n");
        strcpy(text + n, "\r\n");
        assert_int_equal(parse(text, SM_HEAD_RESPONSE, SM_HEAD_MAX, &head), n + 2);
        assert_int_equal(head.n_fields, SM_HEAD_FIELDS_MAX);
        strcpy(text + n, "a:\r\n\r\n");
        check_splits(text, SM_HEAD_RESPONSE, SM_HEAD_MAX);
        assert_int_equal(parse(text, SM_HEAD_RESPONSE, SM_HEAD_MAX, &head), -SM_REASON_TOO_MANY_FIELDS);
}

static void test_request(void **state) {
        const char *text = heads[0].text;
        struct sm_head head;

        assert_true(parse(text, SM_HEAD_REQUEST, SM_HEAD_MAX, &head) > 0);
        assert_int_equal(head.method, SM_METHOD_POST);
        assert_int_equal(head.target_form, SM_TARGET_ABSOLUTE);
        test_span(text, head.method_text, "POST");
        test_span(text, head.target, "http://Shop.example:8080/a/b%20c?d=/e?f");
        test_span(text, head.authority, "Shop.example:8080");
        test_span(text, head.path, "/a/b%20c");
        test_span(text, head.query, "d=/e?f");
        assert_int_equal(head.n_fields, 14);
        test_span(text, head.fields[0].name, "hOST");
        test_span(text, head.fields[2].value, "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8");
        test_span(text, head.fields[4].value, "");
        test_span(text, head.fields[5].value, "");
        test_span(text, head.fields[6].value, "a  b");
        assert_int_equal(head.known[SM_FIELD_HOST], 1);
        assert_int_equal(head.known[SM_FIELD_CONNECTION], 8);
        assert_int_equal(head.known[SM_FIELD_VIA], 0);
        assert_int_equal(head.flags, SM_HEAD_CLOSE | SM_HEAD_UPGRADE | SM_HEAD_MORE_CONNECTION |
                                             SM_HEAD_LENGTH | SM_HEAD_EXPECT_CONTINUE |
                                             SM_HEAD_TE_TRAILERS | SM_HEAD_REPEATED);
        assert_int_equal(head.content_length, 42);
}

static void test_response(void **state) {
        struct sm_head head;

        assert_true(parse(heads[1].text, SM_HEAD_RESPONSE, SM_HEAD_MAX, &head) > 0);
        assert_int_equal(head.status, 404);
        test_span(heads[1].text, head.reason, "Not \x80 Found");
        assert_int_equal(head.flags, SM_HEAD_CHUNKED | SM_HEAD_KEEP_ALIVE);

        /* HTTP/1.0 cannot be upgraded: that is one more field that Connection names. */
        assert_true(parse(heads[2].text, SM_HEAD_RESPONSE, SM_HEAD_MAX, &head) > 0);
        assert_int_equal(head.status, 200);
        test_span(heads[2].text, head.reason, "");
        assert_int_equal(head.flags, SM_HEAD_HTTP_1_0 | SM_HEAD_KEEP_ALIVE | SM_HEAD_LENGTH |
                                             SM_HEAD_MORE_CONNECTION);
}

static void test_upgrade(void **state) {
        static const struct {
                const char *fields;
                int upgrade, more;
        } rows[] = {
                { "Connection: upgrade\r\nUpgrade: x\r\n", 1, 0 },
                { "Upgrade: x\r\nConnection: a, UPGRADE ,b\r\n", 1, 1 },
                { "Connection: upgrade\r\n", 0, 1 },
                { "Connection: upgrade, a\r\nUpgrade:\r\n", 0, 1 },
                { "Connection: upgrade\r\nUpgrade:\r\n", 0, 1 },
                { "Connection: upgrades\r\nUpgrade: x\r\n", 0, 1 },
                { "Upgrade: x\r\n", 0, 0 },
        };

        for (size_t i = 0; i < COUNT(rows); i++) {
                struct sm_head head;
                char text[128];

                snprintf(text, sizeof(text), PREFIX "%s\r\n", rows[i].fields);
                assert_true(parse(text, SM_HEAD_REQUEST, SM_HEAD_MAX, &head) > 0);
                assert_int_equal(!!(head.flags & SM_HEAD_UPGRADE), rows[i].upgrade);
                assert_int_equal(!!(head.flags & SM_HEAD_MORE_CONNECTION), rows[i].more);
        }
}

static void test_targets(void **state) {
        static const struct {
                const char *line, *authority, *path, *query;
                enum sm_target_form form;
        } targets[] = {
                { "GET / HTTP/1.1", "h", "/", "", SM_TARGET_ORIGIN },
                { "GET //a//?? HTTP/1.1", "h", "//a//", "?", SM_TARGET_ORIGIN },
                { "GET /a? HTTP/1.1", "h", "/a", "", SM_TARGET_ORIGIN },
                { "GET http://b HTTP/1.1", "b", "/", "", SM_TARGET_ABSOLUTE },
                { "GET http://b?c HTTP/1.1", "b", "/", "c", SM_TARGET_ABSOLUTE },
                { "GET hTTp://[1::3.4.5.6]:1/c HTTP/1.1", "[1::3.4.5.6]:1", "/c", "", SM_TARGET_ABSOLUTE },
                { "OPTIONS * HTTP/1.1", "h", "*", "", SM_TARGET_ASTERISK },
                { "OPTIONS http://b HTTP/1.1", "b", "", "", SM_TARGET_ABSOLUTE },
                { "OPTIONS http://b/ HTTP/1.1", "b", "/", "", SM_TARGET_ABSOLUTE },
                { "OPTIONS http://b?c HTTP/1.1", "b", "/", "c", SM_TARGET_ABSOLUTE },
                { "CONNECT b:443 HTTP/1.1", "b:443", "", "", SM_TARGET_AUTHORITY },
        };

        for (size_t i = 0; i < COUNT(targets); i++) {
                struct sm_head head;
                char text[128];

                snprintf(text, sizeof(text), "%s\r\nHost: h\r\n\r\n", targets[i].line);
                assert_true(parse(text, SM_HEAD_REQUEST, SM_HEAD_MAX, &head) > 0);
                assert_int_equal(head.target_form, targets[i].form);
                test_span(text, head.authority, targets[i].authority);
                test_span(text, head.path, targets[i].path);
                test_span(text, head.query, targets[i].query);
        }
}

static void test_methods(void **state) {
        static const struct {
                const char *text;
                enum sm_method method;
        } methods[] = {
#define METHOD_ROW(id, text) { text, SM_METHOD_##id },
                SM_METHODS(METHOD_ROW)
#undef METHOD_ROW
                { "get", SM_METHOD_OTHER },
                { "GETX", SM_METHOD_OTHER },
                { "GE", SM_METHOD_OTHER },
                { "PROPFIND", SM_METHOD_OTHER },
                { "A-METHOD-THAT-IS-LONGER-THAN-ANY-WORD", SM_METHOD_OTHER },
        };

        for (size_t i = 0; i < COUNT(methods); i++) {
                struct sm_head head;
                char text[128];

                snprintf(text, sizeof(text), "%s %s HTTP/1.0\r\n\r\n", methods[i].text,
                         methods[i].method == SM_METHOD_CONNECT ? "a:1" : "/");
                assert_true(parse(text, SM_HEAD_REQUEST, SM_HEAD_MAX, &head) > 0);
                assert_int_equal(head.method, methods[i].method);
                test_span(text, head.method_text, methods[i].text);
        }
}

static void test_framing(void **state) {
        static const struct {
                const char *text;
                enum sm_method method; /* that a response answers */
                enum sm_body body;
        } rows[] = {
                { "GET / HTTP/1.0\r\n\r\n", 0, SM_BODY_NONE },
                { "POST / HTTP/1.0\r\nContent-Length: 0\r\n\r\n", 0, SM_BODY_NONE },
                { "GET / HTTP/1.0\r\nContent-Length: 1\r\n\r\n", 0, SM_BODY_LENGTH },
                { PREFIX "Transfer-Encoding: chunked\r\n\r\n", 0, SM_BODY_CHUNKED },
                { "HTTP/1.1 200 OK\r\n\r\n", SM_METHOD_GET, SM_BODY_UNTIL_CLOSE },
                { "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", SM_METHOD_GET, SM_BODY_NONE },
                { "HTTP/1.1 500 OK\r\nContent-Length: 9\r\n\r\n", SM_METHOD_GET, SM_BODY_LENGTH },
                { "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", SM_METHOD_HEAD, SM_BODY_NONE },
                { "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", SM_METHOD_HEAD, SM_BODY_NONE },
                { "HTTP/1.1 200\r\nTransfer-Encoding: chunked\r\n\r\n", SM_METHOD_OTHER, SM_BODY_CHUNKED },
                { "HTTP/1.1 204 OK\r\nContent-Length: 9\r\n\r\n", SM_METHOD_GET, SM_BODY_NONE },
                { "HTTP/1.1 304 OK\r\nContent-Length: 9\r\n\r\n", SM_METHOD_GET, SM_BODY_NONE },
                { "HTTP/1.1 100 OK\r\nContent-Length: 9\r\n\r\n", SM_METHOD_GET, SM_BODY_NONE },
                { "HTTP/1.1 101 OK\r\nContent-Length: 9\r\n\r\n", SM_METHOD_GET, SM_BODY_TUNNEL },
                { "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", SM_METHOD_CONNECT, SM_BODY_TUNNEL },
                { "HTTP/1.1 400 OK\r\nContent-Length: 9\r\n\r\n", SM_METHOD_CONNECT, SM_BODY_LENGTH },
        };

        for (size_t i = 0; i < COUNT(rows); i++) {
                int response = rows[i].text[0] == 'H';
                struct sm_head head;

                assert_true(parse(rows[i].text, response, SM_HEAD_MAX, &head) > 0);
                assert_int_equal(response ? sm_response_framing(&head, rows[i].method) :
                                            sm_request_framing(&head), rows[i].body);
        }
}

static void test_persistent(void **state) {
        static const struct {
                const char *text;
                int persistent;
        } rows[] = {
                { "HTTP/1.1 200\r\n\r\n", 1 },
                { "HTTP/1.1 200\r\nConnection: x, CLOSE\r\n\r\n", 0 },
                { "HTTP/1.1 200\r\nConnection: keep-alive\r\nConnection: close\r\n\r\n", 0 },
                { "HTTP/1.0 200\r\n\r\n", 0 },
                { "HTTP/1.0 200\r\nConnection: keep-alive\r\n\r\n", 1 },
                { "HTTP/1.0 200\r\nConnection: keep-alive, close\r\n\r\n", 0 },
                { "HTTP/1.1 200\r\nConnection: closed, xclose\r\n\r\n", 1 },
        };

        for (size_t i = 0; i < COUNT(rows); i++) {
                struct sm_head head;

                assert_true(parse(rows[i].text, SM_HEAD_RESPONSE, SM_HEAD_MAX, &head) > 0);
                assert_int_equal(!!sm_head_persistent(&head), rows[i].persistent);
        }
}

static void test_hop_by_hop(void **state) {
        static const char text[] = PREFIX
                "Connection: x-A ,, close\r\nX-a: 1\r\nX-B: 2\r\nconnection:\tx-c\t,host,\r\nX-C: 3\r\n"
                "Keep-Alive: 4\r\nTE: trailers\r\nUpgrade: 5\r\nX-A: 6\r\nTrailer: x\r\nX-AB: 7\r\n"
                "Content-Length: 8\r\n\r\n";
        static const int expected[] = { 0, 1, 1, 0, 1, 1, 1, 1, 1, 1, 0, 0, 0 };
        const __u8 *bytes = (const __u8 *) text;
        struct sm_head head;

        assert_true(parse(text, SM_HEAD_REQUEST, SM_HEAD_MAX, &head) > 0);
        assert_int_equal(head.n_fields, COUNT(expected));
        for (__u32 i = 0; i < head.n_fields; i++)
                assert_int_equal(sm_field_is_hop_by_hop(&head, bytes, i), expected[i]);

        for (int status = 100; status < 600; status++) {
                head.status = (__u16) status;
                assert_int_equal(sm_field_is_hop_by_hop(&head, bytes, 12), status < 200 || status == 204);
        }

        assert_int_equal(sm_head_find(&head, bytes, "x-a", 3, 0), 2);
        assert_int_equal(sm_head_find(&head, bytes, "x-a", 3, 3), 9);
        assert_int_equal(sm_head_find(&head, bytes, "x-a", 3, 10), -1);
        assert_int_equal(sm_field_known(&head, bytes, 0), SM_FIELD_HOST);
        assert_int_equal(sm_field_known(&head, bytes, 2), _SM_FIELD_KNOWN_MAX);
}

/* Connection may be as long as SM_LISTS_MAX says, in however many fields. */
static void test_lists(void **state) {
        char text[2 * SM_LISTS_MAX + 128];
        struct sm_head head;
        size_t n;

        n = (size_t) sprintf(text, PREFIX "Connection: a\r\nConnection: ");
        memset(text + n, 'b', SM_LISTS_MAX);
        strcpy(text + n + SM_LISTS_MAX - 1, "\r\n\r\n");
        assert_true(parse(text, SM_HEAD_REQUEST, SM_HEAD_MAX, &head) > 0);
        strcpy(text + n + SM_LISTS_MAX - 1, "b\r\n\r\n");
        assert_int_equal(parse(text, SM_HEAD_REQUEST, SM_HEAD_MAX, &head), -SM_REASON_BAD_FIELD_VALUE);
        check_splits(text, SM_HEAD_REQUEST, SM_HEAD_MAX);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_outcomes),
                cmocka_unit_test(test_splits),
                cmocka_unit_test(test_substitutions),
                cmocka_unit_test(test_limits),
                cmocka_unit_test(test_too_many_fields),
                cmocka_unit_test(test_request),
                cmocka_unit_test(test_response),
                cmocka_unit_test(test_upgrade),
                cmocka_unit_test(test_targets),
                cmocka_unit_test(test_methods),
                cmocka_unit_test(test_framing),
                cmocka_unit_test(test_persistent),
                cmocka_unit_test(test_hop_by_hop),
                cmocka_unit_test(test_lists),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
