/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdio.h>

#include "engine-body.h"
#include "engine-chunk-loop.h"
#include "test-engine.h"

#define TRAILER_LIMIT 64
#define TEN "0123456789"
#define FIFTY TEN TEN TEN TEN TEN

static const struct {
        const char *text;
        int r;         /* 1 = complete, 0 = needs more, -1 = refused */
        size_t rest;   /* bytes behind the end */
        const char *data;
} rows[] = {
        { "0\r\n\r\n", 1, 0, "" },
        { "0\r\n\r\nGET / HTTP/1.1\r\n", 1, 16, "" },
        { "5\r\nhello\r\n0\r\n\r\n", 1, 0, "hello" },
        { "5\r\nhello\r\n6\r\n world\r\n0\r\n\r\nx", 1, 1, "hello world" },
        { "A\r\n" TEN "\r\na\r\n" TEN "\r\n00\r\n\r\n", 1, 0, TEN TEN },
        { "5;name=value;other=\"quoted; text\"\r\nhello\r\n0;last\r\n\r\n", 1, 0, "hello" },
        { "1;a=\"\\\"\\\\ \t\x80\";b\r\nx\r\n1;c\r\ny\r\n0\r\n\r\n", 1, 0, "xy" },
        { "2\r\n\r\n\r\n0\r\n\r\n", 1, 0, "\r\n" },
        { "1\r\nx\r\n0\r\nX-Digest: abc\r\nOther:\r\n\r\n", 1, 0, "x" },
        { "000000000000000000000000000001\r\nx\r\n0\r\n\r\n", 1, 0, "x" },

        { "", 0, 0, "" },
        { "5\r\nhel", 0, 0, "hel" },
        { "5\r\nhello\r\n", 0, 0, "hello" },
        { "0\r\n\r", 0, 0, "" },
        { "7fffffffffffffff\r\nx", 0, 0, "x" },

        { "\r\n", -1, 0, "" },
        { ";x\r\n", -1, 0, "" },
        { " 5\r\nhello\r\n", -1, 0, "" },
        { "5 \r\nhello\r\n", -1, 0, "" },
        { "5 ;x\r\nhello\r\n", -1, 0, "" },
        { "+5\r\nhello\r\n", -1, 0, "" },
        { "0x5\r\nhello\r\n", -1, 0, "" },
        { "-1\r\n", -1, 0, "" },
        { "g\r\n", -1, 0, "" },
        { "5\nhello\r\n", -1, 0, "" },
        { "5\rhello\r\n", -1, 0, "" },
        { "5\r\r\nhello\r\n", -1, 0, "" },
        { "5;a\nhello\r\n", -1, 0, "" },
        { "5;a\x01\r\nhello\r\n", -1, 0, "" },
        { "5;\r\nhello\r\n", -1, 0, "" },
        { "5; a\r\nhello\r\n", -1, 0, "" },
        { "5;a \r\nhello\r\n", -1, 0, "" },
        { "5;a;\r\nhello\r\n", -1, 0, "" },
        { "5;a=\r\nhello\r\n", -1, 0, "" },
        { "5;=b\r\nhello\r\n", -1, 0, "" },
        { "5;a=b=c\r\nhello\r\n", -1, 0, "" },
        { "5;a=\"b\r\nhello\r\n", -1, 0, "" },
        { "5;a=\"b\"c\r\nhello\r\n", -1, 0, "" },
        { "5;a=\"\x01\"\r\nhello\r\n", -1, 0, "" },
        { "5;a=\"\\\x01\"\r\nhello\r\n", -1, 0, "" },
        { "5;a=b\"c\"\r\nhello\r\n", -1, 0, "" },
        { "5\r\nhello\n0\r\n\r\n", -1, 0, "" },
        { "5\r\nhello!\r\n0\r\n\r\n", -1, 0, "" },
        { "5\r\nhell\r\n0\r\n\r\n", -1, 0, "" },
        { "5\r\nhello\rx", -1, 0, "" },
        { "8000000000000000\r\n", -1, 0, "" },
        { "10000000000000000\r\n", -1, 0, "" },
        { "ffffffffffffffffffff\r\n", -1, 0, "" },
        { "5;" FIFTY FIFTY FIFTY FIFTY FIFTY FIFTY "\r\nhello\r\n", -1, 0, "" },
        { FIFTY FIFTY FIFTY FIFTY FIFTY FIFTY "\r\nhello\r\n", -1, 0, "" },
        { "0\r\n\nx", -1, 0, "" },
        { "0\r\nX: a\n\r\n", -1, 0, "" },
        { "0\r\n X: a\r\n\r\n", -1, 0, "" },
        { "0\r\nX : a\r\n\r\n", -1, 0, "" },
        { "0\r\nX\r\n\r\n", -1, 0, "" },
        { "0\r\nX: a\r\n b\r\n\r\n", -1, 0, "" },
        { "0\r\nX: a\x01\r\n\r\n", -1, 0, "" },
        { "0\r\nContent-Length: 5\r\n\r\n", -1, 0, "" },
        { "0\r\nTRANSFER-ENCODING: chunked\r\n\r\n", -1, 0, "" },
        { "0\r\nHost: a\r\n\r\n", -1, 0, "" },
        { "0\r\nX: " FIFTY TEN "\r\n\r\n", -1, 0, "" },
};

