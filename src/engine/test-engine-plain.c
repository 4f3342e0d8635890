/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdio.h>

#include "engine-parse.h"
#include "engine-plain.h"
#include "test-engine.h"

static void parse(const char *text, enum sm_head_kind kind, struct sm_head *head) {
        __u32 n = (__u32) strlen(text);
        struct sm_head_parser p;
        __u8 *copy = test_copy(text, n);

        sm_head_start(&p, head, kind, SM_HEAD_MAX);
        assert_int_equal(sm_head_parse(&p, head, copy, n), n);
        free(copy);
}

static void test_requests(void **state) {
        static const struct {
                const char *text;
                bool plain;
        } rows[] = {
                { "GET /a?b HTTP/1.1\r\nHost: h\r\n\r\n", true },
                { "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 7\r\nVia: 1.1 x\r\nTrailer: t\r\n\r\n", true },
                { "M-SEARCH / HTTP/1.1\r\nHost: h\r\nMax-Forwards: 7\r\n\r\n", true },
                { "GET / HTTP/1.1\r\nHost: h\r\nConnection: keep-alive\r\n\r\n", true },
                { "GET / HTTP/1.1\r\nConnection:\r\nHost: h\r\nCONNECTION: , Keep-Alive,\r\n\r\n", true },

                { "\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", false },
                { "GET / HTTP/1.0\r\nHost: h\r\n\r\n", false },
                { "GET / HTTP/1.0\r\nHost: h\r\nConnection: keep-alive\r\n\r\n", false },
                { "GET http://h/ HTTP/1.1\r\nHost: h\r\n\r\n", false },
                { "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n", false },
                { "OPTIONS / HTTP/1.1\r\nHost: h\r\n\r\n", false },
                { "TRACE / HTTP/1.1\r\nHost: h\r\n\r\n", false },
                { "CONNECT h:80 HTTP/1.1\r\nHost: h\r\n\r\n", false },
                { "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n", false },
                { "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 7\r\nExpect: 100-continue\r\n\r\n", false },
                { "GET / HTTP/1.1\r\nHost: h\r\nConnection:\r\n\r\n", false },
                { "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", false },
                { "GET / HTTP/1.1\r\nHost: h\r\nConnection: keep-alive, close\r\n\r\n", false },
                { "GET / HTTP/1.1\r\nHost: h\r\nConnection: keep-alive\r\nConnection: x\r\n\r\n", false },
                { "GET / HTTP/1.1\r\nHost: h\r\nConnection: upgrade, keep-alive\r\n\r\n", false },
                { "GET / HTTP/1.1\r\nHost: h\r\nConnection: upgrade, keep-alive\r\nUpgrade: x\r\n\r\n", false },
                { "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: x\r\n\r\n", false },
                { "GET / HTTP/1.1\r\nHost: h\r\nTE: trailers\r\n\r\n", false },
                { "GET / HTTP/1.1\r\nHost: h\r\nKeep-Alive: 5\r\nConnection: keep-alive\r\n\r\n", false },
                { "GET / HTTP/1.1\r\nHost: h\r\nProxy-Connection: keep-alive\r\n\r\n", false },
        };

        for (size_t i = 0; i < COUNT(rows); i++) {
                struct sm_head head;

                parse(rows[i].text, SM_HEAD_REQUEST, &head);
                assert_int_equal(sm_request_is_plain(&head, 0), rows[i].plain);
                assert_int_equal(sm_request_is_plain(&head, SM_POLICY_FAST_ALWAYS), rows[i].plain);
                assert_false(sm_request_is_plain(&head, SM_POLICY_VIA));
                assert_false(sm_request_is_plain(&head, SM_POLICY_FORWARDED_FOR));
        }
}

