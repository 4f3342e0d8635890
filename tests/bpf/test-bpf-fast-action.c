/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <bpf/bpf.h>
#include <cmocka.h>

#include "abi/abi-action.h"
#include "abi/abi-reply.h"
#include "basic/macro.h"
#include "path-fixture.h"

/*
 * What a route does with requests beside sending them to an endpoint: its own answers come from within the
 * caller's send(), all else is left to the relay, which is told what was chosen already.
 */

enum { ACTIONS = SLOTS + 1, ANSWER = ACTIONS + 2, TEXTS };

#define ALWAYS (1ULL << 32)

#define HEAD "HEAD /a HTTP/1.1\r\nHost: shop\r\n\r\n"
#define FORBIDDEN_HEAD "HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain\r\nContent-Length: 4\r\n"
#define FORBIDDEN FORBIDDEN_HEAD "\r\nNo.\n"
#define MOVED_HEAD "HTTP/1.1 308 Permanent Redirect\r\nContent-Length: 0\r\n"
#define PLACE "https://shop.example/new"

static __u32 n_cells;

static struct sm_text text(const char *s) {
        __u32 cell = n_cells, length = (__u32) strlen(s);

        n_cells += (length + SM_CELL_SIZE - 1) / SM_CELL_SIZE;
        assert_true(n_cells <= FAST_CELLS);
        memcpy(&fixture.cells[cell], s, length);
        return (struct sm_text){ cell - POLICY, length };
}

static struct sm_actions *actions(void) {
        return (struct sm_actions *) &fixture.cells[ACTIONS];
}

static struct sm_route *route(void) {
        return (struct sm_route *) &fixture.cells[ROUTE];
}

static Path start(void) {
        Path p = path_start(true);

        n_cells = TEXTS;
        *actions() = (struct sm_actions) {};
        route()->actions = ACTIONS - POLICY;
        return p;
}

static __u32 answer_of(const char *head, const char *body, unsigned status) {
        *(struct sm_answer *) &fixture.cells[ANSWER] = (struct sm_answer) {
                .head = text(head), .body = text(body), .status = (__u16) status,
        };
        return ANSWER - POLICY;
}

static struct sm_route_state state_of_route(void) {
        struct sm_route_state state;

        assert_int_equal(bpf_map_lookup_elem(bpf_map__fd(fixture.bpf->maps.route_states),
                                             &(__u32) { ROUTE_STATE }, &state), 0);
        return state;
}

static void answered(const Path *p, const char *request, const char *answer) {
        send_text(p->caller.near, request);
        assert_reads(p->caller.near, answer);
        assert_nothing_to_read(p->caller.near);
        assert_nothing_to_read(p->caller.far);
        assert_nothing_to_read(p->server.far);
}

/* With or without a choice that is to hold. */
static void left(const Path *p, enum sm_slow why, bool chosen, __u32 endpoint, __u32 effects) {
        struct sm_downstream *d = path_downstream();

        d->chosen_at = SM_NOTHING_CHOSEN;
        send_text(p->caller.near, GET);
        assert_reads(p->caller.far, GET);
        assert_nothing_to_read(p->server.far);
        assert_int_equal(d->slow, why);
        assert_int_equal(d->chosen_at != SM_NOTHING_CHOSEN, chosen);
        if (chosen) {
                assert_int_equal(d->chosen_endpoint, endpoint);
                assert_int_equal(d->chosen_effects, effects);
                assert_int_equal(d->chosen_route, 0);
        }
        d->answered += strlen(GET);
}

static void test_answer(void **state) {
        const struct sm_service_counters *c = &fixture.tables.service_counters[SERVICE];
        struct sm_route_state before = state_of_route();
        Path p = start();

        actions()->answer = answer_of(FORBIDDEN_HEAD, "No.\n", 403);
        route()->split.n = 0;
        answered(&p, GET, FORBIDDEN);
        answered(&p, POST, FORBIDDEN);
        answered(&p, HEAD, FORBIDDEN_HEAD "\r\n");
        assert_int_equal(c->requests, 3);
        assert_int_equal(c->status[4], 3);
        assert_int_equal(c->reasons[SM_REASON_ANSWERED], 3);
        assert_int_equal(fixture.service_paths[SERVICE].fast, 3);
        assert_int_equal(state_of_route().requests - before.requests, 3);
        assert_int_equal(state_of_route().aborted - before.aborted, 0);
        path_end(&p);
}

