/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "../basic/cleanup.h"
#include "../basic/macro.h"
#include "../basic/time-util.h"
#include "daemon-bpf.h"
#include "daemon-slice.h"
#include "daemon-ungoverned.h"

/* When connections are counted, and what becomes of the counts; the kernel and slices are stood in for. */

#define A 3
#define B 5

static struct {
        unsigned n_opened, n_published;
        unsigned steps;         /* that a count takes */
        unsigned left;          /* of this one */
        uint32_t of_a, of_b;    /* found by each */
        unsigned change_during; /* the step, from the end, in which something else is attached */
        int error;
} kernel;

static Manager manager;
static Slice a = { .manager = &manager, .name = (char *) "a.slice", .id = A },
             b = { .manager = &manager, .name = (char *) "b.slice", .id = B };

int bpf_ungoverned_open(const BpfPrograms *programs, int *ret_fd) {
        kernel.n_opened++;
        kernel.left = kernel.steps;
        *ret_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
        return *ret_fd < 0 ? -errno : 0;
}

int bpf_ungoverned_read(int fd, uint32_t counts[static SM_SLICES_MAX]) {
        if (kernel.change_during == kernel.left) {
                kernel.change_during = UINT32_MAX;
                ungoverned_recount(manager.ungoverned);
        }
        if (kernel.error < 0)
                return kernel.error;
        counts[A] += kernel.of_a;
        counts[B] += kernel.of_b;
        return --kernel.left > 0;
}

void slice_set_ungoverned(Slice *s, uint32_t n) {
        s->ungoverned = n;
        kernel.n_published++;
}

static int setup(void **state) {
        memset(&kernel, 0, sizeof(kernel));
        kernel.steps = 3;
        kernel.change_during = UINT32_MAX;
        a.ungoverned = b.ungoverned = 0;
        a.attached = b.attached = true;
        assert_int_equal(sd_event_new(&manager.event), 0);
        manager.slices = hashmap_new();
        assert_non_null(manager.slices);
        assert_int_equal(hashmap_put(manager.slices, a.name, &a), 0);
        assert_int_equal(hashmap_put(manager.slices, b.name, &b), 0);
        assert_int_equal(ungoverned_new(&manager, &manager.ungoverned), 0);
        return 0;
}

static int teardown(void **state) {
        ungoverned_free(manager.ungoverned);
        hashmap_free(manager.slices);
        sd_event_unref(manager.event);
        return 0;
}

/* Until the loop has nothing to do for a moment that is shorter than the interval between two counts. */
static void run(void) {
        int r;

        while ((r = sd_event_run(manager.event, USEC_PER_SEC / 2)) > 0)
                ;
        assert_int_equal(r, 0);
}

static void test_nothing_is_counted_unasked(void **state) {
        run();
        assert_int_equal(kernel.n_opened, 0);
}

static void test_steps_add_up(void **state) {
        kernel.of_a = 2;
        ungoverned_recount(manager.ungoverned);
        ungoverned_recount(manager.ungoverned); /* before the first step: the same count */
        run();
        assert_int_equal(kernel.n_opened, 1);
        assert_int_equal(a.ungoverned, 6);
        assert_int_equal(b.ungoverned, 0);
}

static void test_change_meanwhile(void **state) {
        kernel.of_b = 1;
        kernel.change_during = 2;
        ungoverned_recount(manager.ungoverned);
        run();
        assert_int_equal(kernel.n_opened, 2);
        assert_int_equal(b.ungoverned, 3);
}

static void test_what_is_not_attached_yet(void **state) {
        kernel.of_a = kernel.of_b = 1;
        b.attached = false;
        ungoverned_recount(manager.ungoverned);
        run();
        assert_int_equal(a.ungoverned, 3);
        assert_int_equal(b.ungoverned, 0);
        assert_int_equal(kernel.n_published, 1);
}

static void test_failure_keeps_the_last_count(void **state) {
        kernel.of_a = 1;
        ungoverned_recount(manager.ungoverned);
        run();
        kernel.error = -EIO;
        ungoverned_recount(manager.ungoverned);
        run();
        assert_int_equal(kernel.n_opened, 2);
        assert_int_equal(a.ungoverned, 3);
        kernel.error = 0;
        kernel.of_a = 2;
        ungoverned_recount(manager.ungoverned);
        run();
        assert_int_equal(a.ungoverned, 6);
}

#define ungoverned_test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                ungoverned_test(test_nothing_is_counted_unasked),
                ungoverned_test(test_steps_add_up),
                ungoverned_test(test_change_meanwhile),
                ungoverned_test(test_what_is_not_attached_yet),
                ungoverned_test(test_failure_keeps_the_last_count),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
