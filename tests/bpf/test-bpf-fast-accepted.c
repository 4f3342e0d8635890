/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <cmocka.h>
#include <linux/sockios.h>
#include <linux/tcp.h>

#include "basic/cleanup.h"
#include "basic/macro.h"
#include "fast-fixture.h"

/*
 * The relay's answers on A: which ones go straight to D, and that D reads all in the order of their sending.
 */

#define DOWNSTREAM 3
#define SENDS 2000

static FastFixture fixture;

/* D is `near`, A `far`. */
static Connection start(void) {
        const struct sm_relay_context context = { .downstream = DOWNSTREAM };
        Connection c = connection_new(&fixture, "127.0.0.2", NULL, 0);
        struct sm_downstream *d = &fixture.tables.downstreams[DOWNSTREAM];
        __u32 key = DOWNSTREAM;

        fast_fixture_reset(&fixture);
        fixture.control->features = SM_FAST_REPLIES;
        assert_int_equal(getsockopt(c.near, SOL_SOCKET, SO_COOKIE, &d->cookie,
                                    &(socklen_t) { sizeof(d->cookie) }), 0);
        d->node.word = 1ULL << 32 | SM_OWNER_SOCKET | SM_OWNER_RELAY;
        d->inject_until = UINT64_MAX;
        assert_int_equal(socket_put(fixture.bpf->maps.caller_sockets, &d->cookie, c.near), 0);
        assert_int_equal(socket_put(fixture.bpf->maps.accepted_sockets, &key, c.far), 0);
        assert_int_equal(storage_set(fixture.bpf->maps.relay_contexts, c.far, &context), 0);
        return c;
}

static struct sm_downstream *downstream(void) {
        return &fixture.tables.downstreams[DOWNSTREAM];
}

static uint64_t received_by_tcp(const Connection *c) {
        struct tcp_info info;
        socklen_t size = sizeof(info);

        assert_int_equal(getsockopt(c->near, IPPROTO_TCP, TCP_INFO, &info, &size), 0);
        return info.tcpi_bytes_received;
}

static void assert_answers(const Connection *c, uint64_t injected) {
        char buffer[8] = {};

        send_exactly(c->far, "answer", 6);
        read_exactly(c->near, buffer, 6);
        assert_string_equal(buffer, "answer");
        assert_int_equal(downstream()->injected, injected);
        assert_int_equal(received_by_tcp(c), 6 - injected);
}

static void test_straight_to_the_caller(void **state) {
        Connection c = start();

        assert_answers(&c, 6);
        connection_close(&c);
}

static void test_otherwise_by_tcp(void **state) {
        const struct sm_relay_context nothing = {};
        Connection c;

        c = start();
        downstream()->inject_until = 0;
        assert_answers(&c, 0);
        connection_close(&c);

        c = start();
        fixture.control->features = ~(__u32) SM_FAST_REPLIES;
        assert_answers(&c, 0);
        connection_close(&c);

        c = start();
        downstream()->node.word &= ~(__u64) SM_OWNER_SOCKET;
        assert_answers(&c, 0);
        connection_close(&c);

        c = start();
        downstream()->cookie = 1; /* D is not enrolled */
        assert_answers(&c, 0);
        connection_close(&c);

        c = start();
        assert_int_equal(storage_set(fixture.bpf->maps.relay_contexts, c.far, &nothing), 0);
        assert_answers(&c, 0);
        connection_close(&c);
}

static void await_acknowledged(int fd) {
        int unacknowledged = 1;

        for (int ms = 0; ms < 5000 && unacknowledged > 0; ms++) {
                assert_int_equal(ioctl(fd, SIOCOUTQ, &unacknowledged), 0);
                (void) usleep(1000);
        }
        assert_int_equal(unacknowledged, 0);
}

static void test_after_tcp(void **state) {
        Connection c = start();
        char buffer[16] = {};

        downstream()->inject_until = 0;
        send_exactly(c.far, "first,", 6);
        await_acknowledged(c.far);
        downstream()->inject_until = UINT64_MAX;
        send_exactly(c.far, "second,", 7);
        assert_int_equal(downstream()->injected, 7);
        read_exactly(c.near, buffer, 13);
        assert_string_equal(buffer, "first,second,");
        connection_close(&c);
}

