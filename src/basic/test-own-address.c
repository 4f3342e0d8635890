/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <arpa/inet.h>
#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "own-address.h"

static bool own(const char *text) {
        struct in6_addr address;

        assert_int_equal(inet_pton(AF_INET6, text, &address), 1);
        return address_is_own(&address);
}

static void test_loopback(void **state) {
        assert_true(own("::ffff:127.0.0.1"));
        assert_true(own("::ffff:127.71.0.10"));
        assert_true(own("::1"));
}

/* Documentation's, which nobody has (RFC 5737, RFC 3849). */
static void test_others(void **state) {
        assert_false(own("::ffff:192.0.2.1"));
        assert_false(own("2001:db8::1"));
}

static int run(const char *command) {
        int status = system(command);

        return status < 0 ? -errno : WIFEXITED(status) ? WEXITSTATUS(status) : -EINTR;
}

/* On an interface of our own, in a network namespace of our own. */
static void test_interface(void **state) {
        if (unshare(CLONE_NEWNET) < 0)
                skip();
        assert_false(own("::ffff:192.0.2.1"));
        if (run("ip link set lo up && ip address add 192.0.2.1/24 dev lo && "
                "ip -6 address add 2001:db8::1/64 dev lo nodad") != 0)
                skip();
        assert_true(own("::ffff:192.0.2.1"));
        assert_false(own("::ffff:192.0.2.2"));
        assert_true(own("2001:db8::1"));
        assert_false(own("2001:db8::2"));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_loopback),
                cmocka_unit_test(test_others),
                cmocka_unit_test(test_interface),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
