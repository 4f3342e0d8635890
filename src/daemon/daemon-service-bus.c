/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "../basic/cleanup.h"
#include "../basic/own-address.h"
#include "../basic/parse-util.h"
#include "../basic/string-util.h"
#include "../policy/policy-fast.h"
#include "daemon-bus-object.h"
#include "daemon-overrides.h"
#include "daemon-tables.h"
#include "daemon-trace.h"

#define SERVICE_PATTERN SM_BUS_PATH "/service/%"

static const struct sm_service_counters *service_counters(const Service *s) {
        return sm_service_counters_at(tables_view(s->manager->tables), s->id);
}

static int property_get_protocol(sd_bus *bus, const char *path, const char *interface, const char *property,
                                 sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        const Service *s = userdata;

        return sd_bus_message_append(reply, "s", protocol_to_string(s->model->protocol));
}

static int property_get_address(sd_bus *bus, const char *path, const char *interface, const char *property,
                                sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        char text[ADDRESS_PORT_STRLEN];
        const Service *s = userdata;

        return sd_bus_message_append(reply, "s", address_port_to_string(&s->address, s->port, text));
}

static int property_get_state(sd_bus *bus, const char *path, const char *interface, const char *property,
                              sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        const Service *s = userdata;

        return sd_bus_message_append(reply, "s", service_state_to_string(s->state));
}

static int append_origin(sd_bus_message *reply, const PolicyOrigin *origin) {
        _cleanup_free_ char *text = NULL;

        if (asprintf(&text, "%s:%u", origin->file, origin->line) < 0)
                return -ENOMEM;
        return sd_bus_message_append(reply, "s", text);
}

static int property_get_origin(sd_bus *bus, const char *path, const char *interface, const char *property,
                               sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        const Service *s = userdata;

        return append_origin(reply, &s->model->origin);
}

static int property_get_callers(sd_bus *bus, const char *path, const char *interface, const char *property,
                                sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        const Service *s = userdata;

        return sd_bus_message_append_strv(reply, s->model->callers);
}

static int append_subset(sd_bus_message *reply, const Service *s, size_t i) {
        const ServiceSubset *subset = &s->subsets[i];
        int r;

        r = sd_bus_message_open_container(reply, 'r', "ssao");
        if (r < 0)
                return r;
        r = sd_bus_message_append(reply, "ss", subset->name,
                                  balance_to_string(s->model->subsets[i]->balance));
        if (r < 0)
                return r;
        r = sd_bus_message_open_container(reply, 'a', "o");
        if (r < 0)
                return r;
        for (size_t j = 0; j < subset->n_endpoints; j++) {
                _cleanup_free_ char *endpoint = endpoint_bus_path(subset->endpoints[j]);

                if (!endpoint)
                        return -ENOMEM;
                r = sd_bus_message_append(reply, "o", endpoint);
                if (r < 0)
                        return r;
        }
        r = sd_bus_message_close_container(reply);
        if (r < 0)
                return r;
        return sd_bus_message_close_container(reply);
}

static int property_get_subsets(sd_bus *bus, const char *path, const char *interface, const char *property,
                                sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        const Service *s = userdata;
        int r;

        r = sd_bus_message_open_container(reply, 'a', "(ssao)");
        if (r < 0)
                return r;
        for (size_t i = 0; i < s->n_subsets; i++) {
                r = append_subset(reply, s, i);
                if (r < 0)
                        return r;
        }
        return sd_bus_message_close_container(reply);
}

static int append_match(sd_bus_message *reply, const PolicyRoute *route) {
        _cleanup_free_ char *text = NULL;
        int r;

        r = policy_match_format(route->match, &text);
        return r < 0 ? r : sd_bus_message_append(reply, "s", text);
}

static int append_route(sd_bus_message *reply, const Service *s, size_t i) {
        const PolicyRoute *route = s->model->routes[i];
        const struct sm_route_state *state =
                sm_route_state_at(tables_view(s->manager->tables), s->routes[i].state);
        uint64_t requests = 0;
        int r;

        r = sd_bus_message_open_container(reply, 'r', "sssa(su)t");
        if (r < 0)
                return r;
        r = sd_bus_message_append(reply, "s", route->name);
        if (r < 0)
                return r;
        r = append_match(reply, route);
        if (r < 0)
                return r;
        r = append_origin(reply, &route->origin);
        if (r < 0)
                return r;
        r = sd_bus_message_open_container(reply, 'a', "(su)");
        if (r < 0)
                return r;
        for (size_t j = 0; j < route->n_splits; j++) {
                const PolicySplit *split = &route->splits[j];

                r = sd_bus_message_append(reply, "(su)", s->model->subsets[split->subset]->name,
                                          split->weight);
                if (r < 0)
                        return r;
        }
        r = sd_bus_message_close_container(reply);
        if (r < 0)
                return r;
        if (state)
                requests = __atomic_load_n(route->shadow ? &state->shadow : &state->requests,
                                           __ATOMIC_RELAXED);
        r = sd_bus_message_append(reply, "t", requests);
        if (r < 0)
                return r;
        return sd_bus_message_close_container(reply);
}

