/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <arpa/inet.h>
#include <errno.h>

#include <cmocka.h>

#include "../basic/cleanup.h"
#include "../basic/macro.h"
#include "policy-explain.h"
#include "test-policy-model.h"

DEFINE_TRIVIAL_CLEANUP(Policy *, policy_free)
DEFINE_TRIVIAL_CLEANUP(Explanation *, explanation_free)

enum { BASE = 2, IDS = 16 };

/* A service in tables, its extent at BASE. */
typedef struct Live {
        Policy *policy;
        struct sm_cell *cells;
        struct sm_service services[2];
        struct sm_endpoint endpoints[IDS];
        struct sm_endpoint_state endpoint_states[IDS];
        struct sm_subset_state subset_states[IDS];
        struct sm_route_state route_states[IDS];
        struct sm_tables tables;
} Live;

static void live_done(Live *l) {
        policy_free(l->policy);
        free(l->cells);
}

static void live_fill_endpoints(Live *l, const TestBinding *b, const PolicyService *s) {
        for (size_t i = 0; i < s->n_subsets; i++)
                for (size_t j = 0; j < b->subsets[i].n_endpoints; j++) {
                        const BoundEndpoint *e = &b->subsets[i].endpoints[j];

                        memcpy(l->endpoints[e->id].address, &e->address, 16);
                        l->endpoints[e->id].port = htons(e->port);
                        l->endpoints[e->id].weight = e->weight;
                }
}

static void live_start(Live *l, const char *text) {
        PolicyExtent extent = {};
        const PolicyService *s;
        TestBinding b;

        l->policy = test_load(text);
        s = l->policy->services[0];
        b = test_bind(s);
        assert_int_equal(policy_compile(s, &b.binding, &extent), 0);
        l->cells = aligned_alloc(SM_CELL_SIZE, (extent.n_cells + BASE) * sizeof(struct sm_cell));
        memset(l->cells, 0xee, BASE * sizeof(struct sm_cell));
        memcpy(l->cells + BASE, extent.cells, extent.n_cells * sizeof(struct sm_cell));
        l->services[1].root = BASE;
        live_fill_endpoints(l, &b, s);
        l->tables = (struct sm_tables) {
                .cells = l->cells,
                .services = l->services,
                .endpoints = l->endpoints,
                .endpoint_states = l->endpoint_states,
                .subset_states = l->subset_states,
                .route_states = l->route_states,
                .n_cells = extent.n_cells + BASE,
                .n_services = 2,
                .n_endpoints = IDS,
                .n_subsets = IDS,
                .n_routes = IDS,
        };
        policy_extent_done(&extent);
        test_binding_done(&b);
}

static Explanation *ask(const Live *l, const char *host, const char *target, const char **fields) {
        const ExplainRequest q = { .method = "GET", .host = host, .target = target, .fields = fields };
        Explanation *e = NULL;

        assert_int_equal(policy_explain(&l->tables, 1, &q, &e), 0);
        return e;
}

static const char payments[] =
        "service: payments\n"
        "subsets:\n"
        "  stable: {endpoints: [\"10.1.0.1:80\", {address: \"10.1.0.2:80\", weight: 3}, "
        "{address: \"[fd00::1]:80\", state: drain}]}\n"
        "  canary: {endpoints: [\"10.1.0.9:80\"], balance: least-request}\n"
        "  sticky: {endpoints: [\"10.1.0.3:80\", \"10.1.0.4:80\"], balance: consistent-hash, "
        "hash: {cookie: sid}}\n"
        "  empty: {endpoints: []}\n"
        "routes:\n"
        "  - {name: beta, match: {host: \"*.example.com\", path: {prefix: /v2}}, to: canary}\n"
        "  - {name: sticky, match: {path: /sticky}, to: sticky}\n"
        "  - {name: none, match: {path: /none}, to: empty}\n"
        "  - {name: rest, match: {host: a.example.com}, split: {stable: 95, canary: 5}}\n";

