/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "../abi/abi-connection.h"
#include "../basic/cleanup.h"
#include "../basic/macro.h"
#include "../basic/time-util.h"
#include "../policy/policy-compile.h"
#include "daemon-bus-object.h"
#include "daemon-fast.h"
#include "daemon-polkit.h"
#include "daemon-relay-link.h"
#include "daemon-tables.h"
#include "test-daemon-bus-fixture.h"

static sd_bus_message *set_weight(Fixture *f, uint32_t weight) {
        return call(f, ENDPOINT_PATH, SM_BUS_NAME ".Endpoint", "SetWeight", "ub", weight, 0);
}

static unsigned model_weight(const Fixture *f) {
        return f->service.model->subsets[0]->endpoints[0]->weight;
}

static void test_objects_and_counters(void **state) {
        const char *name, *protocol, *address, *service_state, *path, *text;
        Fixture *f = *state;
        sd_bus_message *m;
        uint32_t ungoverned;
        uint64_t count;

        m = call(f, SM_BUS_PATH, SM_BUS_NAME ".Manager", "ListServices", "");
        assert_done(m);
        assert_true(sd_bus_message_read(m, "a(sssso)", 1, &name, &protocol, &address, &service_state,
                                        &path) > 0);
        assert_string_equal(name, "shop");
        assert_string_equal(protocol, "http");
        assert_string_equal(address, "127.71.0.9:80");
        assert_string_equal(service_state, "active");
        assert_string_equal(path, SERVICE_PATH);

        f->endpoint_states[1].requests = UINT64_C(1) << 40;
        m = property(f, ENDPOINT_PATH, SM_BUS_NAME ".Endpoint", "Requests", "t");
        assert_true(sd_bus_message_read(m, "t", &count) > 0);
        assert_true(count == UINT64_C(1) << 40);

        f->counters[0].reasons[SM_REASON_NO_ROUTE] = 2;
        f->counters[1].reasons[SM_REASON_NO_ROUTE] = 3;
        m = property(f, SM_BUS_PATH, SM_BUS_NAME ".Manager", "Reasons", "a{st}");
        assert_true(sd_bus_message_read(m, "a{st}", 1, &text, &count) > 0);
        assert_string_equal(text, "no-route");
        assert_int_equal(count, 5);

        f->slice_state.captured = 7;
        m = property(f, SM_BUS_PATH "/slice/shop_2eslice", SM_BUS_NAME ".Slice", "Captured", "t");
        assert_true(sd_bus_message_read(m, "t", &count) > 0);
        assert_int_equal(count, 7);

        f->slice.ungoverned = 9;
        m = property(f, SM_BUS_PATH "/slice/shop_2eslice", SM_BUS_NAME ".Slice", "Ungoverned", "u");
        assert_true(sd_bus_message_read(m, "u", &ungoverned) > 0);
        assert_int_equal(ungoverned, 9);
}

static void test_paths(void **state) {
        static const char *const objects[][2] = {
                { SERVICE_PATH, SM_BUS_NAME ".Service" },
                { SM_BUS_PATH "/slice/shop_2eslice", SM_BUS_NAME ".Slice" },
                { SM_BUS_PATH, SM_BUS_NAME ".Manager" },
        };
        const char *fast, *remote, *slow;
        uint64_t n_fast, n_remote, n_slow;
        Fixture *f = *state;

        f->service_paths[1] = f->slice_paths[1] = (struct sm_path_counters){
                .fast = 7, .remote = 2, .slow = { [SM_SLOW_SPLIT] = 1 }
        };
        f->service_paths[0].remote = 3; /* of a service that is gone */
        for (size_t i = 0; i < ELEMENTSOF(objects); i++) {
                sd_bus_message *m = property(f, objects[i][0], objects[i][1], "Paths", "a{st}");

                assert_true(sd_bus_message_read(m, "a{st}", 3, &fast, &n_fast, &remote, &n_remote, &slow,
                                                &n_slow) > 0);
                assert_string_equal(fast, "fast");
                assert_int_equal(n_fast, 7);
                assert_string_equal(remote, "remote");
                assert_int_equal(n_remote, i == 2 ? 5 : 2);
                assert_string_equal(slow, "split");
                assert_int_equal(n_slow, 1);
        }
}

