/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <inttypes.h>

#include "../abi/abi-connection.h"
#include "../basic/cleanup.h"
#include "../basic/parse-util.h"
#include "../basic/string-util.h"
#include "daemon-bus-object.h"
#include "daemon-overrides.h"
#include "daemon-tables.h"

#define ENDPOINT_PATTERN SM_BUS_PATH "/service/%/endpoint/%"

static int property_get_service(sd_bus *bus, const char *path, const char *interface, const char *property,
                                sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        const Endpoint *e = userdata;

        return sd_bus_message_append(reply, "s", e->service->name);
}

static int property_get_subset(sd_bus *bus, const char *path, const char *interface, const char *property,
                               sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        const Endpoint *e = userdata;

        return sd_bus_message_append(reply, "s", e->service->subsets[e->subset].name);
}

static int property_get_address(sd_bus *bus, const char *path, const char *interface, const char *property,
                                sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        char text[ADDRESS_PORT_STRLEN];
        const Endpoint *e = userdata;

        return sd_bus_message_append(reply, "s", address_port_to_string(&e->address, e->port, text));
}

static int property_get_answers(sd_bus *bus, const char *path, const char *interface, const char *property,
                                sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        static const char *const texts[] = {
                "",
#define ENROLLED_TEXT(id, text, sentence) text,
                SM_ENROLLED_LIST(ENROLLED_TEXT)
#undef ENROLLED_TEXT
        };
        const Endpoint *e = userdata;
        const struct sm_endpoint_state *state =
                sm_endpoint_state_at(tables_view(e->service->manager->tables), e->id);
        uint32_t i = state ? __atomic_load_n(&state->enrolled, __ATOMIC_RELAXED) : 0;

        return sd_bus_message_append(reply, "s", i < ELEMENTSOF(texts) ? texts[i] : "");
}

static int property_get_admin(sd_bus *bus, const char *path, const char *interface, const char *property,
                              sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        const Endpoint *e = userdata;

        return sd_bus_message_append(reply, "s", endpoint_admin_to_string(e->admin));
}

static int property_get_state(sd_bus *bus, const char *path, const char *interface, const char *property,
                              sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        return sd_bus_message_append(reply, "s", endpoint_state(userdata));
}

static int property_get_counter(sd_bus *bus, const char *path, const char *interface, const char *property,
                                sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        static const BusCounter counters[] = {
                { "InFlight", SD_BUS_TYPE_UINT32, offsetof(struct sm_endpoint_state, in_flight) },
                { "Connections", SD_BUS_TYPE_UINT32, offsetof(struct sm_endpoint_state, connections) },
                { "Requests", SD_BUS_TYPE_UINT64, offsetof(struct sm_endpoint_state, requests) },
                { "Failures", SD_BUS_TYPE_UINT64, offsetof(struct sm_endpoint_state, failures) },
                {},
        };
        const Endpoint *e = userdata;

        return bus_append_counter(reply, counters, property,
                                  sm_endpoint_state_at(tables_view(e->service->manager->tables), e->id));
}

/* What stands in the model for the endpoint; all addresses of a name share it. */
static PolicyEndpoint *endpoint_model(const Endpoint *e) {
        const PolicySubset *subset = e->service->model->subsets[e->subset];

        for (size_t i = 0; i < subset->n_endpoints; i++)
                if (streq(subset->endpoints[i]->text, e->text))
                        return subset->endpoints[i];
        return NULL;
}

typedef enum EndpointSetting { SETTING_WEIGHT, SETTING_ADMIN } EndpointSetting;

static int endpoint_write_override(const Service *s, const char *subset, const PolicyEndpoint *p,
                                   EndpointSetting setting, bool persist) {
        const char *root = s->manager->root;

        if (setting == SETTING_WEIGHT)
                return override_set_weight(root, s->name, subset, p->text, p->weight, persist);
        return override_set_admin(root, s->name, subset, p->text, p->admin, persist);
}

/* Puts the change in force, then on disk, and takes it back if either fails: whoever gets no error knows
 * that both is done. The Endpoint may be gone afterwards. */
static int endpoint_change(const Endpoint *e, EndpointSetting setting, unsigned value, bool persist,
                           sd_bus_error *error) {
        Service *s = e->service;
        const char *subset = s->model->subsets[e->subset]->name;
        PolicyEndpoint *p = endpoint_model(e), before;
        int r;

        if (!p)
                return -ENXIO;
        before = *p;
        if (setting == SETTING_WEIGHT)
                p->weight = value;
        else
                p->admin = (EndpointAdmin) value;
        r = manager_refresh_service(s->manager, s);
        if (r >= 0)
                r = endpoint_write_override(s, subset, p, setting, persist);
        if (r >= 0)
                return 0;

        *p = before;
        (void) manager_refresh_service(s->manager, s);
        return bus_change_failed(error, r, s->name);
}

static int method_set_weight(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        Endpoint *e = userdata;
        uint32_t weight;
        int persist, r;

        r = sd_bus_message_read(call, "ub", &weight, &persist);
        if (r < 0)
                return r;
        if (weight > SM_WEIGHT_MAX)
                return sd_bus_error_setf(error, BUS_ERROR_OUT_OF_RANGE,
                                         "A weight is 0 to %d, not %" PRIu32 ".", SM_WEIGHT_MAX, weight);
        r = bus_authorize(e->service->manager, call, error);
        if (r <= 0)
                return r < 0 ? r : 1;
        r = endpoint_change(e, SETTING_WEIGHT, weight, persist, error);
        if (r < 0)
                return r;
        return sd_bus_reply_method_return(call, NULL);
}

