/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "basic/cleanup.h"
#include "basic/macro.h"
#include "basic/time-util.h"
#include "daemon/daemon-bpf.h"
#include "daemon/daemon-tables.h"
#include "slice-fixture.h"

/*
 * Connections of a tcp service, from the pick in the connect hook to the last state that sock_ops sees.
 */

#define SLICE 7
#define VIP "127.71.0.10"
#define VIP_PORT 5432

/* Cells of the extent. */
enum { POLICY, SUBSET, ROUTE, SPLIT, SLOTS, IDS, N_CELLS };

typedef struct Fixture {
        SliceFixture place;
        char pins[64];
        BpfPrograms *bpf;
        Tables *tables;
        uint32_t service;
        struct sm_link_event last_event;
} Fixture;

static Fixture fixture;

static struct sm_endpoint_state *endpoint_state(uint32_t id) {
        return sm_endpoint_state_at(tables_view(fixture.tables), id);
}

static uint32_t make_endpoint(const char *address, uint16_t port) {
        BoundEndpoint e = { .port = port, .weight = 1 };

        parse_address(address, e.address.s6_addr);
        assert_int_equal(tables_id_get(fixture.tables, ID_ENDPOINT, &e.id), 0);
        assert_int_equal(tables_set_endpoint(fixture.tables, e.id, fixture.service, &e), 0);
        return e.id;
}

/* A policy of one subset, its slots as given. */
static void commit(enum sm_balance balance, const uint32_t *slots, uint32_t n_slots) {
        struct sm_cell cells[N_CELLS] = {};
        PolicyExtent extent = { .cells = cells, .n_cells = N_CELLS };

        *(struct sm_policy *) &cells[POLICY] = (struct sm_policy) {
                .n_cells = N_CELLS, .service = fixture.service, .protocol = SM_PROTOCOL_TCP,
                .routes = ROUTE, .n_routes = 1, .subsets = SUBSET, .n_subsets = 1,
        };
        *(struct sm_subset *) &cells[SUBSET] = (struct sm_subset) {
                .state = 1, .balance = (__u8) balance, .schedule = { SLOTS, n_slots },
                .endpoints = IDS, .n_endpoints = n_slots,
        };
        *(struct sm_route *) &cells[ROUTE] = (struct sm_route) { .state = 1, .split = { SPLIT, 1 } };
        for (uint32_t i = 0; i < n_slots; i++)
                ((uint32_t *) &cells[SLOTS])[i] = ((uint32_t *) &cells[IDS])[i] = slots[i];
        assert_int_equal(tables_commit(fixture.tables, fixture.service, &extent), 1);
}

static int setup(void **state) {
        Fixture *f = &fixture;
        const BpfSettings settings = {
                .pin_path = f->pins, .relay_port = 1, .max_services = 15, .max_endpoints = 15,
                .max_subsets = 15, .max_routes = 15, .max_cells = 255, .max_connections = 1024,
                .fast_connections = 31, .fast_upstreams = 15, .workers = 2,
        };
        BpfVip vip = { .key.port = htons(VIP_PORT), .value.protocol = SM_PROTOCOL_TCP };
        uint32_t entries[_SM_TABLE_MAX];
        int fds[_SM_TABLE_MAX];

        (void) snprintf(f->pins, sizeof(f->pins), "%.31s/slicemesh", f->place.bpffs);
        assert_int_equal(bpf_programs_new(&settings, &f->bpf), 0);
        bpf_programs_tables(f->bpf, fds, entries);
        assert_int_equal(tables_new(fds, entries, &f->tables), 0);
        assert_int_equal(tables_id_get(f->tables, ID_SERVICE, &f->service), 0);
        assert_int_equal(bpf_programs_pin(f->bpf), 0);

        vip.value.service = f->service;
        parse_address(VIP, vip.key.address);
        assert_int_equal(bpf_vips_set(f->bpf, &vip, 1), 0);
        assert_int_equal(bpf_slice_attach(f->bpf, f->place.cgroup, f->place.cgroup_id, SLICE), 0);
        return 0;
}

static int teardown(void **state) {
        Fixture *f = &fixture;

        tables_free(f->tables);
        bpf_programs_free(f->bpf);
        return bpf_pins_remove(f->pins) < 0;
}

static ClientResult connect_to_service(int family) {
        const Client c = { .family = family, .address = VIP, .port = VIP_PORT };
        ClientResult r;

        client_run(&fixture.place, &c, &r);
        return r;
}

