/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "../basic/cleanup.h"
#include "../basic/log.h"
#include "../basic/parse-util.h"
#include "daemon-bus-object.h"
#include "daemon-fast.h"
#include "daemon-relay-link.h"
#include "daemon-tables.h"

#define POLICY_ERRORS "a(suusss)"

static int property_get_version(sd_bus *bus, const char *path, const char *interface, const char *property,
                                sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        return sd_bus_message_append(reply, "s", SLICEMESH_VERSION);
}

static int property_get_state(sd_bus *bus, const char *path, const char *interface, const char *property,
                              sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        return sd_bus_message_append(reply, "s", manager_state(userdata));
}

static int property_get_problems(sd_bus *bus, const char *path, const char *interface, const char *property,
                                 sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        const Manager *m = userdata;
        int r;

        r = sd_bus_message_open_container(reply, 'a', "(ss)");
        if (r < 0)
                return r;
        for (size_t i = 0; i < m->n_problems; i++) {
                r = sd_bus_message_append(reply, "(ss)", m->problems[i].id, m->problems[i].sentence);
                if (r < 0)
                        return r;
        }
        return sd_bus_message_close_container(reply);
}

static int property_get_relay_state(sd_bus *bus, const char *path, const char *interface,
                                    const char *property, sd_bus_message *reply, void *userdata,
                                    sd_bus_error *error) {
        static const char *const states[] = {
                [RELAY_DOWN] = "down",
                [RELAY_STARTING] = "starting",
                [RELAY_RUNNING] = "running",
        };

        _Static_assert(ELEMENTSOF(states) == _RELAY_STATE_MAX, "one for each");
        return sd_bus_message_append(reply, "s", states[manager_relay_state(userdata)]);
}

static int property_get_relay_pid(sd_bus *bus, const char *path, const char *interface, const char *property,
                                  sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        const Manager *m = userdata;

        return sd_bus_message_append(reply, "u", m->relay ? (uint32_t) relay_link_pid(m->relay) : 0);
}

static int property_get_relay_connections(sd_bus *bus, const char *path, const char *interface,
                                          const char *property, sd_bus_message *reply, void *userdata,
                                          sd_bus_error *error) {
        const Manager *m = userdata;

        return sd_bus_message_append(reply, "u", m->relay ? relay_link_connections(m->relay) : 0);
}

static int append_policy_errors(sd_bus_message *reply, const Policy *p) {
        int r;

        r = sd_bus_message_open_container(reply, 'a', "(suusss)");
        if (r < 0)
                return r;
        for (size_t i = 0; p && i < p->n_errors; i++) {
                const PolicyError *e = &p->errors[i];

                r = sd_bus_message_append(reply, "(suusss)", e->origin.file, e->origin.line,
                                          e->origin.column, e->service, e->key, e->message);
                if (r < 0)
                        return r;
        }
        return sd_bus_message_close_container(reply);
}

static int property_get_policy_errors(sd_bus *bus, const char *path, const char *interface,
                                      const char *property, sd_bus_message *reply, void *userdata,
                                      sd_bus_error *error) {
        const Manager *m = userdata;

        return append_policy_errors(reply, m->policy);
}

static int property_get_fast_path(sd_bus *bus, const char *path, const char *interface, const char *property,
                                  sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        return sd_bus_message_append(reply, "b", (int) fast_is_enabled(userdata));
}

static int property_set_fast_path(sd_bus *bus, const char *path, const char *interface, const char *property,
                                  sd_bus_message *value, void *userdata, sd_bus_error *error) {
        int enabled, r;

        r = sd_bus_message_read(value, "b", &enabled);
        if (r >= 0)
                fast_set_enabled(userdata, enabled);
        return r;
}

static int property_get_fast_features(sd_bus *bus, const char *path, const char *interface,
                                      const char *property, sd_bus_message *reply, void *userdata,
                                      sd_bus_error *error) {
        static const struct {
                enum sm_fast_feature feature;
                const char *name;
        } names[] = {
                { SM_FAST_REQUESTS, "requests" },
                { SM_FAST_SERVERS, "servers" },
                { SM_FAST_REPLIES, "replies" },
                { SM_FAST_ANSWERS, "answers" },
        };
        uint32_t features = fast_features(userdata);
        int r;

        r = sd_bus_message_open_container(reply, 'a', "s");
        if (r < 0)
                return r;
        for (size_t i = 0; i < ELEMENTSOF(names); i++) {
                if (!(features & names[i].feature))
                        continue;
                r = sd_bus_message_append(reply, "s", names[i].name);
                if (r < 0)
                        return r;
        }
        return sd_bus_message_close_container(reply);
}

