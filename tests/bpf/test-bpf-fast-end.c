/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <cmocka.h>

#include "basic/cleanup.h"
#include "basic/macro.h"
#include "fast-fixture.h"

/*
 * How a request ends when the server's send() does, and what a connection that ends does to its slot. S's
 * program is played: the test writes into S's storage what it would have written.
 */

#define FIRST_PID_NAMESPACE 0xeffffffc /* inode, include/linux/proc_ns.h */

#define SLOT 2
#define ENDPOINT 3
#define SERVICE 4
#define SLICE 5
#define BODY 12

static FastFixture fixture;

static struct sm_slot *slot(void) {
        return &fixture.tables.slots[SLOT];
}

static struct sm_downstream *downstream(void) {
        return &fixture.tables.downstreams[SLOT];
}

static __u64 this_thread(void) {
        return (__u64) getpid() << 32 | (__u32) syscall(SYS_gettid);
}

/* A response of which `remaining` bytes have not been let through, in a connection where S is enrolled. */
static Connection respond(__u32 remaining, struct sm_server_context *ret) {
        Connection c = connection_new(&fixture, "127.0.0.2", fixture.place.cgroup, SOCK_NONBLOCK);

        fast_fixture_reset(&fixture);
        *ret = (struct sm_server_context) {
                .slot = SLOT,
                .connection = 1,
                .sender = this_thread(),
                .word = slot_make(&fixture, SLOT, SM_SLOT_RESPONDING, remaining),
        };
        slot()->endpoint = ENDPOINT;
        slot()->service = SERVICE;
        slot()->slice = SLICE;
        slot()->body = BODY;
        slot()->status = 2;
        fixture.tables.service_counters[SERVICE].active = 1;
        fixture.tables.endpoint_states[ENDPOINT].in_flight = 1;
        assert_int_equal(socket_put(fixture.bpf->maps.server_sockets, &c.key, c.far), 0);
        return c;
}

static void let_through(const Connection *c, struct sm_server_context *context, __u32 size) {
        context->let_through = size;
        assert_int_equal(storage_set(fixture.bpf->maps.server_contexts, c->far, context), 0);
}

static __u64 sender_of(const Connection *c) {
        int map = bpf_map__fd(fixture.bpf->maps.server_contexts);
        struct sm_server_context context;

        assert_int_equal(bpf_map_lookup_elem(map, &c->far, &context), 0);
        return context.sender;
}

/* Whether the request was counted as answered; all counters together, or none. */
static bool counted(void) {
        const struct sm_service_counters *counters = &fixture.tables.service_counters[SERVICE];
        __u64 n = fixture.service_paths[SERVICE].fast;

        assert_int_equal(fixture.slice_paths[SLICE].fast, n);
        assert_int_equal(counters->active, 1 - n);
        assert_int_equal(counters->status[2], n);
        assert_int_equal(counters->response_bytes, n * BODY);
        assert_int_equal(fixture.tables.endpoint_states[ENDPOINT].in_flight, 1 - n);
        return n;
}

static void test_finish(void **state) {
        struct sm_stack *idle = &fixture.tables.idle_slots[SLOT];
        struct sm_server_context context;
        Connection c = respond(0, &context);
        __u64 word = 0;

        let_through(&c, &context, 6);
        send_exactly(c.far, "answer", 6);
        assert_true(counted());
        assert_int_equal(sender_of(&c), 0);
        assert_int_equal(sm_slot_state(slot()->node.word), SM_SLOT_FREE);
        assert_int_equal(downstream()->state, SM_DOWNSTREAM_IDLE);
        assert_int_equal(sm_stack_pop(&fixture.tables, idle, SM_STACK_SLOTS, &word), SLOT);

        send_exactly(c.far, "again", 5); /* of no request */
        assert_int_equal(fixture.service_paths[SERVICE].fast, 1);
        connection_close(&c);
}

/* Each of the ways into the kernel. */
static void test_finish_after_write_and_sendfile(void **state) {
        _cleanup_close_ int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
        struct sm_server_context context;
        Connection c = respond(0, &context);

        let_through(&c, &context, 6);
        assert_int_equal(write(c.far, "answer", 6), 6);
        assert_true(counted());
        connection_close(&c);

        c = respond(0, &context);
        let_through(&c, &context, 64);
        assert_int_equal(sendfile(c.far, file, NULL, 64), 64);
        assert_true(counted());
        connection_close(&c);
}

