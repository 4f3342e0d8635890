/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <linux/sock_diag.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <cmocka.h>

#include "basic/cleanup.h"
#include "basic/macro.h"
#include "engine/engine-reply.h"
#include "path-fixture.h"

/*
 * Requests that go to no endpoint, answered within the caller's send(): with the relay's bytes, whatever
 * their size, in between others, and not at all where the relay must see them.
 */

#define TIMES 2000

#define HEAD "HEAD /a HTTP/1.1\r\nHost: shop\r\n\r\n"

#define NO_ROUTE_HEAD "HTTP/1.1 404 Not Found\r\nContent-Type: text/plain; charset=utf-8\r\n" \
        "Content-Length: 45\r\nX-Slicemesh: no-route\r\n\r\n"
#define NO_ROUTE NO_ROUTE_HEAD "No route of the service matches the request.\n"
#define NO_ENDPOINT_HEAD "HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain; charset=utf-8\r\n" \
        "Content-Length: 46\r\nX-Slicemesh: no-endpoint\r\n\r\n"
#define NO_ENDPOINT NO_ENDPOINT_HEAD "The chosen subset has no endpoint to send to.\n"

static struct sm_policy *policy(void) {
        return (struct sm_policy *) &fixture.cells[POLICY];
}

static void no_route(void) {
        policy()->n_routes = 0;
}

static void no_subset(void) {
        ((struct sm_route *) &fixture.cells[ROUTE])->split.n = 0;
}

static void no_endpoint(void) {
        ((struct sm_subset *) &fixture.cells[SUBSET])->schedule.n = 0;
}

/* As slicemeshd does. */
static void fill_replies(void) {
        for (enum sm_reason reason = 0; reason < _SM_REASON_MAX; reason++)
                for (int head = 0; head < 2; head++) {
                        __u32 index = SM_REPLY_INDEX(reason, head);
                        struct sm_reply reply;

                        sm_reply_make(&reply, reason, head ? SM_REPLY_HEAD : 0);
                        assert_int_equal(bpf_map_update_elem(bpf_map__fd(fixture.bpf->maps.replies), &index,
                                                             &reply, BPF_ANY), 0);
                }
}

/* A request of so many bytes with a body of so many. */
static char *sized(size_t size, size_t body) {
        static const char start[] = "POST /a HTTP/1.1\r\nHost: shop\r\nContent-Length: %zu\r\nX-Pad: ";
        char *request = test_malloc(size + 1);
        int head = snprintf(request, size, start, body);

        memset(request + head, 'x', size - (size_t) head);
        memcpy(request + size - body - 4, "\r\n\r\n", 4);
        request[size] = 0;
        return request;
}

/* Nobody has seen it but the caller. */
static void answered(const Path *p, const char *request, const char *answer) {
        send_text(p->caller.near, request);
        assert_reads(p->caller.near, answer);
        assert_nothing_to_read(p->caller.near);
        assert_nothing_to_read(p->caller.far);
        assert_nothing_to_read(p->server.far);
        assert_int_equal(path_downstream()->state, SM_DOWNSTREAM_IDLE);
        assert_int_equal(path_downstream()->chosen_at, SM_NOTHING_CHOSEN);
        assert_int_equal(sm_slot_state(path_slot()->node.word), SM_SLOT_FREE);
}

/* It has come to the relay as it was sent. */
static void left_to_the_relay(const Path *p, const char *request, enum sm_slow why) {
        char *got = test_calloc(1, strlen(request) + 1);

        send_text(p->caller.near, request);
        read_exactly(p->caller.far, got, strlen(request));
        assert_string_equal(got, request);
        assert_int_equal(path_downstream()->slow, why);
        assert_nothing_to_read(p->caller.near);
        assert_nothing_to_read(p->caller.far);
        test_free(got);
}

static void answer_by_tcp(const Path *p, const char *request, const char *answer) {
        path_downstream()->written += strlen(answer);
        send_text(p->caller.far, answer);
        path_downstream()->answered += strlen(request);
        assert_reads(p->caller.near, answer);
}

static __u64 requests_of(const struct bpf_map *map, __u32 index, size_t at) {
        __u8 value[SM_CELL_SIZE];

        assert_int_equal(bpf_map_lookup_elem(bpf_map__fd(map), &index, value), 0);
        return *(__u64 *) (value + at);
}

