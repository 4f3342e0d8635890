/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../basic/cleanup.h"
#include "relay-pool.h"
#include "relay-upstream.h"
#include "relay-worker.h"

/* The pool over upstreams that are only memory, in place of relay-upstream.c; in place of relay-slot.c there
 * is one slot. */
static Worker worker;
static unsigned n_freed;
static bool slots_are_there;
static Upstream *slotted;
static size_t n_slots_shrunk;

Upstream *upstream_free(Upstream *u) {
        pool_remove(&worker.pool, u);
        timer_clear(&u->timer);
        n_freed++;
        return NULL;
}

int slot_offer(Upstream *u, nsec_t idle) {
        if (!slots_are_there || slotted)
                return -ENOSPC;
        assert_int_equal(idle, NSEC_PER_SEC);
        slotted = u;
        return 0;
}

Upstream *slot_take(Worker *w, uint32_t endpoint) {
        return slotted && slotted->endpoint == endpoint ? TAKE_PTR(slotted) : NULL;
}

void slots_shrink(Worker *w, size_t n) {
        n_slots_shrunk += n;
}

void slots_clear(Worker *w) {
        slotted = NULL;
}

static Upstream *put(Upstream *u, uint32_t endpoint, uint32_t generation) {
        *u = (Upstream){ .worker = &worker, .endpoint = endpoint, .generation = generation };
        list_init(&u->pool_link);
        list_init(&u->age_link);
        timer_init(&u->timer, NULL);
        pool_put(&worker.pool, u, NSEC_PER_SEC);
        return u;
}

static int setup(void **state) {
        n_freed = 0;
        n_slots_shrunk = 0;
        slots_are_there = false;
        slotted = NULL;
        timer_wheel_init(&worker.timers, 0);
        pool_init(&worker.pool);
        return 0;
}

static void test_last_in_first_out(void **state) {
        Upstream u[3];

        put(&u[0], 1, 0);
        put(&u[1], 2, 0);
        put(&u[2], 1, 0);
        assert_ptr_equal(pool_take(&worker.pool, 1, 0), &u[2]);
        assert_ptr_equal(pool_take(&worker.pool, 1, 0), &u[0]);
        assert_null(pool_take(&worker.pool, 1, 0));
        assert_ptr_equal(pool_take(&worker.pool, 2, 0), &u[1]);
        assert_int_equal(worker.pool.n, 0);
        assert_int_equal(n_freed, 0);
}

static void test_endpoints_of_one_bucket(void **state) {
        Upstream u[2];

        put(&u[0], 5, 0);
        put(&u[1], 5 + POOL_BUCKETS, 0);
        assert_ptr_equal(pool_take(&worker.pool, 5, 0), &u[0]);
        assert_null(pool_take(&worker.pool, 5 + 2 * POOL_BUCKETS, 0));
        assert_int_equal(n_freed, 0);
}

static void test_older_generation_is_closed(void **state) {
        Upstream u[3];

        put(&u[0], 1, 7);
        put(&u[1], 1, 8);
        put(&u[2], 1, 7);
        assert_ptr_equal(pool_take(&worker.pool, 1, 8), &u[1]);
        assert_int_equal(n_freed, 1);
        assert_null(pool_take(&worker.pool, 1, 8));
        assert_int_equal(n_freed, 2);
        assert_int_equal(worker.pool.n, 0);
}

static void test_shrink_closes_the_oldest(void **state) {
        Upstream u[3];

        for (uint32_t i = 0; i < 3; i++)
                put(&u[i], i + 1, 0);
        pool_shrink(&worker.pool, 2);
        assert_int_equal(n_freed, 2);
        assert_null(pool_take(&worker.pool, 1, 0));
        assert_null(pool_take(&worker.pool, 2, 0));
        assert_ptr_equal(pool_take(&worker.pool, 3, 0), &u[2]);
        pool_shrink(&worker.pool, 5);
        assert_int_equal(n_freed, 2);
        assert_int_equal(n_slots_shrunk, 5); /* of connections that have slots, where there were no others */
}

static void test_slots_come_first(void **state) {
        Upstream u[3];

        slots_are_there = true;
        put(&u[0], 1, 0);
        put(&u[1], 1, 0);
        put(&u[2], 1, 0);
        assert_ptr_equal(slotted, &u[0]);
        assert_int_equal(worker.pool.n, 2);
        assert_ptr_equal(pool_take(&worker.pool, 1, 0), &u[0]); /* though it was idle for longer */
        assert_ptr_equal(pool_take(&worker.pool, 1, 0), &u[2]);
        put(&u[0], 1, 0);
        assert_null(pool_take(&worker.pool, 2, 0));
        pool_clear(&worker.pool);
        assert_int_equal(worker.pool.n, 0);
        assert_null(slotted);
}

static void test_limit(void **state) {
        static Upstream u[POOL_MAX + 10];

        for (uint32_t i = 0; i < ELEMENTSOF(u); i++)
                put(&u[i], i + 1, 0);
        assert_int_equal(worker.pool.n, POOL_MAX);
        assert_int_equal(n_freed, 10);
        assert_null(pool_take(&worker.pool, 1, 0));
        assert_ptr_equal(pool_take(&worker.pool, 11, 0), &u[10]);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup(test_last_in_first_out, setup),
                cmocka_unit_test_setup(test_endpoints_of_one_bucket, setup),
                cmocka_unit_test_setup(test_older_generation_is_closed, setup),
                cmocka_unit_test_setup(test_shrink_closes_the_oldest, setup),
                cmocka_unit_test_setup(test_slots_come_first, setup),
                cmocka_unit_test_setup(test_limit, setup),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
