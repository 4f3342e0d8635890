/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "../engine/engine-parse.h"
#include "../engine/engine-plain.h"
#include "relay-head-write.h"

static BufferPool pool;

static void parse(const char *text, enum sm_head_kind kind, struct sm_head *head) {
        struct sm_head_parser p;

        sm_head_start(&p, head, kind, SM_HEAD_MAX);
        assert_int_equal(sm_head_parse(&p, head, (const uint8_t *) text, (uint32_t) strlen(text)),
                         strlen(text));
}

static void check_request(const char *in, const RequestEdit *edit, const char *expected) {
        Buffer *out = buffer_acquire(&pool);
        struct sm_head head;

        parse(in, SM_HEAD_REQUEST, &head);
        assert_int_equal(head_write_request(out, (const uint8_t *) in, &head, edit), 0);
        assert_int_equal(buffer_append(out, "", 1), 0);
        assert_string_equal((const char *) buffer_at(out), expected);
        buffer_release(&pool, out);
}

static void check_response(const char *in, const ResponseEdit *edit, const char *expected) {
        Buffer *out = buffer_acquire(&pool);
        struct sm_head head;

        parse(in, SM_HEAD_RESPONSE, &head);
        assert_int_equal(head_write_response(out, (const uint8_t *) in, &head, edit), 0);
        assert_int_equal(buffer_append(out, "", 1), 0);
        assert_string_equal((const char *) buffer_at(out), expected);
        buffer_release(&pool, out);
}

static void test_nothing_to_change(void **state) {
        static const char text[] = "GET /a?b HTTP/1.1\r\nhOST:  h \r\nX: 1\r\nAccept:\r\nX: 2\r\n\r\n";

        check_request(text, &(RequestEdit){}, text);
        check_response("HTTP/1.1 200 Fine\r\nX: 1\r\nETag: \"x\"\r\n\r\n", &(ResponseEdit){},
                       "HTTP/1.1 200 Fine\r\nX: 1\r\nETag: \"x\"\r\n\r\n");
}

static void test_hop_by_hop(void **state) {
        check_request("GET / HTTP/1.1\r\nConnection: close, X-Mine\r\nHost: h\r\nX-Mine: 1\r\n"
                      "Keep-Alive: 5\r\nA: b\r\nProxy-Connection: x\r\nTE: gzip\r\nUpgrade: x\r\nC: d\r\n"
                      "connection: other\r\nOther: 2\r\n\r\n",
                      &(RequestEdit){}, "GET / HTTP/1.1\r\nHost: h\r\nA: b\r\nC: d\r\n\r\n");
}

/* What it says is as true of our connection: only then, and as it was written. */
static void test_keep_alive_stays(void **state) {
        static const char request[] =
                "GET / HTTP/1.1\r\nHost: h\r\nconnection:  Keep-Alive \r\nX: 1\r\n\r\n";
        static const char response[] = "HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nX: 1\r\n\r\n";
        static const char *const others[] = {
                ", Upgrade", ", close", ", x",
                "\r\nKeep-Alive: 5", "\r\nConnection: y", "\r\nProxy-Connection: z",
        };

        check_request(request, &(RequestEdit){}, request);
        check_request(request, &(RequestEdit){ .via = true },
                      "GET / HTTP/1.1\r\nHost: h\r\nconnection:  Keep-Alive \r\nX: 1\r\n"
                      "Via: 1.1 slicemesh\r\n\r\n");
        check_response(response, &(ResponseEdit){}, response);
        check_response(response, &(ResponseEdit){ .connection = RESPONSE_CLOSE },
                       "HTTP/1.1 200 OK\r\nX: 1\r\nConnection: close\r\n\r\n");
        check_response(response, &(ResponseEdit){ .connection = RESPONSE_KEEP_ALIVE },
                       "HTTP/1.1 200 OK\r\nX: 1\r\nConnection: keep-alive\r\n\r\n");
        check_response("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\n", &(ResponseEdit){},
                       "HTTP/1.1 200 OK\r\n\r\n");
        for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
                char text[256];

                snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: h\r\nConnection: keep-alive%s\r\n\r\n",
                         others[i]);
                check_request(text, &(RequestEdit){}, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
        }
}

