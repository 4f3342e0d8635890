/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <cmocka.h>

#include "basic/cleanup.h"
#include "basic/macro.h"
#include "daemon/daemon-bpf-fast.h"
#include "engine/engine-reply.h"
#include "engine/engine-stack.h"
#include "slice-fixture.h"

/*
 * What slicemeshd does with the programs of the fast path: loads, attaches, replaces and removes them. What
 * they do themselves is in test-bpf-fast-*.c beside this one.
 */

#define SLICE 7
#define CONNECTIONS 31
#define UPSTREAMS 15
#define ENDPOINTS 9
#define WORKERS 2

typedef struct Fixture {
        SliceFixture place;
        BpfSettings settings;
        BpfPrograms *bpf;
        int tables[_SM_TABLE_MAX];
        uint32_t entries[_SM_TABLE_MAX];
        char pins[64];
        bool refuse_load, refuse_end, refuse_verdict; /* what the kernel is to refuse */
} Fixture;

static Fixture fixture;

/* Refused loading, as by a kernel that some program of the fast path is too much for. */
int bpf_object__load_skeleton(struct bpf_object_skeleton *s) {
        int (*real)(struct bpf_object_skeleton *s) = dlsym(RTLD_NEXT, "bpf_object__load_skeleton");
        struct bpf_program *program = bpf_object__find_program_by_name(*s->obj, "sm_msg_caller");

        return fixture.refuse_load && bpf_program__autoload(program) ? -E2BIG : real(s);
}

int bpf_raw_tracepoint_open(const char *name, int prog_fd) {
        int (*real)(const char *name, int fd) = dlsym(RTLD_NEXT, "bpf_raw_tracepoint_open");

        return fixture.refuse_end ? -EPERM : real(name, prog_fd);
}

int bpf_prog_attach(int prog_fd, int target, enum bpf_attach_type type, unsigned flags) {
        int (*real)(int fd, int t, enum bpf_attach_type y, unsigned f) = dlsym(RTLD_NEXT, "bpf_prog_attach");

        return fixture.refuse_verdict ? -EBUSY : real(prog_fd, target, type, flags);
}

static void load(Fixture *f) {
        assert_int_equal(bpf_programs_new(&f->settings, &f->bpf), 0);
        bpf_programs_tables(f->bpf, f->tables, f->entries);
        assert_int_equal(bpf_programs_pin(f->bpf), 0);
}

static void restart(Fixture *f) {
        f->bpf = bpf_programs_free(f->bpf);
        load(f);
        assert_true(bpf_programs_taken_over(f->bpf));
}

static int setup(void **state) {
        Fixture *f = &fixture;

        f->refuse_load = f->refuse_end = f->refuse_verdict = false;
        (void) snprintf(f->pins, sizeof(f->pins), "%.31s/slicemesh", f->place.bpffs);
        f->settings = (BpfSettings) {
                .pin_path = f->pins, .relay_port = 15001, .max_services = 5, .max_endpoints = ENDPOINTS,
                .max_subsets = 5, .max_routes = 5, .max_cells = 255, .max_connections = 1024,
                .fast_connections = CONNECTIONS, .fast_upstreams = UPSTREAMS, .workers = WORKERS,
                .fast = true,
        };
        *state = f;
        return 0;
}

static int setup_loaded(void **state) {
        (void) setup(state);
        load(*state);
        return 0;
}

static int teardown(void **state) {
        Fixture *f = *state;

        f->bpf = bpf_programs_free(f->bpf);
        return bpf_pins_remove(f->pins) < 0;
}

/* What is pinned below the only layout, the first of several; -ENOENT. */
static int open_pin(const Fixture *f, const char *name) {
        _cleanup_free_ char *pattern = NULL;
        glob_t found = {};
        int fd = -ENOENT;

        assert_true(asprintf(&pattern, "%s/*/%s", f->pins, name) > 0);
        if (glob(pattern, 0, NULL, &found) == 0) {
                fd = bpf_obj_get(found.gl_pathv[0]);
                globfree(&found);
        }
        return fd;
}