/* The trailer section's end counts: of exactly the limit it is accepted. */
static void test_trailer_limit(void **state) {
        static const char text[] = "0\r\nX: a\r\n\r\n";
        __u64 consumed, data;
        struct sm_chunk c;

        sm_chunk_start(&c, 8);
        assert_int_equal(sm_chunk_parse(&c, (const __u8 *) text, sizeof(text) - 1, &consumed, &data), 1);
        sm_chunk_start(&c, 7);
        assert_int_equal(sm_chunk_parse(&c, (const __u8 *) text, sizeof(text) - 1, &consumed, &data),
                         -SM_REASON_BAD_CHUNK);
}

/* The limits are those of one chunk, not of all. */
static void test_many_chunks(void **state) {
        static const char text[] = "1;extension\r\nx\r\n", end[] = "0\r\n\r\n";
        __u64 consumed, data;
        struct sm_chunk c;

        sm_chunk_start(&c, TRAILER_LIMIT);
        for (int i = 0; i < 1000; i++) {
                int r = sm_chunk_parse(&c, (const __u8 *) text, sizeof(text) - 1, &consumed, &data);

                assert_int_equal(r, 0);
                assert_int_equal(consumed, sizeof(text) - 1);
                assert_int_equal(data, 1);
        }
        assert_int_equal(sm_chunk_parse(&c, (const __u8 *) end, sizeof(end) - 1, &consumed, &data), 1);
}

/* Feeds the row in portions of at most `portion` bytes, the first of at most `first`. */
static void check(size_t row, size_t first, size_t portion) {
        size_t n = strlen(rows[row].text), at = 0, end = first < n ? first : n, seen = 0;
        __u64 consumed, data;
        struct sm_chunk c;
        int r = 0;

        sm_chunk_start(&c, TRAILER_LIMIT);
        do {
                __u8 *bytes = test_copy(rows[row].text + at, end - at);

                r = sm_chunk_next(&c, bytes, end - at, &consumed, &data);
                if (r >= 0 && rows[row].r >= 0) {
                        assert_true(data <= consumed && seen + data <= strlen(rows[row].data));
                        assert_memory_equal(bytes + consumed - data, rows[row].data + seen, data);
                        seen += data;
                }
                free(bytes);
                if (r != 0)
                        break;
                at += consumed;
                if (at == end)
                        end = end + portion < n ? end + portion : n;
        } while (at < n);

        if (rows[row].r != (r < 0 ? -1 : r))
                print_error("%s\n", rows[row].text);
        assert_int_equal(r < 0 ? -1 : r, rows[row].r);
        if (r < 0)
                assert_int_equal(r, -SM_REASON_BAD_CHUNK);
        else {
                assert_int_equal(seen, strlen(rows[row].data));
                assert_int_equal(n - at - (r > 0 ? consumed : 0), rows[row].rest);
        }
}

