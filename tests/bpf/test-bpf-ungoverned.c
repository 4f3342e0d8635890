/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "abi/abi-policy.h"
#include "basic/cleanup.h"
#include "basic/macro.h"
#include "daemon/daemon-bpf.h"
#include "slice-fixture.h"

/*
 * Connections that are open when their slice becomes managed, to addresses where somebody really listens.
 */

#define RELAY_PORT 15001
#define PORT 8080
#define SLICE 7
#define INNER 8

#define CLIENT(f, a, p, ...) (&(const Client) { .family = (f), .address = (a), .port = (p), ##__VA_ARGS__ })

typedef struct Fixture {
        SliceFixture place;
        char pins[64], below[128];
        uint64_t below_id;
        BpfPrograms *bpf;
        int listeners[4];
} Fixture;

static Fixture fixture;

static void load(Fixture *f) {
        const BpfSettings s = {
                .pin_path = f->pins, .relay_port = RELAY_PORT, .max_services = 15, .max_endpoints = 15,
                .max_subsets = 15, .max_routes = 15, .max_cells = 255, .max_connections = 1024,
                .fast_connections = 31, .fast_upstreams = 15, .workers = 2,
        };

        assert_int_equal(bpf_programs_new(&s, &f->bpf), 0);
}

/* Service 1 is for all, 2 for the inner slice alone. */
static void set_vips(Fixture *f, bool relay_too) {
        const struct {
                const char *address;
                uint16_t port;
                uint32_t slice, service;
                uint8_t flags;
        } entries[] = {
                { "127.0.0.5", PORT, 0, 1, 0 },
                { "::1", PORT, 0, 1, 0 },
                { "127.0.0.6", PORT, 0, 2, SM_VIP_REFUSE },
                { "127.0.0.6", PORT, INNER, 2, 0 },
                { "127.0.0.1", RELAY_PORT, 0, 1, 0 },
        };
        BpfVip vips[ELEMENTSOF(entries)] = {};

        for (size_t i = 0; i < ELEMENTSOF(entries); i++) {
                vips[i].key.port = htons(entries[i].port);
                vips[i].key.slice = entries[i].slice;
                vips[i].value.service = entries[i].service;
                vips[i].value.protocol = SM_PROTOCOL_HTTP;
                vips[i].value.flags = entries[i].flags;
                parse_address(entries[i].address, vips[i].key.address);
        }
        assert_int_equal(bpf_vips_set(f->bpf, vips, relay_too ? ELEMENTSOF(vips) : ELEMENTSOF(vips) - 1), 0);
}

static void attach(Fixture *f) {
        assert_int_equal(bpf_slice_attach(f->bpf, f->place.cgroup, f->place.cgroup_id, SLICE), 0);
}

static int setup(void **state) {
        Fixture *f = *state = &fixture;

        (void) snprintf(f->pins, sizeof(f->pins), "%.31s/slicemesh", f->place.bpffs);
        load(f);
        assert_int_equal(bpf_programs_pin(f->bpf), 0);
        assert_true(snprintf(f->below, sizeof(f->below), "%s/below.service", f->place.cgroup) <
                    (int) sizeof(f->below));
        assert_int_equal(slice_cgroup_make(f->below, &f->below_id), 0);
        f->listeners[0] = listen_on("127.0.0.5", PORT);
        f->listeners[1] = listen_on("127.0.0.6", PORT);
        f->listeners[2] = listen_on("::1", PORT);
        f->listeners[3] = listen_on("127.0.0.1", RELAY_PORT);
        return 0;
}

static int unmanage(void **state) {
        Fixture *f = *state = &fixture;

        bpf_slice_forget(f->bpf, f->below_id);
        bpf_slice_forget(f->bpf, f->place.cgroup_id);
        set_vips(f, false);
        return 0;
}

static int teardown(void **state) {
        Fixture *f = &fixture;

        bpf_programs_free(f->bpf);
        for (size_t i = 0; i < ELEMENTSOF(f->listeners); i++)
                close(f->listeners[i]);
        assert_int_equal(rmdir(f->below), 0);
        return bpf_pins_remove(f->pins) < 0;
}

/* How many reads it took. */
static unsigned count(const Fixture *f, uint32_t counts[static SM_SLICES_MAX]) {
        _cleanup_close_ int fd = -EBADF;
        unsigned n = 1;
        int r;

        memset(counts, 0, SM_SLICES_MAX * sizeof(*counts));
        assert_int_equal(bpf_ungoverned_open(f->bpf, &fd), 0);
        for (; (r = bpf_ungoverned_read(fd, counts)) > 0; n++)
                ;
        assert_int_equal(r, 0);
        return n;
}

static uint32_t count_of(const Fixture *f, uint32_t slice) {
        uint32_t counts[SM_SLICES_MAX], others = 0;

        (void) count(f, counts);
        for (uint32_t i = 0; i < SM_SLICES_MAX; i++)
                others += i == SLICE || i == INNER ? 0 : counts[i];
        assert_int_equal(others, 0);
        return counts[slice];
}

