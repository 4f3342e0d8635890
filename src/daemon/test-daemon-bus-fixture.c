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

Fixture *fixture;

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

void tables_set_trace(Tables *t, uint32_t service, uint32_t n) {
        fixture->services[service].trace = n;
        fixture->counters[service].traces = n;
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
sd_bus_message *call(Fixture *f, const char *path, const char *interface, const char *method,
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

void assert_error(sd_bus_message *reply, const char *name) {
        const sd_bus_error *e = sd_bus_message_get_error(reply);

        assert_non_null(e);
        assert_string_equal(e->name, name);
        assert_true(strlen(e->message) > 0 && strchr(".?", e->message[strlen(e->message) - 1]));
}

void assert_done(sd_bus_message *reply) {
        const sd_bus_error *e = sd_bus_message_get_error(reply);

        if (e)
                fail_msg("%s: %s", e->name, e->message);
}

sd_bus_message *property(Fixture *f, const char *path, const char *interface, const char *name,
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

void put_file(const char *root, const char *name, const char *text) {
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

bool file_exists(Fixture *f, const char *name) {
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

int setup(void **state) {
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

int teardown(void **state) {
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
