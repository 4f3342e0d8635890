/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../abi/abi-trace.h"
#include "../basic/cleanup.h"
#include "../engine/engine-match.h"
#include "daemon-trace.h"
#include "test-daemon-bus-fixture.h"

static const char three_routes[] =
        "service: shop\n"
        "subsets: {stable: {endpoints: ['10.1.0.11:80']}, canary: {endpoints: ['10.1.0.12:80']},\n"
        "          blue: {endpoints: ['10.1.0.13:80']}, green: {endpoints: ['10.1.0.14:80']}}\n"
        "routes:\n"
        "  - {name: beta, match: {path: {prefix: /beta}}, split: {stable: 90, canary: 10}}\n"
        "  - {name: new, match: {path: {prefix: /new}}, split: {blue: 3, green: 1}}\n"
        "  - {name: rest, to: blue, mirror: {to: green}}\n";

/* The service under another policy, which the caller frees. */
static Policy *use_policy(Fixture *f, const char *text) {
        Policy *p = NULL;

        put_file(f->root, "/etc/slicemesh/services/shop.yaml", text);
        assert_true(policy_load(f->root, &p) >= 0);
        assert_int_equal(p->n_errors, 0);
        f->service.model = policy_find_service(p, "shop");
        assert_non_null(f->service.model);
        return p;
}

static sd_bus_message *set_split(Fixture *f, const char *route, const char *a, uint32_t x, const char *b,
                                 uint32_t y) {
        return call(f, SERVICE_PATH, SM_BUS_NAME ".Service", "SetSplit", "sa(su)b", route, 2, a, x, b, y, 0);
}

static sd_bus_message *swap(Fixture *f, const char *a, const char *b) {
        return call(f, SERVICE_PATH, SM_BUS_NAME ".Service", "Swap", "ssb", a, b, 1);
}

/* "stable=90 canary=10" */
static void assert_split(const PolicyService *s, size_t route, const char *expected) {
        _cleanup_free_ char *text = NULL;
        size_t size;
        FILE *f;

        f = open_memstream(&text, &size);
        assert_non_null(f);
        for (size_t i = 0; i < s->routes[route]->n_splits; i++) {
                const PolicySplit *split = &s->routes[route]->splits[i];

                fprintf(f, "%s%s=%u", i > 0 ? " " : "", s->subsets[split->subset]->name, split->weight);
        }
        fclose(f);
        assert_string_equal(text, expected);
}

static void assert_says(sd_bus_message *reply, const char *name, const char *part) {
        assert_error(reply, name);
        assert_non_null(strstr(sd_bus_message_get_error(reply)->message, part));
}

static void test_shares(void **state) {
        Fixture *f = *state;
        Policy *p = use_policy(f, three_routes), *again = NULL;
        const char *route, *subsets[2], *mirror;
        uint32_t weights[2];
        sd_bus_message *m;

        m = set_split(f, "", "canary", 30, "stable", 70);
        assert_done(m);
        assert_true(sd_bus_message_read(m, "a(sa(su)s)", 1, &route, 2, &subsets[0], &weights[0],
                                        &subsets[1], &weights[1], &mirror) > 0);
        assert_string_equal(route, "beta");
        assert_string_equal(subsets[0], "stable");
        assert_int_equal(weights[0], 70);
        assert_split(p->services[0], 0, "stable=70 canary=30");

        /* What gets nothing is still split over; others are appended. */
        assert_done(call(f, SERVICE_PATH, SM_BUS_NAME ".Service", "SetSplit", "sa(su)b", "", 1, "canary", 1,
                         0));
        assert_split(p->services[0], 0, "stable=0 canary=1");
        assert_done(set_split(f, "beta", "stable", 5, "green", 1));
        assert_split(p->services[0], 0, "stable=5 canary=0 green=1");
        assert_done(set_split(f, "rest", "blue", 5, "green", 4));

        /* That is what the next load finds. */
        assert_true(policy_load(f->root, &again) >= 0);
        assert_int_equal(again->n_errors, 0);
        assert_split(again->services[0], 0, "stable=5 canary=0 green=1");
        assert_split(again->services[0], 1, "blue=3 green=1");
        assert_split(again->services[0], 2, "blue=5 green=4");
        policy_free(again);
        policy_free(p);
}

static void test_shares_refused(void **state) {
        Fixture *f = *state;
        Policy *p = use_policy(f, three_routes);

        assert_says(set_split(f, "", "stable", 1, "canry", 1), BUS_ERROR_NO_SUCH_SUBSET, "\"canary\"?");
        assert_says(set_split(f, "bta", "stable", 1, "canary", 1), BUS_ERROR_NO_SUCH_ROUTE, "\"beta\"?");
        assert_says(set_split(f, "xyzzy", "stable", 1, "canary", 1), BUS_ERROR_NO_SUCH_ROUTE, "\"xyzzy\".");
        assert_says(set_split(f, "", "stable", 1, "green", 1), BUS_ERROR_AMBIGUOUS_ROUTE, "beta, new, rest");
        assert_done(set_split(f, "rest", "blue", 1, "green", 1));
        assert_says(set_split(f, "", "blue", 1, "green", 1), BUS_ERROR_AMBIGUOUS_ROUTE, ": new, rest.");
        assert_error(set_split(f, "", "stable", 1001, "canary", 1), BUS_ERROR_OUT_OF_RANGE);
        assert_error(set_split(f, "", "stable", 0, "canary", 0), BUS_ERROR_OUT_OF_RANGE);
        assert_error(set_split(f, "", "stable", 1, "stable", 1), BUS_ERROR_INVALID_REQUEST);
        assert_int_equal(f->n_asked, 1);

        f->refresh_result = -E2BIG;
        assert_error(set_split(f, "beta", "stable", 1, "canary", 1), BUS_ERROR_OUT_OF_RANGE);
        assert_split(p->services[0], 0, "stable=90 canary=10");
        f->polkit = POLKIT_NO;
        assert_error(set_split(f, "beta", "stable", 1, "canary", 1), SD_BUS_ERROR_ACCESS_DENIED);
        assert_split(p->services[0], 0, "stable=90 canary=10");
        policy_free(p);
}

