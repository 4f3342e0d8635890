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

/*
 * The bus objects over a made-up mesh, spoken to over a socket pair by a client that is not root and plays
 * polkit as well. Everything runs in one event loop.
 */
#define WAIT_USEC (10 * USEC_PER_SEC)
#define SERVICE_PATH SM_BUS_PATH "/service/shop"
#define ENDPOINT_PATH SERVICE_PATH "/endpoint/1"
#define RUNTIME_FILE "/run/slicemesh/services/shop.d/90-bus.yaml"

typedef enum Polkit { POLKIT_YES, POLKIT_NO, POLKIT_CHALLENGE, POLKIT_ABSENT, POLKIT_SILENT } Polkit;

typedef struct Fixture {
        Manager manager;
        sd_bus *client;
        char root[40];

        Service service;
        ServiceSubset subset;
        Endpoint endpoint, *endpoints[1];
        ServiceRoute route;
        Slice slice;

        struct sm_tables tables;
        struct sm_service services[2];
        struct sm_service_counters counters[2];
        struct sm_path_counters service_paths[2], slice_paths[2];
        struct sm_endpoint table_endpoints[2];
        struct sm_endpoint_state endpoint_states[2];
        struct sm_subset_state subset_states[2];
        struct sm_route_state route_states[2];
        struct sm_slice_state slice_state;
        PolicyExtent extent;

        bool fast_enabled;
        Polkit polkit;
        unsigned n_asked;
        char details[128]; /* of the last question */
        int refresh_result;
        unsigned n_refreshed;
        sd_bus_message *reply;
} Fixture;

static Fixture *fixture; /* for the stand-ins below */

int manager_refresh_service(Manager *m, Service *s) {
        int r = fixture->refresh_result;

        fixture->n_refreshed++;
        fixture->refresh_result = 0;
        if (r < 0)
                return r;
        fixture->endpoint.weight = s->model->subsets[0]->endpoints[0]->weight;
        fixture->endpoint.admin = s->model->subsets[0]->endpoints[0]->admin;
        return 0;
}

int manager_reload(Manager *m) {
        m->revision++;
        return 0;
}

bool fast_is_enabled(const Manager *m) {
        return fixture->fast_enabled;
}

uint32_t fast_features(const Manager *m) {
        return fixture->fast_enabled ? SM_FAST_REQUESTS | SM_FAST_REPLIES : 0;
}

enum sm_slow fast_why(const Manager *m, const char **ret_sentence) {
        *ret_sentence = fixture->fast_enabled ? NULL : "It is switched off.";
        return fixture->fast_enabled ? SM_SLOW_NONE : SM_SLOW_OFF;
}

void fast_set_enabled(Manager *m, bool enabled) {
        fixture->fast_enabled = enabled;
}

const char *manager_state(const Manager *m) {
        return "running";
}

RelayState manager_relay_state(const Manager *m) {
        return RELAY_DOWN;
}

pid_t relay_link_pid(const RelayLink *l) {
        return 0;
}

uint32_t relay_link_connections(const RelayLink *l) {
        return 0;
}

const struct sm_tables *tables_view(const Tables *t) {
        return &fixture->tables;
}

const struct sm_slice_state *slice_counters(const Slice *s) {
        return &fixture->slice_state;
}

const char *endpoint_state(const Endpoint *e) {
        return "up";
}

const char *service_state_to_string(ServiceState s) {
        return "active";
}

static int on_check_authorization(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        const char *subject, *name_key, *name, *action, *keys[2], *values[2], *cancellation;
        Fixture *f = userdata;
        uint32_t flags;

        f->n_asked++;
        assert_true(sd_bus_message_read(call, "(sa{sv})sa{ss}us", &subject, 1, &name_key, "s", &name,
                                        &action, 2, &keys[0], &values[0], &keys[1], &values[1], &flags,
                                        &cancellation) > 0);
        assert_string_equal(subject, "system-bus-name");
        assert_string_equal(action, POLKIT_ACTION_MANAGE);
        snprintf(f->details, sizeof(f->details), "%s=%s %s=%s", keys[0], values[0], keys[1], values[1]);
        assert_int_equal(flags, 0);
        if (f->polkit == POLKIT_SILENT)
                return 1;
        if (f->polkit == POLKIT_ABSENT)
                return sd_bus_error_set(error, SD_BUS_ERROR_SERVICE_UNKNOWN, "There is no polkit.");
        return sd_bus_reply_method_return(call, "(bba{ss})", f->polkit == POLKIT_YES,
                                          f->polkit == POLKIT_CHALLENGE, 1,
                                          "polkit.retains_authorization_after_challenge", "1");
}

static int on_reply(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        Fixture *f = userdata;

        sd_bus_message_unref(f->reply);
        f->reply = sd_bus_message_ref(reply);
        return 1;
}

static void run_until_reply(Fixture *f) {
        while (!f->reply)
                assert_true(sd_event_run(f->manager.event, WAIT_USEC) > 0);
}