static void test_split(void **state) {
        _cleanup_(live_done) Live l = {};
        _cleanup_(explanation_freep) Explanation *e = NULL;
        const ExplainSubset *s;

        live_start(&l, payments);
        l.endpoint_states[1].in_flight = 4;
        l.endpoint_states[2].avoid_until = UINT64_MAX;
        e = ask(&l, "A.Example.Com:8080", "/v20?x", NULL);
        assert_string_equal(e->service, "payments");
        assert_int_equal(e->reason, SM_REASON_NONE);
        assert_int_equal(e->route, 3);
        assert_int_equal(e->n_routes, 4);
        assert_string_equal(e->routes[0].name, "beta");
        assert_string_equal(e->routes[0].why, "the path is not below /v2");
        assert_string_equal(e->routes[0].origin, "f:8");
        assert_false(e->routes[0].matched);
        assert_string_equal(e->routes[1].why, "the path is not /sticky");
        assert_string_equal(e->routes[3].why, "its condition holds");
        assert_true(e->routes[3].matched);

        assert_int_equal(e->n_subsets, 2);
        s = &e->subsets[0];
        assert_string_equal(s->name, "stable");
        assert_int_equal(s->share_permille, 950);
        assert_string_equal(s->balance, "round-robin");
        assert_null(s->hash);
        assert_int_equal(s->picked, 0);
        assert_int_equal(s->n_candidates, 3);
        assert_string_equal(s->candidates[0].address, "10.1.0.1:80");
        assert_int_equal(s->candidates[0].share_permille, 250);
        assert_int_equal(s->candidates[0].in_flight, 4);
        assert_false(s->candidates[0].avoided);
        assert_int_equal(s->candidates[1].share_permille, 750);
        assert_true(s->candidates[1].avoided);
        assert_string_equal(s->candidates[2].address, "[fd00::1]:80");
        assert_int_equal(s->candidates[2].share_permille, 0);
        assert_string_equal(e->subsets[1].name, "canary");
        assert_int_equal(e->subsets[1].share_permille, 50);
        assert_string_equal(e->subsets[1].balance, "least-request");
}

static void test_first_match(void **state) {
        _cleanup_(live_done) Live l = {};
        _cleanup_(explanation_freep) Explanation *e = NULL;

        live_start(&l, payments);
        e = ask(&l, "a.example.com", "/v2/x", NULL);
        assert_int_equal(e->route, 0);
        assert_int_equal(e->n_routes, 1); /* those behind were not tried */
        assert_string_equal(e->routes[0].why, "all its conditions hold");
        assert_int_equal(e->subsets[0].share_permille, 1000);
        e = explanation_free(e);

        e = ask(&l, "example.com", "/v2/x", NULL);
        assert_int_equal(e->route, -1);
        assert_int_equal(e->n_routes, 4);
        assert_int_equal(e->n_subsets, 0);
        assert_int_equal(e->reason, SM_REASON_NO_ROUTE);
        assert_string_equal(e->routes[0].why, "the host is not a name that ends in .example.com");
        e = explanation_free(e);

        e = ask(&l, "x", "/none", NULL);
        assert_int_equal(e->route, 2);
        assert_int_equal(e->reason, SM_REASON_NO_ENDPOINT);
}

/* The hash leads where the engine goes, and always there. */
static void test_hash(void **state) {
        static const char *with[] = { "Cookie: a=b; sid=42", NULL };
        _cleanup_(live_done) Live l = {};
        _cleanup_(explanation_freep) Explanation *e = NULL;
        uint32_t picked;

        live_start(&l, payments);
        e = ask(&l, "x", "/sticky", with);
        assert_string_equal(e->subsets[0].hash, "cookie sid");
        picked = e->subsets[0].picked;
        assert_in_range(picked, 5, 6);
        e = explanation_free(e);
        e = ask(&l, "x", "/sticky", with);
        assert_int_equal(e->subsets[0].picked, picked);
        e = explanation_free(e);

        l.endpoint_states[picked].avoid_until = UINT64_MAX;
        e = ask(&l, "x", "/sticky", with);
        assert_int_equal(e->subsets[0].picked, 11 - picked);
        e = explanation_free(e);
        e = ask(&l, "x", "/sticky", NULL); /* lacks it: at random */
        assert_int_equal(e->subsets[0].picked, 0);
}

