/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "../basic/cleanup.h"
#include "../basic/log.h"
#include "relay-link.h"

typedef struct Fixture {
        sd_event *event;
        Link *link;
        struct sockaddr_un address;
        socklen_t address_size;
        int peer;
        char calls[64]; /* a letter for each handler that was called */
        int kept;       /* descriptor that the listener handler took */
} Fixture;

static int note(void *userdata, char c) {
        Fixture *f = userdata;
        size_t n = strlen(f->calls);

        assert_true(n + 1 < sizeof(f->calls));
        f->calls[n] = c;
        return 0;
}

static int on_tables(void *userdata, const struct sm_link_tables *m, int *fds) {
        for (int i = 0; i < _SM_TABLE_MAX; i++)
                assert_true(fcntl(fds[i], F_GETFD) >= 0);
        return note(userdata, 't');
}

static int on_listener(void *userdata, const struct sm_link_listener *m, int *fds) {
        Fixture *f = userdata;

        if (m->worker == 99)
                return -ERANGE;
        f->kept = TAKE_FD(fds[0]);
        return note(userdata, 'l');
}

static int on_start(void *userdata) {
        return note(userdata, 's');
}

static int on_ping(void *userdata, const struct sm_link_ping *m) {
        return note(userdata, 'p');
}

static int on_stop(void *userdata, const struct sm_link_stop *m) {
        return note(userdata, 'x');
}

static const LinkHandlers handlers = { on_tables, on_listener, on_start, on_ping, on_stop };

static void dispatch(Fixture *f) {
        while (sd_event_run(f->event, 0) > 0)
                ;
}

static void connect_peer(Fixture *f) {
        f->peer = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        assert_int_equal(connect(f->peer, (struct sockaddr *) &f->address, f->address_size), 0);
        dispatch(f);
}

static int setup(void **state) {
        static Fixture fixture;
        Fixture *f = &fixture;
        int listening;

        *f = (Fixture){
                .kept = -EBADF,
                .address.sun_family = AF_UNIX,
                .address_size = sizeof(f->address),
        };
        listening = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        /* Without a name the kernel gives one: unix(7), autobind. */
        assert_int_equal(bind(listening, (struct sockaddr *) &f->address, sizeof(sa_family_t)), 0);
        assert_int_equal(listen(listening, 4), 0);
        assert_int_equal(getsockname(listening, (struct sockaddr *) &f->address, &f->address_size), 0);
        assert_true(sd_event_new(&f->event) >= 0);
        assert_int_equal(link_new(f->event, listening, &handlers, f, &f->link), 0);
        log_set_max_level(LOG_CRIT);
        connect_peer(f);
        *state = f;
        return 0;
}

static int teardown(void **state) {
        Fixture *f = *state;

        closep(&f->peer);
        closep(&f->kept);
        link_free(f->link);
        sd_event_unref(f->event);
        return 0;
}

static void send_raw(Fixture *f, const void *bytes, size_t size, size_t n_fds) {
        union {
                struct cmsghdr header;
                char space[CMSG_SPACE(sizeof(int) * 32)];
        } control = {};
        struct iovec iov = { (void *) bytes, size };
        struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };

        if (n_fds > 0) {
                m.msg_control = &control;
                m.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
                control.header.cmsg_level = SOL_SOCKET;
                control.header.cmsg_type = SCM_RIGHTS;
                control.header.cmsg_len = CMSG_LEN(n_fds * sizeof(int));
                for (size_t i = 0; i < n_fds; i++)
                        ((int *) CMSG_DATA(&control.header))[i] = STDERR_FILENO;
        }
        assert_int_equal(sendmsg(f->peer, &m, MSG_NOSIGNAL), size);
        dispatch(f);
}

static void send_message(Fixture *f, enum sm_link_type type, const void *body, size_t size, size_t n_fds) {
        char bytes[512];
        struct sm_link_header header = { .type = type, .size = (__u32) size };

        memcpy(bytes, &header, sizeof(header));
        if (size > 0)
                memcpy(bytes + sizeof(header), body, size);
        send_raw(f, bytes, sizeof(header) + size, n_fds);
}

