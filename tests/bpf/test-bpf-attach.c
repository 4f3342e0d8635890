/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <cmocka.h>

#include "abi/abi-policy.h"
#include "basic/cleanup.h"
#include "basic/macro.h"
#include "daemon/daemon-bpf.h"
#include "engine/engine-unit.h"
#include "slice-fixture.h"

/*
 * The programs on the running kernel, from connect(2) in a slice to what the relay is told. Real
 * sockets, as these hooks have no test run; a stand-in for the relay, which only accepts.
 */

#define RELAY_PORT 15001
#define SLICE 7
#define SERVICE 3

#define CLIENT(f, a, p, ...) (&(const Client) { .family = (f), .address = (a), .port = (p), ##__VA_ARGS__ })

typedef struct Fixture {
        SliceFixture place;
        BpfSettings settings;
        BpfPrograms *bpf;
        int tables[_SM_TABLE_MAX];
        int relay4, relay6;
        char pins[64];
} Fixture;

static Fixture fixture = { .relay4 = -EBADF, .relay6 = -EBADF };

static BpfVip vip(const char *address, uint16_t port, uint32_t slice, uint8_t protocol, uint8_t flags) {
        BpfVip v = {
                .key = { .port = htons(port), .slice = slice },
                .value = { .service = SERVICE, .protocol = protocol, .flags = flags },
        };

        parse_address(address, v.key.address);
        return v;
}

static void load(Fixture *f) {
        uint32_t entries[_SM_TABLE_MAX];

        assert_int_equal(bpf_programs_new(&f->settings, &f->bpf), 0);
        bpf_programs_tables(f->bpf, f->tables, entries);
}

static int setup(void **state) {
        Fixture *f = &fixture;
        BpfVip vips[] = {
                vip("127.71.0.10", 80, 0, SM_PROTOCOL_HTTP, 0),
                vip("fd00:71::10", 80, 0, SM_PROTOCOL_HTTP, 0),
                vip("127.71.0.11", 80, SLICE, SM_PROTOCOL_HTTP, 0),
                vip("127.71.0.11", 80, 0, SM_PROTOCOL_HTTP, SM_VIP_REFUSE),
                vip("127.71.0.12", 80, SLICE + 1, SM_PROTOCOL_HTTP, 0),
                vip("127.71.0.12", 80, 0, SM_PROTOCOL_HTTP, SM_VIP_REFUSE),
        };

        (void) snprintf(f->pins, sizeof(f->pins), "%.31s/slicemesh", f->place.bpffs);
        f->settings = (BpfSettings) {
                .pin_path = f->pins, .relay_port = RELAY_PORT, .max_services = 15, .max_endpoints = 15,
                .max_subsets = 15, .max_routes = 15, .max_cells = 255, .max_connections = 1024,
                .fast_connections = 31, .fast_upstreams = 15, .workers = 2,
        };
        load(f);
        assert_false(bpf_programs_taken_over(f->bpf));
        assert_int_equal(bpf_programs_pin(f->bpf), 0);
        assert_int_equal(bpf_vips_set(f->bpf, vips, ELEMENTSOF(vips)), 0);
        assert_int_equal(bpf_slice_attach(f->bpf, f->place.cgroup, f->place.cgroup_id, SLICE), 0);
        f->relay4 = listen_on("127.0.0.1", RELAY_PORT);
        f->relay6 = listen_on("::1", RELAY_PORT);
        *state = f;
        return 0;
}

static int teardown(void **state) {
        Fixture *f = &fixture;

        bpf_programs_free(f->bpf);
        f->bpf = NULL;
        close(f->relay4);
        close(f->relay6);
        return bpf_pins_remove(f->pins) < 0;
}