static void test_as_the_relay(void **state) {
        static const struct {
                void (*make)(void);
                enum sm_reason reason;
                unsigned status;
                const char *answer, *to_head;
                bool chosen;
        } cases[] = {
                { no_route, SM_REASON_NO_ROUTE, 4, NO_ROUTE, NO_ROUTE_HEAD, false },
                { no_subset, SM_REASON_NO_ENDPOINT, 5, NO_ENDPOINT, NO_ENDPOINT_HEAD, false },
                { no_endpoint, SM_REASON_NO_ENDPOINT, 5, NO_ENDPOINT, NO_ENDPOINT_HEAD, true },
        };
        const struct sm_service_counters *c = &fixture.tables.service_counters[SERVICE];

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                Path p = path_start(true);
                __u64 of_subset = requests_of(fixture.bpf->maps.subset_states, SUBSET_STATE,
                                              offsetof(struct sm_subset_state, requests));
                __u64 of_route = requests_of(fixture.bpf->maps.route_states, ROUTE_STATE,
                                             offsetof(struct sm_route_state, requests));

                cases[i].make();
                answered(&p, GET, cases[i].answer);
                answered(&p, POST, cases[i].answer);
                answered(&p, HEAD, cases[i].to_head);
                assert_true(path_downstream()->used > 0);
                assert_int_equal(c->requests, 3);
                assert_int_equal(c->active, 0);
                assert_int_equal(c->request_bytes, 5);
                assert_int_equal(c->response_bytes, 0);
                assert_int_equal(c->status[cases[i].status], 3);
                assert_int_equal(c->reasons[cases[i].reason], 3);
                assert_int_equal(fixture.service_paths[SERVICE].fast, 3);
                assert_int_equal(fixture.slice_paths[SLICE].fast, 3);
                assert_int_equal(fixture.tables.endpoint_states[ENDPOINT].requests, 0);
                assert_int_equal(requests_of(fixture.bpf->maps.subset_states, SUBSET_STATE,
                                             offsetof(struct sm_subset_state, requests)) - of_subset,
                                 cases[i].chosen ? 3 : 0);
                assert_int_equal(requests_of(fixture.bpf->maps.route_states, ROUTE_STATE,
                                             offsetof(struct sm_route_state, requests)) - of_route,
                                 cases[i].chosen ? 3 : 0);
                path_end(&p);
        }
}

static const struct {
        size_t size, body;
} sizes[] = {
        { 80, 0 }, { 154, 3 }, { 155, 3 }, { 156, 3 }, { 319, 100 }, { 320, 100 }, { 321, 100 }, { 4096, 0 },
        { 8192, 0 }, { 12288, 5000 }, { 12289, 5000 }, { 32768, 30000 }, { 40000, 39000 },
        { SM_FAST_MAX, 60000 },
};

static void test_sizes(void **state) {
        Path p = path_start(true);

        no_route();
        for (size_t i = 0; i < ELEMENTSOF(sizes); i++) {
                char *request = sized(sizes[i].size, sizes[i].body);

                answered(&p, request, NO_ROUTE);
                test_free(request);
        }
        path_end(&p);
}

/* In a row, and nothing is left of them. */
static void test_many(void **state) {
        __u32 memory[SK_MEMINFO_VARS];
        socklen_t size = sizeof(memory);
        Path p = path_start(true);
        char *large = sized(20000, 19000);

        no_route();
        for (int n = 0; n < TIMES; n++)
                answered(&p, n % 16 == 0 ? large : n % 2 ? GET : HEAD,
                         n % 16 != 0 && n % 2 == 0 ? NO_ROUTE_HEAD : NO_ROUTE);
        assert_int_equal(fixture.tables.service_counters[SERVICE].requests, TIMES);
        assert_int_equal(getsockopt(p.caller.near, SOL_SOCKET, SO_MEMINFO, memory, &size), 0);
        assert_int_equal(memory[SK_MEMINFO_RMEM_ALLOC], 0);
        assert_int_equal(memory[SK_MEMINFO_WMEM_QUEUED], 0);
        assert_true(memory[SK_MEMINFO_FWD_ALLOC] <= 1 << 20); /* as unsigned: nor is it negative */
        test_free(large);
        path_end(&p);
}

/* By whoever, in the order of the requests. */
static void test_in_turns(void **state) {
        Path p = path_start(true);

        for (int n = 0; n < TIMES; n++) {
                policy()->n_routes = 1;
                if (n % 5 == 0) {
                        left_to_the_relay(&p, CHUNKED, SM_SLOW_CODED);
                        answer_by_tcp(&p, CHUNKED, OK);
                } else if (n % 3 == 0)
                        path_exchange(&p, POST, OK);
                else {
                        no_route();
                        answered(&p, GET, NO_ROUTE);
                }
        }
        path_end(&p);
}