static void send_hello(Fixture *f, uint32_t version) {
        struct sm_link_hello hello = { .abi_version = version };
        struct {
                struct sm_link_header header;
                struct sm_link_hello hello;
        } answer;

        send_message(f, SM_LINK_HELLO, &hello, sizeof(hello), 0);
        assert_int_equal(recv(f->peer, &answer, sizeof(answer), 0), sizeof(answer));
        assert_int_equal(answer.header.type, SM_LINK_HELLO);
        assert_int_equal(answer.hello.abi_version, SM_ABI_VERSION);
        assert_int_equal(answer.hello.pid, getpid());
}

static void send_tables(Fixture *f, size_t n_fds) {
        send_message(f, SM_LINK_TABLES, &(struct sm_link_tables){}, sizeof(struct sm_link_tables), n_fds);
}

static void send_listener(Fixture *f, uint32_t worker, size_t n_fds) {
        struct sm_link_listener listener = { .worker = worker };

        send_message(f, SM_LINK_LISTENER, &listener, sizeof(listener), n_fds);
}

static void send_ping(Fixture *f) {
        struct sm_link_ping ping = { .cookie = 1 };

        send_message(f, SM_LINK_PING, &ping, sizeof(ping), 0);
}

static bool is_hung_up(Fixture *f) {
        char byte;

        return recv(f->peer, &byte, 1, 0) == 0;
}

static int highest_descriptor(void) {
        int fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0);

        close(fd);
        return fd; /* the lowest free one: it does not move if nothing leaks */
}

static void test_whole_conversation(void **state) {
        Fixture *f = *state;

        send_hello(f, SM_ABI_VERSION);
        send_tables(f, _SM_TABLE_MAX);
        send_listener(f, 0, 1);
        assert_true(f->kept >= 0);
        send_message(f, SM_LINK_START, NULL, 0, 0);
        send_ping(f);
        send_message(f, SM_LINK_STOP, &(struct sm_link_stop){}, sizeof(struct sm_link_stop), 0);
        assert_string_equal(f->calls, "tlspx");
        assert_int_equal(link_send(f->link, SM_LINK_STARTED, NULL), 0);
}

static void test_nothing_before_hello(void **state) {
        Fixture *f = *state;

        assert_int_equal(link_send(f->link, SM_LINK_EVENT, &(struct sm_link_event){}), -ENOTCONN);
        send_tables(f, _SM_TABLE_MAX);
        assert_true(is_hung_up(f));
        assert_string_equal(f->calls, "");
}

static void test_other_version(void **state) {
        Fixture *f = *state;

        send_hello(f, SM_ABI_VERSION + 1); /* learns ours all the same */
        assert_true(is_hung_up(f));
        assert_int_equal(link_send(f->link, SM_LINK_EVENT, &(struct sm_link_event){}), -ENOTCONN);
}

static void test_out_of_turn(void **state) {
        static const enum sm_link_type early[] = { SM_LINK_HELLO, SM_LINK_START, SM_LINK_STOP };
        Fixture *f = *state;

        for (size_t i = 0; i < ELEMENTSOF(early); i++) {
                size_t size = early[i] == SM_LINK_HELLO ? sizeof(struct sm_link_hello) :
                        early[i] == SM_LINK_STOP ? sizeof(struct sm_link_stop) : 0;

                send_hello(f, SM_ABI_VERSION);
                send_message(f, early[i], (char[64]){}, size, 0);
                assert_true(is_hung_up(f));
                closep(&f->peer);
                connect_peer(f);
        }
        send_hello(f, SM_ABI_VERSION);
        send_tables(f, _SM_TABLE_MAX);
        send_ping(f); /* before START */
        assert_true(is_hung_up(f));
        assert_string_equal(f->calls, "t");
}

