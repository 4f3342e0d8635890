/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <cmocka.h>

#include "path-fixture.h"

FastFixture fixture;

struct sm_slot *path_slot(void) {
        return &fixture.tables.slots[SLOT];
}

struct sm_downstream *path_downstream(void) {
        return &fixture.tables.downstreams[DOWNSTREAM];
}

/* One route, to a subset of one endpoint. */
static void make_policy(void) {
        *(struct sm_policy *) &fixture.cells[POLICY] = (struct sm_policy) {
                .n_cells = SLOTS, .service = SERVICE,
                .routes = ROUTE - POLICY, .n_routes = 1, .subsets = SUBSET - POLICY, .n_subsets = 1,
        };
        *(struct sm_subset *) &fixture.cells[SUBSET] = (struct sm_subset) {
                .state = SUBSET_STATE, .schedule = { SLOTS - POLICY, 1 },
                .endpoints = SLOTS - POLICY, .n_endpoints = 1,
        };
        *(struct sm_route *) &fixture.cells[ROUTE] = (struct sm_route) {
                .state = ROUTE_STATE, .split = { SPLIT - POLICY, 1 },
        };
        *(__u32 *) &fixture.cells[SLOTS] = ENDPOINT;
        fixture.services[SERVICE] = (struct sm_service) { .root = POLICY, .generation = 1 };
}

static void make_downstream(const Connection *c) {
        const struct sm_socket_context context = {
                .service = SERVICE, .generation = 1, .slice = SLICE, .downstream = DOWNSTREAM,
        };
        struct sm_downstream *d = path_downstream();
        socklen_t size = sizeof(d->cookie);

        assert_int_equal(getsockopt(c->near, SOL_SOCKET, SO_COOKIE, &d->cookie, &size), 0);
        d->node.word = 1ULL << 32 | SM_OWNER_SOCKET | SM_OWNER_RELAY;
        d->state = SM_DOWNSTREAM_IDLE;
        d->chosen_at = SM_NOTHING_CHOSEN;
        assert_int_equal(storage_set(fixture.bpf->maps.socket_contexts, c->near, &context), 0);
        assert_int_equal(socket_put(fixture.bpf->maps.caller_sockets, &d->cookie, c->near), 0);
}

static void make_slot(const Connection *c, bool local) {
        struct sm_enrolment e = { .key = c->key, .slot = SLOT, .connection = 1 };
        LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = &e, .data_size_in = sizeof(e));
        __u64 word = 0;
        __u32 key = SLOT;

        if (local) {
                assert_int_equal(bpf_prog_test_run_opts(bpf_program__fd(fixture.bpf->progs.sm_enrol),
                                                        &options), 0);
                assert_int_equal(options.retval, SM_ENROLLED);
        } else
                assert_int_equal(socket_put(fixture.bpf->maps.upstream_sockets, &key, c->near), 0);
        path_slot()->endpoint = ENDPOINT;
        path_slot()->stack = sm_idle_index(ENDPOINT, 0, 1);
        path_slot()->key = c->key;
        path_slot()->local = local;
        assert_true(sm_slot_bind(&fixture.tables, SLOT, path_slot(), &word));
}

Path path_start(bool local) {
        Path p = {
                .caller = connection_new(&fixture, "127.0.0.2", NULL, SOCK_NONBLOCK),
                .server = connection_new(&fixture, "127.0.0.3", fixture.place.cgroup, SOCK_NONBLOCK),
        };

        fast_fixture_reset(&fixture);
        *fixture.control = (struct sm_fast_control) {
                .features = SM_FAST_ALL, .workers = 1, .head_max = SM_HEAD_MAX,
        };
        make_policy();
        make_downstream(&p.caller);
        make_slot(&p.server, local);
        return p;
}

void path_end(Path *p) {
        connection_close(&p->caller);
        connection_close(&p->server);
}

void assert_reads(int fd, const char *text) {
        char buffer[512] = {};

        assert_true(strlen(text) < sizeof(buffer));
        read_exactly(fd, buffer, strlen(text));
        assert_string_equal(buffer, text);
}

void send_text(int fd, const char *text) {
        send_exactly(fd, text, strlen(text));
}

void assert_nothing_to_read(int fd) {
        struct pollfd p = { .fd = fd, .events = POLLIN };

        assert_int_equal(poll(&p, 1, 0), 0);
}

void path_exchange(const Path *p, const char *request, const char *response) {
        send_text(p->caller.near, request);
        assert_reads(p->server.far, request);
        assert_int_equal(sm_slot_state(path_slot()->node.word), SM_SLOT_WAITING);
        assert_int_equal(sm_downstream_state(path_downstream()->state), SM_DOWNSTREAM_KERNEL);
        send_text(p->server.far, response);
        assert_reads(p->caller.near, response);
        assert_int_equal(sm_slot_state(path_slot()->node.word), SM_SLOT_FREE);
        assert_int_equal(path_downstream()->state, SM_DOWNSTREAM_IDLE);
        assert_nothing_to_read(p->caller.far);
        assert_nothing_to_read(p->server.near);
}

static void attach(void) {
        struct slicemesh_bpf *bpf = fixture.bpf;

        fast_attach(bpf->maps.caller_sockets, bpf->progs.sm_msg_caller);
        fast_attach(bpf->maps.caller_sockets, bpf->progs.sm_pass);
        fast_attach(bpf->maps.server_sockets, bpf->progs.sm_msg_server);
        fast_attach(bpf->maps.server_sockets, bpf->progs.sm_pass);
        fast_attach_sent(&fixture);
}

int path_fixture_enter(const char **ret_why) {
        const FastPrograms programs = { .caller = true, .server = true, .enrol = true, .sent = true };

        if (fast_fixture_enter(&fixture, &programs, ret_why) == 0)
                return 0;
        attach();
        return 1;
}