static int property_get_fast_problem(sd_bus *bus, const char *path, const char *interface,
                                     const char *property, sd_bus_message *reply, void *userdata,
                                     sd_bus_error *error) {
        const char *sentence;

        (void) fast_why(userdata, &sentence);
        return sd_bus_message_append(reply, "s", sentence ?: "");
}

/* Of all services, those that are gone included, so that the numbers only grow. */
static int property_get_reasons(sd_bus *bus, const char *path, const char *interface, const char *property,
                                sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        const Manager *m = userdata;
        const struct sm_tables *t = tables_view(m->tables);
        __u64 sums[SM_REASON_SLOTS] = {};

        for (__u32 i = 0; i < t->n_services; i++)
                for (size_t j = 0; j < SM_REASON_SLOTS; j++)
                        sums[j] += __atomic_load_n(&t->service_counters[i].reasons[j], __ATOMIC_RELAXED);
        return bus_append_reasons(reply, sums);
}

/* Likewise. */
static int property_get_paths(sd_bus *bus, const char *path, const char *interface, const char *property,
                              sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        const Manager *m = userdata;
        const struct sm_tables *t = tables_view(m->tables);
        struct sm_path_counters sums = {};

        for (__u32 i = 0; i < t->n_services; i++) {
                const struct sm_path_counters *paths = &t->service_paths[i];

                sums.fast += __atomic_load_n(&paths->fast, __ATOMIC_RELAXED);
                sums.remote += __atomic_load_n(&paths->remote, __ATOMIC_RELAXED);
                for (size_t j = 0; j < ELEMENTSOF(sums.slow); j++)
                        sums.slow[j] += __atomic_load_n(&paths->slow[j], __ATOMIC_RELAXED);
        }
        return bus_append_paths(reply, &sums);
}

static int method_reload(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        Manager *m = userdata;
        int r;

        r = bus_authorize(m, call, error);
        if (r <= 0)
                return r < 0 ? r : 1;
        r = manager_reload(m);
        if (r < 0)
                return sd_bus_error_set_errnof(
                        error, r, "Failed to read the policy, the former one stays in force: %m");

        r = sd_bus_message_new_method_return(call, &reply);
        if (r < 0)
                return r;
        r = sd_bus_message_append(reply, "t", m->revision);
        if (r < 0)
                return r;
        r = append_policy_errors(reply, m->policy);
        if (r < 0)
                return r;
        return sd_bus_send(NULL, reply, NULL);
}

static int append_service(sd_bus_message *reply, const void *value) {
        const Service *s = value;
        _cleanup_free_ char *path = service_bus_path(s);
        char address[ADDRESS_PORT_STRLEN];

        if (!path)
                return -ENOMEM;
        return sd_bus_message_append(reply, "(sssso)", s->name, protocol_to_string(s->model->protocol),
                                     address_port_to_string(&s->address, s->port, address),
                                     service_state_to_string(s->state), path);
}

static int append_slice(sd_bus_message *reply, const void *value) {
        const Slice *s = value;
        _cleanup_free_ char *path = slice_bus_path(s);

        if (!path)
                return -ENOMEM;
        return sd_bus_message_append(reply, "(sbo)", s->name, (int) s->attached, path);
}

static int service_compare(const void *a, const void *b) {
        const Service *const *x = a, *const *y = b;

        return strcmp((*x)->name, (*y)->name);
}

static int slice_compare(const void *a, const void *b) {
        const Slice *const *x = a, *const *y = b;

        return strcmp((*x)->name, (*y)->name);
}

/* The values of a map, sorted by `compare`, as an array of what `append` makes of each. */
static int reply_values(sd_bus_message *call, const Hashmap *map, const char *contents,
                        int (*compare)(const void *, const void *),
                        int (*append)(sd_bus_message *reply, const void *value)) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_free_ void **values = NULL;
        size_t position = 0, n = 0;
        int r;

        values = calloc(hashmap_size(map) + 1, sizeof(*values));
        if (!values)
                return -ENOMEM;
        while ((values[n] = hashmap_next(map, &position)))
                n++;
        qsort(values, n, sizeof(*values), compare);

        r = sd_bus_message_new_method_return(call, &reply);
        if (r < 0)
                return r;
        r = sd_bus_message_open_container(reply, 'a', contents);
        if (r < 0)
                return r;
        for (size_t i = 0; i < n; i++) {
                r = append(reply, values[i]);
                if (r < 0)
                        return r;
        }
        r = sd_bus_message_close_container(reply);
        if (r < 0)
                return r;
        return sd_bus_send(NULL, reply, NULL);
}

