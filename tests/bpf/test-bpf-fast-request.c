/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <cmocka.h>

#include "basic/cleanup.h"
#include "basic/macro.h"
#include "fast-fixture.h"

/*
 * Requests from a caller's send() to its recv(), with all the programs on the way: that they get there, that
 * what is not for the kernel gets to the relay as it was sent, and what is left in memory.
 */

#define SLOT 1
#define DOWNSTREAM 2
#define ENDPOINT 3
#define SERVICE 4
#define SLICE 5
#define ROUTE_STATE 6
#define TIMES 1000

/* Cells of the policy; index 0 is none. */
enum { POLICY = 1, SUBSET, ROUTE, SPLIT, SLOTS };

#define GET "GET /a HTTP/1.1\r\nHost: shop\r\n\r\n"
#define POST_HEAD "POST /a HTTP/1.1\r\nHost: shop\r\nContent-Length: 5\r\n\r\n"
#define POST POST_HEAD "hello"
#define CHUNKED "POST /a HTTP/1.1\r\nHost: shop\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
#define OK "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nanswer"

/* The caller's connection to the relay, and the relay's to a server. */
typedef struct Path {
        Connection caller, server;
} Path;

static FastFixture fixture;

static struct sm_slot *slot(void) {
        return &fixture.tables.slots[SLOT];
}

static struct sm_downstream *downstream(void) {
        return &fixture.tables.downstreams[DOWNSTREAM];
}

