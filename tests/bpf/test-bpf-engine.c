/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "engine/engine-parse.h"
#include "engine/engine-plain.h"
#include "engine/engine-route.h"
#include "engine/test-engine-request.h"
#include "engine-case.h"
#include "engine.skel.h"

/*
 * The engine in the kernel and in user space, on the same heads and tables: whatever one of them makes of
 * it, to the last byte of every struct and counter, the other must make as well.
 */

#define PREFIX "GET / HTTP/1.1\r\nHost: a\r\n"
#define NOW 1000
#define MUTATIONS 3000 /* a few ten microseconds each */

typedef struct Tables {
        void *cells, *endpoints, *endpoint_states, *subset_states, *route_states; /* of the maps */
} Tables;

static struct engine_bpf *programs;
static Tables maps;

static const struct {
        const char *text, *outcome;
        int response;
} cases[] = {
#include "engine/test-engine-head-cases.h"
};

static const char *const requests[] = {
        "GET /v2/x HTTP/1.1\r\nHost: API.example:80\r\n\r\n",
        "GET /v2 HTTP/1.1\r\nHost: api.example\r\n\r\n",
        "GET http://api.example/v2?x HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /v20 HTTP/1.1\r\nHost: api.example\r\n\r\n",
        "GET /a HTTP/1.1\r\nHost: a.shop.example\r\nAccept: */*\r\nX-User: carol\r\n\r\n",
        "GET /a HTTP/1.1\r\nHost: a.shop.example\r\n\r\n",
        "GET /private/x HTTP/1.1\r\nHost: a.shop.example\r\nX-User: carol\r\n\r\n",
        "GET " TEST_LONG_PATH " HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /public/x HTTP/1.1\r\nHost: a\r\nCookie: a=b; Session=0123456789; c=d\r\n\r\n",
        "GET /public/x HTTP/1.1\r\nHost: a\r\nCookie: Session=\r\n\r\n",
        "GET /public/x HTTP/1.1\r\nHost: a\r\nCookie: XSession=1\r\n\r\n",
        "GET /public/x HTTP/1.1\r\nHost: [::1]:80\r\nContent-Length: 5\r\n\r\nhello",
};

static const char *const responses[] = {
        "HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nDate: Tue, 24 Nov 2026 10:27:07 GMT\r\n"
        "Content-Type: text/plain\r\nContent-Length: 12345678\r\nConnection: keep-alive\r\n\r\n",
        "HTTP/1.1 200 OK\r\nDate: Tue, 24 Nov 2026 10:27:07 GMT\r\nConnection: keep-alive\r\n"
        "Keep-Alive: timeout=5\r\nContent-Length: 2\r\n\r\n",
        "HTTP/1.1 404 \r\nx-a-name-that-is-longer-than-any-keyword-is: v\r\n"
        "Transfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.0 200\r\nConnection: close, x\r\nContent-Length:123456789\r\nA:  b \r\nUpgrade:\r\n\r\n",
};

static void input_start(struct engine_input *in, const char *text, size_t n, enum sm_head_kind kind) {
        memset(in, 0, sizeof(*in));
        memset(in->bytes, 'a', sizeof(in->bytes)); /* of an earlier message, say */
        assert_true(n <= sizeof(in->bytes));
        memcpy(in->bytes, text, n);
        in->length = (__u32) n;
        in->kind = kind;
        in->limit = SM_HEAD_KERNEL_MAX;
        in->base = TEST_BASE;
        in->now = NOW;
        in->source[15] = 1;
        in->cgroup = 4711;
}

static enum sm_reason choose(const struct engine_input *in, TestTables *t, const struct sm_request *q,
                             struct sm_choice *choice) {
        enum sm_reason reason = sm_choose_route(&t->view, in->base, q, choice);

        if (reason != SM_REASON_NONE)
                return reason;
        sm_count_shadows(&t->view, choice);
        if (choice->undecided)
                return SM_REASON_NONE;
        sm_choose_effects(&t->view, choice, q);
        reason = sm_choose_subset(&t->view, choice, q);
        return reason != SM_REASON_NONE ? reason : sm_choose_endpoint(&t->view, choice, q, in->now, NULL, 0);
}