static int property_get_routes(sd_bus *bus, const char *path, const char *interface, const char *property,
                               sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        const Service *s = userdata;
        int r;

        r = sd_bus_message_open_container(reply, 'a', "(sssa(su)t)");
        if (r < 0)
                return r;
        for (size_t i = 0; i < s->n_routes; i++) {
                r = append_route(reply, s, i);
                if (r < 0)
                        return r;
        }
        return sd_bus_message_close_container(reply);
}

static int property_get_counter(sd_bus *bus, const char *path, const char *interface, const char *property,
                                sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        static const BusCounter counters[] = {
                { "Connections", SD_BUS_TYPE_UINT64, offsetof(struct sm_service_counters, connections) },
                { "Requests", SD_BUS_TYPE_UINT64, offsetof(struct sm_service_counters, requests) },
                { "ActiveRequests", SD_BUS_TYPE_UINT64, offsetof(struct sm_service_counters, active) },
                {},
        };

        return bus_append_counter(reply, counters, property, service_counters(userdata));
}

static int property_get_responses(sd_bus *bus, const char *path, const char *interface, const char *property,
                                  sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        static const char *const classes[] = { "none", "1xx", "2xx", "3xx", "4xx", "5xx" };
        const struct sm_service_counters *c = service_counters(userdata);
        int r;

        _Static_assert(ELEMENTSOF(classes) == ELEMENTSOF(c->status), "one for each");
        r = sd_bus_message_open_container(reply, 'a', "{st}");
        if (r < 0)
                return r;
        for (size_t i = 0; i < ELEMENTSOF(classes); i++) {
                uint64_t count = c ? __atomic_load_n(&c->status[i], __ATOMIC_RELAXED) : 0;

                r = sd_bus_message_append(reply, "{st}", classes[i], count);
                if (r < 0)
                        return r;
        }
        return sd_bus_message_close_container(reply);
}

static int property_get_reasons(sd_bus *bus, const char *path, const char *interface, const char *property,
                                sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        const struct sm_service_counters *c = service_counters(userdata);

        return bus_append_reasons(reply, c ? c->reasons : NULL);
}

/* Some endpoint that gets requests is not on this host. */
static bool service_is_remote(const Service *s) {
        for (size_t i = 0; i < s->n_subsets; i++)
                for (size_t j = 0; j < s->subsets[i].n_endpoints; j++) {
                        const Endpoint *e = s->subsets[i].endpoints[j];

                        if (e->admin == ENDPOINT_ENABLED && e->weight > 0 && !address_is_own(&e->address))
                                return true;
                }
        return false;
}

static int property_get_fast_limits(sd_bus *bus, const char *path, const char *interface,
                                    const char *property, sd_bus_message *reply, void *userdata,
                                    sd_bus_error *error) {
        const Service *s = userdata;
        const struct sm_tables *t = tables_view(s->manager->tables);
        const struct sm_service *entry = sm_service_at(t, s->id);
        const struct sm_policy *policy = entry && entry->root != 0 ? sm_cell_of(t, entry->root) : NULL;
        FastLimit limits[_FAST_LIMIT_MAX];
        size_t n;
        int r;

        r = sd_bus_message_open_container(reply, 'a', "(ss)");
        if (r < 0)
                return r;
        n = policy ? fast_limits(policy, service_is_remote(s), limits) : 0;
        for (size_t i = 0; i < n; i++) {
                r = sd_bus_message_append(reply, "(ss)", fast_limit_text(limits[i]),
                                          fast_limit_sentence(limits[i]));
                if (r < 0)
                        return r;
        }
        return sd_bus_message_close_container(reply);
}

static int property_get_paths(sd_bus *bus, const char *path, const char *interface, const char *property,
                              sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        const Service *s = userdata;

        return bus_append_paths(reply, sm_service_paths_at(tables_view(s->manager->tables), s->id));
}

static PolicySubset *service_find_subset(const Service *s, const char *name) {
        for (size_t i = 0; i < s->model->n_subsets; i++)
                if (streq(s->model->subsets[i]->name, name))
                        return s->model->subsets[i];
        return NULL;
}

/* As endpoint_change() in daemon-endpoint-bus.c. */
static int service_change_balance(Service *s, PolicySubset *subset, enum sm_balance balance, bool persist,
                                  sd_bus_error *error) {
        enum sm_balance before = subset->balance;
        int r;

        subset->balance = balance;
        r = manager_refresh_service(s->manager, s);
        if (r >= 0)
                r = override_set_balance(s->manager->root, s->name, subset->name, balance, persist);
        if (r >= 0)
                return 0;

        subset->balance = before;
        (void) manager_refresh_service(s->manager, s);
        return bus_change_failed(error, r, s->name);
}