static void test_fast_limits(void **state) {
        struct sm_policy *policy = (struct sm_policy *) ((Fixture *) *state)->extent.cells;
        const char *first, *second, *sentence;
        Fixture *f = *state;
        sd_bus_message *m;

        m = property(f, SERVICE_PATH, SM_BUS_NAME ".Service", "FastLimits", "a(ss)");
        assert_true(sd_bus_message_read(m, "a(ss)", 2, &first, &sentence, &second, &sentence) > 0);
        assert_string_equal(first, "blocking");
        assert_string_equal(second, "remote");

        memcpy(f->endpoint.address.s6_addr, (uint8_t[]){ [10] = 0xff, 0xff, 127, 0, 0, 1 }, 16);
        policy->flags |= SM_POLICY_FAST_ALWAYS;
        m = property(f, SERVICE_PATH, SM_BUS_NAME ".Service", "FastLimits", "a(ss)");
        assert_true(sd_bus_message_enter_container(m, 'a', "(ss)") > 0);
        assert_true(sd_bus_message_at_end(m, false) > 0);
}

static void test_answers(void **state) {
        static const struct {
                uint32_t enrolled;
                const char *text;
        } cases[] = {
                { 0, "" },
                { 1 + SM_ENROLLED, "direct" },
                { 1 + SM_ENROLLED_BLOCKING, "blocking" },
                { 1 + _SM_ENROLLED_MAX, "" },
        };
        Fixture *f = *state;
        const char *text;

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                sd_bus_message *m;

                f->endpoint_states[1].enrolled = cases[i].enrolled;
                m = property(f, ENDPOINT_PATH, SM_BUS_NAME ".Endpoint", "Answers", "s");
                assert_true(sd_bus_message_read(m, "s", &text) > 0);
                assert_string_equal(text, cases[i].text);
        }
}

static void check_fast_path(Fixture *f, bool enabled) {
        const char *first, *second, *problem;
        sd_bus_message *m;
        int b;

        m = property(f, SM_BUS_PATH, SM_BUS_NAME ".Manager", "FastPath", "b");
        assert_true(sd_bus_message_read(m, "b", &b) > 0);
        assert_int_equal(b, enabled);
        m = property(f, SM_BUS_PATH, SM_BUS_NAME ".Manager", "FastPathProblem", "s");
        assert_true(sd_bus_message_read(m, "s", &problem) > 0);
        assert_string_equal(problem, enabled ? "" : "It is switched off.");
        m = property(f, SM_BUS_PATH, SM_BUS_NAME ".Manager", "FastPathFeatures", "as");
        if (enabled) {
                assert_true(sd_bus_message_read(m, "as", 2, &first, &second) > 0);
                assert_string_equal(first, "requests");
                assert_string_equal(second, "replies");
        } else {
                assert_true(sd_bus_message_enter_container(m, 'a', "s") > 0);
                assert_true(sd_bus_message_at_end(m, false) > 0);
        }
}

static sd_bus_message *set_fast_path(Fixture *f, bool enabled) {
        return call(f, SM_BUS_PATH, "org.freedesktop.DBus.Properties", "Set", "ssv", SM_BUS_NAME ".Manager",
                    "FastPath", "b", (int) enabled);
}

static void test_fast_path(void **state) {
        Fixture *f = *state;

        check_fast_path(f, false);
        assert_done(set_fast_path(f, true));
        assert_int_equal(f->n_asked, 1);
        assert_string_equal(f->details, "path=" SM_BUS_PATH " method=Set");
        check_fast_path(f, true);
        f->polkit = POLKIT_NO;
        assert_error(set_fast_path(f, false), SD_BUS_ERROR_ACCESS_DENIED);
        check_fast_path(f, true);
        assert_null(f->manager.authorizations);
}

