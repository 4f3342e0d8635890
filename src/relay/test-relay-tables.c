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
        .entries = {
                [SM_TABLE_CELLS] = 16, [SM_TABLE_SERVICES] = 4, [SM_TABLE_ENDPOINTS] = 8,
                [SM_TABLE_ENDPOINT_STATES] = 6, [SM_TABLE_SUBSET_STATES] = 4, [SM_TABLE_ROUTE_STATES] = 4,
                [SM_TABLE_SERVICE_COUNTERS] = 3, [SM_TABLE_SERVICE_PATHS] = 4, [SM_TABLE_SLICE_PATHS] = 2,
                [SM_TABLE_FAST_CONTROL] = 1, [SM_TABLE_SLOTS] = 8, [SM_TABLE_DOWNSTREAMS] = 6,
                [SM_TABLE_IDLE_SLOTS] = 16, [SM_TABLE_FREE_DOWNSTREAMS] = 1, [SM_TABLE_REQUESTS] = 5,
                [SM_TABLE_CALLERS] = 16,
        },
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
        for (int i = _SM_TABLE_MAPPED_MAX; i < _SM_TABLE_MAX; i++)
                assert_int_equal(fds[i], -EBADF);
        close_fds(fds);
        return t;
}

static void test_mapped(void **state) {
        SharedTables *t = make();

        assert_int_equal(t->tables.n_endpoints, 6); /* what both arrays have */
        assert_int_equal(t->tables.n_services, 3);
        assert_null(sm_endpoint_state_at(&t->tables, 6));
        sm_endpoint_state_at(&t->tables, 5)->in_flight = 1;
        assert_int_equal(t->tables.n_downstreams, 5); /* of which there are copies, too */
        assert_null(sm_downstream_entry(&t->tables, 5));
        sm_downstream_entry(&t->tables, 4)->written = 1;
        sm_slot_entry(&t->tables, 7)->since = 1;
        sm_idle_entry(&t->tables, 15)->head = 1;
        sm_service_paths_at(&t->tables, 2)->remote = sm_slice_paths_at(&t->tables, 1)->remote =
                t->free_downstreams->head = 1;
        assert_int_equal(t->requests[4].timeout_ms, 0);
        assert_int_equal(shared_tables_features(t), 0);
        assert_true(fcntl(t->callers, F_GETFD) >= 0);
        assert_true(fcntl(t->enrol, F_GETFD) >= 0);
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

static void test_same_memory_continues(void **state) {
        int fds[_SM_TABLE_MAX], again[_SM_TABLE_MAX];
        SharedTables *first, *second, *other = make();

        make_fds(fds);
        for (int i = 0; i < _SM_TABLE_MAX; i++)
                again[i] = dup(fds[i]);
        assert_int_equal(shared_tables_new(&good, fds, &first), 0);
        assert_int_equal(shared_tables_new(&good, again, &second), 0);
        close_fds(fds);
        close_fds(again);

        assert_false(shared_tables_continue(first, NULL));
        assert_true(shared_tables_continue(second, first));
        assert_false(shared_tables_continue(other, second));
        assert_false(shared_tables_continue(second, NULL)); /* as in another process */
        assert_int_not_equal(second->memory, first->memory);
        shared_tables_unref(first);
        shared_tables_unref(second);
        shared_tables_unref(other);
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
                cmocka_unit_test(test_same_memory_continues),
                cmocka_unit_test(test_last_user_unmaps),
                cmocka_unit_test(test_mailbox),
                cmocka_unit_test(test_mailbox_drops_what_it_holds),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