static void test_pipelined(void **state) {
        Path p = path_start(true);

        no_route();
        left_to_the_relay(&p, GET GET, SM_SLOW_SPLIT);
        answer_by_tcp(&p, GET GET, NO_ROUTE NO_ROUTE);
        answered(&p, GET, NO_ROUTE);

        /* The answer to the first has not been read: never more than one of them waits. */
        send_text(p.caller.near, GET);
        send_text(p.caller.near, POST);
        assert_reads(p.caller.far, POST);
        assert_int_equal(path_downstream()->slow, SM_SLOW_NOT_IN_STEP);
        assert_reads(p.caller.near, NO_ROUTE);
        assert_nothing_to_read(p.caller.near);
        path_end(&p);
}

static void test_not_for_the_kernel(void **state) {
        static const char *const requests[] = {
                "GET /a HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n",
                "GET /a HTTP/1.0\r\n\r\n",
                POST_HEAD,
                CHUNKED,
                "GET /a\r\n\r\n",
        };

        for (size_t i = 0; i < ELEMENTSOF(requests); i++) {
                Path p = path_start(true);

                no_route();
                send_text(p.caller.near, requests[i]);
                assert_reads(p.caller.far, requests[i]);
                assert_nothing_to_read(p.caller.near);
                assert_int_equal(fixture.tables.service_counters[SERVICE].requests, 0);
                path_end(&p);
        }
}

static void lacks_feature(void) {
        fixture.control->features &= ~(__u32) SM_FAST_ANSWERS;
}

/* Found after the message was changed. */
static void lacks_socket(void) {
        path_downstream()->cookie++;
}

static void lacks_reply(void) {
        const struct sm_reply none = {};
        __u32 index = SM_REPLY_INDEX(SM_REASON_NO_ROUTE, false);
        int map = bpf_map__fd(fixture.bpf->maps.replies);

        assert_int_equal(bpf_map_update_elem(map, &index, &none, BPF_ANY), 0);
}

static void test_is_left_as_it_was(void **state) {
        static void (*const lacks[])(void) = { lacks_feature, lacks_socket, lacks_reply };

        for (size_t i = 0; i < ELEMENTSOF(lacks); i++) {
                Path p = path_start(true);

                no_route();
                lacks[i]();
                for (size_t k = 0; k < ELEMENTSOF(sizes); k++) {
                        char *request = sized(sizes[k].size, sizes[k].body);

                        left_to_the_relay(&p, request, SM_SLOW_REFUSED);
                        answer_by_tcp(&p, request, NO_ROUTE);
                        test_free(request);
                }
                assert_int_equal(fixture.tables.service_counters[SERVICE].requests, 0);
                assert_int_equal(fixture.service_paths[SERVICE].fast, 0);
                path_end(&p);
                fill_replies();
        }
}

/* What is sent may be the page cache's. */
static void test_file(void **state) {
        _cleanup_close_ int file = memfd_create("request", MFD_CLOEXEC);
        char *request = sized(9000, 5000), *again = test_calloc(1, 9001);
        Path p = path_start(true);

        no_route();
        assert_true(file >= 0);
        assert_int_equal(write(file, request, 9000), 9000);
        for (int i = 0; i < 3; i++) {
                off_t at = 0;

                assert_int_equal(sendfile(p.caller.near, file, &at, 9000), 9000);
                /* Whether it was one message is the kernel's choice. */
                if (fixture.service_paths[SERVICE].fast == 0)
                        break;
                assert_reads(p.caller.near, NO_ROUTE);
        }
        assert_int_equal(pread(file, again, 9000, 0), 9000);
        assert_string_equal(again, request);
        test_free(request);
        test_free(again);
        path_end(&p);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_as_the_relay),
                cmocka_unit_test(test_sizes),
                cmocka_unit_test(test_many),
                cmocka_unit_test(test_in_turns),
                cmocka_unit_test(test_pipelined),
                cmocka_unit_test(test_not_for_the_kernel),
                cmocka_unit_test(test_is_left_as_it_was),
                cmocka_unit_test(test_file),
        };
        const char *why;
        int r;

        if (path_fixture_enter(&why) == 0) {
                printf("skipped: %s\n", why);
                return 77;
        }
        fill_replies();
        r = cmocka_run_group_tests(tests, NULL, NULL);
        fast_fixture_leave(&fixture);
        return r;
}