static void test_responses(void **state) {
        static const struct {
                const char *text;
                bool plain;
        } rows[] = {
                { "HTTP/1.1 200\r\n\r\n", true },
                { "HTTP/1.1 404 No\r\nContent-Length: 7\r\nConnection: keep-alive\r\n\r\n", true },
                { "HTTP/1.1 304 \r\nContent-Length: 7\r\nTrailer: t\r\n\r\n", true },
                { "HTTP/1.1 204 \r\nVia: 1.1 x\r\n\r\n", true },
                { "HTTP/1.1 200 \r\nTransfer-Encoding: chunked\r\n\r\n", true },
                { "HTTP/1.1 426 \r\nContent-Length: 0\r\n\r\n", true },

                { "HTTP/1.0 200 \r\nContent-Length: 7\r\n\r\n", false },
                { "HTTP/1.0 200 \r\nContent-Length: 7\r\nConnection: keep-alive\r\n\r\n", false },
                { "HTTP/1.1 100 \r\n\r\n", false },
                { "HTTP/1.1 101 \r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", false },
                { "HTTP/1.1 204 \r\nContent-Length: 0\r\n\r\n", false },
                { "HTTP/1.1 204 \r\nTransfer-Encoding: chunked\r\n\r\n", false },
                { "HTTP/1.1 408 \r\nContent-Length: 0\r\n\r\n", false },
                { "HTTP/1.1 426 \r\nContent-Length: 0\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", false },
                { "HTTP/1.1 200 \r\nUpgrade: x\r\n\r\n", false },
                { "HTTP/1.1 200 \r\nConnection: close\r\n\r\n", false },
                { "HTTP/1.1 200 \r\nConnection: x\r\n\r\n", false },
                { "HTTP/1.1 200 \r\nConnection: keep-alive\r\nKeep-Alive: timeout=5\r\n\r\n", false },
        };

        for (size_t i = 0; i < COUNT(rows); i++) {
                struct sm_head head;

                parse(rows[i].text, SM_HEAD_RESPONSE, &head);
                assert_int_equal(sm_response_is_plain(&head, 0), rows[i].plain);
                assert_int_equal(sm_response_is_plain(&head, SM_POLICY_FORWARDED_FOR), rows[i].plain);
                assert_false(sm_response_is_plain(&head, SM_POLICY_VIA));
        }
}

/* `before` and `after` are what is left of the head. */
static void test_cut(void **state) {
        static const struct {
                const char *before, *cut, *after;
        } rows[] = {
                { "HTTP/1.1 200\r\n", "", "\r\n" },
                { "HTTP/1.1 200\r\nConnection: keep-alive\r\n", "", "\r\n" },
                { "HTTP/1.1 200\r\nConnection:\r\nX: y\r\nConnection: keep-alive\r\n", "", "\r\n" },
                { "HTTP/1.1 200\r\n", "Keep-Alive: timeout=5\r\n", "\r\n" },
                { "HTTP/1.1 200\r\n", "keep-alive:\r\n", "X: y\r\n\r\n" },
                { "HTTP/1.1 200\r\nX: y\r\n", "Connection: keep-alive\r\nKeep-Alive: timeout=5\r\n",
                  "Transfer-Encoding: chunked\r\n\r\n" },
                { "HTTP/1.1 200\r\nX: y\r\n", "Keep-Alive: 5\r\nconnection:  Keep-Alive ,\r\n",
                  "Content-Length: 7\r\n\r\n" },
                { "HTTP/1.1 304\r\n", "Keep-Alive: 5\r\nConnection: keep-alive\r\n", "\r\n" },
        };

        for (size_t i = 0; i < COUNT(rows); i++) {
                struct sm_span cut = {};
                struct sm_head head;
                char text[256];

                snprintf(text, sizeof(text), "%s%s%s", rows[i].before, rows[i].cut, rows[i].after);
                parse(text, SM_HEAD_RESPONSE, &head);
                assert_true(sm_response_cut(&head, 0, &cut));
                assert_int_equal(cut.length, strlen(rows[i].cut));
                if (cut.length > 0)
                        assert_int_equal(cut.offset, strlen(rows[i].before));
                assert_int_equal(sm_response_is_plain(&head, 0), cut.length == 0);
                assert_false(sm_response_cut(&head, SM_POLICY_VIA, &cut));
        }
}