/* Calls a method of ours and waits for the answer, which belongs to the fixture. */
static sd_bus_message *call(Fixture *f, const char *path, const char *interface, const char *method,
                            const char *types, ...) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        va_list ap;

        f->reply = sd_bus_message_unref(f->reply);
        assert_true(sd_bus_message_new_method_call(f->client, &m, NULL, path, interface, method) >= 0);
        va_start(ap, types);
        assert_true(sd_bus_message_appendv(m, types, ap) >= 0);
        va_end(ap);
        assert_true(sd_bus_call_async(f->client, NULL, m, on_reply, f, 0) >= 0);
        run_until_reply(f);
        return f->reply;
}

static void assert_error(sd_bus_message *reply, const char *name) {
        const sd_bus_error *e = sd_bus_message_get_error(reply);

        assert_non_null(e);
        assert_string_equal(e->name, name);
        assert_true(strlen(e->message) > 0 && strchr(".?", e->message[strlen(e->message) - 1]));
}

static void assert_done(sd_bus_message *reply) {
        const sd_bus_error *e = sd_bus_message_get_error(reply);

        if (e)
                fail_msg("%s: %s", e->name, e->message);
}

static sd_bus_message *property(Fixture *f, const char *path, const char *interface, const char *name,
                                const char *type) {
        sd_bus_message *reply =
                call(f, path, "org.freedesktop.DBus.Properties", "Get", "ss", interface, name);

        assert_done(reply);
        assert_true(sd_bus_message_enter_container(reply, 'v', type) > 0);
        return reply;
}

static void connect_client(Fixture *f) {
        static const sd_bus_vtable authority[] = {
                SD_BUS_VTABLE_START(0),
                SD_BUS_METHOD("CheckAuthorization", "(sa{sv})sa{ss}us", "(bba{ss})", on_check_authorization,
                              SD_BUS_VTABLE_UNPRIVILEGED),
                SD_BUS_VTABLE_END,
        };
        uid_t uid = geteuid();
        sd_id128_t id = {};
        int fds[2];

        /* The sender's identity is that of whoever made the pair. */
        if (uid == 0)
                assert_return_code(seteuid(65534), errno);
        assert_return_code(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), errno);
        assert_return_code(seteuid(uid), errno);

        assert_true(sd_bus_new(&f->manager.bus) >= 0);
        assert_true(sd_bus_set_fd(f->manager.bus, fds[0], fds[0]) >= 0);
        assert_true(sd_bus_set_server(f->manager.bus, true, id) >= 0);
        assert_true(sd_bus_set_anonymous(f->manager.bus, true) >= 0);
        assert_true(bus_add_objects(&f->manager) >= 0);
        assert_true(sd_bus_start(f->manager.bus) >= 0);
        assert_true(sd_bus_attach_event(f->manager.bus, f->manager.event, 0) >= 0);

        assert_true(sd_bus_new(&f->client) >= 0);
        assert_true(sd_bus_set_fd(f->client, fds[1], fds[1]) >= 0);
        assert_true(sd_bus_set_anonymous(f->client, true) >= 0);
        assert_true(sd_bus_add_object_vtable(f->client, NULL, "/org/freedesktop/PolicyKit1/Authority",
                                             "org.freedesktop.PolicyKit1.Authority", authority, f) >= 0);
        assert_true(sd_bus_start(f->client) >= 0);
        assert_true(sd_bus_attach_event(f->client, f->manager.event, 0) >= 0);
}

static void put_file(const char *root, const char *name, const char *text) {
        _cleanup_free_ char *path = NULL;
        _cleanup_fclose_ FILE *f = NULL;

        assert_true(asprintf(&path, "%s%s", root, name) > 0);
        for (char *slash = path + strlen(root) + 1; (slash = strchr(slash, '/')); slash++) {
                *slash = '\0';
                assert_true(mkdir(path, 0755) == 0 || errno == EEXIST);
                *slash = '/';
        }
        f = fopen(path, "we");
        assert_non_null(f);
        assert_true(fputs(text, f) >= 0);
}

static bool file_exists(Fixture *f, const char *name) {
        _cleanup_free_ char *path = NULL;

        assert_true(asprintf(&path, "%s%s", f->root, name) > 0);
        return access(path, F_OK) == 0;
}

static void make_tables(Fixture *f) {
        BoundEndpoint endpoint = { .id = 1, .address = f->endpoint.address, .port = 8080, .weight = 1 };
        BoundSubset subset = { .state = 1, .endpoints = &endpoint, .n_endpoints = 1 };
        uint32_t route_state = 1;
        PolicyBinding binding = {
                .service = 1, .revision = 1, .subsets = &subset, .route_states = &route_state
        };

        assert_true(policy_compile(f->service.model, &binding, &f->extent) >= 0);
        f->tables = (struct sm_tables){
                .cells = f->extent.cells - 1, /* cell 0 is none */
                .services = f->services,
                .endpoints = f->table_endpoints,
                .endpoint_states = f->endpoint_states,
                .subset_states = f->subset_states,
                .route_states = f->route_states,
                .service_counters = f->counters,
                .service_paths = f->service_paths,
                .slice_paths = f->slice_paths,
                .n_cells = f->extent.n_cells + 1,
                .n_services = 2,
                .n_endpoints = 2,
                .n_subsets = 2,
                .n_routes = 2,
                .n_slices = 2,
        };
        f->services[1].root = 1;
        memcpy(f->table_endpoints[1].address, &endpoint.address, sizeof(endpoint.address));
        f->table_endpoints[1].port = htons(endpoint.port);
}

