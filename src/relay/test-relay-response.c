/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "../basic/macro.h"
#include "relay-downstream.h"
#include "relay-exchange.h"
#include "relay-upstream.h"
#include "relay-worker.h"

#define ENDPOINT 3
#define RESPONSE "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody"

/* A worker with one exchange, whose request is through and whose response comes out of server[1]. */
typedef struct Bench {
        Worker worker;
        WorkerShared shared;
        SharedTables tables;
        struct sm_endpoint_state endpoints[ENDPOINT + 1];
        Downstream d;
        Exchange *x;
        Upstream *u;
        int caller[2], server[2];
} Bench;

static void bench_upstream(Bench *b) {
        Upstream *u = slab_alloc(&b->worker.upstream_slab);

        assert_non_null(u);
        *u = (Upstream){
                .worker = &b->worker, .exchange = b->x, .endpoint = ENDPOINT, .connected = true,
                .tables = shared_tables_ref(&b->tables),
        };
        socket_init(&u->socket, b->server[0], NULL);
        list_init(&u->pool_link);
        list_init(&u->age_link);
        list_init(&u->slot_link);
        timer_init(&u->timer, NULL);
        b->u = b->x->upstream = u;
        b->endpoints[ENDPOINT].connections = b->endpoints[ENDPOINT].in_flight = 1;
        b->x->in_flight = ENDPOINT;
}

static Bench *bench_new(void) {
        Bench *b = calloc(1, sizeof(*b));
        Worker *w;

        assert_non_null(b);
        w = &b->worker;
        b->tables = (SharedTables){
                .tables = { .endpoint_states = b->endpoints, .n_endpoints = ENDPOINT + 1 },
                .settings = { .head_bytes = SM_BUFFER_MIN },
                .users = 1,
        };
        w->tables = &b->tables;
        w->shared = &b->shared;
        timer_wheel_init(&w->timers, 0);
        pool_init(&w->pool);
        slots_init(&w->slots);
        buffer_pool_init(&w->buffers, SM_BUFFER_MIN);
        slab_init(&w->upstream_slab, sizeof(Upstream));
        slab_init(&w->exchange_slab, sizeof(Exchange));
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, b->caller), 0);
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, b->server), 0);
        b->d = (Downstream){ .worker = w };
        socket_init(&b->d.socket, b->caller[0], NULL);
        timer_init(&b->d.timer, NULL);
        b->x = exchange_new(&b->d);
        assert_non_null(b->x);
        b->x->state = EXCHANGE_FORWARDING;
        b->x->request.body.done = true;
        bench_upstream(b);
        return b;
}

static void bench_free(Bench *b) {
        exchange_free(b->x);
        pool_clear(&b->worker.pool);
        assert_int_equal(b->endpoints[ENDPOINT].connections, 0);
        assert_int_equal(b->endpoints[ENDPOINT].in_flight, 0);
        assert_int_equal(b->tables.users, 1);
        buffer_pool_done(&b->worker.buffers);
        slab_done(&b->worker.upstream_slab);
        slab_done(&b->worker.exchange_slab);
        close(b->caller[0]);
        close(b->caller[1]);
        close(b->server[1]);
        free(b);
}

static Progress respond(Bench *b, const char *bytes) {
        assert_int_equal(write(b->server[1], bytes, strlen(bytes)), strlen(bytes));
        b->u->socket.readable = true;
        return exchange_run(b->x);
}

/* The connection is whose it was, or the pool's. */
static void expect_kept(Bench *b) {
        assert_ptr_equal(b->x->upstream, b->u);
        assert_int_equal(b->worker.pool.n, 0);
        assert_int_equal(b->endpoints[ENDPOINT].in_flight, 1);
}

static void expect_given_back(Bench *b) {
        assert_null(b->x->upstream);
        assert_null(b->u->exchange);
        assert_int_equal(b->worker.pool.n, 1);
        assert_int_equal(b->endpoints[ENDPOINT].in_flight, 0);
}

static void expect_received(Bench *b, const char *expected) {
        char bytes[200] = "";

        assert_int_equal(read(b->caller[1], bytes, sizeof(bytes) - 1), strlen(expected));
        assert_string_equal(bytes, expected);
}

/* When all of the response is here, and nothing of it with the caller. */
static void test_given_back_before_it_is_sent(void **state) {
        Bench *b = bench_new();

        assert_int_equal(respond(b, RESPONSE), EXCHANGE_WAITS);
        expect_given_back(b);
        assert_int_equal(read(b->caller[1], &(char){ 0 }, 1), -1);
        b->d.socket.writable = true;
        assert_int_equal(exchange_run(b->x), EXCHANGE_IS_DONE);
        expect_received(b, RESPONSE);
        bench_free(b);
}

static void test_kept_until_all_is_here(void **state) {
        static const char *const parts[] = {
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "4\r\nbody\r\n", "0\r\n", "\r\n",
        };
        Bench *b = bench_new();

        b->d.socket.writable = true;
        for (size_t i = 0; i + 1 < ELEMENTSOF(parts); i++) {
                assert_int_equal(respond(b, parts[i]), EXCHANGE_WAITS);
                expect_kept(b);
                expect_received(b, parts[i]);
        }
        b->d.socket.writable = false;
        assert_int_equal(respond(b, parts[ELEMENTSOF(parts) - 1]), EXCHANGE_WAITS);
        expect_given_back(b);
        bench_free(b);
}

/* The caller's connection is closed after it; that to the endpoint is as good as before. */
static void test_given_back_although_the_caller_goes(void **state) {
        Bench *b = bench_new();

        b->x->close = true;
        b->d.socket.writable = true;
        assert_int_equal(respond(b, RESPONSE), EXCHANGE_IS_LAST);
        expect_given_back(b);
        bench_free(b);
}

static void expect_never_given_back(Bench *b, const char *response, Progress end) {
        assert_int_equal(respond(b, response), EXCHANGE_WAITS);
        expect_kept(b);
        b->d.socket.writable = true;
        assert_int_equal(exchange_run(b->x), end);
        expect_kept(b);
        bench_free(b);
}

static void test_not_reusable(void **state) {
        Bench *b;

        expect_never_given_back(bench_new(), RESPONSE "more", EXCHANGE_IS_DONE);
        expect_never_given_back(bench_new(),
                                "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
                                EXCHANGE_IS_DONE);
        b = bench_new();
        b->u->socket.ended = true;
        expect_never_given_back(b, RESPONSE, EXCHANGE_IS_DONE);
        b = bench_new();
        b->u->socket.error = -ECONNRESET;
        expect_never_given_back(b, RESPONSE, EXCHANGE_IS_DONE);
        b = bench_new();
        b->x->request_broken = true;
        expect_never_given_back(b, RESPONSE, EXCHANGE_IS_LAST);
        b = bench_new();
        b->worker.stop_deadline = 1;
        expect_never_given_back(b, RESPONSE, EXCHANGE_IS_LAST);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_given_back_before_it_is_sent),
                cmocka_unit_test(test_kept_until_all_is_here),
                cmocka_unit_test(test_given_back_although_the_caller_goes),
                cmocka_unit_test(test_not_reusable),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
