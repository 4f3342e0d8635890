/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "../basic/cleanup.h"
#include "../engine/engine-match.h"
#include "policy-trace.h"
#include "test-policy-model.h"

DEFINE_TRIVIAL_CLEANUP(Policy *, policy_free)

enum { BASE = 3 };

static const char text[] =
        "{service: shop, subsets: {stable: {endpoints: ['10.1.0.11:80']}}, routes: ["
        "{name: beta, match: {method: POST, headers: {x-beta: {present: false}}}, to: stable}, "
        "{name: rest, to: stable}]}";

typedef struct Fixture {
        struct sm_tables tables;
        struct sm_cell *cells;
        struct sm_endpoint endpoints[2];
        struct sm_endpoint_state states[2];
} Fixture;

static int setup(void **state) {
        _cleanup_(policy_freep) Policy *p = test_load(text);
        static Fixture f;
        PolicyExtent extent = {};

        test_compile(p->services[0], &extent);
        f = (Fixture) {
                .cells = aligned_alloc(SM_CELL_SIZE, (extent.n_cells + BASE) * sizeof(struct sm_cell)),
                .endpoints[1] = { .address = { [10] = 0xff, [11] = 0xff, [12] = 10, [13] = 1, [15] = 11 },
                                  .port = htons(80) },
        };
        memset(f.cells, 0xee, BASE * sizeof(struct sm_cell));
        memcpy(f.cells + BASE, extent.cells, extent.n_cells * sizeof(struct sm_cell));
        f.tables = (struct sm_tables) { .cells = f.cells, .n_cells = extent.n_cells + BASE,
                                        .endpoints = f.endpoints, .endpoint_states = f.states,
                                        .n_endpoints = 2 };
        policy_extent_done(&extent);
        *state = &f;
        return 0;
}

static int teardown(void **state) {
        free(((Fixture *) *state)->cells);
        return 0;
}

static struct sm_link_trace told(const Fixture *f) {
        const struct sm_policy *policy = sm_cell_of(&f->tables, BASE);

        return (struct sm_link_trace) {
                .service = policy->service, .root = BASE, .revision = policy->revision, .route = 1,
                .endpoint = 1, .n_routes = 2, .slow = SM_SLOW_BLOCKING, .status = 204,
                .effects = SM_EFFECT_DELAY | SM_EFFECT_MIRROR, .first_byte = 1500, .total = 2000000,
                .routes = { { .last = 1 }, { .verdict = SM_VERDICT_YES } },
                .method = "POST", .target = "/a\"b", .target_length = 4,
        };
}

static void assert_json(const Fixture *f, const struct sm_link_trace *trace, const char *expected) {
        const TraceNames names = { .service = "shop", .slice = "a.slice" };
        _cleanup_free_ char *json = NULL;

        assert_int_equal(policy_trace_to_json(&f->tables, &names, trace, &json), 0);
        assert_string_equal(json, expected);
}

#define HEAD "{\"service\":\"shop\",\"method\":\"POST\",\"target\":\"/a\\\"b\",\"cut\":false," \
        "\"slice\":\"a.slice\",\"cgroup\":null,"

static void test_words(void **state) {
        struct sm_link_trace trace = told(*state);

        assert_json(*state, &trace, HEAD
                    "\"tried\":2,\"routes\":[{\"name\":\"beta\",\"origin\":\"f:1\","
                    "\"verdict\":\"failed\",\"shadow\":false,"
                    "\"predicate\":\"headers: {x-beta: {present: true}}\",\"holds\":true},"
                    "{\"name\":\"rest\",\"origin\":\"f:1\",\"verdict\":\"matched\",\"shadow\":false,"
                    "\"predicate\":null,\"holds\":null}],\"route\":\"rest\",\"subset\":\"stable\","
                    "\"endpoint\":\"10.1.0.11:80\",\"effects\":[\"delay\",\"mirror\"],\"fast\":false,"
                    "\"slow\":\"blocking\",\"reason\":\"none\",\"status\":204,\"first-byte-usec\":1,"
                    "\"total-usec\":2000}");
}

/* Nothing is told by the words of another policy, nor by none. */
static void test_policy_is_gone(void **state) {
        static const char rest[] = HEAD
                "\"tried\":2,\"routes\":[],\"route\":null,\"subset\":null,\"endpoint\":\"10.1.0.11:80\","
                "\"effects\":[],\"fast\":true,\"slow\":\"traced\",\"reason\":\"no-route\",\"status\":404,"
                "\"first-byte-usec\":null,\"total-usec\":2000}";
        struct sm_link_trace trace = told(*state);

        trace.slow = SM_SLOW_TRACED;
        trace.reason = SM_REASON_NO_ROUTE;
        trace.status = 404;
        trace.effects = 0;
        trace.first_byte = 0;
        trace.revision++;
        assert_json(*state, &trace, rest);
        trace.root = 0;
        assert_json(*state, &trace, rest);
        trace.root = UINT32_MAX;
        assert_json(*state, &trace, rest);
}

/* The relay is trusted with none of its numbers. */
static void test_numbers_out_of_range(void **state) {
        const TraceNames names = { .service = "shop" };
        struct sm_link_trace trace = told(*state);
        _cleanup_free_ char *json = NULL;

        trace.slow = trace.reason = trace.n_routes = UINT16_MAX;
        trace.endpoint = trace.subset = trace.route = trace.target_length = trace.effects = UINT32_MAX;
        trace.routes[0].last = UINT16_MAX;
        memset(trace.method, 'M', sizeof(trace.method));
        memset(trace.target, 't', sizeof(trace.target));
        assert_int_equal(policy_trace_to_json(&((Fixture *) *state)->tables, &names, &trace, &json), 0);
        assert_non_null(strstr(json, "\"cut\":true"));
        trace.routes[0].verdict = UINT8_MAX;
        assert_true(policy_trace_to_json(&((Fixture *) *state)->tables, &names, &trace, &json) < 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_words, setup, teardown),
                cmocka_unit_test_setup_teardown(test_policy_is_gone, setup, teardown),
                cmocka_unit_test_setup_teardown(test_numbers_out_of_range, setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