/* As the relay does: whoever connects must be on record. The record is taken out if it is there. */
static bool relay_accepts(Fixture *f, int listener, struct sm_caller *ret) {
        struct sm_caller_key key = {};
        struct sockaddr_storage peer;
        struct pollfd p = { .fd = listener, .events = POLLIN };
        int fd;

        assert_int_equal(poll(&p, 1, 5000), 1);
        fd = accept(listener, (struct sockaddr *) &peer, &(socklen_t) { sizeof(peer) });
        assert_true(fd >= 0);
        close(fd);
        if (peer.ss_family == AF_INET) {
                const struct sockaddr_in *v4 = (struct sockaddr_in *) &peer;

                key.port = v4->sin_port;
                key.address[10] = key.address[11] = 0xff;
                memcpy(key.address + 12, &v4->sin_addr, 4);
        } else {
                const struct sockaddr_in6 *v6 = (struct sockaddr_in6 *) &peer;

                key.port = v6->sin6_port;
                memcpy(key.address, &v6->sin6_addr, 16);
        }
        return bpf_map_lookup_and_delete_elem(f->tables[SM_TABLE_CALLERS], &key, ret) == 0;
}

static void check_captured(Fixture *f, const Client *c, int listener) {
        struct sm_caller caller;
        uint8_t asked[16];
        ClientResult r;

        client_run(&f->place, c, &r);
        assert_int_equal(r.error, 0);
        assert_true(relay_accepts(f, listener, &caller));
        parse_address(c->address, asked);
        assert_memory_equal(caller.socket.address, asked, sizeof(asked));
        assert_int_equal(caller.socket.port, htons(c->port));
        assert_int_equal(caller.socket.service, SERVICE);
        assert_int_equal(caller.socket.slice, SLICE);
        assert_int_equal(caller.socket.cgroup, f->place.cgroup_id);
        assert_int_equal(caller.socket.pid, r.pid);
        assert_int_equal(r.peer_port, c->port);
        client_end(&r);
}

static void test_ipv4(void **state) {
        ClientResult r;

        check_captured(*state, CLIENT(AF_INET, "127.71.0.10", 80), fixture.relay4);
        client_run(&fixture.place, CLIENT(AF_INET, "127.71.0.10", 80), &r);
        assert_string_equal(r.peer, "127.71.0.10");
        client_end(&r);
}

static void test_ipv4_mapped(void **state) {
        ClientResult r;

        check_captured(*state, CLIENT(AF_INET6, "127.71.0.10", 80), fixture.relay4);
        client_run(&fixture.place, CLIENT(AF_INET6, "127.71.0.10", 80), &r);
        assert_string_equal(r.peer, "::ffff:127.71.0.10");
        client_end(&r);
}

static void test_ipv6(void **state) {
        ClientResult r;

        check_captured(*state, CLIENT(AF_INET6, "fd00:71::10", 80), fixture.relay6);
        client_run(&fixture.place, CLIENT(AF_INET6, "fd00:71::10", 80), &r);
        assert_string_equal(r.peer, "fd00:71::10");
        client_end(&r);
}

static void test_nonblocking(void **state) {
        check_captured(*state, CLIENT(AF_INET, "127.71.0.10", 80, .twist = TWIST_NONBLOCK), fixture.relay4);
}

static void test_listed_caller(void **state) {
        check_captured(*state, CLIENT(AF_INET, "127.71.0.11", 80), fixture.relay4);
}

static void check_untouched(Fixture *f, const Client *c, int error) {
        uint64_t captured = bpf_slice_state(f->bpf, SLICE)->captured;
        ClientResult r;

        client_run(&f->place, c, &r);
        assert_int_equal(r.error, error);
        client_end(&r);
        assert_int_equal(bpf_slice_state(f->bpf, SLICE)->captured, captured);
}

static void test_unlisted_caller_is_refused(void **state) {
        uint64_t refused = bpf_slice_state(fixture.bpf, SLICE)->refused;

        check_untouched(*state, CLIENT(AF_INET, "127.71.0.12", 80), EPERM);
        check_untouched(*state, CLIENT(AF_INET6, "127.71.0.12", 80), EPERM);
        assert_int_equal(bpf_slice_state(fixture.bpf, SLICE)->refused, refused + 2);
}

static void test_others_are_left_alone(void **state) {
        check_untouched(*state, CLIENT(AF_INET, "127.71.0.10", 81), ECONNREFUSED);
        check_untouched(*state, CLIENT(AF_INET, "127.71.0.13", 80), ECONNREFUSED);
        check_untouched(*state, CLIENT(AF_INET, "127.71.0.10", 80, .twist = TWIST_DATAGRAM), 0);
        check_untouched(*state, CLIENT(AF_INET, "127.71.0.10", 80, .outside = true), ECONNREFUSED);
}