/* The relay would not; but order is not to depend on that. */
static void test_any_mixture_keeps_its_order(void **state) {
        static uint8_t sent[SM_FAST_MAX], got[sizeof(sent)];
        Connection c = start();
        uint8_t out = 0, in = 0;
        uint64_t seed = 1;

        for (int n = 0; n < SENDS; n++) {
                size_t size, unread = 0;

                /* one to three answers of all sizes, each either way, then read together */
                for (int k = n % 3; k >= 0; k--) {
                        seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
                        size = n % 50 == 0 ? 20000 : 1 + (seed >> 33) % 300;
                        for (size_t i = 0; i < size; i++)
                                sent[i] = out++;
                        downstream()->inject_until = seed >> 62 & 1 ? UINT64_MAX : 0;
                        send_exactly(c.far, sent, size);
                        unread += size;
                }
                read_exactly(c.near, got, unread);
                for (size_t i = 0; i < unread; i++)
                        assert_int_equal(got[i], in++);
        }
        assert_true(downstream()->injected > 0);
        assert_true(received_by_tcp(&c) > 0);
        connection_close(&c);
}

static void test_as_large_as_can_be(void **state) {
        static uint8_t sent[SM_FAST_MAX], got[sizeof(sent)];
        Connection c = start();

        for (size_t i = 0; i < sizeof(sent); i++)
                sent[i] = (uint8_t) (i * 7 >> 3);
        send_exactly(c.far, sent, sizeof(sent));
        read_exactly(c.near, got, sizeof(got));
        assert_memory_equal(got, sent, sizeof(sent));
        assert_int_equal(downstream()->injected, sizeof(sent));
        connection_close(&c);
}

/* D may ask for more in the moment that all of the answer is there, even before the relay has returned. */
static void test_end_of_the_answer(void **state) {
        Connection c = start();
        struct sm_downstream *d = downstream();

        d->state = SM_DOWNSTREAM_RELAY;
        d->injected = 100;
        d->inject_until = 110;
        send_exactly(c.far, "part,", 5);
        assert_int_equal(sm_downstream_state(d->state), SM_DOWNSTREAM_RELAY);
        send_exactly(c.far, "last,", 5);
        assert_int_equal(d->injected, 110);
        assert_int_equal(sm_downstream_state(d->state), SM_DOWNSTREAM_IDLE);

        /* Not if a part went by TCP, of which the relay has to say that it is `written`. */
        d->state = SM_DOWNSTREAM_RELAY;
        d->inject_until = 0;
        send_exactly(c.far, "part,", 5);
        await_acknowledged(c.far);
        d->inject_until = 120;
        send_exactly(c.far, "last,", 5);
        assert_int_equal(d->injected, 115);
        assert_int_equal(sm_downstream_state(d->state), SM_DOWNSTREAM_RELAY);

        /* More than was announced is not injected. */
        send_exactly(c.far, "more than that", 14);
        assert_int_equal(d->injected, 115);
        connection_close(&c);
}

static void test_caller_is_gone(void **state) {
        Connection c = start();

        close(TAKE_FD(c.near));
        (void) send(c.far, "answer", 6, MSG_NOSIGNAL);
        assert_int_equal(downstream()->injected, 0);
        close(c.far);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_straight_to_the_caller),
                cmocka_unit_test(test_otherwise_by_tcp),
                cmocka_unit_test(test_after_tcp),
                cmocka_unit_test(test_any_mixture_keeps_its_order),
                cmocka_unit_test(test_as_large_as_can_be),
                cmocka_unit_test(test_end_of_the_answer),
                cmocka_unit_test(test_caller_is_gone),
        };
        const FastPrograms programs = { .accepted = true, .sent = true };
        const char *why;
        int r;

        if (fast_fixture_enter(&fixture, &programs, &why) == 0) {
                printf("skipped: %s\n", why);
                return 77;
        }
        fast_attach(fixture.bpf->maps.accepted_sockets, fixture.bpf->progs.sm_msg_accepted);
        fast_attach(fixture.bpf->maps.caller_sockets, fixture.bpf->progs.sm_pass);
        fast_attach_sent(&fixture);
        r = cmocka_run_group_tests(tests, NULL, NULL);
        fast_fixture_leave(&fixture);
        return r;
}