/* Connects and closes; whether it worked. */
static int try_service(int family) {
        ClientResult r = connect_to_service(family);

        client_end(&r);
        return r.error;
}

static unsigned n_accepted(int listener) {
        struct pollfd p = { .fd = listener, .events = POLLIN };
        unsigned n = 0;

        for (; poll(&p, 1, 0) == 1; n++)
                close(accept(listener, NULL, NULL));
        return n;
}

static void test_weights(void **state) {
        _cleanup_close_ int one = listen_on("127.0.0.2", 9001), other = listen_on("127.0.0.3", 9001);
        uint32_t a = make_endpoint("127.0.0.2", 9001), b = make_endpoint("127.0.0.3", 9001);

        commit(SM_BALANCE_ROUND_ROBIN, (uint32_t[]) { a, b, a }, 3);
        for (unsigned i = 0; i < 30; i++)
                assert_int_equal(try_service(i % 2 ? AF_INET : AF_INET6), 0);
        assert_int_equal(n_accepted(one), 20);
        assert_int_equal(n_accepted(other), 10);
        assert_int_equal(endpoint_state(a)->requests, 20);
}

static void test_random(void **state) {
        _cleanup_close_ int one = listen_on("127.0.0.2", 9001), other = listen_on("127.0.0.3", 9001);
        uint32_t a = make_endpoint("127.0.0.2", 9001), b = make_endpoint("127.0.0.3", 9001);

        /* 2^-30: that a coin falls on one side 31 times in a row */
        commit(SM_BALANCE_RANDOM, (uint32_t[]) { a, b }, 2);
        for (unsigned i = 0; i < 31; i++)
                assert_int_equal(try_service(AF_INET), 0);
        assert_true(n_accepted(one) > 0);
        assert_true(n_accepted(other) > 0);
}

static void test_same_caller_same_endpoint(void **state) {
        _cleanup_close_ int one = listen_on("127.0.0.2", 9001), other = listen_on("127.0.0.3", 9001);
        uint32_t a = make_endpoint("127.0.0.2", 9001), b = make_endpoint("127.0.0.3", 9001);
        unsigned n;

        commit(SM_BALANCE_CONSISTENT_HASH, (uint32_t[]) { a, b, a, b, a }, 5);
        for (unsigned i = 0; i < 10; i++)
                assert_int_equal(try_service(AF_INET), 0);
        n = n_accepted(one);
        assert_true(n == 0 || n == 10);
        assert_int_equal(n_accepted(other), 10 - n);
}

static void test_name_and_count(void **state) {
        _cleanup_close_ int server = listen_on("127.0.0.2", 9001);
        uint32_t a = make_endpoint("127.0.0.2", 9001);
        ClientResult r, s;

        commit(SM_BALANCE_ROUND_ROBIN, &a, 1);
        r = connect_to_service(AF_INET);
        s = connect_to_service(AF_INET6);
        assert_string_equal(r.peer, VIP);
        assert_string_equal(s.peer, "::ffff:" VIP);
        assert_int_equal(r.peer_port, VIP_PORT);
        assert_int_equal(endpoint_state(a)->in_flight, 2);
        client_end(&r);
        client_end(&s);
        assert_int_equal(n_accepted(server), 2); /* closes them, which is the end of both */
        assert_int_equal(endpoint_state(a)->in_flight, 0);
        assert_int_equal(endpoint_state(a)->connections, 0);
}

static void test_least_request_prefers_the_idle_one(void **state) {
        _cleanup_close_ int one = listen_on("127.0.0.2", 9001), other = listen_on("127.0.0.3", 9001);
        uint32_t a = make_endpoint("127.0.0.2", 9001), b = make_endpoint("127.0.0.3", 9001);
        ClientResult held[6];

        commit(SM_BALANCE_LEAST_REQUEST, (uint32_t[]) { a, b }, 2);
        for (size_t i = 0; i < ELEMENTSOF(held); i++)
                held[i] = connect_to_service(AF_INET);
        /* of two endpoints both are looked at each time, so they take turns */
        assert_int_equal(endpoint_state(a)->in_flight, 3);
        assert_int_equal(endpoint_state(b)->in_flight, 3);
        for (size_t i = 0; i < ELEMENTSOF(held); i++)
                client_end(&held[i]);
}

static void note_event(const struct sm_link_event *event, void *userdata) {
        ((Fixture *) userdata)->last_event = *event;
}

