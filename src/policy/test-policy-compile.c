/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <errno.h>

#include <cmocka.h>

#include "../basic/cleanup.h"
#include "../basic/macro.h"
#include "test-policy-model.h"

DEFINE_TRIVIAL_CLEANUP(Policy *, policy_free)

static const char simple[] =
        "service: shop\n"
        "endpoints: [\"10.1.0.1:80\", {address: \"10.1.0.2:80\", weight: 2}]\n";

static const char large[] =
        "service: payments\n"
        "via: true\n"
        "accelerate: always\n"
        "timeouts: {connect: 1500us, idle: 1m, pool-idle: 3s}\n"
        "connect-attempts: 5\n"
        "subsets:\n"
        "  a: {endpoints: [\"10.1.0.1:80\", \"10.1.0.2:80\", \"10.1.0.3:80\"], balance: random}\n"
        "  b: {endpoints: [\"[fd00::1]:80\"], balance: consistent-hash, hash: {header: X-User}}\n"
        "  c: {endpoints: []}\n"
        "routes:\n"
        "  - {match: {host: \"*.Example.com\", path: {prefix: /a-path-that-is-longer-than-what-"
        "fits-into-a-cell/and-then-some}}, to: b, timeout: 2s}\n"
        "  - {name: last, split: {a: 30, b: 0, c: 10}}\n";

static const void *cell(const PolicyExtent *e, uint32_t i) {
        assert_true(i < e->n_cells);
        return e->cells[i].bytes;
}

static uint32_t slot(const PolicyExtent *e, uint32_t first, uint32_t i) {
        return ((const uint32_t *) cell(e, first + i / SM_SLOTS_PER_CELL))[i % SM_SLOTS_PER_CELL];
}

static void check_text(const PolicyExtent *e, struct sm_text text, const char *expected) {
        assert_int_equal(text.length, strlen(expected));
        if (text.length > 0)
                assert_memory_equal(cell(e, text.cell), expected, text.length);
}

static void test_simple(void **state) {
        _cleanup_(policy_freep) Policy *p = test_load(simple);
        _cleanup_(policy_extent_done) PolicyExtent e = {};
        const struct sm_policy *policy;
        const struct sm_subset *subset;
        const struct sm_route *route;

        test_compile(p->services[0], &e);
        policy = cell(&e, 0);
        assert_int_equal(policy->n_cells, e.n_cells);
        assert_int_equal(policy->service, 1);
        assert_int_equal(policy->revision, 7);
        assert_int_equal(policy->protocol, SM_PROTOCOL_HTTP);
        assert_int_equal(policy->flags, 0);
        assert_int_equal(policy->n_routes, 1);
        assert_int_equal(policy->n_subsets, 1);
        assert_int_equal(policy->attempts, 3);
        assert_int_equal(policy->connect_timeout_ms, 2000);
        check_text(&e, policy->name, "shop");

        route = cell(&e, policy->routes);
        assert_int_equal(route->state, 1);
        assert_int_equal(route->n_predicates, 0);
        assert_int_equal(route->timeout_ms, 0);
        assert_int_equal(route->split.n, 1);
        assert_int_equal(slot(&e, route->split.slots, 0), 0);
        check_text(&e, route->name, "default");
        check_text(&e, route->origin, "f:1");

        subset = cell(&e, policy->subsets);
        assert_int_equal(subset->state, 1);
        assert_int_equal(subset->balance, SM_BALANCE_ROUND_ROBIN);
        check_text(&e, subset->name, "default");
        assert_int_equal(subset->schedule.n, 3);
        assert_int_equal(slot(&e, subset->schedule.slots, 0), 2);
        assert_int_equal(slot(&e, subset->schedule.slots, 1), 1);
        assert_int_equal(slot(&e, subset->schedule.slots, 2), 2);
        assert_int_equal(subset->n_endpoints, 2);
        assert_int_equal(slot(&e, subset->endpoints, 0), 1);
        assert_int_equal(slot(&e, subset->endpoints, 1), 2);
}

static void check_predicates(const PolicyExtent *e, const struct sm_route *route) {
        const struct sm_predicate *host = cell(e, route->predicates), *path = cell(e, route->predicates + 1);

        assert_int_equal(route->n_predicates, 2);
        assert_int_equal(host->kind, SM_MATCH_HOST);
        assert_int_equal(host->op, SM_OP_SUFFIX);
        assert_int_equal(host->text.cell, 0);
        assert_int_equal(host->text.length, strlen(".example.com"));
        assert_memory_equal(host->inline_bytes, ".example.com", host->text.length);
        assert_int_equal(path->kind, SM_MATCH_PATH);
        assert_int_equal(path->op, SM_OP_PREFIX);
        assert_int_not_equal(path->text.cell, 0);
        check_text(e, path->text, "/a-path-that-is-longer-than-what-fits-into-a-cell/and-then-some");
}

