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
        assert_int_equal(e->outcome.reason, SM_REASON_NONE);
        assert_int_equal(e->route, 3);
        assert_int_equal(e->n_routes, 4);
        assert_string_equal(e->routes[0].name, "beta");
        assert_string_equal(e->routes[0].why, "path: {prefix: /v2} does not hold: it is /v20");
        assert_string_equal(e->routes[0].origin, "f:8");
        assert_false(e->routes[0].matched);
        assert_string_equal(e->routes[1].why, "path: /sticky does not hold: it is /v20");
        assert_string_equal(e->routes[3].why, "host: a.example.com holds");
        assert_true(e->routes[3].matched);

        assert_int_equal(e->outcome.n_subsets, 2);
        s = &e->outcome.subsets[0];
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
        assert_string_equal(e->outcome.subsets[1].name, "canary");
        assert_int_equal(e->outcome.subsets[1].share_permille, 50);
        assert_string_equal(e->outcome.subsets[1].balance, "least-request");
}

static void test_first_match(void **state) {
        _cleanup_(live_done) Live l = {};
        _cleanup_(explanation_freep) Explanation *e = NULL;

        live_start(&l, payments);
        e = ask(&l, "a.example.com", "/v2/x", NULL);
        assert_int_equal(e->route, 0);
        assert_int_equal(e->n_routes, 1); /* those behind were not tried */
        assert_string_equal(e->routes[0].why, "host: \"*.example.com\" holds; path: {prefix: /v2} holds");
        assert_int_equal(e->outcome.subsets[0].share_permille, 1000);
        e = explanation_free(e);

        e = ask(&l, "example.com", "/v2/x", NULL);
        assert_int_equal(e->route, -1);
        assert_int_equal(e->n_routes, 4);
        assert_int_equal(e->outcome.n_subsets, 0);
        assert_int_equal(e->outcome.reason, SM_REASON_NO_ROUTE);
        assert_string_equal(e->routes[0].why, "host: \"*.example.com\" does not hold: it is example.com");
        e = explanation_free(e);

        e = ask(&l, "x", "/none", NULL);
        assert_int_equal(e->route, 2);
        assert_int_equal(e->outcome.reason, SM_REASON_NO_ENDPOINT);
}

/* The hash leads where the engine goes, and always there. */
static void test_hash(void **state) {
        static const char *with[] = { "Cookie: a=b; sid=42", NULL };
        _cleanup_(live_done) Live l = {};
        _cleanup_(explanation_freep) Explanation *e = NULL;
        uint32_t picked;

        live_start(&l, payments);
        e = ask(&l, "x", "/sticky", with);
        assert_string_equal(e->outcome.subsets[0].hash, "cookie sid");
        picked = e->outcome.subsets[0].picked;
        assert_in_range(picked, 5, 6);
        e = explanation_free(e);
        e = ask(&l, "x", "/sticky", with);
        assert_int_equal(e->outcome.subsets[0].picked, picked);
        e = explanation_free(e);

        l.endpoint_states[picked].avoid_until = UINT64_MAX;
        e = ask(&l, "x", "/sticky", with);
        assert_int_equal(e->outcome.subsets[0].picked, 11 - picked);
        e = explanation_free(e);
        e = ask(&l, "x", "/sticky", NULL); /* lacks it: at random */
        assert_int_equal(e->outcome.subsets[0].picked, 0);
}