/* Connection cannot be used to take away what a message consists of. */
static void test_framing_stays(void **state) {
        check_request("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n"
                      "Connection: content-length, host\r\n\r\n",
                      &(RequestEdit){}, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n");
        check_request("POST / HTTP/1.1\r\nHost: h\r\nConnection: transfer-encoding\r\n"
                      "Transfer-Encoding: chunked\r\n\r\n",
                      &(RequestEdit){}, "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
}

static void test_targets(void **state) {
        static const struct {
                const char *in, *expected;
        } cases[] = {
                { "GET http://a.test:80/x?y HTTP/1.1\r\nHost: b\r\nX: 1\r\n\r\n",
                  "GET /x?y HTTP/1.1\r\nHost: a.test:80\r\nX: 1\r\n\r\n" },
                { "GET http://a.test HTTP/1.1\r\nHost: b\r\n\r\n", "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n" },
                { "GET http://a.test?q HTTP/1.1\r\nHost: b\r\n\r\n", "GET /?q HTTP/1.1\r\nHost: a.test\r\n\r\n" },
                { "OPTIONS http://a.test HTTP/1.1\r\nHost: b\r\n\r\n", "OPTIONS * HTTP/1.1\r\nHost: a.test\r\n\r\n" },
                { "OPTIONS * HTTP/1.1\r\nHost: b\r\n\r\n", "OPTIONS * HTTP/1.1\r\nHost: b\r\n\r\n" },
                { "GET / HTTP/1.0\r\n\r\n", "GET / HTTP/1.1\r\nHost: 127.71.0.1:80\r\n\r\n" },
                { "GET / HTTP/1.0\r\nHost: h\r\nConnection: keep-alive\r\n\r\n", "GET / HTTP/1.1\r\nHost: h\r\n\r\n" },
        };

        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
                check_request(cases[i].in, &(RequestEdit){ .host = "127.71.0.1:80" }, cases[i].expected);
}

static void test_upgrade_and_trailers(void **state) {
        static const char upgrade[] =
                "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
        static const char trailers[] =
                "GET / HTTP/1.1\r\nHost: h\r\nTE: trailers, gzip\r\nConnection: TE\r\n\r\n";

        check_request(upgrade, &(RequestEdit){ .upgrade = true }, upgrade);
        check_request(upgrade, &(RequestEdit){}, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
        check_request(trailers, &(RequestEdit){},
                      "GET / HTTP/1.1\r\nHost: h\r\nTE: trailers\r\nConnection: TE\r\n\r\n");
}

static void test_lists_are_continued(void **state) {
        RequestEdit edit = { .via = true, .forwarded_for = "10.0.0.1" };

        check_request("GET / HTTP/1.1\r\nHost: h\r\n\r\n", &edit,
                      "GET / HTTP/1.1\r\nHost: h\r\nVia: 1.1 slicemesh\r\n"
                      "X-Forwarded-For: 10.0.0.1\r\n\r\n");
        check_request("GET / HTTP/1.1\r\nX-Forwarded-For: a\r\nHost: h\r\nVia: 1.0 x\r\n"
                      "x-forwarded-for: b, c \r\n\r\n",
                      &edit,
                      "GET / HTTP/1.1\r\nX-Forwarded-For: a\r\nHost: h\r\nVia: 1.0 x, 1.1 slicemesh\r\n"
                      "x-forwarded-for: b, c, 10.0.0.1 \r\n\r\n");
        check_request("GET / HTTP/1.1\r\nHost: h\r\nVia:\r\nX-Forwarded-For: \r\n\r\n", &edit,
                      "GET / HTTP/1.1\r\nHost: h\r\nVia:1.1 slicemesh\r\nX-Forwarded-For:10.0.0.1 \r\n\r\n");
        check_response("HTTP/1.1 200 OK\r\nVia: 1.1 x\r\n\r\n", &(ResponseEdit){ .via = true },
                       "HTTP/1.1 200 OK\r\nVia: 1.1 x, 1.1 slicemesh\r\n\r\n");
}

#define TEXT(s) { (const uint8_t *) (s), sizeof(s) - 1 }

static void test_changes(void **state) {
        static const FieldChange add[] = { { SM_EDIT_ADD, TEXT("x-A"), TEXT("1") } };
        static const FieldChange set[] = { { SM_EDIT_SET, TEXT("x-A"), TEXT("") } };
        static const FieldChange gone[] = { { SM_EDIT_REMOVE, TEXT("x-A"), { NULL, 0 } } };
        static const FieldChange add_set_add[] = {
                { SM_EDIT_ADD, TEXT("x-a"), TEXT("1") },
                { SM_EDIT_SET, TEXT("X-A"), TEXT("2") },
                { SM_EDIT_ADD, TEXT("x-b"), TEXT("3") },
                { SM_EDIT_ADD, TEXT("X-a"), TEXT("4") },
        };
        static const FieldChange set_gone[] = {
                { SM_EDIT_SET, TEXT("x-a"), TEXT("1") },
                { SM_EDIT_REMOVE, TEXT("x-a"), { NULL, 0 } },
        };
        static const struct {
                FieldChanges changes;
                const char *fields, *expected;
        } cases[] = {
                { { add, 1 }, "B: c\r\n", "B: c\r\nx-A: 1\r\n" },
                { { add, 1 }, "X-a:2\r\nB: c\r\n", "X-a:2\r\nB: c\r\nx-A: 1\r\n" },
                { { add, 1 }, "Connection: x-a\r\nX-A: 2\r\n", "x-A: 1\r\n" },
                { { set, 1 }, "", "x-A: \r\n" },
                { { set, 1 }, "X-a: 1\r\nB: c\r\nx-a: 2\r\nx-aa: 3\r\n",
                  "B: c\r\nx-aa: 3\r\nx-A: \r\n" },
                { { gone, 1 }, "B: c\r\n", "B: c\r\n" },
                { { gone, 1 }, "x-a: 1\r\nB:  c \r\nX-A:\r\n", "B:  c \r\n" },
                { { gone, 1 }, "x-a: 1\r\n", "" },
                { { add_set_add, 4 }, "x-a: 0\r\nx-b: 0\r\n",
                  "x-b: 0\r\nX-A: 2\r\nx-b: 3\r\nX-a: 4\r\n" },
                { { set_gone, 2 }, "x-a: 0\r\nB: c\r\n", "B: c\r\n" },
        };

        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                char in[256], expected[256];

                snprintf(in, sizeof(in), "GET / HTTP/1.1\r\nHost: h\r\n%s\r\n", cases[i].fields);
                snprintf(expected, sizeof(expected), "GET / HTTP/1.1\r\nHost: h\r\n%s\r\n",
                         cases[i].expected);
                check_request(in, &(RequestEdit){ .changes = cases[i].changes }, expected);
                snprintf(in, sizeof(in), "HTTP/1.1 200 OK\r\n%s\r\n", cases[i].fields);
                snprintf(expected, sizeof(expected), "HTTP/1.1 200 OK\r\n%s\r\n", cases[i].expected);
                check_response(in, &(ResponseEdit){ .changes = cases[i].changes }, expected);
        }
}

/* What the relay adds on its own account comes last. */
static void test_changes_and_lists(void **state) {
        static const FieldChange gone[] = { { SM_EDIT_REMOVE, TEXT("via"), { NULL, 0 } },
                                            { SM_EDIT_REMOVE, TEXT("x-forwarded-for"), { NULL, 0 } } };
        static const FieldChange set[] = { { SM_EDIT_SET, TEXT("VIA"), TEXT("1.0 a") },
                                           { SM_EDIT_SET, TEXT("x-forwarded-FOR"), TEXT("") } };
        static const FieldChange add[] = { { SM_EDIT_ADD, TEXT("X-Forwarded-For"), TEXT("b") },
                                           { SM_EDIT_ADD, TEXT("X-Other"), TEXT("c") } };
        static const char in[] = "GET / HTTP/1.1\r\nHost: h\r\nVia: 1.0 x\r\nX-Forwarded-For: a\r\n\r\n";
        RequestEdit edit = { .via = true, .forwarded_for = "10.0.0.1" };

        edit.changes = (FieldChanges){ gone, 2 };
        check_request(in, &edit, "GET / HTTP/1.1\r\nHost: h\r\nVia: 1.1 slicemesh\r\n"
                      "X-Forwarded-For: 10.0.0.1\r\n\r\n");
        edit.changes = (FieldChanges){ set, 2 };
        check_request(in, &edit, "GET / HTTP/1.1\r\nHost: h\r\nVIA: 1.0 a, 1.1 slicemesh\r\n"
                      "x-forwarded-FOR: 10.0.0.1\r\n\r\n");
        edit.changes = (FieldChanges){ add, 2 };
        check_request(in, &edit, "GET / HTTP/1.1\r\nHost: h\r\nVia: 1.0 x, 1.1 slicemesh\r\n"
                      "X-Forwarded-For: a\r\nX-Forwarded-For: b, 10.0.0.1\r\nX-Other: c\r\n\r\n");
        /* What Connection takes away is not what is added to. */
        edit.changes = (FieldChanges){};
        check_request("GET / HTTP/1.1\r\nX-Forwarded-For: a\r\nConnection: x-forwarded-for, via\r\n"
                      "Host: h\r\nVia: 1.0 x\r\n\r\n", &edit,
                      "GET / HTTP/1.1\r\nHost: h\r\nVia: 1.1 slicemesh\r\n"
                      "X-Forwarded-For: 10.0.0.1\r\n\r\n");
}

static void test_rewrites(void **state) {
        static const struct {
                const char *in;
                RequestEdit edit;
                const char *expected;
        } cases[] = {
                { "GET /a/b?c HTTP/1.1\r\nX: y\r\nhost:  h \r\n\r\n", { .new_host = TEXT("n") },
                  "GET /a/b?c HTTP/1.1\r\nX: y\r\nhost:  n \r\n\r\n" },
                { "GET http://a.test/b HTTP/1.1\r\nHost: h\r\nX: y\r\n\r\n", { .new_host = TEXT("n") },
                  "GET /b HTTP/1.1\r\nHost: n\r\nX: y\r\n\r\n" },
                { "GET / HTTP/1.0\r\n\r\n", { .new_host = TEXT("n") }, "GET / HTTP/1.1\r\nHost: n\r\n\r\n" },
                { "GET /a/b?c HTTP/1.1\r\nHost: h\r\n\r\n", { .new_prefix = TEXT("/n"), .skip = 2 },
                  "GET /n/b?c HTTP/1.1\r\nHost: h\r\n\r\n" },
                { "GET /a HTTP/1.1\r\nHost: h\r\n\r\n", { .new_prefix = TEXT("/n"), .skip = 2 },
                  "GET /n HTTP/1.1\r\nHost: h\r\n\r\n" },
                { "GET /a? HTTP/1.1\r\nHost: h\r\n\r\n", { .new_prefix = TEXT(""), .skip = 2 },
                  "GET /? HTTP/1.1\r\nHost: h\r\n\r\n" },
                { "GET /a/b HTTP/1.1\r\nHost: h\r\n\r\n", { .new_prefix = TEXT(""), .skip = 2 },
                  "GET /b HTTP/1.1\r\nHost: h\r\n\r\n" },
                { "GET /a//b HTTP/1.1\r\nHost: h\r\n\r\n", { .new_prefix = TEXT("/"), .skip = 2 },
                  "GET /b HTTP/1.1\r\nHost: h\r\n\r\n" },
                { "GET http://a.test?q HTTP/1.1\r\nHost: h\r\n\r\n", { .new_prefix = TEXT("/n/"), .skip = 0 },
                  "GET /n/?q HTTP/1.1\r\nHost: a.test\r\n\r\n" },
                { "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n", { .new_prefix = TEXT("/n"), .skip = 1 },
                  "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n" },
        };

        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
                check_request(cases[i].in, &cases[i].edit, cases[i].expected);
}

/* In normal form a path may be shorter than what came: the query stays where it is. */
static void test_path_in_normal_form(void **state) {
        static const char *const cases[][2] = {
                { "GET /a/./b?c=d HTTP/1.1\r\nHost: h\r\n\r\n", "GET /a/b?c=d HTTP/1.1\r\nHost: h\r\n\r\n" },
                { "GET /a/./b? HTTP/1.1\r\nHost: h\r\n\r\n", "GET /a/b? HTTP/1.1\r\nHost: h\r\n\r\n" },
                { "GET /a/./b HTTP/1.1\r\nHost: h\r\n\r\n", "GET /a/b HTTP/1.1\r\nHost: h\r\n\r\n" },
                { "GET http://h/a/./b?c HTTP/1.1\r\nHost: h\r\n\r\n", "GET /a/b?c HTTP/1.1\r\nHost: h\r\n\r\n" },
        };

        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                Buffer *out = buffer_acquire(&pool);
                struct sm_head head;
                char in[128];

                snprintf(in, sizeof(in), "%s", cases[i][0]);
                parse(in, SM_HEAD_REQUEST, &head);
                memcpy(in + head.path.offset, "/a/b", 4);
                head.path.length = 4;
                assert_int_equal(head_write_request(out, (const uint8_t *) in, &head, &(RequestEdit){}), 0);
                assert_int_equal(buffer_append(out, "", 1), 0);
                assert_string_equal((const char *) buffer_at(out), cases[i][1]);
                buffer_release(&pool, out);
        }
}

static void test_hops_are_counted(void **state) {
        static const struct {
                const char *value;
                unsigned count;
        } cases[] = {
                { "0", 0 }, { "17", 17 }, { "", HOP_COUNT_NONE }, { "1x", HOP_COUNT_NONE }, { "-1", HOP_COUNT_NONE },
                { "99999999999999999999", HOP_COUNT_NONE },
        };

        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                struct sm_head head;
                char text[256];

                snprintf(text, sizeof(text), "OPTIONS * HTTP/1.1\r\nHost: h\r\nMax-Forwards: %s\r\n\r\n",
                         cases[i].value);
                parse(text, SM_HEAD_REQUEST, &head);
                assert_int_equal(head_hop_count((const uint8_t *) text, &head), cases[i].count);
        }
        check_request("OPTIONS * HTTP/1.1\r\nHost: h\r\nmax-forwards: 10\r\nX: y\r\n\r\n",
                      &(RequestEdit){ .count_hops = true },
                      "OPTIONS * HTTP/1.1\r\nHost: h\r\nmax-forwards: 9\r\nX: y\r\n\r\n");
}