/* One route, to a subset of one endpoint. */
static void make_policy(void) {
        *(struct sm_policy *) &fixture.cells[POLICY] = (struct sm_policy) {
                .n_cells = SLOTS, .service = SERVICE,
                .routes = ROUTE - POLICY, .n_routes = 1, .subsets = SUBSET - POLICY, .n_subsets = 1,
        };
        *(struct sm_subset *) &fixture.cells[SUBSET] = (struct sm_subset) {
                .state = 1, .schedule = { SLOTS - POLICY, 1 }, .endpoints = SLOTS - POLICY, .n_endpoints = 1,
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
        struct sm_downstream *d = downstream();
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
        slot()->endpoint = ENDPOINT;
        slot()->stack = sm_idle_index(ENDPOINT, 0, 1);
        slot()->key = c->key;
        slot()->local = local;
        assert_true(sm_slot_bind(&fixture.tables, SLOT, slot(), &word));
}

static Path start(bool local) {
        Path p = {
                .caller = connection_new(&fixture, "127.0.0.2", NULL, SOCK_NONBLOCK),
                .server = connection_new(&fixture, "127.0.0.3", fixture.place.cgroup, SOCK_NONBLOCK),
        };

        fast_fixture_reset(&fixture);
        *fixture.control = (struct sm_fast_control) {
                .features = SM_FAST_REQUESTS | SM_FAST_SERVERS, .workers = 1,
                .head_max = SM_HEAD_MAX,
        };
        make_policy();
        make_downstream(&p.caller);
        make_slot(&p.server, local);
        return p;
}

static void end(Path *p) {
        connection_close(&p->caller);
        connection_close(&p->server);
}

static void assert_reads(int fd, const char *text) {
        char buffer[128] = {};

        assert_true(strlen(text) < sizeof(buffer));
        read_exactly(fd, buffer, strlen(text));
        assert_string_equal(buffer, text);
}

static void send_text(int fd, const char *text) {
        send_exactly(fd, text, strlen(text));
}

static void assert_nothing_to_read(int fd) {
        struct pollfd p = { .fd = fd, .events = POLLIN };

        assert_int_equal(poll(&p, 1, 0), 0);
}

/* Nobody else has seen it. */
static void exchange(const Path *p, const char *request, const char *response) {
        send_text(p->caller.near, request);
        assert_reads(p->server.far, request);
        assert_int_equal(sm_slot_state(slot()->node.word), SM_SLOT_WAITING);
        assert_int_equal(sm_downstream_state(downstream()->state), SM_DOWNSTREAM_KERNEL);
        send_text(p->server.far, response);
        assert_reads(p->caller.near, response);
        assert_int_equal(sm_slot_state(slot()->node.word), SM_SLOT_FREE);
        assert_int_equal(downstream()->state, SM_DOWNSTREAM_IDLE);
        assert_nothing_to_read(p->caller.far);
        assert_nothing_to_read(p->server.near);
}

static void test_by_the_kernel_alone(void **state) {
        const struct sm_service_counters *counters = &fixture.tables.service_counters[SERVICE];
        const struct sm_endpoint_state *endpoint = &fixture.tables.endpoint_states[ENDPOINT];
        Path p = start(true);

        for (int n = 0; n < TIMES; n++)
                exchange(&p, n % 2 ? POST : GET, OK);
        assert_int_equal(counters->requests, TIMES);
        assert_int_equal(counters->active, 0);
        assert_int_equal(counters->request_bytes, TIMES / 2 * 5);
        assert_int_equal(counters->response_bytes, TIMES * 6);
        assert_int_equal(counters->status[2], TIMES);
        assert_int_equal(endpoint->requests, TIMES);
        assert_int_equal(endpoint->in_flight, 0);
        assert_int_equal(fixture.service_paths[SERVICE].fast, TIMES);
        assert_int_equal(fixture.slice_paths[SLICE].fast, TIMES);
        end(&p);
}

static void test_response_in_parts(void **state) {
        Path p = start(true);

        send_text(p.caller.near, GET);
        assert_reads(p.server.far, GET);
        send_text(p.server.far, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n");
        assert_int_equal(sm_slot_remaining(slot()->node.word), 6);
        send_text(p.server.far, "ans");
        assert_int_equal(sm_slot_state(slot()->node.word), SM_SLOT_RESPONDING);
        send_text(p.server.far, "wer");
        assert_int_equal(sm_slot_state(slot()->node.word), SM_SLOT_FREE);
        assert_reads(p.caller.near, OK);
        end(&p);
}

/* Of what is taken, the relay has a copy. */
static void test_copy_for_the_relay(void **state) {
        struct sm_request_copy *copies;
        Path p = start(true);

        copies = mmap(NULL, FAST_SLOTS * sizeof(*copies), PROT_READ, MAP_SHARED,
                      bpf_map__fd(fixture.bpf->maps.requests), 0);
        assert_ptr_not_equal(copies, MAP_FAILED);
        send_text(p.caller.near, POST);
        assert_int_equal(copies[DOWNSTREAM].length, strlen(POST));
        assert_int_equal(copies[DOWNSTREAM].size, strlen(POST));
        assert_int_equal(copies[DOWNSTREAM].route, ROUTE_STATE);
        assert_memory_equal(copies[DOWNSTREAM].bytes, POST, strlen(POST));
        assert_int_equal(slot()->body, 5);
        assert_int_equal(munmap(copies, FAST_SLOTS * sizeof(*copies)), 0);
        end(&p);
}

static void test_out_of_the_upstream(void **state) {
        Path p = start(false);

        send_text(p.caller.near, POST);
        assert_reads(p.server.far, POST);
        assert_int_equal(sm_slot_state(slot()->node.word), SM_SLOT_WAITING);
        send_text(p.server.far, OK);
        assert_reads(p.server.near, OK);
        assert_nothing_to_read(p.caller.far);
        end(&p);
}

static void test_request_is_not_for_the_kernel(void **state) {
        static const struct {
                const char *request;
                enum sm_slow why;
        } cases[] = {
                { "GET /a HTTP/1.1\r\nHost: sh", SM_SLOW_SPLIT },
                { POST_HEAD, SM_SLOW_SPLIT },
                { GET GET, SM_SLOW_SPLIT },
                { CHUNKED, SM_SLOW_CODED },
                { "GET /a HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n", SM_SLOW_REWRITTEN },
                { "GET /a\r\n\r\n", SM_SLOW_REFUSED },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                Path p = start(true);

                send_text(p.caller.near, cases[i].request);
                assert_reads(p.caller.far, cases[i].request);
                assert_int_equal(downstream()->slow, cases[i].why);
                assert_int_equal(downstream()->chosen_at, SM_NOTHING_CHOSEN);
                assert_int_equal(sm_slot_state(slot()->node.word), SM_SLOT_FREE);
                assert_nothing_to_read(p.server.far);

                /* The relay has not answered it yet. */
                send_text(p.caller.near, GET);
                assert_reads(p.caller.far, GET);
                assert_int_equal(downstream()->slow, SM_SLOW_NOT_IN_STEP);
                end(&p);
        }
}

/* Also after the relay's answer was read, and not before. */
static void test_after_the_relay(void **state) {
        Path p = start(true);

        send_text(p.caller.near, CHUNKED);
        assert_reads(p.caller.far, CHUNKED);
        downstream()->written = strlen(OK);
        send_text(p.caller.far, OK);
        downstream()->answered = strlen(CHUNKED);
        await_readable(p.caller.near);
        send_text(p.caller.near, GET);
        assert_reads(p.caller.far, GET);
        assert_int_equal(downstream()->slow, SM_SLOW_NOT_IN_STEP);

        downstream()->answered += strlen(GET);
        assert_reads(p.caller.near, OK);
        exchange(&p, GET, OK);
        end(&p);
}

static void test_no_upstream(void **state) {
        Path p = start(true);
        __u64 word;

        assert_int_equal(sm_stack_pop(&fixture.tables, &fixture.tables.idle_slots[slot()->stack],
                                      SM_STACK_SLOTS, &word), SLOT);
        send_text(p.caller.near, GET);
        assert_reads(p.caller.far, GET);
        assert_int_equal(downstream()->slow, SM_SLOW_NO_UPSTREAM);
        assert_int_equal(downstream()->chosen_at, 0);
        assert_int_equal(downstream()->chosen_root, POLICY);
        assert_int_equal(downstream()->chosen_endpoint, ENDPOINT);
        end(&p);
}

static void test_response_is_not_for_the_kernel(void **state) {
        static const struct {
                const char *response;
                enum sm_slow why;
        } cases[] = {
                { "HTTP/1.1 200 OK\r\n\r\nuntil it closes", SM_SLOW_RESPONSE_FRAMING },
                { "HTTP/1.1 100 Continue\r\n\r\n", SM_SLOW_INTERIM },
                { "HTTP/1.1 200 OK\r\nContent-Length: 65536\r\n\r\n", SM_SLOW_RESPONSE_TOO_LARGE },
                { "HTTP/1.1 200 OK\r\nContent-Le", SM_SLOW_RESPONSE_MALFORMED },
                { OK "more", SM_SLOW_RESPONSE_BROKEN },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                Path p = start(true);

                send_text(p.caller.near, GET);
                assert_reads(p.server.far, GET);
                send_text(p.server.far, cases[i].response);
                assert_reads(p.server.near, cases[i].response);
                assert_int_equal(slot()->slow, cases[i].why);
                assert_int_equal(sm_slot_state(slot()->node.word), SM_SLOT_RELAY);
                assert_int_equal(sm_slot_remaining(slot()->node.word), SM_REMAINING_ALL);
                assert_nothing_to_read(p.caller.near);
                end(&p);
        }
}

static void test_caller_is_gone(void **state) {
        Path p = start(true);

        send_text(p.caller.near, GET);
        assert_reads(p.server.far, GET);
        close(TAKE_FD(p.caller.near));
        send_text(p.server.far, OK);
        assert_reads(p.server.near, OK);
        assert_int_equal(slot()->slow, SM_SLOW_CALLER_GONE);
        assert_int_equal(sm_slot_state(slot()->node.word), SM_SLOT_RELAY);
        close(p.caller.far);
        connection_close(&p.server);
}

static void attach(void) {
        struct slicemesh_bpf *bpf = fixture.bpf;

        fast_attach(bpf->maps.caller_sockets, bpf->progs.sm_msg_caller);
        fast_attach(bpf->maps.caller_sockets, bpf->progs.sm_pass);
        fast_attach(bpf->maps.server_sockets, bpf->progs.sm_msg_server);
        fast_attach(bpf->maps.server_sockets, bpf->progs.sm_pass);
        fast_attach_sent(&fixture);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_by_the_kernel_alone),
                cmocka_unit_test(test_response_in_parts),
                cmocka_unit_test(test_copy_for_the_relay),
                cmocka_unit_test(test_out_of_the_upstream),
                cmocka_unit_test(test_request_is_not_for_the_kernel),
                cmocka_unit_test(test_after_the_relay),
                cmocka_unit_test(test_no_upstream),
                cmocka_unit_test(test_response_is_not_for_the_kernel),
                cmocka_unit_test(test_caller_is_gone),
        };
        const FastPrograms programs = { .caller = true, .server = true, .enrol = true, .sent = true };
        const char *why;
        int r;

        if (fast_fixture_enter(&fixture, &programs, &why) == 0) {
                printf("skipped: %s\n", why);
                return 77;
        }
        attach();
        r = cmocka_run_group_tests(tests, NULL, NULL);
        fast_fixture_leave(&fixture);
        return r;
}