static int method_set_balance(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        const char *name, *text;
        PolicySubset *subset;
        enum sm_balance balance;
        Service *s = userdata;
        int persist, r;

        r = sd_bus_message_read(call, "ssb", &name, &text, &persist);
        if (r < 0)
                return r;
        subset = service_find_subset(s, name);
        if (!subset)
                return sd_bus_error_setf(error, BUS_ERROR_NO_SUCH_SUBSET, "Service %s has no subset \"%s\".",
                                         s->name, name);
        balance = balance_from_string(text);
        if ((int) balance < 0)
                return sd_bus_error_setf(error, BUS_ERROR_INVALID_BALANCE,
                                         "There is no balance \"%s\"; there are round-robin, random, "
                                         "least-request and consistent-hash.", text);
        r = bus_authorize(s->manager, call, error);
        if (r <= 0)
                return r < 0 ? r : 1;
        r = service_change_balance(s, subset, balance, persist, error);
        if (r < 0)
                return r;
        return sd_bus_reply_method_return(call, NULL);
}

char *service_bus_path(const Service *s) {
        char *path;

        return sd_bus_path_encode_many(&path, SERVICE_PATTERN, s->name) < 0 ? NULL : path;
}

static int service_bus_find(sd_bus *bus, const char *path, const char *interface, void *userdata,
                            void **ret_found, sd_bus_error *error) {
        _cleanup_free_ char *name = NULL;
        Manager *m = userdata;
        int r;

        r = sd_bus_path_decode_many(path, SERVICE_PATTERN, &name);
        if (r <= 0)
                return r;
        *ret_found = hashmap_get(m->services, name);
        return !!*ret_found;
}

static int service_bus_enumerate(sd_bus *bus, const char *prefix, void *userdata, char ***ret_nodes,
                                 sd_bus_error *error) {
        _cleanup_strv_free_ char **nodes = NULL;
        Manager *m = userdata;
        size_t i = 0, n = 0;
        const Service *s;

        nodes = calloc(hashmap_size(m->services) + 1, sizeof(*nodes));
        if (!nodes)
                return -ENOMEM;
        while ((s = hashmap_next(m->services, &i))) {
                nodes[n] = service_bus_path(s);
                if (!nodes[n++])
                        return -ENOMEM;
        }
        *ret_nodes = TAKE_PTR(nodes);
        return 0;
}

void service_bus_added(Service *s) {
        _cleanup_free_ char *path = service_bus_path(s);

        bus_object_added(s->manager, path);
}

void service_bus_removed(Service *s) {
        _cleanup_free_ char *path = service_bus_path(s);

        bus_object_removed(s->manager, path);
}

void service_bus_changed(Service *s, const char *property) {
        _cleanup_free_ char *path = service_bus_path(s);

        bus_object_changed(s->manager, path, &service_bus_object, property);
}

static const sd_bus_vtable service_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_PROPERTY("Name", "s", NULL, offsetof(Service, name), SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("Protocol", "s", property_get_protocol, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Address", "s", property_get_address, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("State", "s", property_get_state, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Origin", "s", property_get_origin, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Revision", "u", NULL, offsetof(Service, revision),
                        SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Callers", "as", property_get_callers, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Subsets", "a(ssao)", property_get_subsets, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Routes", "a(sssa(su)t)", property_get_routes, 0,
                        SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Connections", "t", property_get_counter, 0, 0),
        SD_BUS_PROPERTY("Requests", "t", property_get_counter, 0, 0),
        SD_BUS_PROPERTY("ActiveRequests", "t", property_get_counter, 0, 0),
        SD_BUS_PROPERTY("Responses", "a{st}", property_get_responses, 0, 0),
        SD_BUS_PROPERTY("Reasons", "a{st}", property_get_reasons, 0, 0),
        SD_BUS_PROPERTY("FastLimits", "a(ss)", property_get_fast_limits, 0, 0),
        SD_BUS_PROPERTY("Paths", "a{st}", property_get_paths, 0, 0),
        SD_BUS_METHOD_WITH_ARGS("SetBalance", SD_BUS_ARGS("s", subset, "s", balance, "b", persist),
                                SD_BUS_NO_RESULT, method_set_balance, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("SetSplit", SD_BUS_ARGS("s", route, "a(su)", shares, "b", persist),
                                SD_BUS_RESULT("a(sa(su)s)", routes), shift_bus_set_split,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Swap", SD_BUS_ARGS("s", a, "s", b, "b", persist),
                                SD_BUS_RESULT("a(sa(su)s)", routes), shift_bus_swap,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Trace", SD_BUS_ARGS("u", count), SD_BUS_NO_RESULT, trace_bus_method,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_SIGNAL_WITH_ARGS("Traced", SD_BUS_ARGS("s", request), 0),
        SD_BUS_SIGNAL_WITH_ARGS("TraceEnded", SD_BUS_ARGS("t", told, "t", lost, "s", why), 0),
        SD_BUS_VTABLE_END,
};

const BusObject service_bus_object = {
        .pattern = SERVICE_PATTERN,
        .parent = SM_BUS_PATH "/service",
        .interface = SM_BUS_NAME ".Service",
        .vtable = service_vtable,
        .find = service_bus_find,
        .enumerate = service_bus_enumerate,
};