static void test_responses(void **state) {
        check_response("HTTP/1.0 200 OK\r\nConnection: close\r\nX: y\r\n\r\n",
                       &(ResponseEdit){ .chunked = true },
                       "HTTP/1.1 200 OK\r\nX: y\r\nTransfer-Encoding: chunked\r\n\r\n");
        check_response("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: T\r\n\r\n",
                       &(ResponseEdit){ .connection = RESPONSE_CLOSE },
                       "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
        check_response("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: T\r\n\r\n",
                       &(ResponseEdit){ .chunked = true },
                       "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: T\r\n\r\n");
        check_response("HTTP/1.1 204 X\r\nContent-Length: 3\r\n\r\n", &(ResponseEdit){ .bodiless = true },
                       "HTTP/1.1 204 X\r\n\r\n");
        check_response("HTTP/1.1 101 X\r\nUpgrade: w\r\nConnection: Upgrade\r\n\r\n",
                       &(ResponseEdit){ .connection = RESPONSE_UPGRADE },
                       "HTTP/1.1 101 X\r\nUpgrade: w\r\nConnection: Upgrade\r\n\r\n");
        check_response("HTTP/1.1 200 \r\n\r\n", &(ResponseEdit){ .connection = RESPONSE_KEEP_ALIVE },
                       "HTTP/1.1 200 \r\nConnection: keep-alive\r\n\r\n");
}

static void test_no_room(void **state) {
        static const char text[] = "GET / HTTP/1.1\r\nHost: h\r\nX: y\r\nConnection: close\r\n\r\n";
        Buffer *out = buffer_acquire(&pool);
        struct sm_head head;

        parse(text, SM_HEAD_REQUEST, &head);
        for (uint32_t room = 0; room < sizeof("GET / HTTP/1.1\r\nHost: h\r\nX: y\r\n\r\n") - 1; room++) {
                out->start = out->end = out->capacity - room;
                assert_int_equal(head_write_request(out, (const uint8_t *) text, &head, &(RequestEdit){}),
                                 -ENOBUFS);
        }
        buffer_release(&pool, out);
}

/* A fixed sequence: the same on every run. */
static uint32_t next(uint64_t *seed) {
        *seed = *seed * 6364136223846793005ULL + 1442695040888963407ULL;
        return (uint32_t) (*seed >> 33);
}

/* One of the heads below, with a few lines more and a byte of another kind. */
static size_t make_head(uint64_t *seed, enum sm_head_kind kind, char *ret, size_t size) {
        static const char *const starts[][8] = {
                [SM_HEAD_REQUEST] = {
                        "GET /a?b HTTP/1.1\r\nHost: h\r\n", "POST / HTTP/1.1\r\nHost: h\r\n",
                        "HEAD / HTTP/1.1\r\nHost: h\r\n", "DELETE / HTTP/1.1\r\nHost: h\r\n",
                        "OPTIONS * HTTP/1.1\r\nHost: h\r\n", "GET http://h/ HTTP/1.1\r\nHost: h\r\n",
                        "GET / HTTP/1.0\r\nHost: h\r\n", "\r\nGET / HTTP/1.1\r\nHost: h\r\n",
                },
                [SM_HEAD_RESPONSE] = {
                        "HTTP/1.1 200 OK\r\n", "HTTP/1.1 304 \r\n", "HTTP/1.1 404\r\n",
                        "HTTP/1.1 503 X\r\n", "HTTP/1.1 426 X\r\n", "HTTP/1.1 408 X\r\n",
                        "HTTP/1.1 204 No\r\n", "HTTP/1.0 200 OK\r\n",
                },
        };
        static const char *const lines[] = {
                "Connection: keep-alive\r\n", "connection:close\r\n", "Connection: upgrade, keep-alive\r\n",
                "Connection: \r\n", "Upgrade: x\r\n", "Keep-Alive: 5\r\n", "Content-Length: 7\r\n",
                "Connection: keep-alive\r\nKeep-Alive: timeout=5\r\n",
                "Transfer-Encoding: chunked\r\n", "Trailer: t\r\n", "TE: trailers\r\n", "Via: 1.1 x\r\n",
                "X-Forwarded-For: a\r\n", "Max-Forwards: 3\r\n", "Expect: 100-continue\r\n",
                "Accept: */*\r\n", "Server: y\r\n",
        };
        static const char bytes[] = "\t ,;:-/1aK\x80";
        size_t n;

        n = (size_t) snprintf(ret, size, "%s", starts[kind][next(seed) % 8]);
        for (unsigned i = next(seed) % 4; i > 0; i--)
                n += (size_t) snprintf(ret + n, size - n, "%s",
                                       lines[next(seed) % (sizeof(lines) / sizeof(lines[0]))]);
        n += (size_t) snprintf(ret + n, size - n, "\r\n");
        if (next(seed) % 2 == 0)
                ret[next(seed) % n] = bytes[next(seed) % (sizeof(bytes) - 1)];
        return n;
}

/* The head without that piece was written. */
static void assert_written_without(Buffer *out, const uint8_t *text, size_t n, struct sm_span cut) {
        size_t end = (size_t) cut.offset + cut.length;

        assert_int_equal(buffer_filled(out), n - cut.length);
        assert_memory_equal(buffer_at(out), text, cut.offset);
        assert_memory_equal(buffer_at(out) + cut.offset, text + end, n - end);
}

/* The kernel moves what is plain, all of it or without a piece, and the relay writes heads: they must never
 * disagree. */
static void test_plain_is_written_as_it_is(void **state) {
        unsigned counts[2][2] = {}, cuts = 0;
        uint64_t seed = 1;

        for (unsigned i = 0; i < 20000; i++) {
                enum sm_head_kind kind = i % 2 ? SM_HEAD_RESPONSE : SM_HEAD_REQUEST;
                Buffer *out = buffer_acquire(&pool);
                struct sm_head_parser p;
                struct sm_head head;
                struct sm_span cut = {};
                uint8_t text[512];
                bool plain;
                size_t n;
                int r;

                n = make_head(&seed, kind, (char *) text, sizeof(text));
                sm_head_start(&p, &head, kind, SM_HEAD_MAX);
                if (sm_head_parse(&p, &head, text, (uint32_t) n) == (int) n) {
                        plain = kind ? sm_response_cut(&head, 0, &cut) : sm_request_is_plain(&head, 0);
                        r = kind ? head_write_response(out, text, &head, &(ResponseEdit){
                                                .chunked = head.flags & SM_HEAD_CHUNKED,
                                                .bodiless = head.status == 204 }) :
                                   head_write_request(out, text, &head, &(RequestEdit){ .host = "h" });
                        assert_int_equal(r, 0);
                        counts[kind][plain]++;
                        cuts += plain && cut.length > 0;
                        if (plain)
                                assert_written_without(out, text, n, cut);
                }
                buffer_release(&pool, out);
        }
        for (unsigned kind = 0; kind < 2; kind++)
                for (unsigned plain = 0; plain < 2; plain++)
                        assert_in_range(counts[kind][plain], 1000, 9000);
        assert_in_range(cuts, 200, 9000);
}

static int setup(void **state) {
        buffer_pool_init(&pool, 4096);
        return 0;
}

static int teardown(void **state) {
        buffer_pool_done(&pool);
        return 0;
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_nothing_to_change),
                cmocka_unit_test(test_hop_by_hop),
                cmocka_unit_test(test_keep_alive_stays),
                cmocka_unit_test(test_framing_stays),
                cmocka_unit_test(test_targets),
                cmocka_unit_test(test_upgrade_and_trailers),
                cmocka_unit_test(test_lists_are_continued),
                cmocka_unit_test(test_changes),
                cmocka_unit_test(test_changes_and_lists),
                cmocka_unit_test(test_rewrites),
                cmocka_unit_test(test_path_in_normal_form),
                cmocka_unit_test(test_hops_are_counted),
                cmocka_unit_test(test_responses),
                cmocka_unit_test(test_no_room),
                cmocka_unit_test(test_plain_is_written_as_it_is),
        };

        return cmocka_run_group_tests(tests, setup, teardown);
}