static void test_large(void **state) {
        _cleanup_(policy_freep) Policy *p = test_load(large);
        _cleanup_(policy_extent_done) PolicyExtent e = {};
        const struct sm_policy *policy;
        const struct sm_subset *b, *c;
        const struct sm_route *first, *last;
        uint32_t counts[3] = {};

        test_compile(p->services[0], &e);
        policy = cell(&e, 0);
        assert_int_equal(policy->flags, SM_POLICY_VIA | SM_POLICY_FAST_ALWAYS | SM_POLICY_NORMAL_PATHS);
        assert_int_equal(policy->connect_timeout_ms, 2); /* rounded up, so that it is never none at all */
        assert_int_equal(policy->attempts, 5);
        first = cell(&e, policy->routes);
        check_predicates(&e, first);
        assert_int_equal(first->timeout_ms, 2000);
        check_text(&e, first->name, "route-1");

        last = cell(&e, policy->routes + 1);
        assert_int_equal(last->split.n, 4);
        for (uint32_t i = 0; i < 4; i++)
                counts[slot(&e, last->split.slots, i)]++;
        assert_int_equal(counts[0], 3);
        assert_int_equal(counts[1], 0);
        assert_int_equal(counts[2], 1);

        b = cell(&e, policy->subsets + 1);
        assert_int_equal(b->balance, SM_BALANCE_CONSISTENT_HASH);
        assert_int_equal(b->hash, SM_HASH_HEADER);
        check_text(&e, b->hash_name, "x-user");
        assert_int_equal(b->schedule.n, 1021);
        for (uint32_t i = 0; i < b->schedule.n; i++)
                assert_int_equal(slot(&e, b->schedule.slots, i), 4);
        c = cell(&e, policy->subsets + 2);
        assert_int_equal(c->schedule.n, 0);
        assert_int_equal(c->n_endpoints, 0);
}

/* The same model and ids give the same bytes, whatever memory held before. */
static void test_same_bytes(void **state) {
        _cleanup_(policy_freep) Policy *p = test_load(large), *again = test_load(large);
        _cleanup_(policy_extent_done) PolicyExtent a = {}, b = {};
        void *dirt = malloc(1 << 16);

        test_compile(p->services[0], &a);
        memset(dirt, 0x5a, 1 << 16);
        free(dirt);
        test_compile(again->services[0], &b);
        assert_int_equal(a.n_cells, b.n_cells);
        assert_memory_equal(a.cells, b.cells, a.n_cells * sizeof(struct sm_cell));
}

/* Who takes nothing new has no slot, but is listed. */
static void test_no_slots(void **state) {
        static const char *const states[] = { "state: drain", "state: disabled", "weight: 0" };
        char text[256];

        for (size_t i = 0; i < ELEMENTSOF(states); i++)
                for (size_t hash = 0; hash < 2; hash++) {
                        _cleanup_(policy_extent_done) PolicyExtent e = {};
                        _cleanup_(policy_freep) Policy *p = NULL;
                        const struct sm_subset *subset;

                        snprintf(text, sizeof(text),
                                 "service: s\nbalance: %s\nendpoints: [\"10.1.0.1:80\", "
                                 "{address: \"10.1.0.2:80\", %s}]\n",
                                 hash ? "consistent-hash" : "least-request", states[i]);
                        p = test_load(text);
                        test_compile(p->services[0], &e);
                        subset = cell(&e, ((const struct sm_policy *) cell(&e, 0))->subsets);
                        assert_int_equal(subset->n_endpoints, 2);
                        assert_int_equal(subset->schedule.n, hash ? 1021 : 1);
                        for (uint32_t k = 0; k < subset->schedule.n; k++)
                                assert_int_equal(slot(&e, subset->schedule.slots, k), 1);
                }
}

/* A name may resolve to more addresses than there are slots. */
static void test_too_big(void **state) {
        _cleanup_(policy_freep) Policy *p = test_load("service: s\nendpoints: [\"db.example:80\"]\n");
        TestBinding b = test_bind(p->services[0]);
        PolicyExtent e = {};

        b.subsets[0].n_endpoints = SM_SLOTS_MAX + 1;
        free(b.subsets[0].endpoints);
        b.subsets[0].endpoints = calloc(SM_SLOTS_MAX + 1, sizeof(BoundEndpoint));
        for (uint32_t i = 0; i <= SM_SLOTS_MAX; i++)
                b.subsets[0].endpoints[i] = (BoundEndpoint) { .id = i + 1, .port = 80, .weight = 1 };
        assert_int_equal(policy_compile(p->services[0], &b.binding, &e), -E2BIG);
        assert_null(e.cells);
        b.subsets[0].n_endpoints--;
        assert_int_equal(policy_compile(p->services[0], &b.binding, &e), 0);
        policy_extent_done(&e);
        test_binding_done(&b);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_simple),
                cmocka_unit_test(test_large),
                cmocka_unit_test(test_same_bytes),
                cmocka_unit_test(test_no_slots),
                cmocka_unit_test(test_too_big),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