static void test_foreign_netns_is_left_alone(void **state) {
        uint64_t foreign = bpf_slice_state(fixture.bpf, SLICE)->foreign;

        check_untouched(*state, CLIENT(AF_INET, "127.71.0.10", 80, .twist = TWIST_FOREIGN_NETNS),
                        ECONNREFUSED);
        assert_int_equal(bpf_slice_state(fixture.bpf, SLICE)->foreign, foreign + 1);
}

static void test_connecting_anew_forgets(void **state) {
        const Client c = *CLIENT(AF_INET, "127.0.0.2", 80, .twist = TWIST_DISCONNECT_FIRST,
                                 .first = "127.71.0.10");
        _cleanup_close_ int server = listen_on(c.address, c.port);
        ClientResult r;

        client_run(&fixture.place, &c, &r);
        assert_int_equal(r.error, 0);
        assert_string_equal(r.peer, "127.0.0.2");
        client_end(&r);
}

static void test_record_goes_with_its_socket(void **state) {
        struct sm_caller_key key = { .address = { [10] = 0xff, 0xff } };
        struct sm_caller caller;
        ClientResult r;

        client_run(&fixture.place, CLIENT(AF_INET, "127.71.0.10", 80), &r);
        key.port = ((struct sockaddr_in *) &r.local)->sin_port;
        memcpy(key.address + 12, &((struct sockaddr_in *) &r.local)->sin_addr, 4);
        assert_int_equal(bpf_map_lookup_elem(fixture.tables[SM_TABLE_CALLERS], &key, &caller), 0);

        /* Nobody accepts: closing the listener resets the connection. */
        close(fixture.relay4);
        client_end(&r);
        fixture.relay4 = listen_on("127.0.0.1", RELAY_PORT);
        assert_int_equal(bpf_map_lookup_elem(fixture.tables[SM_TABLE_CALLERS], &key, &caller), -ENOENT);
}

/* Below the slice the outermost cgroup that is no slice: what is in there is of the unit's own naming. */
static void test_unit(void **state) {
        static const struct {
                const char *groups[4];
                const char *unit;
        } cases[] = {
                { { "" }, NULL },
                { { "/a.service" }, "a.service" },
                { { "/deep.slice", "/deep.slice/run-u1.scope" }, "run-u1.scope" },
                { { "/b.service", "/b.service/x.slice", "/b.service/x.slice/a.service" }, "b.service" },
                { { "/slice" }, "slice" },
                { { "/a-name-of-more-than-one-piece-which-is-thirty-two-bytes.slice.service" },
                  "a-name-of-more-than-one-piece-which-is-thirty-two-bytes.slice.service" },
        };
        Fixture *f = *state;

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                char path[4][256];
                struct sm_caller caller;
                ClientResult r;
                uint64_t id;
                size_t n = 0;

                for (; n < ELEMENTSOF(path) && cases[i].groups[n]; n++) {
                        snprintf(path[n], sizeof(path[n]), "%s%s", f->place.cgroup, cases[i].groups[n]);
                        if (*cases[i].groups[n])
                                assert_int_equal(slice_cgroup_make(path[n], &id), 0);
                }
                client_run(&f->place, CLIENT(AF_INET, "127.71.0.10", 80, .cgroup = path[n - 1]), &r);
                assert_int_equal(r.error, 0);
                do
                        assert_true(relay_accepts(f, f->relay4, &caller));
                while (caller.socket.pid != (uint32_t) r.pid);
                client_end(&r);
                assert_true(caller.socket.unit == (cases[i].unit ? sm_unit_hash_of(cases[i].unit) : 0));
                while (n-- > 0)
                        if (*cases[i].groups[n])
                                assert_int_equal(rmdir(path[n]), 0);
        }
}

