/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cmocka.h>

#include "basic/cleanup.h"
#include "basic/macro.h"
#include "engine/engine-body.h"
#include "engine/engine-parse.h"
#include "engine/engine-plain.h"
#include "fast-fixture.h"
#include "relay/relay-head-write.h"

/*
 * Responses from a server's send() to whoever gets them: those that are chunked, and those whose head is
 * cut. The caller gets what the relay would have written, and the relay, as it was sent, what the kernel is
 * not certain of.
 */

#define SLOT 2
#define SERVICE 3
#define ROUNDS 3000

#define CUT "Connection: keep-alive\r\nKeep-Alive: timeout=5\r\n"
#define HEAD "HTTP/1.1 200 OK\r\nX: 1\r\nTransfer-Encoding: chunked\r\n\r\n"
#define CUT_HEAD "HTTP/1.1 200 OK\r\nX: 1\r\n" CUT "Transfer-Encoding: chunked\r\n\r\n"

static FastFixture fixture;
static BufferPool pool;
static Connection caller, server;

static struct sm_slot *slot(void) {
        return &fixture.tables.slots[SLOT];
}

/* A request is with the server; the same connections again and again. */
static void wait_for_response(void) {
        struct sm_server_context context = { .slot = SLOT, .connection = 1 };
        struct sm_downstream *d = &fixture.tables.downstreams[SLOT];
        socklen_t size = sizeof(d->cookie);

        fast_fixture_reset(&fixture);
        (void) slot_make(&fixture, SLOT, SM_SLOT_WAITING, 0);
        fixture.control->head_max = SM_HEAD_MAX;
        slot()->service = SERVICE;
        slot()->method = SM_METHOD_GET;
        assert_int_equal(getsockopt(caller.near, SOL_SOCKET, SO_COOKIE, &d->cookie, &size), 0);
        assert_int_equal(storage_set(fixture.bpf->maps.server_contexts, server.far, &context), 0);
}

static void assert_reads(int fd, const void *bytes, size_t n) {
        uint8_t buffer[SM_FAST_MAX + 1024];

        assert_true(n <= sizeof(buffer));
        read_exactly(fd, buffer, n);
        assert_memory_equal(buffer, bytes, n);
}

static void assert_nothing_to_read(int fd) {
        struct pollfd p = { .fd = fd, .events = POLLIN };

        assert_int_equal(poll(&p, 1, 0), 0);
}

/* It was the kernel's, and is over. */
static void assert_fast(const void *bytes, size_t n, size_t data) {
        assert_int_equal(sm_slot_state(slot()->node.word), SM_SLOT_FREE);
        assert_reads(caller.near, bytes, n);
        assert_nothing_to_read(caller.near);
        assert_nothing_to_read(server.near);
        assert_int_equal(fixture.service_paths[SERVICE].fast, 1);
        assert_int_equal(fixture.tables.service_counters[SERVICE].response_bytes, data);
}

static void assert_for_the_relay(const void *bytes, size_t n, enum sm_slow why) {
        assert_int_equal(slot()->slow, why);
        assert_int_equal(sm_slot_state(slot()->node.word), SM_SLOT_RELAY);
        assert_int_equal(sm_slot_remaining(slot()->node.word), SM_REMAINING_ALL);
        assert_reads(server.near, bytes, n);
        assert_nothing_to_read(caller.near);
}