static void test_more_to_come(void **state) {
        struct sm_server_context context;
        Connection c = respond(10, &context);

        let_through(&c, &context, 6);
        send_exactly(c.far, "answer", 6);
        assert_false(counted());
        assert_int_equal(sender_of(&c), 0);
        assert_int_equal(slot()->node.word, context.word);

        context.word = slot_make(&fixture, SLOT, SM_SLOT_RESPONDING, 0);
        let_through(&c, &context, 10);
        send_exactly(c.far, "0123456789", 10);
        assert_true(counted());
        connection_close(&c);
}

/* Nobody can tell what D has got. */
static void test_not_all_sent(void **state) {
        struct sm_server_context context;
        Connection c = respond(0, &context);

        let_through(&c, &context, 7);
        send_exactly(c.far, "answer", 6);
        assert_false(counted());
        assert_int_equal(sm_slot_state(slot()->node.word), SM_SLOT_RELAY);
        assert_int_equal(sm_slot_remaining(slot()->node.word), SM_REMAINING_UNKNOWN);
        /* that is for the relay to end */
        assert_int_equal(sm_downstream_state(downstream()->state), SM_DOWNSTREAM_KERNEL);
        connection_close(&c);
}

static void test_send_fails(void **state) {
        struct sm_server_context context;
        Connection c = respond(3, &context);

        assert_int_equal(shutdown(c.far, SHUT_WR), 0);
        let_through(&c, &context, 6);
        assert_int_equal(send(c.far, "answer", 6, MSG_NOSIGNAL), -1);
        assert_int_equal(errno, EPIPE);
        assert_false(counted());
        assert_int_equal(sm_slot_state(slot()->node.word), SM_SLOT_RELAY);
        assert_int_equal(sm_slot_remaining(slot()->node.word), SM_REMAINING_UNKNOWN);
        connection_close(&c);
}

static void *send_answer(void *userdata) {
        send_exactly(((Connection *) userdata)->far, "answer", 6);
        return NULL;
}

static void test_end_of_another_threads_call(void **state) {
        struct sm_server_context context;
        Connection c = respond(0, &context);
        pthread_t thread;

        let_through(&c, &context, 6);
        assert_int_equal(pthread_create(&thread, NULL, send_answer, &c), 0);
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_false(counted());
        assert_int_equal(sender_of(&c), context.sender);
        assert_int_equal(slot()->node.word, context.word);

        send_exactly(c.far, "answer", 6);
        assert_true(counted());
        connection_close(&c);
}

/* The relay lost patience while the bytes were on their way, and may have given the slot to another. */
static void test_moved_meanwhile(void **state) {
        struct sm_server_context context;
        Connection c = respond(0, &context);
        __u64 word = context.word;

        assert_true(sm_slot_hand_over(slot(), &word, SM_REMAINING_UNKNOWN));
        let_through(&c, &context, 6);
        send_exactly(c.far, "answer", 6);
        assert_false(counted());
        assert_int_equal(slot()->node.word, word);

        word = sm_slot_word(sm_slot_next_turn(sm_slot_generation(word)), 0, SM_SLOT_RESPONDING);
        sm_store(&slot()->node.word, word);
        for (__u32 size = 6; size < 8; size++) { /* all or not all of it */
                let_through(&c, &context, size);
                send_exactly(c.far, "answer", 6);
                assert_false(counted());
                assert_int_equal(slot()->node.word, word);
        }
        connection_close(&c);
}

/* A pooled connection, U, whose slot is in the state. */
static Connection pool(enum sm_slot_state state, __u32 connection) {
        const struct sm_relay_context context = { .slot = SLOT, .connection = connection };
        Connection c = connection_new(&fixture, "127.0.0.2", NULL, 0);

        fast_fixture_reset(&fixture);
        (void) slot_make(&fixture, SLOT, state, 0);
        assert_int_equal(storage_set(fixture.bpf->maps.relay_contexts, c.near, &context), 0);
        return c;
}

static void test_server_closes(void **state) {
        Connection c = pool(SM_SLOT_FREE, 1);

        close(TAKE_FD(c.far));
        assert_slot_becomes(&fixture, SLOT, SM_SLOT_DEAD);
        close(c.near);
}

/* Even with the other end deaf, that is, before the FIN. */
static void test_server_is_closing(void **state) {
        struct sm_server_context context;
        Connection c = respond(0, &context);

        (void) slot_make(&fixture, SLOT, SM_SLOT_FREE, 0);
        let_through(&c, &context, 0);
        close(TAKE_FD(c.far));
        assert_int_equal(sm_slot_state(slot()->node.word), SM_SLOT_DEAD);
        close(c.near);
}