static void test_refused(void **state) {
        static const char *twice[] = { "Content-Length: 1", "Content-Length: 1", NULL };
        static const char *early[] = { "X: 1\r\n\r\nGET / HTTP/1.1", NULL };
        _cleanup_(live_done) Live l = {};
        _cleanup_(explanation_freep) Explanation *e = NULL;
        const ExplainRequest q = { .method = "GET", .host = "x", .target = "/" };

        live_start(&l, payments);
        e = ask(&l, "x", "/", twice);
        assert_int_equal(e->reason, SM_REASON_DUPLICATE_LENGTH);
        assert_int_equal(e->n_routes, 0);
        e = explanation_free(e);
        e = ask(&l, "x", "no target", NULL);
        assert_int_not_equal(e->reason, SM_REASON_NONE);
        e = explanation_free(e);
        e = ask(&l, "x", "/", early);
        assert_int_equal(e->reason, SM_REASON_BAD_FIELD_VALUE);
        e = explanation_free(e);

        l.services[1].root = 0;
        assert_int_equal(policy_explain(&l.tables, 1, &q, &e), -ENOENT);
        assert_int_equal(policy_explain(&l.tables, 2, &q, &e), -ENOENT);
        assert_null(e);
}

static void test_tcp(void **state) {
        _cleanup_(live_done) Live l = {};
        _cleanup_(explanation_freep) Explanation *e = NULL;

        live_start(&l, "{service: db, protocol: tcp, balance: consistent-hash, "
                       "endpoints: [\"10.1.0.1:80\"]}");
        e = ask(&l, NULL, NULL, NULL);
        assert_int_equal(e->route, 0);
        assert_string_equal(e->routes[0].why, "it has no conditions");
        assert_string_equal(e->subsets[0].hash, "source");
        assert_int_equal(e->subsets[0].picked, 1);
        assert_int_equal(e->reason, SM_REASON_NONE);
        assert_false(e->is_http);
        assert_int_equal(e->n_limits, 1);
        assert_int_equal(e->limits[0], FAST_LIMIT_TCP);
}

static bool is_first(const struct in6_addr *address) {
        return address->s6_addr[15] == 1;
}

/* Which requests the kernel may take, and where its way ends. */
static void test_fast_path(void **state) {
        static const char *fields[] = { "Connection: close", NULL };
        ExplainRequest q = { .host = "a.example.com", .target = "/", .is_own = is_first };
        _cleanup_(explanation_freep) Explanation *e = NULL;
        _cleanup_(live_done) Live l = {};

        live_start(&l, payments);
        assert_int_equal(policy_explain(&l.tables, 1, &q, &e), 0);
        assert_true(e->is_http);
        assert_int_equal(e->slow, SM_SLOW_NONE);
        assert_int_equal(e->subsets[0].candidates[0].place, PLACE_HERE);
        assert_int_equal(e->subsets[0].candidates[1].place, PLACE_ELSEWHERE);
        assert_int_equal(e->n_limits, 2);
        assert_int_equal(e->limits[0], FAST_LIMIT_BLOCKING);
        assert_int_equal(e->limits[1], FAST_LIMIT_REMOTE);
        e = explanation_free(e);

        q.is_own = NULL;
        q.fields = fields;
        assert_int_equal(policy_explain(&l.tables, 1, &q, &e), 0);
        assert_int_equal(e->slow, SM_SLOW_REWRITTEN);
        assert_int_equal(e->subsets[0].candidates[0].place, PLACE_UNKNOWN);
        assert_int_equal(e->n_limits, 2);
        e = explanation_free(e);

        q.target = "no target";
        assert_int_equal(policy_explain(&l.tables, 1, &q, &e), 0);
        assert_int_equal(e->slow, SM_SLOW_REFUSED);
}