static void test_fast(void **state) {
        static const struct {
                const char *response, *expected; /* NULL: the same */
                size_t data;
        } rows[] = {
                { HEAD "0\r\n\r\n", NULL, 0 },
                { HEAD "6\r\nanswer\r\n0\r\n\r\n", NULL, 6 },
                { HEAD "3;a=\"b\"\r\nans\r\n0003\r\nwer\r\n0;c\r\nX-Sum: 1\r\nY:\r\n\r\n", NULL, 6 },
                { CUT_HEAD "6\r\nanswer\r\n0\r\n\r\n", HEAD "6\r\nanswer\r\n0\r\n\r\n", 6 },
                { "HTTP/1.1 200 OK\r\n" CUT "Content-Length: 2\r\n\r\nok",
                  "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 2 },
                { "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nkeep-alive: x\r\n\r\nok",
                  "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 2 },
                { "HTTP/1.1 204 \r\n" CUT "\r\n", "HTTP/1.1 204 \r\n\r\n", 0 },
                { "HTTP/1.1 304 \r\nTransfer-Encoding: chunked\r\n\r\n", NULL, 0 },
        };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                const char *expected = rows[i].expected ?: rows[i].response;

                wait_for_response();
                send_exactly(server.far, rows[i].response, strlen(rows[i].response));
                assert_fast(expected, strlen(expected), rows[i].data);
        }
}

static void test_not_fast(void **state) {
        static const struct {
                const char *response;
                enum sm_slow why;
        } rows[] = {
                { HEAD, SM_SLOW_RESPONSE_FRAMING },
                { HEAD "6\r\nans", SM_SLOW_RESPONSE_FRAMING },
                { HEAD "6\r\nanswer", SM_SLOW_RESPONSE_FRAMING },
                { HEAD "6\r\nanswer\r\n0\r\n\r", SM_SLOW_RESPONSE_FRAMING },
                { HEAD "6\r\nanswer\n0\r\n\r\n", SM_SLOW_RESPONSE_FRAMING },
                { HEAD "0\r\nContent-Length: 5\r\n\r\n", SM_SLOW_RESPONSE_FRAMING },
                { HEAD "ffffffff00000006\r\nanswer\r\n0\r\n\r\n", SM_SLOW_RESPONSE_FRAMING },
                { HEAD "0\r\n\r\nmore", SM_SLOW_RESPONSE_BROKEN },
                { "HTTP/1.1 200 OK\r\nConnection: x\r\nKeep-Alive: y\r\nContent-Length: 0\r\n\r\n",
                  SM_SLOW_RESPONSE_REWRITTEN },
                { "HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nX: y\r\nKeep-Alive: y\r\nContent-Length: 0\r\n\r\n",
                  SM_SLOW_RESPONSE_REWRITTEN },
        };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                wait_for_response();
                send_exactly(server.far, rows[i].response, strlen(rows[i].response));
                assert_for_the_relay(rows[i].response, strlen(rows[i].response), rows[i].why);
        }
}

/* A chunked response of `total` bytes, with a head that is to be cut and chunks of `size` bytes of data, the
 * last ones excepted; returns how much data that is. */
static size_t make_chunked(uint8_t *ret, size_t total, size_t size) {
        size_t n = strlen(CUT_HEAD), data = 0, end = strlen("0\r\n\r\n");

        memcpy(ret, CUT_HEAD, n);
        while (total - n > end) {
                size_t left = total - n - end, k = size;

                if (left < k + 32) /* five hexadecimal digits and two line ends are always enough */
                        k = left - 9;
                n += (size_t) sprintf((char *) ret + n, "%05zx\r\n", k);
                memset(ret + n, 'd', k);
                memcpy(ret + n + k, "\r\n", 2);
                n += k + 2;
                data += k;
        }
        memcpy(ret + n, "0\r\n\r\n", end);
        assert_int_equal(n + end, total);
        return data;
}

/* In several pieces of memory, each of several chunks: as the kernel holds what is large. */
static void test_large(void **state) {
        static const size_t sizes[] = { 700, 1000, 4091, 32768, 65000 };
        static uint8_t text[SM_FAST_MAX + 1], expected[SM_FAST_MAX];
        size_t head = strlen(HEAD), cut_head = strlen(CUT_HEAD);

        for (size_t i = 0; i < ELEMENTSOF(sizes); i++)
                for (size_t total = SM_FAST_MAX - 40; total <= SM_FAST_MAX; total += 13 + i) {
                        size_t data = make_chunked(text, total, sizes[i]);

                        memcpy(expected, HEAD, head);
                        memcpy(expected + head, text + cut_head, total - cut_head);
                        wait_for_response();
                        send_exactly(server.far, text, total);
                        assert_fast(expected, total - strlen(CUT), data);
                }

        (void) make_chunked(text, sizeof(text), 32768);
        wait_for_response();
        send_exactly(server.far, text, sizeof(text));
        assert_for_the_relay(text, sizeof(text), SM_SLOW_RESPONSE_TOO_LARGE);

        (void) make_chunked(text, SM_FAST_MAX, 400);
        wait_for_response();
        send_exactly(server.far, text, SM_FAST_MAX);
        assert_for_the_relay(text, SM_FAST_MAX, SM_SLOW_RESPONSE_FRAMING);
}

