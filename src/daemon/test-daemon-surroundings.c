/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../basic/macro.h"
#include "daemon-surroundings.h"

#define GENERIC "#1 SMP PREEMPT_DYNAMIC"
#define DEBIAN(version) GENERIC " Debian " version " (2026-01-01)"

static void test_sockmap_is_sound(void **state) {
        static const struct {
                const char *release, *version;
                bool sound;
        } kernels[] = {
                { "5.15.200", GENERIC, false },
                { "6.1.141", GENERIC, false },
                { "6.1.142", GENERIC, true },
                { "6.1.0-9-amd64", GENERIC, false },
                { "6.1.0-9-amd64", DEBIAN("6.1.27-1"), false },
                { "6.1.0-50-amd64", DEBIAN("6.1.192-1"), true },
                { "6.5.13", GENERIC, false },
                { "6.6.94", GENERIC, false },
                { "6.6.95-rt1", GENERIC, true },
                { "6.8.0-60-generic", "#63-Ubuntu SMP", false },
                { "6.12.34", GENERIC, false },
                { "6.12.35+deb13-amd64", DEBIAN("6.12.35-1"), true },
                { "6.14.11", GENERIC, false },
                { "6.15.3", GENERIC, false },
                { "6.15.4", GENERIC, true },
                { "6.16.0", GENERIC, true },
                { "6.18.44-fc", GENERIC " @0", true },
                { "7.1.0-rc1", GENERIC, true },
                { "unknown", GENERIC, false },
        };

        for (size_t i = 0; i < ELEMENTSOF(kernels); i++)
                assert_int_equal(kernel_sockmap_is_sound(kernels[i].release, kernels[i].version),
                                 kernels[i].sound);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_sockmap_is_sound),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
