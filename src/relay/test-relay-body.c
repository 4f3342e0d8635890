/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "../basic/macro.h"
#include "relay-flow.h"

static ssize_t scan(Body *b, const char *text) {
        return body_scan(b, (const uint8_t *) text, strlen(text));
}

static void test_length(void **state) {
        Body b;

        body_start(&b, SM_BODY_LENGTH, 6);
        assert_int_equal(scan(&b, "abcd"), 4);
        assert_false(b.done);
        assert_int_equal(scan(&b, "efGET"), 2);
        assert_true(b.done);
        assert_int_equal(scan(&b, "GET"), 0);
        assert_int_equal(b.data, 6);
}

static void test_none_and_until_close(void **state) {
        Body b;

        body_start(&b, SM_BODY_NONE, 0);
        assert_true(b.done);
        assert_int_equal(scan(&b, "GET"), 0);
        body_start(&b, SM_BODY_UNTIL_CLOSE, 0);
        assert_int_equal(scan(&b, "abc"), 3);
        assert_false(b.done);
        body_end(&b);
        assert_true(b.done);
        assert_int_equal(b.data, 3);
}

static void test_chunked(void **state) {
        static const char text[] = "3\r\nabc\r\n0\r\nX: y\r\n\r\nGET";
        Body b;

        for (size_t split = 0; split < sizeof(text) - 4; split++) {
                body_start(&b, SM_BODY_CHUNKED, 0);
                assert_int_equal(body_scan(&b, (const uint8_t *) text, split), split);
                assert_false(b.done);
                assert_int_equal(scan(&b, text + split), sizeof(text) - 4 - split);
                assert_true(b.done);
                assert_int_equal(b.data, 3);
        }
        body_start(&b, SM_BODY_CHUNKED, 0);
        assert_int_equal(scan(&b, "3\r\nabcd\r\n"), -EBADMSG);
}

/* Passes `text` in pieces of `piece` bytes through a flow, and collects what would be sent. */
static size_t pass(BodyCoding coding, enum sm_body framing, const char *text, size_t piece, char *ret) {
        Flow f = { .coding = coding };
        BufferPool p;
        Buffer *in;
        size_t n = 0;

        buffer_pool_init(&p, 64);
        in = buffer_acquire(&p);
        body_start(&f.body, framing, 0);
        for (const char *t = text; *t; t += MIN(piece, strlen(t))) {
                assert_int_equal(buffer_append(in, t, MIN(piece, strlen(t))), 0);
                do {
                        assert_int_equal(flow_advance(&f, in, &p), 0);
                        if (f.out) {
                                memcpy(ret + n, buffer_at(f.out), buffer_filled(f.out));
                                n += buffer_filled(f.out);
                                flow_done(&f, &p);
                        }
                } while (!f.body.done && f.checked < buffer_filled(in));
                flow_trim(&f, &in, &p);
                if (!in)
                        in = buffer_acquire(&p);
        }
        if (framing == SM_BODY_UNTIL_CLOSE) {
                assert_int_equal(flow_end(&f, &p), 0);
                if (f.out) {
                        memcpy(ret + n, buffer_at(f.out), buffer_filled(f.out));
                        n += buffer_filled(f.out);
                }
        }
        assert_true(f.body.done);
        flow_done(&f, &p);
        buffer_release(&p, in);
        buffer_pool_done(&p);
        return n;
}

static void test_recode_to_chunks_and_back(void **state) {
        static const char text[] = "The quick brown fox jumps over the lazy dog.";
        char coded[4096], plain[4096];
        size_t n;

        for (size_t piece = 1; piece <= sizeof(text); piece++)
                for (size_t back = 1; back <= 64; back++) {
                        n = pass(BODY_CHUNK, SM_BODY_UNTIL_CLOSE, text, piece, coded);
                        coded[n] = 0;
                        assert_string_equal(coded + n - 5, "0\r\n\r\n");
                        n = pass(BODY_UNCHUNK, SM_BODY_CHUNKED, coded, back, plain);
                        plain[n] = 0;
                        assert_string_equal(plain, text);
                }
}

static void test_trailers_are_not_data(void **state) {
        char plain[256];

        for (size_t piece = 1; piece < 40; piece++) {
                size_t n = pass(BODY_UNCHUNK, SM_BODY_CHUNKED, "2;x=y\r\nok\r\n0\r\nT: t\r\n\r\n", piece,
                                plain);

                assert_int_equal(n, 2);
                assert_memory_equal(plain, "ok", 2);
        }
}

static void test_decode_takes_no_more_than_fits(void **state) {
        BufferPool p;
        Buffer *out;
        Body b;
        uint8_t text[9000];
        size_t n = (size_t) snprintf((char *) text, sizeof(text), "%x\r\n", 8000);
        ssize_t m;

        memset(text + n, 'x', sizeof(text) - n);
        buffer_pool_init(&p, 100);
        out = buffer_acquire(&p);
        body_start(&b, SM_BODY_CHUNKED, 0);
        m = body_decode(&b, text, sizeof(text) - 1000, out);
        assert_int_equal(m, out->capacity + n);
        assert_int_equal(buffer_room(out), 0);
        assert_int_equal(body_encode_chunk(out, text, 1), 0);
        assert_int_equal(body_encode_end(out), -ENOBUFS);
        buffer_release(&p, out);
        buffer_pool_done(&p);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_length),
                cmocka_unit_test(test_none_and_until_close),
                cmocka_unit_test(test_chunked),
                cmocka_unit_test(test_recode_to_chunks_and_back),
                cmocka_unit_test(test_trailers_are_not_data),
                cmocka_unit_test(test_decode_takes_no_more_than_fits),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