static void test_failure_is_avoided(void **state) {
        _cleanup_close_ int server = listen_on("127.0.0.2", 9001);
        uint32_t good = make_endpoint("127.0.0.2", 9001), dead = make_endpoint("127.0.0.3", 9001);
        unsigned failed = 0;
        int fd;

        assert_int_equal(bpf_events_open(fixture.bpf, note_event, &fixture, &fd), 0);
        commit(SM_BALANCE_ROUND_ROBIN, (uint32_t[]) { good, dead }, 2);
        for (unsigned i = 0; i < 10; i++)
                failed += try_service(AF_INET) == ECONNREFUSED;
        assert_int_equal(failed, 1);
        assert_int_equal(n_accepted(server), 9);
        assert_int_equal(endpoint_state(dead)->failures, 1);
        assert_int_equal(endpoint_state(dead)->failures_in_row, 1);
        assert_int_equal(endpoint_state(dead)->in_flight, 0);
        assert_true(endpoint_state(dead)->avoid_until <= now_nsec() + NSEC_PER_SEC);
        assert_int_equal(bpf_events_read(fixture.bpf), 0);
        assert_int_equal(fixture.last_event.event, SM_EVENT_ENDPOINT_AVOIDED);
        assert_int_equal(fixture.last_event.endpoint, dead);
        assert_int_equal(fixture.last_event.detail, ECONNREFUSED);
}

static void test_avoided_is_better_than_none_and_comes_back(void **state) {
        uint32_t only = make_endpoint("127.0.0.2", 9001);
        int fd, server;

        assert_int_equal(bpf_events_open(fixture.bpf, note_event, &fixture, &fd), 0);
        commit(SM_BALANCE_ROUND_ROBIN, &only, 1);
        assert_int_equal(try_service(AF_INET), ECONNREFUSED);
        assert_int_equal(try_service(AF_INET), ECONNREFUSED);
        assert_int_equal(endpoint_state(only)->failures_in_row, 2);
        server = listen_on("127.0.0.2", 9001);
        assert_int_equal(try_service(AF_INET), 0);
        assert_int_equal(endpoint_state(only)->failures_in_row, 0);
        assert_int_equal(endpoint_state(only)->avoid_until, 0);
        assert_int_equal(bpf_events_read(fixture.bpf), 0);
        assert_int_equal(fixture.last_event.event, SM_EVENT_ENDPOINT_BACK);
        close(server);
}

static void test_no_endpoint(void **state) {
        const struct sm_service_counters *counters =
                sm_service_counters_at(tables_view(fixture.tables), fixture.service);

        assert_int_equal(try_service(AF_INET), ECONNREFUSED);
        assert_int_equal(counters->reasons[SM_REASON_NO_SERVICE], 1);
        commit(SM_BALANCE_ROUND_ROBIN, NULL, 0);
        assert_int_equal(try_service(AF_INET), ECONNREFUSED);
        assert_int_equal(counters->reasons[SM_REASON_NO_ENDPOINT], 1);
        assert_int_equal(bpf_slice_state(fixture.bpf, SLICE)->failed, 2);
}

static void test_ipv4_socket_passes_over_ipv6_endpoints(void **state) {
        _cleanup_close_ int v4 = listen_on("127.0.0.2", 9001), v6 = listen_on("::1", 9001);
        uint32_t a = make_endpoint("::1", 9001), b = make_endpoint("127.0.0.2", 9001);

        commit(SM_BALANCE_ROUND_ROBIN, (uint32_t[]) { a, b }, 2);
        for (unsigned i = 0; i < 6; i++)
                assert_int_equal(try_service(AF_INET), 0);
        assert_int_equal(n_accepted(v4), 6);
        for (unsigned i = 0; i < 6; i++)
                assert_int_equal(try_service(AF_INET6), 0);
        assert_int_equal(n_accepted(v6), 3);
        commit(SM_BALANCE_ROUND_ROBIN, &a, 1);
        assert_int_equal(try_service(AF_INET), ECONNREFUSED);
}

#define tcp_test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                tcp_test(test_weights),
                tcp_test(test_random),
                tcp_test(test_same_caller_same_endpoint),
                tcp_test(test_name_and_count),
                tcp_test(test_least_request_prefers_the_idle_one),
                tcp_test(test_failure_is_avoided),
                tcp_test(test_avoided_is_better_than_none_and_comes_back),
                tcp_test(test_no_endpoint),
                tcp_test(test_ipv4_socket_passes_over_ipv6_endpoints),
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