static void make_mesh(Fixture *f) {
        Manager *m = &f->manager;
        const PolicyService *model;

        assert_true(policy_load(f->root, &m->policy) >= 0);
        assert_int_equal(m->policy->n_errors, 0);
        model = policy_find_service(m->policy, "shop");
        assert_non_null(model);

        f->endpoint = (Endpoint){ .service = &f->service,
                                  .id = 1,
                                  .text = model->subsets[0]->endpoints[0]->text,
                                  .address = model->subsets[0]->endpoints[0]->address,
                                  .port = 8080,
                                  .weight = 1 };
        f->endpoints[0] = &f->endpoint;
        f->subset = (ServiceSubset){ model->subsets[0]->name, 1, f->endpoints, 1 };
        f->route = (ServiceRoute){ model->routes[0]->name, 1 };
        f->service = (Service){ .manager = m,
                                .name = model->name,
                                .id = 1,
                                .address = model->address,
                                .port = 80,
                                .model = model,
                                .subsets = &f->subset,
                                .n_subsets = 1,
                                .routes = &f->route,
                                .n_routes = 1 };
        f->slice = (Slice){ .manager = m, .name = (char *) "shop.slice", .id = 1 };
        m->services = hashmap_new();
        m->slices = hashmap_new();
        assert_true(hashmap_put(m->services, f->service.name, &f->service) >= 0);
        assert_true(hashmap_put(m->slices, f->slice.name, &f->slice) >= 0);
}

static int setup(void **state) {
        Fixture *f = calloc(1, sizeof(*f));

        assert_non_null(f);
        fixture = f;
        strcpy(f->root, "/tmp/test-bus-XXXXXX");
        assert_non_null(mkdtemp(f->root));
        put_file(f->root, "/etc/slicemesh/services/shop.yaml",
                 "{service: shop, address: '127.71.0.9:80', endpoints: ['10.1.0.11:8080']}\n");
        f->manager.root = f->root;
        make_mesh(f);
        make_tables(f);
        assert_true(sd_event_new(&f->manager.event) >= 0);
        connect_client(f);
        *state = f;
        return 0;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw) {
        return remove(path);
}

static int teardown(void **state) {
        Fixture *f = *state;

        sd_bus_message_unref(f->reply);
        manager_bus_done(&f->manager);
        sd_bus_close_unref(f->client);
        sd_event_unref(f->manager.event);
        hashmap_free(f->manager.services);
        hashmap_free(f->manager.slices);
        policy_free(f->manager.policy);
        policy_extent_done(&f->extent);
        assert_return_code(nftw(f->root, remove_entry, 8, FTW_DEPTH | FTW_PHYS), errno);
        free(f);
        return 0;
}

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

static const char three_routes[] =
        "service: shop\n"
        "subsets: {stable: {endpoints: ['10.1.0.11:80']}, canary: {endpoints: ['10.1.0.12:80']},\n"
        "          blue: {endpoints: ['10.1.0.13:80']}, green: {endpoints: ['10.1.0.14:80']}}\n"
        "routes:\n"
        "  - {name: beta, match: {path: {prefix: /beta}}, split: {stable: 90, canary: 10}}\n"
        "  - {name: new, match: {path: {prefix: /new}}, split: {blue: 3, green: 1}}\n"
        "  - {name: rest, to: blue}\n";

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
        const char *route, *subsets[2];
        uint32_t weights[2];
        sd_bus_message *m;

        m = set_split(f, "", "canary", 30, "stable", 70);
        assert_done(m);
        assert_true(sd_bus_message_read(m, "a(sa(su))", 1, &route, 2, &subsets[0], &weights[0], &subsets[1],
                                        &weights[1]) > 0);
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
        policy_free(again);

        assert_says(swap(f, "blue", "gren"), BUS_ERROR_NO_SUCH_SUBSET, "\"green\"?");
        assert_error(swap(f, "blue", "blue"), BUS_ERROR_INVALID_REQUEST);
        put_file(f->root, "/etc/slicemesh/services/shop.d/50-bus.yaml", "{}\n");
        assert_error(swap(f, "blue", "green"), BUS_ERROR_FOREIGN_FILE);
        assert_split(p->services[0], 1, "blue=3 green=1");
        policy_free(p);
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
                                 "s", "shop", "user", "s", "0", "source", "s", "::1", "body", "ay", 2, 'a', 'b'));
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
                TEST(shares),
                TEST(shares_refused),
                TEST(swap),
                TEST(drain_and_enable),
                TEST(polkit_refuses),
                TEST(object_vanishes_while_polkit_thinks),
                TEST(calls_that_wait_are_limited),
                TEST(explain),
                TEST(explain_fast_path),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
