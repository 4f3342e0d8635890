/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <grp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <cmocka.h>
#include <linux/capability.h>

#include "basic/cleanup.h"
#include "basic/macro.h"
#include "fast-fixture.h"

/*
 * Which servers' sockets are let into the fast path, and that the relay may ask for it.
 */

#define NOBODY 65534

static FastFixture fixture;

static enum sm_enrolled enrol(const struct sm_server_key *key, __u32 slot, __u32 connection) {
        const struct sm_enrolment e = { .key = *key, .slot = slot, .connection = connection };
        LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = &e, .data_size_in = sizeof(e));

        assert_int_equal(bpf_prog_test_run_opts(bpf_program__fd(fixture.bpf->progs.sm_enrol), &options), 0);
        return (enum sm_enrolled) options.retval;
}

/* Of the socket that the map has under the key; 0: none. */
static uint64_t cookie_in_map(const struct sm_server_key *key) {
        uint64_t cookie = 0;

        (void) bpf_map_lookup_elem(bpf_map__fd(fixture.bpf->maps.server_sockets), key, &cookie);
        return cookie;
}

static uint64_t cookie_of(int fd) {
        uint64_t cookie;

        assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &(socklen_t) { sizeof(cookie) }), 0);
        return cookie;
}

static int context_of(int fd, struct sm_server_context *ret) {
        return bpf_map_lookup_elem(bpf_map__fd(fixture.bpf->maps.server_contexts), &fd, ret);
}

static void assert_left_alone(const Connection *c) {
        struct sm_server_context context;

        assert_int_equal(cookie_in_map(&c->key), 0);
        assert_int_equal(context_of(c->far, &context), -ENOENT);
}

static void assert_enrols(const char *address) {
        Connection c = connection_new(&fixture, address, fixture.place.cgroup, SOCK_NONBLOCK);
        struct sm_server_context context;
        char answer[8] = {};
        int waiting;

        assert_int_equal(enrol(&c.key, 3, 7), SM_ENROLLED);
        assert_int_equal(cookie_in_map(&c.key), cookie_of(c.far));
        assert_int_equal(context_of(c.far, &context), 0);
        assert_int_equal(context.slot, 3);
        assert_int_equal(context.connection, 7);
        assert_int_equal(context.sender, 0);

        /* a new slot of the same connection */
        assert_int_equal(enrol(&c.key, 4, 8), SM_ENROLLED);
        assert_int_equal(context_of(c.far, &context), 0);
        assert_int_equal(context.slot, 4);
        assert_int_equal(context.connection, 8);

        /* what its server sees is as before */
        send_exactly(c.near, "request", 7);
        await_readable(c.far);
        assert_int_equal(ioctl(c.far, FIONREAD, &waiting), 0);
        assert_int_equal(waiting, 7);
        read_exactly(c.far, answer, 7);
        assert_string_equal(answer, "request");
        send_exactly(c.far, "answer!", 7);
        read_exactly(c.near, answer, 7);
        assert_string_equal(answer, "answer!");

        connection_close(&c);
        assert_int_equal(cookie_in_map(&c.key), 0);
}

static void test_ipv4(void **state) {
        assert_enrols("127.0.0.2");
}

static void test_ipv6(void **state) {
        assert_enrols("::1");
}

static void test_mapped(void **state) {
        assert_enrols("::ffff:127.0.0.2");
}

static void test_slice_below_a_slice(void **state) {
        char below[128];
        Connection c;
        uint64_t id;

        (void) snprintf(below, sizeof(below), "%s/one.service", fixture.place.cgroup);
        assert_int_equal(slice_cgroup_make(below, &id), 0);
        c = connection_new(&fixture, "127.0.0.2", below, SOCK_NONBLOCK);
        assert_int_equal(enrol(&c.key, 1, 1), SM_ENROLLED);
        connection_close(&c);
        assert_int_equal(rmdir(below), 0);
}

static void test_unmanaged(void **state) {
        Connection c = connection_new(&fixture, "127.0.0.2", NULL, SOCK_NONBLOCK);

        assert_int_equal(enrol(&c.key, 1, 1), SM_ENROLLED_UNMANAGED);
        assert_left_alone(&c);
        connection_close(&c);
}

static void test_blocking(void **state) {
        Connection c = connection_new(&fixture, "127.0.0.2", fixture.place.cgroup, 0);

        assert_int_equal(enrol(&c.key, 1, 1), SM_ENROLLED_BLOCKING);
        assert_left_alone(&c);
        assert_int_equal(ioctl(c.far, FIONBIO, &(int) { 1 }), 0);
        assert_int_equal(enrol(&c.key, 1, 1), SM_ENROLLED);
        connection_close(&c);
}