static void test_fast_path_here(void **state) {
        _cleanup_(live_done) Live l = {};
        _cleanup_(explanation_freep) Explanation *e = NULL;

        live_start(&l, "{service: s, endpoints: [\"127.0.0.1:80\", \"[::1]:80\", {address: \"10.1.0.9:80\", "
                       "state: drain}]}");
        e = ask(&l, "x", "/", NULL);
        assert_int_equal(e->subsets[0].candidates[1].place, PLACE_HERE);
        assert_int_equal(e->n_limits, 1);
        assert_int_equal(e->limits[0], FAST_LIMIT_BLOCKING);
}

/* An explanation takes nobody's turn. */
static void test_changes_nothing(void **state) {
        _cleanup_(live_done) Live l = {};
        static Live before;

        live_start(&l, payments);
        memcpy(&before, &l, sizeof(l));
        for (int i = 0; i < 3; i++) {
                _cleanup_(explanation_freep) Explanation *e = ask(&l, "a.example.com", "/", NULL);

                assert_int_equal(e->route, 3);
        }
        assert_memory_equal(&before, &l, sizeof(l));
}

/* Tables that lie are noticed, not followed. */
static void test_torn_tables(void **state) {
        _cleanup_(live_done) Live l = {};
        const ExplainRequest q = { .method = "GET", .host = "a.example.com", .target = "/" };
        uint32_t whole;

        live_start(&l, payments);
        whole = l.tables.n_cells;
        for (uint32_t n = 0; n < whole; n++) {
                _cleanup_(explanation_freep) Explanation *e = NULL;
                int r;

                l.tables.n_cells = n;
                r = policy_explain(&l.tables, 1, &q, &e);
                assert_true(r == 0 || r == -ENOENT || r == -EBADMSG);
        }
}

static void test_json(void **state) {
        _cleanup_(live_done) Live l = {};
        _cleanup_(explanation_freep) Explanation *e = NULL;
        _cleanup_free_ char *json = NULL;

        live_start(&l, "{service: s, endpoints: [\"10.1.0.1:80\"], routes: [{to: default, "
                       "match: {path: '/\"\\'}}]}");
        e = ask(&l, "x", "/", NULL);
        assert_int_equal(explanation_to_json(e, &json), 0);
        assert_string_equal(json,
                            "{\"service\":\"s\",\"route\":null,\"routes\":[{\"name\":\"route-1\","
                            "\"origin\":\"f:1\",\"matched\":false,\"why\":\"the path is not /\\\"\\\\\"}],"
                            "\"subsets\":[],\"fast-path\":{\"slow\":\"none\","
                            "\"sentence\":\"Nothing was in the way.\","
                            "\"limits\":[{\"limit\":\"blocking\",\"sentence\":\"Callers whose sockets are "
                            "blocking go to the relay, unless the policy says accelerate: always.\"}]},"
                            "\"reason\":\"no-route\","
                            "\"sentence\":\"No route of the service matches the request.\"}");
        e = explanation_free(e);
        free(TAKE_PTR(json));
        e = ask(&l, "x", "/\"\\", NULL);
        assert_int_equal(explanation_to_json(e, &json), 0);
        assert_non_null(strstr(json, "\"route\":0,"));
        assert_non_null(strstr(json, "\"subsets\":[{\"name\":\"default\",\"share-permille\":1000,"
                                     "\"balance\":\"round-robin\",\"hash\":null,\"picked\":null,"
                                     "\"candidates\":[{\"endpoint\":1,\"address\":\"10.1.0.1:80\","
                                     "\"share-permille\":1000,\"avoided\":false,\"local\":null,"
                                     "\"in-flight\":0}]}]"));
        assert_non_null(strstr(json, "\"reason\":\"none\""));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_split),
                cmocka_unit_test(test_first_match),
                cmocka_unit_test(test_hash),
                cmocka_unit_test(test_refused),
                cmocka_unit_test(test_tcp),
                cmocka_unit_test(test_fast_path),
                cmocka_unit_test(test_fast_path_here),
                cmocka_unit_test(test_changes_nothing),
                cmocka_unit_test(test_torn_tables),
                cmocka_unit_test(test_json),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
