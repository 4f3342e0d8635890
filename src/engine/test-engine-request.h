/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdio.h>

#include "engine-parse.h"
#include "engine-route.h"
#include "test-engine-policy.h"
#include "test-engine.h"

/* Requests, and policies of a single predicate, for the tests of matching. */

#define TEST_BODY (1U << 14)

static const __u8 test_source[16] = { [10] = 0xff, [11] = 0xff, [12] = 127, [15] = 1 };

/* A parsed request, with head and body in memory of exactly their size. */
typedef struct TestRequest {
        struct sm_head head;
        struct sm_work work;
        struct sm_request q;
        __u8 *bytes, *body;
} TestRequest;

static inline void request_start_method(TestRequest *r, const char *method, const char *target,
                                        const char *fields) {
        struct sm_head_parser parser;
        char text[4096];
        int n;

        n = snprintf(text, sizeof(text), "%s %s HTTP/1.1\r\n%s\r\n", method, target, fields);
        assert_true(n < (int) sizeof(text));
        r->bytes = test_copy(text, (size_t) n);
        r->body = NULL;
        memset(&r->work, 0xa5, sizeof(r->work)); /* of an earlier request, say */
        sm_head_start(&parser, &r->head, SM_HEAD_REQUEST, SM_HEAD_MAX);
        assert_int_equal(sm_head_parse(&parser, &r->head, r->bytes, (__u32) n), n);
        r->q = (struct sm_request) { .bytes = r->bytes, .head = &r->head, .source = test_source,
                                     .work = &r->work, .body_complete = 1, .random = 7 };
}

static inline void request_start(TestRequest *r, const char *target, const char *fields) {
        request_start_method(r, "GET", target, fields);
}

/* So much of it is there. */
static inline void request_set_body(TestRequest *r, const char *body, size_t n, int complete) {
        free(r->body);
        r->body = test_copy(body, n);
        r->q.body = r->body;
        r->q.body_length = (__u32) n;
        r->q.body_complete = (__u16) complete;
}

static inline void request_done(TestRequest *r) {
        free(r->bytes);
        free(r->body);
}

/* A policy of one route with one predicate, which the caller may change. */
static inline struct sm_predicate *test_single(TestTables *t, enum sm_predicate_kind kind,
                                               enum sm_predicate_op op, const char *name, const char *text) {
        struct sm_policy *policy = test_policy(t);
        struct sm_predicate *p;
        struct sm_route *route;

        test_tables_start(t);
        policy->n_routes = 1;
        policy->routes = test_take(t, 1);
        route = test_cell(t, policy->routes);
        route->predicates = test_take(t, 1);
        route->n_predicates = 1;
        test_predicate(t, route->predicates, kind, op, 0, text);
        p = test_cell(t, route->predicates);
        p->name = test_text(t, name);
        p->first = TEST_BODY;
        return p;
}

/* Both ways to ask must agree. */
static inline enum sm_verdict test_verdict(TestTables *t, TestRequest *r) {
        const struct sm_route *route = test_cell(t, test_policy(t)->routes);
        enum sm_reason reason;
        enum sm_verdict verdict;
        struct sm_choice c;
        __u32 last;

        reason = sm_choose_route(&t->view, TEST_BASE, &r->q, &c);
        verdict = sm_route_judge(&t->view, TEST_BASE, route, &r->q, &last);
        assert_int_equal(last, 0);
        assert_int_equal(reason, verdict == SM_VERDICT_NO ? SM_REASON_NO_ROUTE : SM_REASON_NONE);
        assert_int_equal(c.undecided != 0, verdict == SM_VERDICT_UNDECIDED);
        return verdict;
}
