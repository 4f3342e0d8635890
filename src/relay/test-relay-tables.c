/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "../basic/cleanup.h"
#include "relay-mailbox.h"
#include "relay-tables.h"

static const struct sm_link_tables good = {
        .entries = { 16, 4, 8, 6, 4, 4, 3, 16 },
        .max_connections = 10,
        .buffer_bytes = 65536,
        .head_bytes = 32768,
        .drain_ms = 1000,
};

static void make_fds(int fds[static _SM_TABLE_MAX]) {
        for (int i = 0; i < _SM_TABLE_MAX; i++) {
                fds[i] = memfd_create("table", MFD_CLOEXEC);
                assert_true(fds[i] >= 0);
                assert_int_equal(ftruncate(fds[i], 65536), 0);
        }
}

static void close_fds(int fds[static _SM_TABLE_MAX]) {
        for (int i = 0; i < _SM_TABLE_MAX; i++)
                closep(&fds[i]);
}

static SharedTables *make(void) {
        int fds[_SM_TABLE_MAX];
        SharedTables *t = NULL;

        make_fds(fds);
        assert_int_equal(shared_tables_new(&good, fds, &t), 0);
        assert_int_equal(fds[SM_TABLE_CALLERS], -EBADF);
        close_fds(fds);
        return t;
}

static void test_mapped(void **state) {
        SharedTables *t = make();

        assert_int_equal(t->tables.n_endpoints, 6); /* what both arrays have */
        assert_int_equal(t->tables.n_services, 3);
        assert_null(sm_endpoint_state_at(&t->tables, 6));
        sm_endpoint_state_at(&t->tables, 5)->in_flight = 1;
        assert_true(fcntl(t->callers, F_GETFD) >= 0);
        assert_null(shared_tables_unref(t));
        assert_null(shared_tables_unref(NULL));
}

static void test_generation(void **state) {
        static const struct sm_service second = { .generation = 3 };
        int fds[_SM_TABLE_MAX];
        SharedTables *t;

        make_fds(fds);
        assert_int_equal(pwrite(fds[SM_TABLE_SERVICES], &second, sizeof(second), 2 * sizeof(second)),
                         sizeof(second));
        assert_int_equal(shared_tables_new(&good, fds, &t), 0);
        close_fds(fds);
        assert_true(shared_tables_is_current(t, 2, 3));
        assert_false(shared_tables_is_current(t, 2, 2));
        assert_true(shared_tables_is_current(t, 1, 0));
        assert_false(shared_tables_is_current(t, 3, 0)); /* outside the tables */
        shared_tables_unref(t);
}

static void test_refused(void **state) {
        struct sm_link_tables cases[] = { good, good, good, good, good, good };
        static const int expected[] = { -EINVAL, -EINVAL, -ERANGE, -ERANGE, -ERANGE, -ERANGE };

        cases[0].entries[SM_TABLE_CELLS] = 65536 / 64 + 1; /* reading the last one would raise SIGBUS */
        cases[1].entries[SM_TABLE_SERVICES] = 0;
        cases[2].max_connections = 0;
        cases[3].buffer_bytes = 16;
        cases[4].buffer_bytes = UINT32_MAX;
        cases[5].head_bytes = SM_HEAD_MAX + 1;
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                int fds[_SM_TABLE_MAX];
                SharedTables *t = NULL;

                make_fds(fds);
                assert_int_equal(shared_tables_new(&cases[i], fds, &t), expected[i]);
                assert_null(t);
                close_fds(fds);
        }
}

static void test_last_user_unmaps(void **state) {
        SharedTables *t = make();
        int callers = t->callers;

        shared_tables_ref(t);
        shared_tables_unref(t);
        assert_true(fcntl(callers, F_GETFD) >= 0);
        shared_tables_unref(t);
        assert_int_equal(fcntl(callers, F_GETFD), -1);
}

static void test_mailbox(void **state) {
        static Mailbox b;
        Mail m = { .type = MAIL_PING };

        assert_int_equal(mailbox_init(&b), 0);
        assert_int_equal(mailbox_take(&b, &m), -EAGAIN);
        for (uint64_t round = 0; round < 3; round++) {
                for (uint64_t i = 0; i < MAILBOX_SIZE; i++) {
                        m = (Mail){ .type = MAIL_PING, .epoch = i };
                        assert_int_equal(mailbox_put(&b, &m), 0);
                }
                assert_int_equal(mailbox_put(&b, &m), -ENOBUFS);
                for (uint64_t i = 0; i < MAILBOX_SIZE; i++) {
                        assert_int_equal(mailbox_take(&b, &m), 0);
                        assert_int_equal(m.epoch, i);
                }
                assert_int_equal(mailbox_take(&b, &m), -EAGAIN);
        }
        mailbox_done(&b);
}

static void test_mailbox_drops_what_it_holds(void **state) {
        static Mailbox b;
        SharedTables *t = make();
        int fd = dup(STDERR_FILENO), callers = t->callers;

        assert_int_equal(mailbox_init(&b), 0);
        assert_int_equal(mailbox_put(&b, &(Mail){ .type = MAIL_TABLES, .tables = t }), 0);
        assert_int_equal(mailbox_put(&b, &(Mail){ .type = MAIL_LISTENER, .fd = fd }), 0);
        mailbox_done(&b);
        assert_int_equal(fcntl(fd, F_GETFD), -1);
        assert_int_equal(fcntl(callers, F_GETFD), -1);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_mapped),
                cmocka_unit_test(test_generation),
                cmocka_unit_test(test_refused),
                cmocka_unit_test(test_last_user_unmaps),
                cmocka_unit_test(test_mailbox),
                cmocka_unit_test(test_mailbox_drops_what_it_holds),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