static void test_malformed(void **state) {
        static const struct {
                size_t size, n_fds;
                __u32 type, said;
        } cases[] = {
                { 0, 0, SM_LINK_TABLES, 0 },
                { sizeof(struct sm_link_tables), _SM_TABLE_MAX - 1, SM_LINK_TABLES, sizeof(struct sm_link_tables) },
                { sizeof(struct sm_link_tables), _SM_TABLE_MAX + 1, SM_LINK_TABLES, sizeof(struct sm_link_tables) },
                { sizeof(struct sm_link_tables), 32, SM_LINK_TABLES, sizeof(struct sm_link_tables) },
                { sizeof(struct sm_link_tables) + 4, _SM_TABLE_MAX, SM_LINK_TABLES, sizeof(struct sm_link_tables) + 4 },
                { sizeof(struct sm_link_tables), _SM_TABLE_MAX, SM_LINK_TABLES, 4 },
                { 400, 0, SM_LINK_TABLES, 400 },
                { 0, 0, 12345, 0 },
                { 0, 0, SM_LINK_STARTED, 0 },
        };
        Fixture *f = *state;
        int before = highest_descriptor();

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                char bytes[512] = {};

                send_hello(f, SM_ABI_VERSION);
                memcpy(bytes, (__u32[]){ cases[i].type, cases[i].said }, 8);
                send_raw(f, bytes, 8 + cases[i].size, cases[i].n_fds);
                assert_true(is_hung_up(f));
                closep(&f->peer);
                connect_peer(f);
        }
        assert_string_equal(f->calls, "");
        assert_int_equal(highest_descriptor(), before);
        send_raw(f, "abc", 3, 1);
        assert_true(is_hung_up(f));
}

static void test_handler_that_fails(void **state) {
        Fixture *f = *state;
        int before = highest_descriptor();

        send_hello(f, SM_ABI_VERSION);
        send_tables(f, _SM_TABLE_MAX);
        send_listener(f, 99, 1);
        assert_true(is_hung_up(f));
        closep(&f->peer);
        connect_peer(f);
        assert_int_equal(highest_descriptor(), before);
}

static void test_later_connection_replaces(void **state) {
        Fixture *f = *state;
        int first = f->peer;
        char byte;

        send_hello(f, SM_ABI_VERSION);
        connect_peer(f);
        assert_int_equal(recv(first, &byte, 1, 0), 0);
        send_hello(f, SM_ABI_VERSION);
        close(first);
}

/* What can be done without gives way before the peer is hung up on. */
static void test_offers_give_way(void **state) {
        const struct sm_link_trace trace = {};
        const struct sm_link_pong pong = {};
        Fixture *f = *state;
        unsigned n = 0;

        assert_int_equal(link_offer(f->link, SM_LINK_TRACE, &trace), -ENOTCONN);
        send_hello(f, SM_ABI_VERSION);
        while (link_offer(f->link, SM_LINK_TRACE, &trace) >= 0)
                assert_true(++n < 1000000);
        assert_true(n > 10);
        assert_int_equal(link_offer(f->link, SM_LINK_TRACE, &trace), -EAGAIN);
        for (unsigned i = 0; i < 10; i++)
                assert_int_equal(link_send(f->link, SM_LINK_PONG, &pong), 0);
}

static void test_peer_that_does_not_read(void **state) {
        Fixture *f = *state;
        int r = 0;

        send_hello(f, SM_ABI_VERSION);
        for (unsigned i = 0; i < 100000 && r >= 0; i++)
                r = link_send(f->link, SM_LINK_EVENT, &(struct sm_link_event){});
        assert_int_equal(r, -EAGAIN);
        assert_int_equal(link_send(f->link, SM_LINK_EVENT, &(struct sm_link_event){}), -ENOTCONN);
}

#define LINK_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
        static const struct CMUnitTest tests[] = {
                LINK_TEST(test_whole_conversation),
                LINK_TEST(test_nothing_before_hello),
                LINK_TEST(test_other_version),
                LINK_TEST(test_out_of_turn),
                LINK_TEST(test_malformed),
                LINK_TEST(test_handler_that_fails),
                LINK_TEST(test_later_connection_replaces),
                LINK_TEST(test_offers_give_way),
                LINK_TEST(test_peer_that_does_not_read),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