static ClientResult run(const Fixture *f, const Client *c) {
        ClientResult r;

        client_run(&f->place, c, &r);
        assert_int_equal(r.error, 0);
        return r;
}

/* Before the slice is managed, while it is, and after the connection has ended. */
static void check(Fixture *f, const Client *c, uint32_t expected) {
        ClientResult r = run(f, c);

        assert_int_equal(count_of(f, SLICE), 0);
        attach(f);
        assert_int_equal(count_of(f, SLICE), expected);
        assert_int_equal(count_of(f, INNER), 0);
        client_end(&r);
        assert_int_equal(count_of(f, SLICE), 0);
}

static void test_ipv4(void **state) {
        check(*state, CLIENT(AF_INET, "127.0.0.5", PORT), 1);
}

static void test_ipv4_mapped(void **state) {
        check(*state, CLIENT(AF_INET6, "127.0.0.5", PORT), 1);
}

static void test_ipv6(void **state) {
        check(*state, CLIENT(AF_INET6, "::1", PORT), 1);
}

static void test_below_the_slice(void **state) {
        check(*state, CLIENT(AF_INET, "127.0.0.5", PORT, .cgroup = fixture.below), 1);
}

static void test_outside_of_the_slice(void **state) {
        check(*state, CLIENT(AF_INET, "127.0.0.5", PORT, .outside = true), 0);
}

static void test_to_no_service(void **state) {
        check(*state, CLIENT(AF_INET, "127.0.0.1", RELAY_PORT), 0);
}

static void test_that_would_be_refused(void **state) {
        check(*state, CLIENT(AF_INET, "127.0.0.6", PORT), 0);
}

/* It counts for the inner slice, whose programs would be the first. */
static void test_slice_within_slice(void **state) {
        Fixture *f = *state;
        ClientResult r = run(f, CLIENT(AF_INET, "127.0.0.6", PORT, .cgroup = f->below)),
                     s = run(f, CLIENT(AF_INET, "127.0.0.5", PORT));

        attach(f);
        assert_int_equal(bpf_slice_attach(f->bpf, f->below, f->below_id, INNER), 0);
        assert_int_equal(count_of(f, INNER), 1);
        assert_int_equal(count_of(f, SLICE), 1);
        client_end(&r);
        client_end(&s);
}

/* Where the relay listens is made a service's address afterwards: what was captured has its socket's context
 * to show, and nothing else. */
static void test_captured(void **state) {
        Fixture *f = *state;
        ClientResult before = run(f, CLIENT(AF_INET, "127.0.0.1", RELAY_PORT)), captured;

        attach(f);
        captured = run(f, CLIENT(AF_INET, "127.0.0.5", PORT));
        set_vips(f, true);
        assert_int_equal(count_of(f, SLICE), 1);
        f->bpf = bpf_programs_free(f->bpf);
        load(f);
        assert_true(bpf_programs_taken_over(f->bpf));
        attach(f);
        assert_int_equal(count_of(f, SLICE), 1);
        client_end(&before);
        assert_int_equal(count_of(f, SLICE), 0);
        client_end(&captured);
}

static void test_released(void **state) {
        Fixture *f = *state;
        ClientResult r = run(f, CLIENT(AF_INET, "127.0.0.5", PORT));

        attach(f);
        bpf_slice_release(f->bpf, f->place.cgroup_id);
        assert_int_equal(count_of(f, SLICE), 0);
        client_end(&r);
}

/* Listening sockets are looked at as well. */
static void test_more_sockets_than_one_read_takes(void **state) {
        const struct rlimit limit = { .rlim_cur = 4096, .rlim_max = 4096 };
        static int fds[2500];
        uint32_t counts[SM_SLICES_MAX];
        Fixture *f = *state;
        ClientResult r;

        assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
        for (size_t i = 0; i < ELEMENTSOF(fds); i++)
                fds[i] = listen_on("127.0.0.7", 0);
        r = run(f, CLIENT(AF_INET, "127.0.0.5", PORT));
        attach(f);
        assert_true(count(f, counts) > 2);
        assert_int_equal(counts[SLICE], 1);
        client_end(&r);
        for (size_t i = 0; i < ELEMENTSOF(fds); i++)
                close(fds[i]);
}

#define mesh_test(name) cmocka_unit_test_setup(name, unmanage)

int main(void) {
        const struct CMUnitTest tests[] = {
                mesh_test(test_ipv4),
                mesh_test(test_ipv4_mapped),
                mesh_test(test_ipv6),
                mesh_test(test_below_the_slice),
                mesh_test(test_outside_of_the_slice),
                mesh_test(test_to_no_service),
                mesh_test(test_that_would_be_refused),
                mesh_test(test_slice_within_slice),
                mesh_test(test_captured),
                mesh_test(test_released),
                mesh_test(test_more_sockets_than_one_read_takes),
        };
        const char *why;
        int r;

        if (slice_fixture_enter(&fixture.place, &why) == 0) {
                printf("skipped: %s\n", why);
                return 77;
        }
        r = cmocka_run_group_tests(tests, setup, teardown);
        slice_fixture_leave(&fixture.place);
        return r;
}