static int endpoint_set_admin(Endpoint *e, EndpointAdmin admin, sd_bus_message *call, sd_bus_error *error) {
        int persist, r;

        r = sd_bus_message_read(call, "b", &persist);
        if (r < 0)
                return r;
        r = bus_authorize(e->service->manager, call, error);
        if (r <= 0)
                return r < 0 ? r : 1;
        r = endpoint_change(e, SETTING_ADMIN, admin, persist, error);
        if (r < 0)
                return r;
        return sd_bus_reply_method_return(call, NULL);
}

static int method_drain(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        return endpoint_set_admin(userdata, ENDPOINT_DRAIN, call, error);
}

static int method_enable(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        return endpoint_set_admin(userdata, ENDPOINT_ENABLED, call, error);
}

/* The id is a number already: escaped as the service's name is, "12" would become "_312". */
char *endpoint_bus_path(const Endpoint *e) {
        _cleanup_free_ char *service = service_bus_path(e->service);
        char *path;

        if (!service || asprintf(&path, "%s/endpoint/%" PRIu32, service, e->id) < 0)
                return NULL;
        return path;
}

static Endpoint *service_find_endpoint(const Service *s, uint64_t id) {
        for (size_t i = 0; i < s->n_subsets; i++)
                for (size_t j = 0; j < s->subsets[i].n_endpoints; j++)
                        if (s->subsets[i].endpoints[j]->id == id)
                                return s->subsets[i].endpoints[j];
        return NULL;
}

static int endpoint_bus_find(sd_bus *bus, const char *path, const char *interface, void *userdata,
                             void **ret_found, sd_bus_error *error) {
        _cleanup_free_ char *name = NULL, *number = NULL;
        Manager *m = userdata;
        const Service *s;
        uint64_t id;
        int r;

        r = sd_bus_path_decode_many(path, ENDPOINT_PATTERN, &name, &number);
        if (r <= 0)
                return r;
        s = hashmap_get(m->services, name);
        if (!s || parse_unsigned(number, &id) < 0)
                return 0;
        *ret_found = service_find_endpoint(s, id);
        return !!*ret_found;
}

static int endpoint_bus_enumerate(sd_bus *bus, const char *prefix, void *userdata, char ***ret_nodes,
                                  sd_bus_error *error) {
        _cleanup_strv_free_ char **nodes = NULL;
        Manager *m = userdata;
        size_t position = 0, n = 0;
        const Service *s;

        while ((s = hashmap_next(m->services, &position)))
                for (size_t i = 0; i < s->n_subsets; i++) {
                        const ServiceSubset *subset = &s->subsets[i];
                        char **grown;

                        grown = reallocarray(nodes, n + subset->n_endpoints + 1, sizeof(*nodes));
                        if (!grown)
                                return -ENOMEM;
                        nodes = grown;
                        nodes[n] = NULL;
                        for (size_t j = 0; j < subset->n_endpoints; j++) {
                                nodes[n] = endpoint_bus_path(subset->endpoints[j]);
                                if (!nodes[n])
                                        return -ENOMEM;
                                nodes[++n] = NULL;
                        }
                }
        *ret_nodes = TAKE_PTR(nodes);
        return 0;
}

void endpoint_bus_added(Endpoint *e) {
        _cleanup_free_ char *path = endpoint_bus_path(e);

        bus_object_added(e->service->manager, path);
}

void endpoint_bus_removed(Endpoint *e) {
        _cleanup_free_ char *path = endpoint_bus_path(e);

        bus_object_removed(e->service->manager, path);
}

void endpoint_bus_changed(Endpoint *e, const char *property) {
        _cleanup_free_ char *path = endpoint_bus_path(e);

        bus_object_changed(e->service->manager, path, &endpoint_bus_object, property);
}

static const sd_bus_vtable endpoint_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_PROPERTY("Service", "s", property_get_service, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("Subset", "s", property_get_subset, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("Text", "s", NULL, offsetof(Endpoint, text), SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("Address", "s", property_get_address, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("Weight", "u", NULL, offsetof(Endpoint, weight),
                        SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Admin", "s", property_get_admin, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("State", "s", property_get_state, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Answers", "s", property_get_answers, 0, 0),
        SD_BUS_PROPERTY("InFlight", "u", property_get_counter, 0, 0),
        SD_BUS_PROPERTY("Connections", "u", property_get_counter, 0, 0),
        SD_BUS_PROPERTY("Requests", "t", property_get_counter, 0, 0),
        SD_BUS_PROPERTY("Failures", "t", property_get_counter, 0, 0),
        SD_BUS_METHOD_WITH_ARGS("SetWeight", SD_BUS_ARGS("u", weight, "b", persist), SD_BUS_NO_RESULT,
                                method_set_weight, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Drain", SD_BUS_ARGS("b", persist), SD_BUS_NO_RESULT, method_drain,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Enable", SD_BUS_ARGS("b", persist), SD_BUS_NO_RESULT, method_enable,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_VTABLE_END,
};

const BusObject endpoint_bus_object = {
        .pattern = ENDPOINT_PATTERN,
        .parent = SM_BUS_PATH "/service",
        .interface = SM_BUS_NAME ".Endpoint",
        .vtable = endpoint_vtable,
        .find = endpoint_bus_find,
        .enumerate = endpoint_bus_enumerate,
};
