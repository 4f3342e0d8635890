/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <cmocka.h>

#include "basic/macro.h"
#include "slicemesh.skel.h"

/*
 * How much work each program is for the verifier, which gives up at a million instructions and comes to
 * another number with each kernel; so growth is to be noticed long before.
 */

#define RECORDED_ON "6.18."
#define GROWTH_PERCENT 10
#define GROWTH_FREE 32 /* instructions, for what is small */

/* Instructions processed. Who makes a program larger on purpose records it here. */
static const struct {
        const char *program;
        int instructions;
} recorded[] = {
        { "sm_connect4", 63566 },
        { "sm_connect6", 63620 },
        { "sm_enrol", 516 },
        { "sm_getpeername4", 16 },
        { "sm_getpeername6", 22 },
        { "sm_msg_accepted", 65 },
        { "sm_msg_caller", 244884 },
        { "sm_msg_server", 22924 },
        { "sm_pass", 2 },
        { "sm_relay_sock_ops", 51 },
        { "sm_sent", 388 },
        { "sm_sock_release", 253 },
        { "sm_sock_ops", 981 },
        { "sm_ungoverned", 792 },
};

/* Of the program, loaded alone; 0: the kernel lacks what it is for. Negative errno. */
static int instructions_of(const char *name) {
        struct slicemesh_bpf *bpf = slicemesh_bpf__open();
        struct bpf_prog_info info = {};
        __u32 size = sizeof(info);
        struct bpf_program *p, *wanted = NULL;
        bool optional = false;
        int r;

        assert_non_null(bpf);
        bpf_object__for_each_program(p, bpf->obj) {
                bool it = streq(bpf_program__name(p), name);

                if (it) {
                        wanted = p;
                        optional = !bpf_program__autoload(p);
                }
                (void) bpf_program__set_autoload(p, it);
        }
        r = slicemesh_bpf__load(bpf);
        if (r == 0)
                assert_int_equal(bpf_obj_get_info_by_fd(bpf_program__fd(wanted), &info, &size), 0);
        slicemesh_bpf__destroy(bpf);
        return r < 0 && !optional ? r : (int) info.verified_insns;
}

static int recorded_of(const char *name) {
        for (size_t i = 0; i < ELEMENTSOF(recorded); i++)
                if (streq(recorded[i].program, name))
                        return recorded[i].instructions;
        return 0;
}

static void test_growth(void **state) {
        struct slicemesh_bpf *all = slicemesh_bpf__open();
        bool compare, bad = false;
        struct bpf_program *p;
        struct utsname kernel;

        assert_non_null(all);
        assert_int_equal(uname(&kernel), 0);
        compare = strncmp(kernel.release, RECORDED_ON, strlen(RECORDED_ON)) == 0;
        bpf_object__for_each_program(p, all->obj) {
                int before = recorded_of(bpf_program__name(p));
                int now = instructions_of(bpf_program__name(p));
                bool more = compare && now > before + MAX(before * GROWTH_PERCENT / 100, GROWTH_FREE);

                print_message("%-20s %7d, recorded %7d%s\n", bpf_program__name(p), now, before,
                              now < 0 ? ": it does not load" : more ? ": more than it should be" : "");
                bad |= now < 0 || more;
        }
        slicemesh_bpf__destroy(all);
        assert_false(bad);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_growth),
        };

        if (geteuid() != 0) {
                printf("skipped: not root\n");
                return 77;
        }
        return cmocka_run_group_tests(tests, NULL, NULL);
}