/* With one call, from many places: what writev() of the pieces that a server has makes of it. */
static void test_gathered(void **state) {
        static const char *const pieces[] = {
                "HTTP/1.1 200 OK\r\nX: 1\r\n", CUT, "Transfer-Encoding: chunked\r\n\r\n", "6\r", "\nans",
                "wer\r\n", "0\r\n\r\n",
        };
        struct iovec vector[ELEMENTSOF(pieces)];
        size_t total = 0;

        for (size_t i = 0; i < ELEMENTSOF(pieces); i++) {
                vector[i] = (struct iovec) { (void *) pieces[i], strlen(pieces[i]) };
                total += strlen(pieces[i]);
        }
        wait_for_response();
        assert_int_equal(writev(server.far, vector, ELEMENTSOF(pieces)), total);
        assert_fast(HEAD "6\r\nanswer\r\n0\r\n\r\n", strlen(HEAD "6\r\nanswer\r\n0\r\n\r\n"), 6);
}

/* What is cut is the server's, and so counts as sent and towards the end of the response. */
static void test_cut_and_more_to_come(void **state) {
        static const char expected[] = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nanswer";

        wait_for_response();
        send_exactly(server.far, "HTTP/1.1 200 OK\r\n" CUT "Content-Length: 6\r\n\r\n",
                     strlen(expected) - 6 + strlen(CUT));
        assert_int_equal(sm_slot_state(slot()->node.word), SM_SLOT_RESPONDING);
        assert_int_equal(sm_slot_remaining(slot()->node.word), 6);
        send_exactly(server.far, "ans", 3);
        send_exactly(server.far, "wer", 3);
        assert_fast(expected, strlen(expected), 6);
}

/* The relay gets what is left, which is all that it would have sent on. */
static void test_cut_and_caller_is_gone(void **state) {
        wait_for_response();
        fixture.tables.downstreams[SLOT].cookie = UINT64_MAX;
        send_exactly(server.far, CUT_HEAD "0\r\n\r\n", strlen(CUT_HEAD "0\r\n\r\n"));
        assert_for_the_relay(HEAD "0\r\n\r\n", strlen(HEAD "0\r\n\r\n"), SM_SLOW_CALLER_GONE);
}

/* A fixed sequence: the same on every run. */
static uint32_t next(uint64_t *seed) {
        *seed = *seed * 6364136223846793005ULL + 1442695040888963407ULL;
        return (uint32_t) (*seed >> 33);
}

static size_t make_response(uint64_t *seed, char *ret, size_t size) {
        static const char *const lines[] = {
                CUT, "Keep-Alive: timeout=5\r\nConnection: keep-alive\r\n", "Connection: keep-alive\r\n",
                "Keep-Alive: 5\r\n", "Connection: x\r\n", "X: y\r\n", "Server: z\r\n",
        };
        static const char *const bodies[] = {
                "0\r\n\r\n", "1\r\nx\r\n0\r\n\r\n", "2;a=b\r\nxy\r\n00\r\n\r\n",
                "a\r\n0123456789\r\n0\r\nT: v\r\n\r\n",
                "1F\r\n0123456789012345678901234567890\r\n3\r\nabc\r\n0\r\n\r\n",
        };
        static const char bytes[] = "\r\n\t ,;:-/012aKx\x80";
        size_t n = (size_t) snprintf(ret, size, "HTTP/1.1 200 OK\r\n");

        for (unsigned i = next(seed) % 4; i > 0; i--)
                n += (size_t) snprintf(ret + n, size - n, "%s", lines[next(seed) % ELEMENTSOF(lines)]);
        n += (size_t) snprintf(ret + n, size - n, "Transfer-Encoding: chunked\r\n\r\n%s",
                               bodies[next(seed) % ELEMENTSOF(bodies)]);
        if (next(seed) % 4 == 0)
                ret[next(seed) % n] = bytes[next(seed) % (sizeof(bytes) - 1)];
        if (next(seed) % 8 == 0)
                n -= next(seed) % 8;
        return n;
}