static void test_refused(void **state) {
        static const char *twice[] = { "Content-Length: 1", "Content-Length: 1", NULL };
        static const char *early[] = { "X: 1\r\n\r\nGET / HTTP/1.1", NULL };
        _cleanup_(live_done) Live l = {};
        _cleanup_(explanation_freep) Explanation *e = NULL;
        const ExplainRequest q = { .method = "GET", .host = "x", .target = "/" };

        live_start(&l, payments);
        e = ask(&l, "x", "/", twice);
        assert_int_equal(e->outcome.reason, SM_REASON_DUPLICATE_LENGTH);
        assert_int_equal(e->n_routes, 0);
        e = explanation_free(e);
        e = ask(&l, "x", "no target", NULL);
        assert_int_not_equal(e->outcome.reason, SM_REASON_NONE);
        e = explanation_free(e);
        e = ask(&l, "x", "/", early);
        assert_int_equal(e->outcome.reason, SM_REASON_BAD_FIELD_VALUE);
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
        assert_string_equal(e->outcome.subsets[0].hash, "source");
        assert_int_equal(e->outcome.subsets[0].picked, 0); /* goes by more than is known */
        assert_int_equal(e->outcome.reason, SM_REASON_NONE);
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
        assert_int_equal(e->outcome.slow, SM_SLOW_NONE);
        assert_int_equal(e->outcome.subsets[0].candidates[0].place, PLACE_HERE);
        assert_int_equal(e->outcome.subsets[0].candidates[1].place, PLACE_ELSEWHERE);
        assert_int_equal(e->n_limits, 2);
        assert_int_equal(e->limits[0], FAST_LIMIT_BLOCKING);
        assert_int_equal(e->limits[1], FAST_LIMIT_REMOTE);
        e = explanation_free(e);

        q.is_own = NULL;
        q.fields = fields;
        assert_int_equal(policy_explain(&l.tables, 1, &q, &e), 0);
        assert_int_equal(e->outcome.slow, SM_SLOW_REWRITTEN);
        assert_int_equal(e->outcome.subsets[0].candidates[0].place, PLACE_UNKNOWN);
        assert_int_equal(e->n_limits, 2);
        e = explanation_free(e);

        q.target = "no target";
        assert_int_equal(policy_explain(&l.tables, 1, &q, &e), 0);
        assert_int_equal(e->outcome.slow, SM_SLOW_REFUSED);
}