static void test_every_property_can_be_read(void **state) {
        static const struct {
                const char *path, *interface;
        } objects[] = {
                { SM_BUS_PATH, SM_BUS_NAME ".Manager" },
                { SERVICE_PATH, SM_BUS_NAME ".Service" },
                { ENDPOINT_PATH, SM_BUS_NAME ".Endpoint" },
                { SM_BUS_PATH "/slice/shop_2eslice", SM_BUS_NAME ".Slice" },
        };

        for (size_t i = 0; i < ELEMENTSOF(objects); i++)
                assert_done(call(*state, objects[i].path, "org.freedesktop.DBus.Properties", "GetAll", "s",
                                 objects[i].interface));
        assert_done(
                call(*state, SM_BUS_PATH, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects", ""));
}

static void test_objects_that_are_not_there(void **state) {
        static const char *const paths[] = {
                SM_BUS_PATH "/service/other", SERVICE_PATH "/endpoint/2", SERVICE_PATH "/endpoint/x",
                SERVICE_PATH "/endpoint/1/1", SM_BUS_PATH "/slice/shop", SM_BUS_PATH "/slice/other_2eslice",
        };

        for (size_t i = 0; i < ELEMENTSOF(paths); i++) {
                sd_bus_message *m =
                        call(*state, paths[i], "org.freedesktop.DBus.Properties", "GetAll", "s", "");

                assert_true(sd_bus_message_is_method_error(m, SD_BUS_ERROR_UNKNOWN_OBJECT));
        }
        assert_error(call(*state, SM_BUS_PATH, SM_BUS_NAME ".Manager", "GetService", "s", "other"),
                     BUS_ERROR_NO_SUCH_SERVICE);
}

static void test_weight_is_in_force_and_kept(void **state) {
        Fixture *f = *state;

        assert_done(set_weight(f, 7));
        assert_int_equal(f->n_asked, 1);
        assert_string_equal(f->details, "path=" ENDPOINT_PATH " method=SetWeight");
        assert_int_equal(f->n_refreshed, 1);
        assert_int_equal(f->endpoint.weight, 7);
        assert_true(file_exists(f, RUNTIME_FILE));
        assert_null(f->manager.authorizations);
}

static void test_weight_out_of_range(void **state) {
        Fixture *f = *state;

        assert_error(set_weight(f, SM_WEIGHT_MAX + 1), BUS_ERROR_OUT_OF_RANGE);
        assert_int_equal(f->n_asked, 0);
        assert_int_equal(f->n_refreshed, 0);
}

static void test_what_cannot_be_in_force_is_not_kept(void **state) {
        Fixture *f = *state;

        f->refresh_result = -E2BIG;
        assert_error(set_weight(f, 7), BUS_ERROR_OUT_OF_RANGE);
        assert_int_equal(model_weight(f), 1);
        assert_int_equal(f->endpoint.weight, 1);
        assert_false(file_exists(f, RUNTIME_FILE));
}

static void test_what_cannot_be_kept_is_not_in_force(void **state) {
        Fixture *f = *state;

        put_file(f->root, RUNTIME_FILE, "subsets: {}\n");
        assert_error(set_weight(f, 7), BUS_ERROR_FOREIGN_FILE);
        assert_int_equal(f->n_refreshed, 2);
        assert_int_equal(model_weight(f), 1);
        assert_int_equal(f->endpoint.weight, 1);
}

static sd_bus_message *set_balance(Fixture *f, const char *subset, const char *balance) {
        return call(f, SERVICE_PATH, SM_BUS_NAME ".Service", "SetBalance", "ssb", subset, balance, 0);
}

static void test_balance(void **state) {
        Fixture *f = *state;

        assert_error(set_balance(f, "other", "random"), BUS_ERROR_NO_SUCH_SUBSET);
        assert_error(set_balance(f, "default", "fair"), BUS_ERROR_INVALID_BALANCE);
        assert_int_equal(f->n_asked, 0);

        f->refresh_result = -ENOSPC;
        assert_error(set_balance(f, "default", "random"), SD_BUS_ERROR_LIMITS_EXCEEDED);
        assert_int_equal(f->service.model->subsets[0]->balance, SM_BALANCE_ROUND_ROBIN);
        assert_done(set_balance(f, "default", "random"));
        assert_int_equal(f->service.model->subsets[0]->balance, SM_BALANCE_RANDOM);
        assert_true(file_exists(f, RUNTIME_FILE));
}

static void test_drain_and_enable(void **state) {
        Fixture *f = *state;

        assert_done(call(f, ENDPOINT_PATH, SM_BUS_NAME ".Endpoint", "Drain", "b", 1));
        assert_int_equal(f->endpoint.admin, ENDPOINT_DRAIN);
        assert_true(file_exists(f, "/etc/slicemesh/services/shop.d/50-bus.yaml"));
        assert_done(call(f, ENDPOINT_PATH, SM_BUS_NAME ".Endpoint", "Enable", "b", 0));
        assert_int_equal(f->endpoint.admin, ENDPOINT_ENABLED);
        assert_true(file_exists(f, RUNTIME_FILE));
}

static void test_polkit_refuses(void **state) {
        static const struct {
                Polkit answer;
                const char *error;
        } cases[] = {
                { POLKIT_NO, SD_BUS_ERROR_ACCESS_DENIED },
                { POLKIT_CHALLENGE, SD_BUS_ERROR_INTERACTIVE_AUTHORIZATION_REQUIRED },
                { POLKIT_ABSENT, SD_BUS_ERROR_ACCESS_DENIED },
        };
        Fixture *f = *state;

        for (unsigned i = 0; i < ELEMENTSOF(cases); i++) {
                f->polkit = cases[i].answer;
                assert_error(set_weight(f, 7), cases[i].error);
                assert_int_equal(f->n_asked, i + 1);
                assert_null(f->manager.authorizations);
        }
        assert_int_equal(f->n_refreshed, 0);
        assert_false(file_exists(f, RUNTIME_FILE));
}

static int on_object_gone(sd_event_source *s, void *userdata) {
        Fixture *f = userdata;

        if (f->n_asked > 0)
                f->subset.n_endpoints = 0;
        return 0;
}

static void test_object_vanishes_while_polkit_thinks(void **state) {
        _cleanup_(sd_event_source_unrefp) sd_event_source *s = NULL;
        Fixture *f = *state;

        assert_true(sd_event_add_post(f->manager.event, &s, on_object_gone, f) >= 0);
        assert_true(sd_bus_message_is_method_error(set_weight(f, 7), SD_BUS_ERROR_UNKNOWN_OBJECT));
        assert_int_equal(f->n_asked, 1);
        while (f->manager.authorizations)
                assert_true(sd_event_run(f->manager.event, WAIT_USEC) > 0);
        assert_int_equal(model_weight(f), 1);
}

static void test_calls_that_wait_are_limited(void **state) {
        Fixture *f = *state;

        f->polkit = POLKIT_SILENT;
        for (unsigned i = 0; i < 64; i++)
                assert_true(sd_bus_call_method_async(f->client, NULL, NULL, ENDPOINT_PATH,
                                                     SM_BUS_NAME ".Endpoint", "SetWeight", NULL, NULL, "ub",
                                                     7, 0) >= 0);
        assert_error(set_weight(f, 7), SD_BUS_ERROR_LIMITS_EXCEEDED);
        assert_int_equal(f->n_refreshed, 0);
}

static sd_bus_message *explain(Fixture *f, const char *key, const char *type, const char *value) {
        return call(f, SM_BUS_PATH, SM_BUS_NAME ".Manager", "Explain", "a{sv}", 1, key, type, value);
}

static void test_explain(void **state) {
        static const char *const urls[] = { "http://shop/x", "http://shop:80", "http://127.71.0.9/y?z",
                                            "http://127.71.0.9:80/" };
        Fixture *f = *state;
        const char *json;

        for (size_t i = 0; i < ELEMENTSOF(urls); i++) {
                sd_bus_message *m = explain(f, "url", "s", urls[i]);

                assert_done(m);
                assert_true(sd_bus_message_read(m, "s", &json) > 0);
                assert_non_null(strstr(json, "10.1.0.11:8080"));
        }
        assert_done(explain(f, "service", "s", "shop"));
        assert_error(explain(f, "service", "s", "other"), BUS_ERROR_NO_SUCH_SERVICE);
        assert_error(explain(f, "url", "s", "http://127.71.0.9:81/"), BUS_ERROR_NO_SUCH_SERVICE);
        assert_error(explain(f, "url", "s", "https://shop/"), BUS_ERROR_INVALID_REQUEST);
        assert_error(explain(f, "method", "s", "GET"), BUS_ERROR_INVALID_REQUEST);
        assert_error(explain(f, "colour", "s", "red"), BUS_ERROR_INVALID_REQUEST);
        assert_error(explain(f, "headers", "s", "a: b"), BUS_ERROR_INVALID_REQUEST);

        f->services[1].root = 0;
        assert_error(explain(f, "service", "s", "shop"), BUS_ERROR_NO_SUCH_SERVICE);
}

/* What a fast path that is off, or cannot answer, leaves to the relay. */
static void test_explain_fast_path(void **state) {
        static const char *const slow[] = { "off", "none", "refused" };
        Fixture *f = *state;
        const char *json;

        for (size_t i = 0; i < ELEMENTSOF(slow); i++) {
                f->fast_enabled = i > 0;
                ((struct sm_policy *) f->extent.cells)->n_routes = i < 2;
                assert_done(call(f, SM_BUS_PATH, SM_BUS_NAME ".Manager", "Explain", "a{sv}", 4, "service",
                                 "s", "shop", "user", "s", "0", "source", "s", "::1", "body", "ay", 1, 'a'));
                assert_true(sd_bus_message_read(f->reply, "s", &json) > 0);
                json = strstr(json, "\"fast-path\":{\"slow\":\"") + 21;
                assert_memory_equal(json, slow[i], strlen(slow[i]));
        }
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)
        const struct CMUnitTest tests[] = {
                TEST(objects_and_counters),
                TEST(paths),
                TEST(answers),
                TEST(fast_path),
                TEST(fast_limits),
                TEST(every_property_can_be_read),
                TEST(objects_that_are_not_there),
                TEST(weight_is_in_force_and_kept),
                TEST(weight_out_of_range),
                TEST(what_cannot_be_in_force_is_not_kept),
                TEST(what_cannot_be_kept_is_not_in_force),
                TEST(balance),
                TEST(drain_and_enable),
                TEST(polkit_refuses),
                TEST(object_vanishes_while_polkit_thinks),
                TEST(calls_that_wait_are_limited),
                TEST(explain),
                TEST(explain_fast_path),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