static void choose_natively(const struct engine_input *in, TestTables *t, struct engine_output *out) {
        struct sm_request q = {
                .bytes = in->bytes,
                .head = in->connection ? NULL : &out->head,
                .work = &out->work,
                .source = in->source,
                .body = in->bytes + out->head.length,
                .body_length = in->length - out->head.length,
                .body_complete = in->body_complete,
                .cgroup = in->cgroup,
                .unit = in->unit,
                .uid = in->uid,
                .slice = in->slice,
                .random = in->random,
        };
        struct sm_choice choice;

        if (in->connection)
                out->reason = sm_pick_for_connection(&t->view, in->base, &q, in->now, &choice);
        else
                out->reason = choose(in, t, &q, &choice);
        out->undecided = choice.undecided;
        out->effects = choice.effects;
        out->route_index = choice.route_index;
        out->subset_index = choice.subset_index;
        out->endpoint = choice.endpoint;
        out->passed_over = choice.passed_over;
        out->panic = choice.panic;
}

static void run_natively(const struct engine_input *in, TestTables *t, struct engine_output *out) {
        memset(out, 0, sizeof(*out));
        if (!in->connection) {
                sm_head_start(&out->parser, &out->head, in->kind, in->limit);
                out->parsed = sm_head_parse(&out->parser, &out->head, in->bytes, in->length);
                if (out->parsed > 0)
                        out->plain = in->kind == SM_HEAD_REQUEST ? sm_request_is_plain(&out->head, 0) :
                                                                   sm_response_cut(&out->head, 0, &out->cut);
        }
        if (in->connection || (out->parsed > 0 && in->kind == SM_HEAD_REQUEST))
                choose_natively(in, t, out);
}

static void run_in_kernel(const struct engine_input *in, TestTables *t, struct engine_output *out) {
        static const __u8 packet[64];
        LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = packet, .data_size_in = sizeof(packet));
        const struct bpf_program *p = in->connection ? programs->progs.engine_connection :
                                                       programs->progs.engine_request;
        __u32 zero = 0;

        memset(out, 0, sizeof(*out));
        memcpy(maps.cells, t->cells, sizeof(t->cells));
        memcpy(maps.endpoints, t->endpoints, sizeof(t->endpoints));
        memcpy(maps.endpoint_states, t->endpoint_states, sizeof(t->endpoint_states));
        memcpy(maps.subset_states, t->subset_states, sizeof(t->subset_states));
        memcpy(maps.route_states, t->route_states, sizeof(t->route_states));
        assert_int_equal(bpf_map_update_elem(bpf_map__fd(programs->maps.input), &zero, in, BPF_ANY), 0);
        assert_int_equal(bpf_map_update_elem(bpf_map__fd(programs->maps.output), &zero, out, BPF_ANY), 0);
        assert_int_equal(bpf_prog_test_run_opts(bpf_program__fd(p), &options), 0);
        assert_int_equal(options.retval, 0);
        assert_int_equal(bpf_map_lookup_elem(bpf_map__fd(programs->maps.output), &zero, out), 0);
}

/* Runs both; what they leave in the tables counts as well. */
static void compare(const struct engine_input *in, TestTables *t, struct engine_output *native) {
        struct engine_output kernel;

        run_in_kernel(in, t, &kernel);
        run_natively(in, t, native);
        if (kernel.parsed != native->parsed)
                print_error("%.*s\n", (int) in->length, in->bytes);
        assert_int_equal(kernel.parsed, native->parsed);
        if (native->parsed >= 0)
                assert_int_equal(kernel.parser.position, native->parser.position);
        assert_memory_equal(&kernel.head, &native->head, sizeof(kernel.head));
        assert_int_equal(kernel.plain, native->plain);
        assert_memory_equal(&kernel.cut, &native->cut, sizeof(kernel.cut));
        assert_int_equal(kernel.reason, native->reason);
        assert_int_equal(kernel.route_index, native->route_index);
        assert_int_equal(kernel.subset_index, native->subset_index);
        assert_int_equal(kernel.endpoint, native->endpoint);
        assert_int_equal(kernel.passed_over, native->passed_over);
        assert_int_equal(kernel.panic, native->panic);
        assert_int_equal(kernel.undecided, native->undecided);
        assert_int_equal(kernel.effects, native->effects);
        assert_memory_equal(maps.subset_states, t->subset_states, sizeof(t->subset_states));
        assert_memory_equal(maps.route_states, t->route_states, sizeof(t->route_states));
        assert_memory_equal(maps.endpoint_states, t->endpoint_states, sizeof(t->endpoint_states));
}

