/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cmocka.h>

#include "abi/abi-slot.h"
#include "daemon/daemon-bpf-probe.h"

/*
 * What the running kernel can do for the fast path.
 */

static void test_this_kernel(void **state) {
        BpfProbes probes;
        struct utsname kernel;

        assert_int_equal(uname(&kernel), 0);
        assert_int_equal(bpf_probe_run(&probes), 0);
        for (size_t i = 0; i < probes.n_failed; i++)
                print_message("failed: %s\n", probes.failed[i]);
        print_message("features: %#x\n", probes.features);
        if (strncmp(kernel.release, "6.18.", 5) != 0)
                return; /* of others it is only told */
        assert_int_equal(probes.n_failed, 0);
        assert_int_equal(probes.features, SM_FAST_ALL);
}

/* Nothing is left that could be in the way of another run, or of the programs themselves. */
static void test_again(void **state) {
        BpfProbes first, second;

        assert_int_equal(bpf_probe_run(&first), 0);
        assert_int_equal(bpf_probe_run(&second), 0);
        for (size_t i = 0; i < second.n_failed; i++)
                print_message("failed: %s\n", second.failed[i]);
        assert_int_equal(first.features, second.features);
        assert_int_equal(first.n_failed, second.n_failed);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_this_kernel),
                cmocka_unit_test(test_again),
        };

        if (geteuid() != 0) {
                printf("skipped: not root\n");
                return 77;
        }
        return cmocka_run_group_tests(tests, NULL, NULL);
}
