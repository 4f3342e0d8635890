/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../basic/macro.h"
#include "daemon-bpf-fast.h"
#include "daemon-bpf-probe.h"
#include "daemon-bus.h"
#include "daemon-fast.h"
#include "daemon-surroundings.h"

/* When the fast path is used, and what is said if it is not; the kernel side is stood in for. */

/* What the kernel has, and what outlives slicemeshd. */
static struct {
        bool unsound;
        int load_error, probe_error, attach_error, relay_error;
        uint32_t attached;
        BpfProbes probes;
        struct sm_fast_control control;
        char relay[64];
} kernel;

static PolicyMesh mesh;
static Manager manager = { .mesh = &mesh, .cgroup_root = (char *) "/cgroups" };

bool surroundings_fast_path(const char **ret_sentence) {
        if (kernel.unsound)
                *ret_sentence = "unsound";
        return !kernel.unsound;
}

int bpf_fast_loaded(const BpfPrograms *b) {
        return kernel.load_error;
}

int bpf_fast_attach(BpfPrograms *b, uint32_t *ret_features) {
        *ret_features = kernel.attached;
        return kernel.attach_error;
}

int bpf_fast_attach_relay(BpfPrograms *b, const char *cgroup) {
        (void) snprintf(kernel.relay, sizeof(kernel.relay), "%s", cgroup);
        return kernel.relay_error;
}

int bpf_probe_run(BpfProbes *ret) {
        *ret = kernel.probes;
        return kernel.probe_error;
}

struct sm_fast_control *bpf_fast_control(const BpfPrograms *b) {
        return &kernel.control;
}

void manager_bus_fast_changed(Manager *m) {
}

static void start(void) {
        manager.fast = fast_free(manager.fast);
        assert_int_equal(fast_new(&manager, &manager.fast), 0);
        fast_configure(&manager);
}

static void relay_starts(void) {
        fast_relay_came(&manager, "/relay.service");
        fast_relay_runs(&manager, true);
}

static int setup(void **state) {
        memset(&kernel, 0, sizeof(kernel));
        kernel.attached = kernel.probes.features = SM_FAST_ALL;
        mesh.fast = true;
        manager.fast = NULL;
        return 0;
}

static int teardown(void **state) {
        manager.fast = fast_free(manager.fast);
        return 0;
}

static void check(uint32_t features, enum sm_slow why, const char *sentence) {
        const char *found;

        assert_int_equal(fast_features(&manager), features);
        assert_int_equal(kernel.control.features, features);
        assert_int_equal(fast_why(&manager, &found), why);
        assert_int_equal(kernel.control.slow, why);
        if (sentence)
                assert_non_null(strstr(found, sentence));
        else
                assert_null(found);
}

static void test_with_the_relay(void **state) {
        start();
        check(0, SM_SLOW_UNAVAILABLE, "relay is not running");
        fast_relay_came(&manager, "/relay.service");
        assert_string_equal(kernel.relay, "/cgroups/relay.service");
        check(0, SM_SLOW_UNAVAILABLE, "relay is not running");
        fast_relay_runs(&manager, true);
        check(SM_FAST_ALL, SM_SLOW_NONE, NULL);
        fast_relay_runs(&manager, false);
        check(0, SM_SLOW_UNAVAILABLE, "relay is not running");
}

static void test_unwatched(void **state) {
        start();
        fast_relay_came(&manager, NULL);
        assert_string_equal(kernel.relay, "");
        fast_relay_runs(&manager, true);
        check(0, SM_SLOW_UNAVAILABLE, "does not run as a service");
        kernel.relay_error = -EPERM;
        relay_starts();
        check(0, SM_SLOW_UNAVAILABLE, "could not be attached");
        kernel.relay_error = 0;
        relay_starts();
        check(SM_FAST_ALL, SM_SLOW_NONE, NULL);
}

/* The slicemeshd before this one left the programs to work, and they go on until the relay is known to be
 * gone. */
static void test_restart(void **state) {
        start();
        relay_starts();
        start();
        check(SM_FAST_ALL, SM_SLOW_NONE, NULL);
        fast_relay_runs(&manager, false);
        start();
        check(0, SM_SLOW_UNAVAILABLE, "relay is not running");
        relay_starts();
        kernel.attached = SM_FAST_REQUESTS;
        kernel.attach_error = -EPERM;
        start();
        check(SM_FAST_REQUESTS, SM_SLOW_UNAVAILABLE, "Not all");
}

static void test_switch(void **state) {
        start();
        relay_starts();
        fast_set_enabled(&manager, false);
        check(0, SM_SLOW_OFF, "administrator");
        assert_int_equal(fast_available(&manager), SM_FAST_ALL);
        fast_configure(&manager); /* mesh.yaml has not changed */
        check(0, SM_SLOW_OFF, "administrator");
        start();
        check(0, SM_SLOW_OFF, "administrator");
        relay_starts();
        fast_set_enabled(&manager, true);
        check(SM_FAST_ALL, SM_SLOW_NONE, NULL);
}

/* Whoever spoke last. */
static void test_policy(void **state) {
        mesh.fast = false;
        start();
        relay_starts();
        check(0, SM_SLOW_OFF, "mesh.yaml");
        fast_set_enabled(&manager, true);
        check(SM_FAST_ALL, SM_SLOW_NONE, NULL);
        start();
        check(SM_FAST_ALL, SM_SLOW_NONE, NULL);
        mesh.fast = true;
        fast_configure(&manager);
        check(SM_FAST_ALL, SM_SLOW_NONE, NULL);
        mesh.fast = false;
        fast_configure(&manager);
        check(0, SM_SLOW_OFF, "mesh.yaml");
}

static void check_lacking(uint32_t features, const char *sentence) {
        start();
        relay_starts();
        check(features, SM_SLOW_UNAVAILABLE, sentence);
        fast_set_enabled(&manager, true); /* which changes nothing about it */
        check(features, SM_SLOW_UNAVAILABLE, sentence);
}

static void test_lacking(void **state) {
        kernel.unsound = true;
        check_lacking(0, "unsound");
        kernel.unsound = false;
        kernel.load_error = -EINVAL;
        check_lacking(0, "refuses its programs (Invalid argument)");
        kernel.load_error = 0;
        kernel.probe_error = -EMFILE;
        check_lacking(0, "could not be tried out (Too many open files)");
        kernel.probe_error = 0;
        kernel.attach_error = -EPERM;
        kernel.attached = SM_FAST_REQUESTS | SM_FAST_REPLIES;
        check_lacking(SM_FAST_REQUESTS | SM_FAST_REPLIES, "Not all");
        kernel.attached = 0;
        check_lacking(0, "None");
}

static void test_probes(void **state) {
        kernel.probes = (BpfProbes) {
                .features = SM_FAST_REQUESTS, .failed = { "fionread", "order" }, .n_failed = 2,
        };
        check_lacking(SM_FAST_REQUESTS, "failed these probes: fionread, order.");
        kernel.probes.features = SM_FAST_SERVERS;
        check_lacking(0, "failed these probes: fionread, order.");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_with_the_relay), TEST(test_unwatched), TEST(test_restart),
                TEST(test_switch),         TEST(test_policy),    TEST(test_lacking), TEST(test_probes),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