static void test_heads(void **state) {
        struct engine_output out;
        struct engine_input in;
        TestTables t;

        test_full_policy(&t);
        for (size_t i = 0; i < COUNT(cases); i++) {
                input_start(&in, cases[i].text, strlen(cases[i].text), cases[i].response);
                compare(&in, &t, &out);
                assert_int_equal(out.parsed > 0, strcmp(cases[i].outcome, "accepted") == 0);
        }
}

static void test_limit(void **state) {
        static const char text[] = PREFIX "A: b\r\n\r\n";
        struct engine_output out;
        struct engine_input in;
        TestTables t;

        test_full_policy(&t);
        for (__u32 limit = 1; limit < sizeof(text) + 2; limit++) {
                input_start(&in, text, sizeof(text) - 1, SM_HEAD_REQUEST);
                in.limit = limit;
                compare(&in, &t, &out);
                assert_int_equal(out.parsed > 0, limit >= sizeof(text) - 1);
        }

        /* The largest, and with the most fields. */
        memset(in.bytes, 'x', SM_HEAD_KERNEL_MAX);
        memcpy(in.bytes, PREFIX "A:", sizeof(PREFIX) + 1);
        memcpy(in.bytes + SM_HEAD_KERNEL_MAX - 4, "\r\n\r\n", 4);
        in.length = in.limit = SM_HEAD_KERNEL_MAX;
        compare(&in, &t, &out);
        assert_int_equal(out.parsed, SM_HEAD_KERNEL_MAX);
        for (size_t i = 0; i < SM_HEAD_FIELDS_MAX - 1; i++)
                memcpy(in.bytes + sizeof(PREFIX) - 1 + 4 * i, "A:\r\n", 4);
        compare(&in, &t, &out);
        assert_int_equal(out.parsed, -SM_REASON_TOO_MANY_FIELDS);
}

/* Every request, and a tcp connection, while none, some and all endpoints are to be avoided. */
static void test_choices(void **state) {
        unsigned panics = 0, routes = 0;
        struct engine_output out;
        struct engine_input in;
        TestTables t;

        for (__u32 bad = 0; bad <= 17; bad++) {
                test_full_policy(&t);
                for (__u32 i = 1; i <= 17; i++) {
                        t.endpoint_states[i].avoid_until = i <= bad ? NOW + 1 : NOW;
                        t.endpoint_states[i].in_flight = i * 7 % 5;
                        t.endpoints[i].weight = i % 3;
                }
                for (size_t i = 0; i <= COUNT(requests); i++) {
                        const char *text = i < COUNT(requests) ? requests[i] : "";

                        input_start(&in, text, strlen(text), SM_HEAD_REQUEST);
                        in.random = bad * 1000 + (__u32) i;
                        in.connection = i == COUNT(requests);
                        compare(&in, &t, &out);
                        assert_int_equal(out.reason, SM_REASON_NONE);
                        assert_int_equal(out.panic, bad == 17);
                        assert_true(out.endpoint > bad || bad == 17);
                        panics += out.panic;
                        routes |= 1U << out.route_index;
                }
        }
        assert_int_equal(panics, COUNT(requests) + 1);
        assert_int_equal(routes, (1U << TEST_ROUTES) - 1);
}