static void test_fast_path_here(void **state) {
        _cleanup_(live_done) Live l = {};
        _cleanup_(explanation_freep) Explanation *e = NULL;

        live_start(&l, "{service: s, endpoints: [\"127.0.0.1:80\", \"[::1]:80\", {address: \"10.1.0.9:80\", "
                       "state: drain}]}");
        e = ask(&l, "x", "/", NULL);
        assert_int_equal(e->outcome.subsets[0].candidates[1].place, PLACE_HERE);
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

/* What is said of each condition that decides, and of no other. */
static void test_why(void **state) {
        static const char *fields[] = { "X-Beta: 2", "Cookie: a=b; sid=42", "X-Here: ", NULL };
        static const char *const cases[][2] = {
                { "headers: {x-beta: \"1\"}", "headers: {x-beta: 1} does not hold: it is 2" },
                { "headers: {x-none: \"1\"}", "headers: {x-none: 1} does not hold" },
                { "headers: {x-beta: [\"1\", \"3\"]}", "headers: {x-beta: [1, 3]} does not hold: it is 2" },
                { "headers: {x-here: {present: false}}",
                  "headers: {x-here: {present: false}} does not hold: it is empty" },
                { "headers: {x-none: {present: false}}, path: /y",
                  "path: /y does not hold: it is /x" },
                { "headers: {x-none: {present: false}}", "headers: {x-none: {present: false}} holds" },
                { "cookies: {sid: {range: 1..10}}", "cookies: {sid: {range: 1..10}} does not hold: it is 42" },
                { "query: {page: {regex: \"^[a-z]$\"}}",
                  "query: {page: {regex: \"^[a-z]$\"}} does not hold: it is 7" },
                { "query: {page: {regex: \"^[0-9]$\"}}", "query: {page: {regex: \"^[0-9]$\"}} holds" },
                { "method: [POST, PUT]", "method: [POST, PUT] does not hold: it is GET" },
                { "any: [{path: /y}, {headers: {x-beta: \"1\"}}]",
                  "path: /y does not hold: it is /x; headers: {x-beta: 1} does not hold: it is 2" },
                { "any: [{path: /y}, {headers: {x-beta: \"2\"}}]", "headers: {x-beta: 2} holds" },
                { "any: [{path: /y}, {path: /x}], method: POST", "method: POST does not hold: it is GET" },
                { "not: {path: /x}", "path: /x must not hold: it is /x" },
                { "not: {path: /y}", "path: /y does not hold: it is /x" },
                { "callers: shop.slice", "callers: shop.slice does not hold: it is ops.slice" },
                { "callers: {unit: cart.service}", "callers: cart.service holds" },
                { "callers: {user: root}", "callers: {user: root} does not hold: it is nobody" },
                { "source: 10.0.0.0/8", "source: 10.0.0.0/8 does not hold" },
                { "fraction: 5%, path: /x", "path: /x holds; fraction: 5% may hold" },
                { "fraction: 0%", "fraction: 0% does not hold" },
                { "fraction: 100%", "fraction: 100% holds" },
                { "fraction: 5%, path: /y", "path: /y does not hold: it is /x" },
                { "body: {contains: text}", "body: {contains: text} does not hold" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(explanation_freep) Explanation *e = NULL;
                _cleanup_(live_done) Live l = {};
                _cleanup_free_ char *text = NULL;
                const ExplainRequest q = {
                        .host = "x", .target = "/x?page=7", .fields = fields,
                        .slice = "ops.slice", .slice_id = 2,
                        .unit = "cart.service", .user = "nobody", .uid = 65534,
                };

                assert_true(asprintf(&text, "{service: s, endpoints: [], routes: [{to: default, "
                                            "match: {%s}}]}", cases[i][0]) > 0);
                live_start(&l, text);
                assert_int_equal(policy_explain(&l.tables, 1, &q, &e), 0);
                assert_string_equal(e->routes[0].why, cases[i][1]);
        }
}

/* Dice are not thrown: both ways are told. */
static void test_chance(void **state) {
        _cleanup_(explanation_freep) Explanation *e = NULL;
        _cleanup_(live_done) Live l = {};

        live_start(&l, "service: s\n"
                       "subsets: {a: {endpoints: [\"127.0.0.1:1\"]}, b: {endpoints: [\"127.0.0.1:2\"]}}\n"
                       "routes:\n"
                       "  - {name: half, match: {fraction: 50%}, to: a}\n"
                       "  - {name: watch, match: {path: /}, to: b, shadow: true}\n"
                       "  - {name: regex, match: {fraction: 50%, headers: {x: {regex: a}}}, to: a}\n"
                       "  - {name: one, match: {fraction: 20%, path: /}, to: a}\n"
                       "  - {name: rest, match: {not: {fraction: 0%}}, to: b}\n"
                       "  - {name: never, to: a}\n");
        e = ask(&l, "x", "/", NULL);
        assert_int_equal(e->n_routes, 5);
        assert_int_equal(e->route, 4);
        assert_int_equal(e->routes[0].chance, EXPLAIN_ALWAYS / 2);
        assert_false(e->routes[0].matched);
        assert_true(e->routes[1].matched);
        assert_true(e->routes[1].shadow);
        assert_int_equal(e->routes[2].chance, 0);
        assert_true(e->routes[4].matched);
        assert_int_equal(e->n_possible, 2);
        assert_int_equal(e->possible[0].route, 0);
        assert_string_equal(e->possible[0].outcome.subsets[0].name, "a");
        assert_int_equal(e->possible[0].outcome.slow, SM_SLOW_NONE);
        assert_int_equal(e->possible[1].route, 3);
        assert_in_range(e->possible[1].chance, EXPLAIN_ALWAYS / 10 - 1, EXPLAIN_ALWAYS / 10 + 1);
        assert_string_equal(e->outcome.subsets[0].name, "b");
        assert_int_equal(e->outcome.slow, SM_SLOW_NONE); /* half of those that come to `regex` */
}

/* What keeps a request from the fast path is what the kernel meets before it knows the route. */
static void test_undecided(void **state) {
        static const char *form[] = { "Content-Type: application/x-www-form-urlencoded", NULL };
        ExplainRequest q = { .method = "POST", .host = "x", .target = "/", .fields = form };
        _cleanup_(explanation_freep) Explanation *e = NULL;
        _cleanup_(live_done) Live l = {};
        _cleanup_free_ char *large = malloc(20000);

        live_start(&l, "service: s\n"
                       "endpoints: [\"127.0.0.1:1\"]\n"
                       "routes:\n"
                       "  - {name: plain, match: {path: /plain}, to: default}\n"
                       "  - {name: form, match: {method: POST, body: {form: {tier: gold}}}, to: default}\n"
                       "  - {name: regex, match: {path: {regex: \"^/r\"}}, to: default}\n"
                       "  - {name: rest, to: default}\n");
        e = ask(&l, "x", "/plain", NULL);
        assert_int_equal(e->outcome.slow, SM_SLOW_NONE);
        e = explanation_free(e);
        e = ask(&l, "x", "/other", NULL);
        assert_string_equal(e->routes[e->route].name, "rest");
        assert_int_equal(e->outcome.slow, SM_SLOW_REGEX);
        e = explanation_free(e);

        q.body = "a=b&tier=gold";
        q.body_length = 13;
        assert_int_equal(policy_explain(&l.tables, 1, &q, &e), 0);
        assert_string_equal(e->routes[e->route].name, "form");
        assert_string_equal(e->routes[e->route].conditions[1].value, "gold");
        assert_int_equal(e->outcome.slow, SM_SLOW_NONE);
        e = explanation_free(e);
        memset(large, 'x', 20000);
        q.body = large;
        q.body_length = 20000;
        assert_int_equal(policy_explain(&l.tables, 1, &q, &e), 0);
        assert_string_equal(e->routes[e->route].name, "rest");
        assert_int_equal(e->outcome.slow, SM_SLOW_BODY);
}

static void test_split_by_key(void **state) {
        static const char *with[] = { "X-User: 42", NULL };
        _cleanup_(explanation_freep) Explanation *e = NULL;
        _cleanup_(live_done) Live l = {};

        live_start(&l, "service: s\n"
                       "subsets: {a: {endpoints: [\"127.0.0.1:1\"]}, b: {endpoints: [\"127.0.0.1:2\"]}, "
                       "c: {endpoints: []}}\n"
                       "routes: [{split: {a: 60, b: 40, c: 0}, split-by: {header: x-user}}]\n");
        e = ask(&l, "x", "/", with);
        assert_string_equal(e->outcome.split, "key");
        assert_string_equal(e->outcome.split_key, "header x-user");
        assert_int_equal(e->outcome.n_subsets, 2);
        assert_int_equal(e->outcome.subsets[0].share_permille, 600);
        assert_true(e->outcome.subsets[0].chosen != e->outcome.subsets[1].chosen);
        e = explanation_free(e);
        e = ask(&l, "x", "/", NULL);
        assert_false(e->outcome.subsets[0].chosen || e->outcome.subsets[1].chosen);
}

static void check_action(const Explanation *e, size_t i, ExplainActionKind kind, unsigned status,
                         const char *value) {
        assert_true(i < e->outcome.n_actions);
        assert_int_equal(e->outcome.actions[i].kind, kind);
        assert_int_equal(e->outcome.actions[i].status, status);
        if (value)
                assert_string_equal(e->outcome.actions[i].value, value);
        else
                assert_null(e->outcome.actions[i].value);
}

/* What is done with a request, with what it comes to for this one. */
static void test_actions(void **state) {
        _cleanup_(explanation_freep) Explanation *e = NULL;
        _cleanup_(live_done) Live l = {};

        live_start(&l, "service: s\n"
                       "subsets: {a: {endpoints: [\"127.0.0.1:1\"]}, b: {endpoints: [\"127.0.0.1:2\"]}}\n"
                       "routes:\n"
                       "  - name: all\n"
                       "    match: {path: {prefix: /api}}\n"
                       "    to: a\n"
                       "    rewrite: {prefix: /v1/, host: in.example}\n"
                       "    request-headers: {add: {X-A: b}, remove: [x-e]}\n"
                       "    response-headers: {set: {x-c: d}}\n"
                       "    mirror: {to: b, fraction: 25%}\n"
                       "    fault:\n"
                       "      delay: {for: 100ms, fraction: 50%}\n"
                       "      abort: {status: 503, fraction: 1%}\n"
                       "  - {match: {path: {prefix: /old}}, redirect: {status: 302, prefix: /new}}\n"
                       "  - {match: {path: /a}, redirect: {status: 308, url: \"https://x.example/\"}}\n"
                       "  - {name: mirror, match: {path: /m}, to: a, mirror: {to: b, fraction: 25%}}\n"
                       "  - {name: no, respond: {status: 403, body: \"No.\\n\"}}\n");
        e = ask(&l, "x", "/api/y?q", NULL);
        assert_int_equal(e->outcome.n_actions, 8);
        check_action(e, 0, EXPLAIN_DELAY, 0, "100ms");
        assert_int_equal(e->outcome.actions[0].chance, EXPLAIN_ALWAYS / 2);
        check_action(e, 1, EXPLAIN_ABORT, 503, NULL);
        check_action(e, 2, EXPLAIN_MIRROR, 0, "b");
        assert_int_equal(e->outcome.actions[2].chance, EXPLAIN_ALWAYS / 4);
        assert_int_equal(e->outcome.actions[3].kind, EXPLAIN_REWRITE_PATH);
        assert_string_equal(e->outcome.actions[3].value, "/v1/y?q");
        check_action(e, 4, EXPLAIN_REWRITE_HOST, 0, "in.example");
        assert_int_equal(e->outcome.slow, SM_SLOW_ACTION);
        assert_int_equal(e->outcome.reason, SM_REASON_NONE);
        e = explanation_free(e);

        e = ask(&l, "h.example:81", "/old/y?q", NULL);
        check_action(e, 0, EXPLAIN_REDIRECT, 302, "http://h.example:81/new/y?q");
        assert_int_equal(e->outcome.n_subsets, 0);
        assert_int_equal(e->outcome.reason, SM_REASON_NONE);
        assert_int_equal(e->outcome.slow, SM_SLOW_ACTION);
        e = explanation_free(e);
        e = ask(&l, "x", "/a", NULL);
        check_action(e, 0, EXPLAIN_REDIRECT, 308, "https://x.example/");
        e = explanation_free(e);
        e = ask(&l, "x", "/m", NULL);
        check_action(e, 0, EXPLAIN_MIRROR, 0, "b");
        assert_int_equal(e->outcome.slow, SM_SLOW_NONE); /* three of four are not copied */
        e = explanation_free(e);
        e = ask(&l, "x", "/", NULL);
        check_action(e, 0, EXPLAIN_RESPOND, 403, NULL);
        assert_int_equal(e->outcome.slow, SM_SLOW_NONE);
}

/* What routes see is the normal form, where the policy has it. */
static void test_paths(void **state) {
        _cleanup_(explanation_freep) Explanation *e = NULL;
        _cleanup_(live_done) Live l = {};

        live_start(&l, "{service: s, endpoints: [\"127.0.0.1:1\"], "
                       "routes: [{match: {path: /v2/x}, to: default}, {to: default}]}");
        e = ask(&l, "x", "/v2/%78?y=/../", NULL);
        assert_string_equal(e->path, "/v2/x");
        assert_int_equal(e->route, 0);
        assert_int_equal(e->outcome.slow, SM_SLOW_REWRITTEN);
        e = explanation_free(e);
        e = ask(&l, "x", "/v2/x?y=/../", NULL);
        assert_null(e->path);
        assert_int_equal(e->outcome.slow, SM_SLOW_NONE);
        e = explanation_free(e);
        e = ask(&l, "x", "/v2%2Fx", NULL);
        assert_int_equal(e->outcome.reason, SM_REASON_AMBIGUOUS_PATH);
        assert_int_equal(e->outcome.slow, SM_SLOW_REFUSED);
        assert_int_equal(e->n_routes, 0);
}

/* A fault for all is all that becomes of them. */
static void test_abort(void **state) {
        _cleanup_(explanation_freep) Explanation *e = NULL;
        _cleanup_(live_done) Live l = {};

        live_start(&l, "{service: s, endpoints: [\"127.0.0.1:1\"], "
                       "routes: [{to: default, fault: {abort: {status: 503, fraction: 100%}}}]}");
        e = ask(&l, "x", "/", NULL);
        assert_int_equal(e->outcome.reason, SM_REASON_FAULT_INJECTED);
        assert_int_equal(e->outcome.n_subsets, 0);
        assert_int_equal(e->outcome.slow, SM_SLOW_NONE);
        explanation_without_answers(e);
        assert_int_equal(e->outcome.slow, SM_SLOW_ACTION);
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
                            "\"origin\":\"f:1\",\"matched\":false,\"chance\":\"0%\",\"shadow\":false,"
                            "\"why\":\"path: \\\"/\\\\\\\"\\\\\\\\\\\" does not hold: it is /\","
                            "\"conditions\":[{\"condition\":\"path: \\\"/\\\\\\\"\\\\\\\\\\\"\","
                            "\"holds\":false,\"value\":\"/\",\"decisive\":true}]}],"
                            "\"path\":null,\"split\":null,"
                            "\"split-key\":null,\"subsets\":[],\"actions\":[],\"reason\":\"no-route\","
                            "\"sentence\":\"No route of the service matches the request.\",\"possible\":[],"
                            "\"fast-path\":{\"slow\":\"none\",\"sentence\":\"Nothing was in the way.\","
                            "\"limits\":[{\"limit\":\"blocking\",\"sentence\":\"Callers whose sockets are "
                            "blocking go to the relay, unless the policy says accelerate: always.\"}]}}");
        e = explanation_free(e);
        free(TAKE_PTR(json));
        e = ask(&l, "x", "/\"\\", NULL);
        assert_int_equal(explanation_to_json(e, &json), 0);
        assert_non_null(strstr(json, "\"route\":0,"));
        assert_non_null(strstr(json, "\"subsets\":[{\"name\":\"default\",\"share-permille\":1000,"
                                     "\"chosen\":false,\"balance\":\"round-robin\",\"hash\":null,"
                                     "\"picked\":null,\"candidates\":[{\"endpoint\":1,"
                                     "\"address\":\"10.1.0.1:80\","
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
                cmocka_unit_test(test_why),
                cmocka_unit_test(test_chance),
                cmocka_unit_test(test_undecided),
                cmocka_unit_test(test_split_by_key),
                cmocka_unit_test(test_actions),
                cmocka_unit_test(test_paths),
                cmocka_unit_test(test_abort),
                cmocka_unit_test(test_json),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