/* A request may be on its way: close(2) waits for it, but not for ever. */
static void test_server_closes_after_a_request(void **state) {
        struct sm_server_context context;
        struct timespec before, after;
        Connection c = respond(0, &context);
        __u64 now;

        (void) slot_make(&fixture, SLOT, SM_SLOT_WAITING, 0);
        let_through(&c, &context, 0);
        assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &before), 0);
        now = (__u64) before.tv_sec * 1000000000 + (__u64) before.tv_nsec;
        slot()->since = now;
        close(TAKE_FD(c.far));
        assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &after), 0);
        assert_true((__u64) after.tv_sec * 1000000000 + (__u64) after.tv_nsec >= now + 50000);
        assert_int_equal(sm_slot_state(slot()->node.word), SM_SLOT_WAITING);
        close(c.near);
}

static void test_caller_is_closing(void **state) {
        const struct sm_socket_context socket = { .downstream = SLOT };
        struct sm_server_context context;
        Connection c = respond(0, &context);

        downstream()->cookie = 77;
        assert_int_equal(storage_set(fixture.bpf->maps.socket_contexts, c.far, &socket), 0);
        close(TAKE_FD(c.far)); /* it plays D here */
        assert_int_equal(downstream()->cookie, 0);
        close(c.near);
}

static void test_server_resets(void **state) {
        const struct linger linger = { .l_onoff = 1 };
        Connection c = pool(SM_SLOT_FREE, 1);

        assert_int_equal(setsockopt(c.far, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)), 0);
        close(TAKE_FD(c.far));
        assert_slot_becomes(&fixture, SLOT, SM_SLOT_DEAD);
        close(c.near);
}

static void test_relay_closes(void **state) {
        Connection c = pool(SM_SLOT_FREE, 1);

        close(TAKE_FD(c.near));
        assert_slot_becomes(&fixture, SLOT, SM_SLOT_DEAD);
        close(c.far);
}

/* The kernel has seen the end of the connection. */
static void end(Connection *c) {
        char byte;

        close(TAKE_FD(c->far));
        await_readable(c->near);
        assert_int_equal(recv(c->near, &byte, 1, 0), 0);
        close(c->near);
}

static void test_what_is_not_free_is_left(void **state) {
        static const enum sm_slot_state states[] = {
                SM_SLOT_UNUSED, SM_SLOT_TAKEN, SM_SLOT_WAITING, SM_SLOT_RESPONDING, SM_SLOT_RELAY,
                SM_SLOT_GONE,
        };

        for (size_t i = 0; i < ELEMENTSOF(states); i++) {
                Connection c = pool(states[i], 1);

                end(&c);
                assert_int_equal(sm_slot_state(slot()->node.word), states[i]);
        }
}

static void test_anothers_slot_is_left(void **state) {
        Connection c = pool(SM_SLOT_FREE, 2);

        end(&c);
        assert_int_equal(sm_slot_state(slot()->node.word), SM_SLOT_FREE);
}

/* In any other the programs do not know this process by the number that it has for itself. */
static bool in_first_pid_namespace(void) {
        struct stat st;

        return stat("/proc/self/ns/pid", &st) == 0 && st.st_ino == FIRST_PID_NAMESPACE;
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_finish),
                cmocka_unit_test(test_finish_after_write_and_sendfile),
                cmocka_unit_test(test_more_to_come),
                cmocka_unit_test(test_not_all_sent),
                cmocka_unit_test(test_send_fails),
                cmocka_unit_test(test_end_of_another_threads_call),
                cmocka_unit_test(test_moved_meanwhile),
                cmocka_unit_test(test_server_closes),
                cmocka_unit_test(test_server_is_closing),
                cmocka_unit_test(test_server_closes_after_a_request),
                cmocka_unit_test(test_caller_is_closing),
                cmocka_unit_test(test_server_resets),
                cmocka_unit_test(test_relay_closes),
                cmocka_unit_test(test_what_is_not_free_is_left),
                cmocka_unit_test(test_anothers_slot_is_left),
        };
        const FastPrograms programs = { .relay = true, .release = true, .accepted = true, .sent = true };
        const char *why;
        int r;

        if (!in_first_pid_namespace()) {
                printf("skipped: in a PID namespace\n");
                return 77;
        }
        if (fast_fixture_enter(&fixture, &programs, &why) == 0) {
                printf("skipped: %s\n", why);
                return 77;
        }
        /* sm_msg_accepted knows none of these sockets, and so lets everything pass. */
        fast_attach(fixture.bpf->maps.server_sockets, fixture.bpf->progs.sm_msg_accepted);
        fast_attach_relay(&fixture);
        fast_attach_release(&fixture);
        fast_attach_sent(&fixture);
        r = cmocka_run_group_tests(tests, NULL, NULL);
        fast_fixture_leave(&fixture);
        return r;
}