static void test_no_choice(void **state) {
        struct engine_output out;
        struct engine_input in;
        TestTables t;

        test_full_policy(&t);
        input_start(&in, requests[0], strlen(requests[0]), SM_HEAD_REQUEST);
        in.base = 0;
        compare(&in, &t, &out);
        assert_int_equal(out.reason, SM_REASON_NO_SERVICE);
        in.base = TEST_BASE;
        ((struct sm_subset *) test_cell(&t, test_policy(&t)->subsets))->schedule.n = 0;
        compare(&in, &t, &out);
        assert_int_equal(out.reason, SM_REASON_NO_ENDPOINT);
        test_policy(&t)->n_routes = 0;
        compare(&in, &t, &out);
        assert_int_equal(out.reason, SM_REASON_NO_ROUTE);
}

/* A fixed sequence: the same on every run. */
static __u32 next(__u64 *seed) {
        *seed += 0x9e3779b97f4a7c15ULL;
        return (__u32) (sm_hash_finish(*seed) >> 32);
}

/* Heads with a few bytes changed to ones that the parser cares about. */
static void test_mutations(void **state) {
        static const char bytes[] = "\r\n\t :;,/?#*@%[]=AZaz09-_.\x01\x7f\x80";
        unsigned accepted = 0;
        struct engine_output out;
        struct engine_input in;
        __u64 seed = 1;
        TestTables t;

        test_full_policy(&t);
        for (int i = 0; i < MUTATIONS; i++) {
                __u32 which = next(&seed) % (COUNT(requests) + COUNT(responses));
                int response = which >= COUNT(requests);
                const char *text = response ? responses[which - COUNT(requests)] : requests[which];

                input_start(&in, text, strlen(text), response ? SM_HEAD_RESPONSE : SM_HEAD_REQUEST);
                in.random = next(&seed);
                if (next(&seed) % 8 == 0)
                        in.limit = 1 + next(&seed) % (in.length + 2);
                for (__u32 n = next(&seed) % 3; n > 0; n--)
                        in.bytes[next(&seed) % in.length] = (__u8) bytes[next(&seed) % (sizeof(bytes) - 1)];
                compare(&in, &t, &out);
                accepted += out.parsed > 0;
        }
        assert_in_range(accepted, MUTATIONS / 5, MUTATIONS * 4 / 5);
}

#define POST "POST /a/b.html?p=a%20b&q=-7&p HTTP/1.1\r\nHost: api.example\r\nX-A: 12\r\n" \
             "Cookie: a=b; sid=1\r\nX-a-name-of-many-bytes: some value of more than eight\r\n" \
             "Cookie: sid=longer than that\r\n" \
             "Content-Type: application/x-www-form-urlencoded\r\n\r\n"

static const char *const bodies[] = {
        "", "f=1&g=a+b", "a=needle&f=%31&needle=1",
        "{\"user\": {\"tier\": \"gold\", \"n\": [-5, {\"x\": 1.5e3}]}, \"\\u00e4/\": \"\\ud83d\\ude00\"}",
        "{\"user\": {\"tier\": 12}, \"user\": {\"tier\": \"g\\u006fld\"}} ",
        "[1, [2], {}]", "12", "{\"user\":}",
};

static const struct {
        enum sm_predicate_kind kind;
        const char *name, *text;
} predicates[] = {
        { SM_MATCH_HOST, "", "api.example" },
        { SM_MATCH_PATH, "", "/a/b.html" },
        { SM_MATCH_PATH, "", "/a" },
        { SM_MATCH_PATH, "", ".html" },
        { SM_MATCH_METHOD, "", "POST" },
        { SM_MATCH_HEADER, "x-a", "12" },
        { SM_MATCH_HEADER, "x-a-name-of-many-bytes", "some value of more than eight" },
        { SM_MATCH_HEADER, "cookie", "1" },
        { SM_MATCH_COOKIE, "sid", "1" },
        { SM_MATCH_COOKIE, "sid", "that" },
        { SM_MATCH_QUERY, "p", "a b" },
        { SM_MATCH_QUERY, "q", "7" },
        { SM_MATCH_SLICE, "", "" },
        { SM_MATCH_UNIT, "", "" },
        { SM_MATCH_USER, "", "" },
        { SM_MATCH_SOURCE, "", "" },
        { SM_MATCH_FRACTION, "", "" },
        { SM_MATCH_CONTENT, "", "needle" },
        { SM_MATCH_FORM, "f", "1" },
        { SM_MATCH_FORM, "g", "a b" },
        { SM_MATCH_JSON, "/user/tier", "gold" },
        { SM_MATCH_JSON, "/user/n/1/x", "1.5e3" },
        { SM_MATCH_JSON, "/\u00e4~1", "\U0001f600" },
        { SM_MATCH_JSON, "/1/0", "2" },
        { SM_MATCH_JSON, "", "12" },
};