static void test_unread(void **state) {
        Connection c = connection_new(&fixture, "127.0.0.2", fixture.place.cgroup, SOCK_NONBLOCK);
        char buffer[8];

        send_exactly(c.near, "request", 7);
        read_exactly(c.far, buffer, 3);
        assert_int_equal(enrol(&c.key, 1, 1), SM_ENROLLED_UNREAD);
        assert_left_alone(&c);
        read_exactly(c.far, buffer, 4);
        assert_int_equal(enrol(&c.key, 1, 1), SM_ENROLLED);
        connection_close(&c);
}

static void test_not_here(void **state) {
        Connection c = connection_new(&fixture, "127.0.0.2", fixture.place.cgroup, SOCK_NONBLOCK);
        _cleanup_close_ int listener = listen_on("127.0.0.3", 9001);
        struct sm_server_key only_a_listener = c.key;

        only_a_listener.server[15] = 3;
        assert_int_equal(enrol(&only_a_listener, 1, 1), SM_ENROLLED_NOT_HERE);
        close(TAKE_FD(c.near)); /* a server that is half closed already */
        await_readable(c.far);
        assert_int_equal(enrol(&c.key, 1, 1), SM_ENROLLED_NOT_HERE);
        assert_left_alone(&c);
        close(c.far);
}

/* Under another's program, as with a second user of sockmaps on the host. */
static void test_busy(void **state) {
        Connection c = connection_new(&fixture, "127.0.0.2", fixture.place.cgroup, SOCK_NONBLOCK);
        __u32 one = 1;

        assert_int_equal(socket_put(fixture.bpf->maps.accepted_sockets, &one, c.far), 0);
        assert_int_equal(enrol(&c.key, 1, 1), SM_ENROLLED_BUSY);
        assert_left_alone(&c);
        connection_close(&c);
}

static void test_full(void **state) {
        Connection c[FAST_MAP_SOCKETS + 1];

        for (size_t i = 0; i < ELEMENTSOF(c); i++) {
                c[i] = connection_new(&fixture, "127.0.0.2", fixture.place.cgroup, SOCK_NONBLOCK);
                assert_int_equal(enrol(&c[i].key, 1, 1),
                                 i < FAST_MAP_SOCKETS ? SM_ENROLLED : SM_ENROLLED_BUSY);
        }
        assert_left_alone(&c[FAST_MAP_SOCKETS]);
        for (size_t i = 0; i < ELEMENTSOF(c); i++)
                connection_close(&c[i]);
}

/* In a process that is as the relay is. */
static void drop_all(void) {
        struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
        struct __user_cap_data_struct caps[2] = { { .effective = ~0U } };

        assert_int_equal(setgroups(0, NULL), 0);
        assert_int_equal(setresgid(NOBODY, NOBODY, NOBODY), 0);
        assert_int_equal(setresuid(NOBODY, NOBODY, NOBODY), 0);
        assert_int_equal(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        assert_int_equal(syscall(SYS_capget, &header, caps), 0);
        assert_int_equal(caps[0].effective | caps[0].permitted | caps[1].effective | caps[1].permitted, 0);
}

static void test_without_any_right(void **state) {
        Connection c = connection_new(&fixture, "127.0.0.2", fixture.place.cgroup, SOCK_NONBLOCK);
        pid_t pid = fork();
        int status;

        assert_true(pid >= 0);
        if (pid == 0) {
                drop_all();
                _exit(enrol(&c.key, 1, 1) == SM_ENROLLED ? 0 : 1);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
        assert_int_equal(cookie_in_map(&c.key), cookie_of(c.far));
        connection_close(&c);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_ipv4),
                cmocka_unit_test(test_ipv6),
                cmocka_unit_test(test_mapped),
                cmocka_unit_test(test_slice_below_a_slice),
                cmocka_unit_test(test_unmanaged),
                cmocka_unit_test(test_blocking),
                cmocka_unit_test(test_unread),
                cmocka_unit_test(test_not_here),
                cmocka_unit_test(test_busy),
                cmocka_unit_test(test_full),
                cmocka_unit_test(test_without_any_right),
        };
        const FastPrograms programs = { .enrol = true, .accepted = true };
        const char *why;
        int r;

        if (fast_fixture_enter(&fixture, &programs, &why) == 0) {
                printf("skipped: %s\n", why);
                return 77;
        }
        /* sm_msg_accepted knows none of these sockets, and so lets everything pass. */
        fast_attach(fixture.bpf->maps.server_sockets, fixture.bpf->progs.sm_msg_accepted);
        fast_attach(fixture.bpf->maps.accepted_sockets, fixture.bpf->progs.sm_msg_accepted);
        fast_attach(fixture.bpf->maps.server_sockets, fixture.bpf->progs.sm_pass);
        r = cmocka_run_group_tests(tests, NULL, NULL);
        fast_fixture_leave(&fixture);
        return r;
}