static int method_list_services(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        const Manager *m = userdata;

        return reply_values(call, m->services, "(sssso)", service_compare, append_service);
}

static int method_list_slices(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        const Manager *m = userdata;

        return reply_values(call, m->slices, "(sbo)", slice_compare, append_slice);
}

static int method_get_service(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        _cleanup_free_ char *path = NULL;
        Manager *m = userdata;
        const Service *s;
        const char *name;
        int r;

        r = sd_bus_message_read(call, "s", &name);
        if (r < 0)
                return r;
        s = hashmap_get(m->services, name);
        if (!s)
                return sd_bus_error_setf(error, BUS_ERROR_NO_SUCH_SERVICE, "There is no service \"%s\".",
                                         name);
        path = service_bus_path(s);
        if (!path)
                return -ENOMEM;
        return sd_bus_reply_method_return(call, "o", path);
}

void manager_bus_changed(Manager *m, const char *property) {
        bus_object_changed(m, SM_BUS_PATH, &manager_bus_object, property);
}

void manager_bus_fast_changed(Manager *m) {
        manager_bus_changed(m, "FastPath");
        manager_bus_changed(m, "FastPathFeatures");
        manager_bus_changed(m, "FastPathProblem");
}

void manager_bus_reloaded(Manager *m) {
        int r;

        if (!m->bus)
                return;
        manager_bus_changed(m, "Revision");
        manager_bus_changed(m, "PolicyErrors");
        r = sd_bus_emit_signal(m->bus, SM_BUS_PATH, manager_bus_object.interface, "Reloaded", "tu",
                               m->revision, m->policy ? (uint32_t) m->policy->n_errors : 0);
        if (r < 0)
                log_warning_errno(r, "Failed to tell that the policy was reloaded, ignoring: %m");
}

static const sd_bus_vtable manager_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_PROPERTY("Version", "s", property_get_version, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("State", "s", property_get_state, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Problems", "a(ss)", property_get_problems, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("RelayState", "s", property_get_relay_state, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("RelayPID", "u", property_get_relay_pid, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("RelayConnections", "u", property_get_relay_connections, 0, 0),
        SD_BUS_PROPERTY("Revision", "t", NULL, offsetof(Manager, revision),
                        SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("PolicyErrors", POLICY_ERRORS, property_get_policy_errors, 0,
                        SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_WRITABLE_PROPERTY("FastPath", "b", property_get_fast_path, property_set_fast_path, 0,
                                 SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE | SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_PROPERTY("FastPathFeatures", "as", property_get_fast_features, 0,
                        SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("FastPathProblem", "s", property_get_fast_problem, 0,
                        SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Reasons", "a{st}", property_get_reasons, 0, 0),
        SD_BUS_PROPERTY("Paths", "a{st}", property_get_paths, 0, 0),
        SD_BUS_METHOD_WITH_ARGS("Reload", SD_BUS_NO_ARGS,
                                SD_BUS_RESULT("t", revision, POLICY_ERRORS, errors), method_reload,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("ListServices", SD_BUS_NO_ARGS, SD_BUS_RESULT("a(sssso)", services),
                                method_list_services, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("ListSlices", SD_BUS_NO_ARGS, SD_BUS_RESULT("a(sbo)", slices),
                                method_list_slices, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("GetService", SD_BUS_ARGS("s", name), SD_BUS_RESULT("o", path),
                                method_get_service, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Explain", SD_BUS_ARGS("a{sv}", request), SD_BUS_RESULT("s", explanation),
                                explain_bus_method, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_SIGNAL_WITH_ARGS("Reloaded", SD_BUS_ARGS("t", revision, "u", errors), 0),
        SD_BUS_VTABLE_END,
};

const BusObject manager_bus_object = {
        .pattern = SM_BUS_PATH,
        .interface = SM_BUS_NAME ".Manager",
        .vtable = manager_vtable,
        .guard = bus_guard_writes,
};