static void test_swap(void **state) {
        Fixture *f = *state;
        Policy *p = use_policy(f, three_routes), *again = NULL;

        assert_done(swap(f, "blue", "green"));
        assert_int_equal(f->n_refreshed, 1);
        assert_split(p->services[0], 0, "stable=90 canary=10");
        assert_split(p->services[0], 1, "green=3 blue=1");
        assert_split(p->services[0], 2, "green=1");
        assert_true(policy_load(f->root, &again) >= 0);
        assert_split(again->services[0], 1, "green=3 blue=1");
        assert_split(again->services[0], 2, "green=1");
        assert_string_equal(again->services[0]->subsets[2]->name, "blue");
        assert_int_equal(again->services[0]->routes[2]->actions->mirror_subset, 2);
        assert_int_equal(p->services[0]->routes[2]->actions->mirror_subset, 2);
        policy_free(again);

        /* For the time being other shares, over those that are to persist. */
        assert_done(set_split(f, "rest", "stable", 1, "blue", 1));
        assert_split(p->services[0], 2, "green=0 stable=1 blue=1");
        assert_done(swap(f, "green", "blue"));
        assert_split(p->services[0], 2, "blue=0 stable=1 green=1");
        assert_true(policy_load(f->root, &again) >= 0);
        assert_int_equal(again->n_errors, 0);
        assert_split(again->services[0], 1, "blue=3 green=1");
        assert_split(again->services[0], 2, "blue=0 stable=1 green=1");
        assert_int_equal(again->services[0]->routes[2]->actions->mirror_subset, 3);
        policy_free(again);

        assert_says(swap(f, "blue", "gren"), BUS_ERROR_NO_SUCH_SUBSET, "\"green\"?");
        assert_error(swap(f, "blue", "blue"), BUS_ERROR_INVALID_REQUEST);
        put_file(f->root, "/etc/slicemesh/services/shop.d/50-bus.yaml", "{}\n");
        assert_error(swap(f, "blue", "green"), BUS_ERROR_FOREIGN_FILE);
        assert_split(p->services[0], 1, "blue=3 green=1");
        policy_free(p);
}

static int on_traced(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        sd_bus_message **signal = userdata;
        uint8_t type;

        if (sd_bus_message_get_type(m, &type) < 0 || type != SD_BUS_MESSAGE_SIGNAL)
                return 0;
        sd_bus_message_unref(*signal);
        *signal = sd_bus_message_ref(m);
        return 1;
}

static sd_bus_message *trace(Fixture *f, uint32_t count) {
        return call(f, SERVICE_PATH, SM_BUS_NAME ".Service", "Trace", "u", count);
}

static void wait_for_signal(Fixture *f, sd_bus_message **signal, const char *member) {
        while (!*signal || !sd_bus_message_is_signal(*signal, SM_BUS_NAME ".Service", member))
                assert_true(sd_event_run(f->manager.event, WAIT_USEC) > 0);
}

static void test_trace(void **state) {
        const struct sm_link_trace told = { .service = 1, .root = 1, .revision = 1, .n_routes = 1,
                                            .routes = { { .verdict = SM_VERDICT_YES } }, .endpoint = 1,
                                            .status = 200, .method = "GET", .target = "/x",
                                            .target_length = 2, .slow = SM_SLOW_TRACED };
        sd_bus_message *signal = NULL;
        const char *json, *why;
        Fixture *f = *state;
        uint64_t n, lost;

        assert_true(sd_bus_add_filter(f->client, NULL, on_traced, &signal) >= 0);
        assert_error(trace(f, SM_TRACES_MAX + 1), BUS_ERROR_OUT_OF_RANGE);
        assert_done(trace(f, 3));
        assert_int_equal(f->services[1].trace, 3);
        assert_error(trace(f, 3), BUS_ERROR_TRACE_IN_USE);

        trace_take(&f->service, &told);
        wait_for_signal(f, &signal, "Traced");
        assert_true(sd_bus_message_read(signal, "s", &json) > 0);
        assert_non_null(strstr(json, "\"endpoint\":\"10.1.0.11:8080\""));
        assert_non_null(strstr(json, "\"fast\":true"));

        /* What is lost counts. */
        f->counters[1].traces_lost = 2;
        wait_for_signal(f, &signal, "TraceEnded");
        assert_true(sd_bus_message_read(signal, "tts", &n, &lost, &why) > 0);
        assert_int_equal(n, 1);
        assert_int_equal(lost, 2);
        assert_string_equal(why, "complete");
        assert_int_equal(f->services[1].trace, 0);
        trace_take(&f->service, &told); /* too late */

        f->counters[1].traces_lost = 0;
        assert_done(trace(f, 3));
        assert_done(trace(f, 0));
        wait_for_signal(f, &signal, "TraceEnded");
        f->polkit = POLKIT_NO;
        assert_error(trace(f, 3), SD_BUS_ERROR_ACCESS_DENIED);
        assert_null(f->service.trace);
        sd_bus_message_unref(signal);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)
        const struct CMUnitTest tests[] = {
                TEST(shares),
                TEST(shares_refused),
                TEST(swap),
                TEST(trace),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