/* What was decided, as bits of a reason. */
static unsigned compare_predicate(TestTables *t, size_t predicate, __u32 op, const char *body, size_t n,
                                  __u32 complete) {
        char text[1024];
        struct engine_output out;
        struct engine_input in;
        struct sm_predicate *p;
        int length;

        p = test_single(t, predicates[predicate].kind, (enum sm_predicate_op) op, predicates[predicate].name,
                        predicates[predicate].text);
        p->low = p->kind == SM_MATCH_FRACTION ? 1LL << 31 : 1;
        p->high = 100;
        if (p->kind == SM_MATCH_SOURCE && n % 2 == 0)
                p->low = 128;
        length = snprintf(text, sizeof(text), "%s%.*s", POST, (int) n, body);
        input_start(&in, text, (size_t) length, SM_HEAD_REQUEST);
        in.body_complete = complete;
        in.slice = in.uid = (__u32) n % 2;
        in.unit = n % 2;
        in.random = (__u32) n;
        compare(&in, t, &out);
        assert_true(out.parsed > 0);
        in.connection = 1;
        compare(&in, t, &out);
        in.connection = 0;
        compare(&in, t, &out);
        return out.undecided ? 4 : out.reason == SM_REASON_NO_ROUTE ? 1 : 2;
}

static bool is_of_body(size_t predicate) {
        return predicates[predicate].kind >= SM_MATCH_CONTENT;
}

/* Every kind of predicate with every operator; of bodies, with every part that may be there. */
static void test_predicates(void **state) {
        unsigned seen[_SM_MATCH_MAX] = {};
        TestTables t;

        for (size_t i = 0; i < COUNT(predicates); i++)
                for (__u32 op = 0; op < _SM_OP_MAX; op++)
                        for (size_t k = 0; k < COUNT(bodies); k++) {
                                size_t n = strlen(bodies[k]);

                                for (size_t part = is_of_body(i) ? 0 : n; part <= n; part++)
                                        seen[predicates[i].kind] |=
                                                compare_predicate(&t, i, op, bodies[k], part, part % 2);
                                seen[predicates[i].kind] |= compare_predicate(&t, i, op, bodies[k], n, 1);
                        }
        for (size_t kind = 0; kind < _SM_MATCH_MAX; kind++)
                if (kind != SM_MATCH_METHOD) /* all are POST */
                        assert_int_equal(seen[kind] & 3, 3);
        assert_int_equal(seen[SM_MATCH_JSON], 7);
        assert_int_equal(seen[SM_MATCH_FORM], 7);
        assert_int_equal(seen[SM_MATCH_CONTENT], 7);
}

/* A route with that split, actions and shadows beside. */
static void set_split(TestTables *t, enum sm_split_by by, __u32 i) {
        static const struct sm_share shares[] = {
                { 1, 0, 3 }, { 2, 1, 1 }, { 3, 2, 0 }, { 4, 3, 5 }, { 5, 4, 1 },
        };
        struct sm_route *routes = test_cell(t, test_policy(t)->routes), *api = &routes[TEST_ROUTE_API];
        struct sm_actions *a;

        api->split_by = (__u8) by;
        api->split_hash = (__u8) (i % _SM_HASH_MAX);
        api->split_hash_name = test_text(t, i % 2 ? "x-user" : "sid");
        if (by == SM_SPLIT_BY_KEY) {
                api->split = (struct sm_schedule) { test_take(t, 2), COUNT(shares) };
                memcpy(test_cell(t, api->split.slots), shares, sizeof(shares));
        }
        api->actions = test_take(t, 2);
        a = test_cell(t, api->actions);
        a->abort_share = a->delay_share = a->mirror_share = 1ULL << 31;
        routes[TEST_ROUTE_REST].shadow = 1 + i % 32;
        if (i % 10 == 0)
                api->shadow = 2;
}