/* What the relay would write, if that is a complete response that does not end the connection; else NULL. */
static Buffer *write_as_relay(const uint8_t *text, size_t n, size_t *ret_data) {
        Buffer *out = buffer_acquire(&pool);
        struct sm_head_parser p;
        struct sm_head head;
        struct sm_chunk chunk;
        __u64 consumed, data;

        assert_non_null(out);
        sm_head_start(&p, &head, SM_HEAD_RESPONSE, SM_HEAD_MAX);
        sm_chunk_start(&chunk, SM_HEAD_MAX);
        if (sm_head_parse(&p, &head, text, (__u32) n) > 0 && head.status == 200 &&
            sm_head_persistent(&head) &&
            sm_response_framing(&head, SM_METHOD_GET) == SM_BODY_CHUNKED &&
            sm_chunk_parse(&chunk, text + head.length, n - head.length, &consumed, &data) == 1 &&
            head.length + consumed == n) {
                const ResponseEdit edit = { .chunked = true };

                assert_int_equal(head_write_response(out, text, &head, &edit), 0);
                assert_int_equal(buffer_append(out, text + head.length, consumed), 0);
                *ret_data = data;
                return out;
        }
        buffer_release(&pool, out);
        return NULL;
}

/* Whatever the kernel answers with, the relay would have answered with, and most of that the kernel does. */
static void test_as_the_relay(void **state) {
        unsigned fast = 0, slow = 0, refused = 0;
        uint64_t seed = 1;

        for (unsigned i = 0; i < ROUNDS; i++) {
                char text[1024];
                size_t data = 0, n = make_response(&seed, text, sizeof(text));
                Buffer *expected = write_as_relay((uint8_t *) text, n, &data);

                wait_for_response();
                send_exactly(server.far, text, n);
                if (sm_slot_state(slot()->node.word) == SM_SLOT_FREE) {
                        assert_non_null(expected);
                        assert_fast(buffer_at(expected), buffer_filled(expected), data);
                        fast++;
                } else {
                        assert_for_the_relay(text, n, slot()->slow);
                        *(expected ? &slow : &refused) += 1;
                }
                if (expected)
                        buffer_release(&pool, expected);
        }
        assert_in_range(fast, ROUNDS / 3, ROUNDS);
        assert_in_range(slow, ROUNDS / 20, fast);
        assert_in_range(refused, ROUNDS / 20, fast);
}

static int setup(void **state) {
        __u64 cookie;
        socklen_t size = sizeof(cookie);

        buffer_pool_init(&pool, 4096);
        caller = connection_new(&fixture, "127.0.0.2", NULL, SOCK_NONBLOCK);
        server = connection_new(&fixture, "127.0.0.3", fixture.place.cgroup, SOCK_NONBLOCK);
        assert_int_equal(getsockopt(caller.near, SOL_SOCKET, SO_COOKIE, &cookie, &size), 0);
        assert_int_equal(socket_put(fixture.bpf->maps.caller_sockets, &cookie, caller.near), 0);
        assert_int_equal(socket_put(fixture.bpf->maps.server_sockets, &server.key, server.far), 0);
        return 0;
}

static int teardown(void **state) {
        connection_close(&caller);
        connection_close(&server);
        buffer_pool_done(&pool);
        return 0;
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_fast),
                cmocka_unit_test(test_not_fast),
                cmocka_unit_test(test_large),
                cmocka_unit_test(test_gathered),
                cmocka_unit_test(test_cut_and_more_to_come),
                cmocka_unit_test(test_cut_and_caller_is_gone),
                cmocka_unit_test(test_as_the_relay),
        };
        const FastPrograms programs = { .server = true, .sent = true };
        const char *why;
        int r;

        if (fast_fixture_enter(&fixture, &programs, &why) == 0) {
                printf("skipped: %s\n", why);
                return 77;
        }
        fast_attach(fixture.bpf->maps.caller_sockets, fixture.bpf->progs.sm_pass);
        fast_attach(fixture.bpf->maps.server_sockets, fixture.bpf->progs.sm_msg_server);
        fast_attach(fixture.bpf->maps.server_sockets, fixture.bpf->progs.sm_pass);
        fast_attach_sent(&fixture);
        r = cmocka_run_group_tests(tests, setup, teardown);
        fast_fixture_leave(&fixture);
        return r;
}