static void test_no_cut(void **state) {
        static const char *const rows[] = {
                "HTTP/1.1 200\r\nConnection: keep-alive\r\nX: y\r\nKeep-Alive: 5\r\n\r\n",
                "HTTP/1.1 200\r\nKeep-Alive: 5\r\nX: y\r\nConnection: keep-alive\r\n\r\n",
                "HTTP/1.1 200\r\nKeep-Alive: 5\r\nKeep-Alive: 6\r\n\r\n",
                "HTTP/1.1 200\r\nConnection: keep-alive\r\nKeep-Alive: 5\r\nConnection: keep-alive\r\n\r\n",
                "HTTP/1.1 200\r\nConnection: close\r\nKeep-Alive: 5\r\n\r\n",
                "HTTP/1.1 200\r\nConnection:\r\nKeep-Alive: 5\r\n\r\n",
                "HTTP/1.1 200\r\nConnection: keep-alive, x\r\nKeep-Alive: 5\r\n\r\n",
                "HTTP/1.1 200\r\nConnection: keep-alive\r\nKeep-Alive: 5\r\nProxy-Connection: x\r\n\r\n",
                "HTTP/1.1 200\r\nConnection: keep-alive\r\nKeep-Alive: 5\r\nUpgrade: x\r\n\r\n",
                "HTTP/1.1 204\r\nConnection: keep-alive\r\nKeep-Alive: 5\r\nContent-Length: 0\r\n\r\n",
                "HTTP/1.1 408\r\nKeep-Alive: 5\r\n\r\n",
                "HTTP/1.0 200\r\nConnection: keep-alive\r\nKeep-Alive: 5\r\n\r\n",
                "HTTP/1.0 200\r\nKeep-Alive: 5\r\n\r\n",
        };

        for (size_t i = 0; i < COUNT(rows); i++) {
                struct sm_head head;
                struct sm_span cut;

                parse(rows[i], SM_HEAD_RESPONSE, &head);
                assert_false(sm_response_cut(&head, 0, &cut));
                assert_false(sm_response_is_plain(&head, 0));
        }
}

static void test_sizes(void **state) {
        static const struct {
                const char *text;
                enum sm_method method;
                __s64 size;
        } rows[] = {
                { "HTTP/1.1 200 \r\nContent-Length: 7\r\n\r\n", SM_METHOD_GET, 7 },
                { "HTTP/1.1 200 \r\nContent-Length: 7\r\n\r\n", SM_METHOD_HEAD, 0 },
                { "HTTP/1.1 200 \r\nContent-Length: 7\r\n\r\n", SM_METHOD_CONNECT, -1 },
                { "HTTP/1.1 304 \r\nContent-Length: 7\r\n\r\n", SM_METHOD_GET, 0 },
                { "HTTP/1.1 204 \r\n\r\n", SM_METHOD_GET, 0 },
                { "HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n", SM_METHOD_GET, 0 },
                { "HTTP/1.1 200 \r\nContent-Length: 9223372036854775807\r\n\r\n", SM_METHOD_GET, INT64_MAX },
                { "HTTP/1.1 200 \r\n\r\n", SM_METHOD_GET, -1 },
                { "HTTP/1.1 200 \r\nTransfer-Encoding: chunked\r\n\r\n", SM_METHOD_GET, -1 },
                { "HTTP/1.1 101 \r\n\r\n", SM_METHOD_GET, -1 },
        };
        struct sm_head head;

        for (size_t i = 0; i < COUNT(rows); i++) {
                parse(rows[i].text, SM_HEAD_RESPONSE, &head);
                assert_int_equal(sm_response_size(&head, rows[i].method), rows[i].size);
        }
        parse("GET / HTTP/1.1\r\nHost: h\r\n\r\n", SM_HEAD_REQUEST, &head);
        assert_int_equal(sm_request_size(&head), 0);
        parse("PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 7\r\n\r\n", SM_HEAD_REQUEST, &head);
        assert_int_equal(sm_request_size(&head), 7);
        parse("PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n", SM_HEAD_REQUEST, &head);
        assert_int_equal(sm_request_size(&head), -1);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_requests),
                cmocka_unit_test(test_responses),
                cmocka_unit_test(test_cut),
                cmocka_unit_test(test_no_cut),
                cmocka_unit_test(test_sizes),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