static void test_rows(void **state) {
        for (size_t i = 0; i < COUNT(rows); i++) {
                size_t n = strlen(rows[i].text);

                check(i, 1, 1);
                for (size_t first = 0; first <= n; first++)
                        check(i, first, n);
        }
}

static void test_forward(void **state) {
        static const char text[] = "5\r\nhello\r\n6;x\r\n world\r\n0\r\nX: y\r\n\r\nnext";
        __u64 consumed, data;
        struct sm_chunk c;

        sm_chunk_start(&c, TRAILER_LIMIT);
        assert_int_equal(sm_chunk_parse(&c, (const __u8 *) text, 6, &consumed, &data), 0);
        assert_int_equal(consumed, 6);
        assert_int_equal(data, 3);
        assert_int_equal(sm_chunk_parse(&c, (const __u8 *) text + 6, sizeof(text) - 7, &consumed, &data), 1);
        assert_int_equal(consumed, sizeof(text) - 1 - 6 - 4);
        assert_int_equal(data, 8);
}

/* Of a message, behind a head of `before` bytes. */
static void walk(const char *text, size_t before, struct sm_chunk_walk *w) {
        __u32 size = (__u32) (before + strlen(text));
        __u8 *message = malloc(size);
        struct sm_chunk_loop loop = { .walk = w, .message = message };

        assert_non_null(message);
        memset(message, 'h', before);
        memcpy(message + before, text, size - before);
        memset(w, 0xff, sizeof(*w));
        sm_chunk_walk_start(w, (__u32) before, size);
        w->chunk.trailer_limit = TRAILER_LIMIT;
        sm_loop(SM_CHUNK_WALK_MAX, sm_chunk_walk_steps, &loop);
        free(message);
}

static void test_walk(void **state) {
        for (size_t i = 0; i < COUNT(rows); i++)
                for (size_t before = 1; before < 2 * SM_WINDOW; before++) {
                        struct sm_chunk_walk w;

                        walk(rows[i].text, before, &w);
                        assert_int_equal(w.result < 0 ? -1 : w.result, rows[i].r);
                        if (w.result <= 0)
                                continue;
                        assert_int_equal(w.size - w.position, rows[i].rest);
                        assert_int_equal(w.data, strlen(rows[i].data));
                }
}

/* What frames the body is limited, not the data. */
static void test_walk_limit(void **state) {
        static const char chunk[] = "1\r\nx\r\n", end[] = "0\r\n\r\n", large[] = "f000\r\n";
        size_t framing = sizeof(chunk) - 2, most = (SM_CHUNK_WALK_MAX - (sizeof(end) - 1)) / framing;
        char text[0xf000 + 64];
        struct sm_chunk_walk w;

        for (size_t n = most - 1; n <= most + 1; n++) {
                for (size_t i = 0; i < n; i++)
                        memcpy(text + i * (sizeof(chunk) - 1), chunk, sizeof(chunk) - 1);
                memcpy(text + n * (sizeof(chunk) - 1), end, sizeof(end));
                walk(text, 1, &w);
                assert_int_equal(w.result, n <= most);
                assert_true(n > most || w.data == n);
        }

        memcpy(text, large, sizeof(large) - 1);
        memset(text + sizeof(large) - 1, 'x', 0xf000);
        snprintf(text + sizeof(large) - 1 + 0xf000, 16, "\r\n%s", end);
        walk(text, 1, &w);
        assert_int_equal(w.result, 1);
        assert_int_equal(w.data, 0xf000);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_rows),
                cmocka_unit_test(test_trailer_limit),
                cmocka_unit_test(test_many_chunks),
                cmocka_unit_test(test_forward),
                cmocka_unit_test(test_walk),
                cmocka_unit_test(test_walk_limit),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
