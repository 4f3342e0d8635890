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
#include "path-fixture.h"

/*
 * Requests from a caller's send() to its recv(), with all the programs on the way: that they get there, that
 * what is not for the kernel gets to the relay as it was sent, and what is left in memory.
 */

#define TIMES 1000

static void test_by_the_kernel_alone(void **state) {
        const struct sm_service_counters *counters = &fixture.tables.service_counters[SERVICE];
        const struct sm_endpoint_state *endpoint = &fixture.tables.endpoint_states[ENDPOINT];
        Path p = path_start(true);

        for (int n = 0; n < TIMES; n++)
                path_exchange(&p, n % 2 ? POST : GET, OK);
        assert_int_equal(counters->requests, TIMES);
        assert_int_equal(counters->active, 0);
        assert_int_equal(counters->request_bytes, TIMES / 2 * 5);
        assert_int_equal(counters->response_bytes, TIMES * 6);
        assert_int_equal(counters->status[2], TIMES);
        assert_int_equal(endpoint->requests, TIMES);
        assert_int_equal(endpoint->in_flight, 0);
        assert_int_equal(fixture.service_paths[SERVICE].fast, TIMES);
        assert_int_equal(fixture.slice_paths[SLICE].fast, TIMES);
        path_end(&p);
}

static void test_response_in_parts(void **state) {
        Path p = path_start(true);

        send_text(p.caller.near, GET);
        assert_reads(p.server.far, GET);
        send_text(p.server.far, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n");
        assert_int_equal(sm_slot_remaining(path_slot()->node.word), 6);
        send_text(p.server.far, "ans");
        assert_int_equal(sm_slot_state(path_slot()->node.word), SM_SLOT_RESPONDING);
        send_text(p.server.far, "wer");
        assert_int_equal(sm_slot_state(path_slot()->node.word), SM_SLOT_FREE);
        assert_reads(p.caller.near, OK);
        path_end(&p);
}

/* Of what is taken, the relay has a copy. */
static void test_copy_for_the_relay(void **state) {
        struct sm_request_copy *copies;
        Path p = path_start(true);

        copies = mmap(NULL, FAST_SLOTS * sizeof(*copies), PROT_READ, MAP_SHARED,
                      bpf_map__fd(fixture.bpf->maps.requests), 0);
        assert_ptr_not_equal(copies, MAP_FAILED);
        send_text(p.caller.near, POST);
        assert_int_equal(copies[DOWNSTREAM].length, strlen(POST));
        assert_int_equal(copies[DOWNSTREAM].size, strlen(POST));
        assert_int_equal(copies[DOWNSTREAM].route, ROUTE_STATE);
        assert_memory_equal(copies[DOWNSTREAM].bytes, POST, strlen(POST));
        assert_int_equal(path_slot()->body, 5);
        assert_int_equal(munmap(copies, FAST_SLOTS * sizeof(*copies)), 0);
        path_end(&p);
}

static void test_out_of_the_upstream(void **state) {
        Path p = path_start(false);

        send_text(p.caller.near, POST);
        assert_reads(p.server.far, POST);
        assert_int_equal(sm_slot_state(path_slot()->node.word), SM_SLOT_WAITING);
        send_text(p.server.far, OK);
        assert_reads(p.server.near, OK);
        assert_nothing_to_read(p.caller.far);
        path_end(&p);
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
                Path p = path_start(true);

                send_text(p.caller.near, cases[i].request);
                assert_reads(p.caller.far, cases[i].request);
                assert_int_equal(path_downstream()->slow, cases[i].why);
                assert_int_equal(path_downstream()->chosen_at, SM_NOTHING_CHOSEN);
                assert_int_equal(sm_slot_state(path_slot()->node.word), SM_SLOT_FREE);
                assert_nothing_to_read(p.server.far);

                /* The relay has not answered it yet. */
                send_text(p.caller.near, GET);
                assert_reads(p.caller.far, GET);
                assert_int_equal(path_downstream()->slow, SM_SLOW_NOT_IN_STEP);
                path_end(&p);
        }
}

/* Also after the relay's answer was read, and not before. */
static void test_after_the_relay(void **state) {
        Path p = path_start(true);

        send_text(p.caller.near, CHUNKED);
        assert_reads(p.caller.far, CHUNKED);
        path_downstream()->written = strlen(OK);
        send_text(p.caller.far, OK);
        path_downstream()->answered = strlen(CHUNKED);
        await_readable(p.caller.near);
        send_text(p.caller.near, GET);
        assert_reads(p.caller.far, GET);
        assert_int_equal(path_downstream()->slow, SM_SLOW_NOT_IN_STEP);

        path_downstream()->answered += strlen(GET);
        assert_reads(p.caller.near, OK);
        path_exchange(&p, GET, OK);
        path_end(&p);
}

static void test_no_upstream(void **state) {
        Path p = path_start(true);
        __u64 word;

        assert_int_equal(sm_stack_pop(&fixture.tables, &fixture.tables.idle_slots[path_slot()->stack],
                                      SM_STACK_SLOTS, &word), SLOT);
        send_text(p.caller.near, GET);
        assert_reads(p.caller.far, GET);
        assert_int_equal(path_downstream()->slow, SM_SLOW_NO_UPSTREAM);
        assert_int_equal(path_downstream()->chosen_at, 0);
        assert_int_equal(path_downstream()->chosen_root, POLICY);
        assert_int_equal(path_downstream()->chosen_endpoint, ENDPOINT);
        path_end(&p);
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
                Path p = path_start(true);

                send_text(p.caller.near, GET);
                assert_reads(p.server.far, GET);
                send_text(p.server.far, cases[i].response);
                assert_reads(p.server.near, cases[i].response);
                assert_int_equal(path_slot()->slow, cases[i].why);
                assert_int_equal(sm_slot_state(path_slot()->node.word), SM_SLOT_RELAY);
                assert_int_equal(sm_slot_remaining(path_slot()->node.word), SM_REMAINING_ALL);
                assert_nothing_to_read(p.caller.near);
                path_end(&p);
        }
}

static void test_caller_is_gone(void **state) {
        Path p = path_start(true);

        send_text(p.caller.near, GET);
        assert_reads(p.server.far, GET);
        close(TAKE_FD(p.caller.near));
        send_text(p.server.far, OK);
        assert_reads(p.server.near, OK);
        assert_int_equal(path_slot()->slow, SM_SLOW_CALLER_GONE);
        assert_int_equal(sm_slot_state(path_slot()->node.word), SM_SLOT_RELAY);
        close(p.caller.far);
        connection_close(&p.server);
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
        const char *why;
        int r;

        if (path_fixture_enter(&why) == 0) {
                printf("skipped: %s\n", why);
                return 77;
        }
        r = cmocka_run_group_tests(tests, NULL, NULL);
        fast_fixture_leave(&fixture);
        return r;
}