static void test_redirect(void **state) {
        Path p = start();
        struct sm_answer *a;

        actions()->answer = answer_of(MOVED_HEAD, "", 308);
        route()->split.n = 0;
        a = (struct sm_answer *) &fixture.cells[ANSWER];
        a->flags = SM_ANSWER_REDIRECT;
        a->location = text(PLACE);
        answered(&p, GET, MOVED_HEAD "Location: " PLACE "\r\n\r\n");
        assert_int_equal(fixture.tables.service_counters[SERVICE].reasons[SM_REASON_REDIRECTED], 1);

        /* Something of the request goes into it. */
        a->flags |= SM_ANSWER_PATH;
        left(&p, SM_SLOW_ACTION, true, 0, 0);
        path_end(&p);
}

/* Of every length up to where the relay has to do it. */
static void test_sizes(void **state) {
        Path p = start();
        unsigned fast = 0;

        route()->split.n = 0;
        for (unsigned n = 0; n < SM_REPLY_MAX; n++) {
                char body[SM_REPLY_MAX + 1], expected[2 * SM_REPLY_MAX];

                n_cells = TEXTS;
                memset(body, 'a' + n % 26, n);
                body[n] = 0;
                actions()->answer = answer_of("HTTP/1.1 200 OK\r\nX: y\r\n", body, 200);
                snprintf(expected, sizeof(expected), "HTTP/1.1 200 OK\r\nX: y\r\n\r\n%s", body);
                if (strlen(expected) <= SM_REPLY_MAX - 8) {
                        answered(&p, POST, expected);
                        fast++;
                } else
                        left(&p, SM_SLOW_ACTION, true, 0, 0);
        }
        assert_int_equal(fixture.service_paths[SERVICE].fast, fast);
        path_end(&p);
}

static void test_abort(void **state) {
        struct sm_route_state before = state_of_route();
        Path p = start();

        actions()->abort = answer_of(FORBIDDEN_HEAD, "No.\n", 403);
        path_exchange(&p, POST, OK); /* of none of the requests */
        actions()->abort_share = ALWAYS;
        answered(&p, GET, FORBIDDEN);
        assert_int_equal(fixture.tables.service_counters[SERVICE].reasons[SM_REASON_FAULT_INJECTED], 1);
        assert_int_equal(state_of_route().aborted - before.aborted, 1);

        fixture.control->features &= ~(__u32) SM_FAST_ANSWERS;
        left(&p, SM_SLOW_ACTION, true, 0, SM_EFFECT_ABORT);
        path_end(&p);
}

static void test_for_the_relay(void **state) {
        Path p = start();

        actions()->delay_share = ALWAYS;
        left(&p, SM_SLOW_ACTION, true, 0, SM_EFFECT_DELAY);
        actions()->delay_share = 0;
        actions()->mirror_share = ALWAYS;
        left(&p, SM_SLOW_ACTION, true, 0, SM_EFFECT_MIRROR);
        actions()->mirror_share = 0;
        actions()->n_response_edits = 1;
        left(&p, SM_SLOW_ACTION, false, 0, 0);
        actions()->n_response_edits = 0;
        actions()->flags = SM_ACTION_REWRITE_HOST;
        left(&p, SM_SLOW_ACTION, false, 0, 0);
        path_end(&p);
}

static void test_trace(void **state) {
        Path p = start();

        fixture.services[SERVICE].trace = 1;
        left(&p, SM_SLOW_TRACED, true, ENDPOINT, 0);
        actions()->answer = answer_of(FORBIDDEN_HEAD, "No.\n", 403);
        left(&p, SM_SLOW_TRACED, true, 0, 0);
        ((struct sm_policy *) &fixture.cells[POLICY])->n_routes = 0;
        left(&p, SM_SLOW_TRACED, false, 0, 0);
        fixture.services[SERVICE].trace = 0;
        path_end(&p);
}

/* A shadow route in front: it counts, once, and the next one serves. */
static void test_shadow(void **state) {
        struct sm_route_state before = state_of_route(), after;
        Path p = start();
        struct sm_route *routes = (struct sm_route *) &fixture.cells[n_cells];

        routes[0] = *route();
        routes[0].shadow = 1;
        routes[0].actions = 0;
        routes[1] = *route();
        routes[1].actions = 0;
        ((struct sm_policy *) &fixture.cells[POLICY])->routes = n_cells - POLICY;
        ((struct sm_policy *) &fixture.cells[POLICY])->n_routes = 2;
        path_exchange(&p, POST, OK);
        after = state_of_route();
        assert_int_equal(after.shadow - before.shadow, 1);
        assert_int_equal(after.requests - before.requests, 1);
        path_end(&p);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_answer),
                cmocka_unit_test(test_redirect),
                cmocka_unit_test(test_sizes),
                cmocka_unit_test(test_abort),
                cmocka_unit_test(test_for_the_relay),
                cmocka_unit_test(test_trace),
                cmocka_unit_test(test_shadow),
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