/* Shares, dice and shadows come out the same. */
static void test_splits(void **state) {
        unsigned subsets = 0, effects = 0;
        struct engine_output out;
        struct engine_input in;
        TestTables t;

        for (__u32 by = 0; by < _SM_SPLIT_MAX; by++)
                for (__u32 i = 0; i < 300; i++) {
                        test_full_policy(&t);
                        set_split(&t, (enum sm_split_by) by, i);
                        input_start(&in, requests[i % 2], strlen(requests[i % 2]), SM_HEAD_REQUEST);
                        in.random = i;
                        in.cgroup = i / 3;
                        compare(&in, &t, &out);
                        subsets |= out.reason == SM_REASON_NONE ? 1U << out.subset_index : 0;
                        effects |= 1U << out.effects;
                }
        assert_int_equal(subsets & 0x1b, 0x1b);
        assert_int_equal(effects, 0xff);
}

static void *map_memory(const struct bpf_map *map, size_t size) {
        void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(map), 0);

        assert_ptr_not_equal(p, MAP_FAILED);
        return p;
}

static int setup(void **state) {
        maps.cells = map_memory(programs->maps.cells, sizeof(((TestTables *) 0)->cells));
        maps.endpoints = map_memory(programs->maps.endpoints, sizeof(((TestTables *) 0)->endpoints));
        maps.endpoint_states = map_memory(programs->maps.endpoint_states, TEST_IDS * SM_CELL_SIZE);
        maps.subset_states = map_memory(programs->maps.subset_states, TEST_IDS * SM_CELL_SIZE);
        maps.route_states = map_memory(programs->maps.route_states, TEST_IDS * SM_CELL_SIZE);
        return 0;
}

/* Only the maps that the engine uses, of the tests' size. 0 or negative errno. */
static int load(void) {
        struct bpf_map *map;

        programs = engine_bpf__open();
        if (!programs)
                return -errno;
        bpf_object__for_each_map(map, programs->obj)
                (void) bpf_map__set_autocreate(map, false);

        struct {
                struct bpf_map *map;
                __u32 entries;
        } used[] = {
                { programs->maps.input, 1 },
                { programs->maps.output, 1 },
                { programs->maps.cells, TEST_CELLS },
                { programs->maps.endpoints, TEST_IDS },
                { programs->maps.endpoint_states, TEST_IDS },
                { programs->maps.subset_states, TEST_IDS },
                { programs->maps.route_states, TEST_IDS },
        };
        for (size_t i = 0; i < COUNT(used); i++) {
                (void) bpf_map__set_autocreate(used[i].map, true);
                (void) bpf_map__set_max_entries(used[i].map, used[i].entries);
        }
        return engine_bpf__load(programs);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_heads),
                cmocka_unit_test(test_limit),
                cmocka_unit_test(test_choices),
                cmocka_unit_test(test_no_choice),
                cmocka_unit_test(test_mutations),
                cmocka_unit_test(test_predicates),
                cmocka_unit_test(test_splits),
        };
        int r;

        r = load();
        if (r == -EPERM) {
                printf("skipped: loading BPF programs is not permitted; it takes CAP_BPF, CAP_NET_ADMIN\n");
                return 77;
        }
        if (r < 0) {
                fprintf(stderr, "Cannot load the engine: %s.\n", strerror(-r));
                return 1;
        }
        r = cmocka_run_group_tests(tests, setup, NULL);
        engine_bpf__destroy(programs);
        return r;
}