/* The inner slice's programs run first, then the outer one's over what they made of it. */
static void test_slice_within_slice(void **state) {
        Fixture *f = *state;
        struct sm_caller caller;
        char inner[128];
        uint64_t id;
        ClientResult r;

        assert_true(snprintf(inner, sizeof(inner), "%s/inner.slice", f->place.cgroup) < (int) sizeof(inner));
        assert_int_equal(slice_cgroup_make(inner, &id), 0);
        assert_int_equal(bpf_slice_attach(f->bpf, inner, id, SLICE + 1), 0);
        client_run(&f->place, CLIENT(AF_INET, "127.71.0.10", 80, .cgroup = inner), &r);
        assert_int_equal(r.error, 0);
        assert_string_equal(r.peer, "127.71.0.10");
        do
                assert_true(relay_accepts(f, f->relay4, &caller));
        while (caller.socket.pid != (uint32_t) r.pid);
        assert_int_equal(caller.socket.slice, SLICE + 1);
        client_end(&r);
        bpf_slice_forget(f->bpf, id);
        assert_int_equal(rmdir(inner), 0);
}

/* slicemeshd goes, traffic stays; the next one takes over what is pinned. */
static void test_restart(void **state) {
        Fixture *f = *state;

        f->bpf = bpf_programs_free(f->bpf);
        load(f);
        assert_true(bpf_programs_taken_over(f->bpf));
        check_captured(f, CLIENT(AF_INET, "127.71.0.10", 80), f->relay4);
        assert_int_equal(bpf_slice_attach(f->bpf, f->place.cgroup, f->place.cgroup_id, SLICE), 0);
        check_captured(f, CLIENT(AF_INET, "127.71.0.10", 80), f->relay4);
}

static unsigned n_attached(const Fixture *f) {
        static const enum bpf_attach_type types[] = {
                BPF_CGROUP_SOCK_OPS, BPF_CGROUP_INET4_CONNECT, BPF_CGROUP_INET6_CONNECT,
                BPF_CGROUP_INET4_GETPEERNAME, BPF_CGROUP_INET6_GETPEERNAME,
        };
        _cleanup_close_ int fd = open(f->place.cgroup, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        unsigned total = 0;

        assert_true(fd >= 0);
        for (size_t i = 0; i < ELEMENTSOF(types); i++) {
                __u32 ids[8], n = ELEMENTSOF(ids);

                assert_int_equal(bpf_prog_query(fd, types[i], 0, NULL, ids, &n), 0);
                total += n;
        }
        return total;
}

static void test_release_and_detach_leave_nothing(void **state) {
        Fixture *f = *state;
        ClientResult r;

        assert_int_equal(n_attached(f), 5);
        bpf_slice_release(f->bpf, f->place.cgroup_id);
        assert_int_equal(n_attached(f), 3);
        check_untouched(f, CLIENT(AF_INET, "127.71.0.10", 80), ECONNREFUSED);
        assert_int_equal(bpf_slice_attach(f->bpf, f->place.cgroup, f->place.cgroup_id, SLICE), 0);
        check_captured(f, CLIENT(AF_INET, "127.71.0.10", 80), f->relay4);

        f->bpf = bpf_programs_free(f->bpf);
        assert_int_equal(bpf_pins_remove(f->pins), 1);
        assert_int_equal(bpf_pins_remove(f->pins), 0);
        assert_int_equal(n_attached(f), 0);
        client_run(&f->place, CLIENT(AF_INET, "127.71.0.10", 80), &r);
        assert_int_equal(r.error, ECONNREFUSED);
        client_end(&r);
}

static void test_failed_attach_leaves_nothing(void **state) {
        Fixture *f = *state;

        /* a plain directory is no cgroup */
        assert_true(bpf_slice_attach(f->bpf, "/tmp", 1, SLICE) < 0);
        assert_int_equal(n_attached(f), 5);
        assert_true(bpf_slice_attach(f->bpf, "/nonexistent", 1, SLICE) < 0);
}

#define mesh_test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                mesh_test(test_ipv4),
                mesh_test(test_ipv4_mapped),
                mesh_test(test_ipv6),
                mesh_test(test_nonblocking),
                mesh_test(test_listed_caller),
                mesh_test(test_unlisted_caller_is_refused),
                mesh_test(test_others_are_left_alone),
                mesh_test(test_foreign_netns_is_left_alone),
                mesh_test(test_connecting_anew_forgets),
                mesh_test(test_record_goes_with_its_socket),
                mesh_test(test_unit),
                mesh_test(test_slice_within_slice),
                mesh_test(test_restart),
                mesh_test(test_release_and_detach_leave_nothing),
                mesh_test(test_failed_attach_leaves_nothing),
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