/* Id of the only program that is attached to a map or cgroup; 0: none is. */
static uint32_t attached_to(int fd, enum bpf_attach_type type) {
        __u32 ids[8] = {}, n = ELEMENTSOF(ids);

        assert_true(fd >= 0);
        assert_int_equal(bpf_prog_query(fd, type, 0, NULL, ids, &n), 0);
        assert_true(n <= 1);
        return n > 0 ? ids[0] : 0;
}

static uint32_t attached_to_map(const Fixture *f, const char *name, enum bpf_attach_type type) {
        _cleanup_free_ char *pin = NULL;
        _cleanup_close_ int fd = -EBADF;

        assert_true(asprintf(&pin, "maps/%s", name) > 0);
        fd = open_pin(f, pin);
        return attached_to(fd, type);
}

static uint32_t attached_to_cgroup(const char *cgroup) {
        _cleanup_close_ int fd = open(cgroup, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        return attached_to(fd, BPF_CGROUP_SOCK_OPS);
}

/* Id of the link that follows the end of send(): by tracepoint, or of two the first. */
static uint32_t end_link(const Fixture *f) {
        struct bpf_link_info info = {};
        _cleanup_close_ int fd = open_pin(f, "fast/sent*");

        assert_true(fd >= 0);
        assert_int_equal(bpf_obj_get_info_by_fd(fd, &info, &(__u32) { sizeof(info) }), 0);
        return info.id;
}

/* A link goes some time after its last reference. */
static bool link_ends(uint32_t id) {
        for (unsigned i = 0; i < 500; i++) {
                _cleanup_close_ int fd = bpf_link_get_fd_by_id(id);

                if (fd < 0)
                        return fd == -ENOENT;
                (void) close(TAKE_FD(fd));
                (void) usleep(10000);
        }
        return false;
}

static void attach(Fixture *f) {
        uint32_t features = 0;

        assert_int_equal(bpf_fast_loaded(f->bpf), 0);
        assert_int_equal(bpf_fast_attach(f->bpf, &features), 0);
        assert_int_equal(features, SM_FAST_ALL);
}

static void *map_table(const Fixture *f, enum sm_table table, size_t size) {
        void *p = mmap(NULL, f->entries[table] * size, PROT_READ | PROT_WRITE, MAP_SHARED,
                       f->tables[table], 0);

        assert_true(p != MAP_FAILED);
        return p;
}

static void test_sizes(void **state) {
        static const struct {
                enum sm_table table;
                uint32_t entries;
        } expected[] = {
                { SM_TABLE_SERVICE_PATHS, 6 },
                { SM_TABLE_SLICE_PATHS, SM_SLICES_MAX },
                { SM_TABLE_FAST_CONTROL, 1 },
                { SM_TABLE_SLOTS, UPSTREAMS + 1 },
                { SM_TABLE_UPSTREAM_SOCKETS, UPSTREAMS + 1 },
                { SM_TABLE_DOWNSTREAMS, CONNECTIONS + 1 },
                { SM_TABLE_REQUESTS, CONNECTIONS + 1 },
                { SM_TABLE_ACCEPTED_SOCKETS, CONNECTIONS + 1 },
                { SM_TABLE_FREE_DOWNSTREAMS, 1 },
                { SM_TABLE_IDLE_SLOTS, (ENDPOINTS + 1) * WORKERS },
        };
        const Fixture *f = *state;

        for (size_t i = 0; i < ELEMENTSOF(expected); i++) {
                struct bpf_map_info info = {};

                assert_int_equal(f->entries[expected[i].table], expected[i].entries);
                assert_int_equal(bpf_obj_get_info_by_fd(f->tables[expected[i].table], &info,
                                                        &(__u32) { sizeof(info) }), 0);
                assert_int_equal(info.max_entries, expected[i].entries);
        }
        assert_int_equal(bpf_fast_control(f->bpf)->workers, WORKERS);
        assert_int_equal(bpf_fast_control(f->bpf)->features, 0);
}

/* Other sizes are another layout: its programs are told to let everything pass, then it is removed. */
static void test_other_sizes(void **state) {
        Fixture *f = *state;
        struct sm_fast_control *before = map_table(f, SM_TABLE_FAST_CONTROL, sizeof(*before));

        before->features = SM_FAST_ALL;
        f->bpf = bpf_programs_free(f->bpf);
        f->settings.fast_upstreams++;
        load(f);
        assert_false(bpf_programs_taken_over(f->bpf));
        assert_int_equal(before->features, SM_FAST_ALL);
        bpf_programs_remove_others(f->bpf);
        assert_int_equal(before->features, 0);
        assert_int_equal(before->slow, SM_SLOW_OFF);
        (void) munmap(before, sizeof(*before));
}

/* Takes out `n`, which are all different. */
static void take_free(const Fixture *f, unsigned n, bool seen[static CONNECTIONS + 1]) {
        struct sm_tables t = {
                .downstreams = map_table(f, SM_TABLE_DOWNSTREAMS, sizeof(struct sm_downstream)),
                .n_downstreams = f->entries[SM_TABLE_DOWNSTREAMS],
        };
        struct sm_stack *stack = map_table(f, SM_TABLE_FREE_DOWNSTREAMS, sizeof(*stack));
        __u64 word;

        for (unsigned i = 0; i < n; i++) {
                uint32_t index = sm_stack_pop(&t, stack, SM_STACK_DOWNSTREAMS, &word);

                assert_in_range(index, 1, CONNECTIONS);
                assert_false(seen[index]);
                seen[index] = true;
        }
        (void) munmap(t.downstreams, t.n_downstreams * sizeof(struct sm_downstream));
        (void) munmap(stack, sizeof(*stack));
}

static void test_free_downstreams(void **state) {
        bool seen[CONNECTIONS + 1] = {};
        struct sm_stack *stack;
        Fixture *f = *state;

        take_free(f, 3, seen);
        restart(f); /* which gives away nothing twice */
        take_free(f, CONNECTIONS - 3, seen);
        stack = map_table(f, SM_TABLE_FREE_DOWNSTREAMS, sizeof(*stack));
        assert_int_equal((uint32_t) stack->head, 0);
        (void) munmap(stack, sizeof(*stack));
}

/* What D's program answers with, from the start. */
static void test_replies(void **state) {
        _cleanup_close_ int map = open_pin(*state, "maps/replies");

        for (enum sm_reason reason = 0; reason < _SM_REASON_MAX; reason++)
                for (int head = 0; head < 2; head++) {
                        __u32 index = SM_REPLY_INDEX(reason, head);
                        struct sm_reply found, reply;

                        assert_int_equal(bpf_map_lookup_elem(map, &index, &found), 0);
                        if (sm_reply_texts[reason].status > 0) {
                                sm_reply_make(&reply, reason, head ? SM_REPLY_HEAD : 0);
                                assert_int_equal(found.length, reply.length);
                                assert_int_equal(found.status, reply.status);
                                assert_memory_equal(found.bytes, reply.bytes, reply.length);
                        } else
                                assert_int_equal(found.length, 0);
                }
}

static void test_attached(void **state) {
        Fixture *f = *state;
        struct bpf_prog_info info = {};

        assert_int_equal(attached_to_map(f, "caller_sockets", BPF_SK_MSG_VERDICT), 0);
        attach(f);
        assert_int_not_equal(attached_to_map(f, "caller_sockets", BPF_SK_MSG_VERDICT), 0);
        assert_int_not_equal(attached_to_map(f, "server_sockets", BPF_SK_MSG_VERDICT), 0);
        assert_int_not_equal(attached_to_map(f, "accepted_sockets", BPF_SK_MSG_VERDICT), 0);
        assert_int_equal(attached_to_map(f, "upstream_sockets", BPF_SK_MSG_VERDICT), 0);
        assert_int_not_equal(attached_to_map(f, "caller_sockets", BPF_SK_SKB_STREAM_VERDICT), 0);
        assert_int_equal(attached_to_map(f, "caller_sockets", BPF_SK_SKB_STREAM_VERDICT),
                         attached_to_map(f, "server_sockets", BPF_SK_SKB_STREAM_VERDICT));
        assert_int_equal(attached_to_map(f, "accepted_sockets", BPF_SK_SKB_STREAM_VERDICT), 0);
        assert_int_not_equal(end_link(f), 0);
        assert_int_equal(bpf_obj_get_info_by_fd(f->tables[SM_TABLE_ENROL], &info,
                                                &(__u32) { sizeof(info) }), 0);
        assert_string_equal(info.name, "sm_enrol");
}

/* slicemeshd goes, all stays; the next one's programs take the place of those. */
static void test_restart(void **state) {
        Fixture *f = *state;
        uint32_t verdict, link;

        attach(f);
        assert_int_equal(bpf_fast_attach_relay(f->bpf, f->place.cgroup), 0);
        verdict = attached_to_map(f, "caller_sockets", BPF_SK_MSG_VERDICT);
        link = end_link(f);
        restart(f);
        assert_int_equal(attached_to_map(f, "caller_sockets", BPF_SK_MSG_VERDICT), verdict);
        assert_int_equal(end_link(f), link);
        assert_int_not_equal(attached_to_cgroup(f->place.cgroup), 0);

        attach(f);
        assert_int_not_equal(attached_to_map(f, "caller_sockets", BPF_SK_MSG_VERDICT), verdict);
        assert_int_not_equal(end_link(f), link);
        assert_true(link_ends(link));
}

static void test_removed(void **state) {
        Fixture *f = *state;
        struct sm_fast_control *control = map_table(f, SM_TABLE_FAST_CONTROL, sizeof(*control));
        uint32_t link;

        attach(f);
        assert_int_equal(bpf_fast_attach_relay(f->bpf, f->place.cgroup), 0);
        control->features = SM_FAST_ALL;
        link = end_link(f);
        f->bpf = bpf_programs_free(f->bpf);
        assert_int_equal(bpf_pins_remove(f->pins), 1);
        assert_int_equal(control->features, 0);
        assert_true(link_ends(link));
        assert_int_equal(attached_to_cgroup(f->place.cgroup), 0);
        (void) munmap(control, sizeof(*control));
}

static void test_relay(void **state) {
        Fixture *f = *state;
        char other[128];
        uint64_t id;
        uint32_t link;

        assert_true(snprintf(other, sizeof(other), "%s/other", f->place.cgroup) < (int) sizeof(other));
        assert_int_equal(slice_cgroup_make(other, &id), 0);
        assert_int_equal(bpf_fast_attach_relay(f->bpf, f->place.cgroup), 0);
        link = attached_to_cgroup(f->place.cgroup);
        assert_int_not_equal(link, 0);
        for (unsigned i = 0; i < 2; i++) { /* again: the link before may take its time */
                assert_int_equal(bpf_fast_attach_relay(f->bpf, other), 0);
                for (unsigned j = 0; j < 500 && attached_to_cgroup(f->place.cgroup) != 0; j++)
                        (void) usleep(10000);
                assert_int_equal(attached_to_cgroup(f->place.cgroup), 0);
        }
        assert_int_equal(bpf_fast_attach_relay(f->bpf, "/nonexistent"), -ENOENT);
        assert_true(bpf_fast_attach_relay(f->bpf, "/tmp") < 0);
        assert_int_not_equal(attached_to_cgroup(other), 0);
        assert_int_equal(bpf_pins_remove(f->pins), 1);
        assert_int_equal(rmdir(other), 0);
}

static uint32_t managed_as(const Fixture *f) {
        _cleanup_close_ int fd = open_pin(f, "maps/managed_cgroups");
        uint32_t slice = 0;

        assert_true(fd >= 0);
        (void) bpf_map_lookup_elem(fd, &f->place.cgroup_id, &slice);
        return slice;
}

static void test_managed(void **state) {
        Fixture *f = *state;
        const SliceFixture *p = &f->place;

        assert_int_equal(bpf_slice_attach(f->bpf, p->cgroup, p->cgroup_id, SLICE), 0);
        assert_int_equal(managed_as(f), SLICE);
        bpf_slice_release(f->bpf, p->cgroup_id);
        assert_int_equal(managed_as(f), 0);
        assert_int_equal(bpf_slice_attach(f->bpf, p->cgroup, p->cgroup_id, SLICE + 1), 0);
        assert_int_equal(managed_as(f), SLICE + 1);
        bpf_slice_forget(f->bpf, p->cgroup_id);
        assert_int_equal(managed_as(f), 0);
        assert_int_equal(bpf_slice_attach(f->bpf, p->cgroup, p->cgroup_id, SLICE), 0);
        bpf_slices_prune(f->bpf, &p->cgroup_id, 1);
        assert_int_equal(managed_as(f), SLICE);
        bpf_slices_prune(f->bpf, NULL, 0);
        assert_int_equal(managed_as(f), 0);
}

static void check_without(Fixture *f, int error) {
        uint32_t features = SM_FAST_ALL;

        load(f);
        assert_int_equal(bpf_fast_loaded(f->bpf), error);
        assert_int_equal(bpf_fast_attach(f->bpf, &features), error);
        assert_int_equal(features, 0);
        assert_int_equal(attached_to_map(f, "caller_sockets", BPF_SK_MSG_VERDICT), 0);
        assert_true(fcntl(f->tables[SM_TABLE_ENROL], F_GETFD) >= 0); /* the relay is sent something */
        assert_int_equal(bpf_slice_attach(f->bpf, f->place.cgroup, f->place.cgroup_id, SLICE), 0);
}

/* The mesh goes on without what this kernel does not take. */
static void test_refused(void **state) {
        Fixture *f = *state;

        f->refuse_load = true;
        check_without(f, -E2BIG);
}

static void test_not_wanted(void **state) {
        Fixture *f = *state;

        f->settings.fast = false;
        check_without(f, -EOPNOTSUPP);
}

static void test_partly_refused(void **state) {
        Fixture *f = *state;
        uint32_t features;

        f->refuse_end = true;
        assert_int_equal(bpf_fast_attach(f->bpf, &features), -EPERM);
        assert_int_equal(features, SM_FAST_ALL & ~SM_FAST_SERVERS);
        f->refuse_end = false;
        f->refuse_verdict = true;
        assert_int_equal(bpf_fast_attach(f->bpf, &features), -EBUSY);
        assert_int_equal(features, 0);
        f->refuse_verdict = false;
        restart(f);
        attach(f);
}

#define loaded_test(name) cmocka_unit_test_setup_teardown(name, setup_loaded, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                loaded_test(test_sizes),
                loaded_test(test_other_sizes),
                loaded_test(test_free_downstreams),
                loaded_test(test_replies),
                loaded_test(test_attached),
                loaded_test(test_restart),
                loaded_test(test_removed),
                loaded_test(test_relay),
                loaded_test(test_managed),
                loaded_test(test_partly_refused),
                cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
                cmocka_unit_test_setup_teardown(test_not_wanted, setup, teardown),
        };
        const char *why;
        int r;

        if (slice_fixture_enter(&fixture.place, &why) == 0) {
                printf("skipped: %s\n", why);
                return 77;
        }
        r = cmocka_run_group_tests(tests, NULL, NULL);
        slice_fixture_leave(&fixture.place);
        return r;
}
