/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../basic/macro.h"
#include "ctl-mesh.h"
#include "ctl-terminal.h"

static int read_problem(sd_bus_message *m, void *field) {
        MeshProblem *p = field;

        return sd_bus_message_read(m, "(ss)", &p->id, &p->sentence);
}

static int read_problems(sd_bus_message *m, void *field) {
        MeshProblems *p = field;

        return read_list(m, "(ss)", read_problem, &p->list, &p->n, sizeof(*p->list));
}

static int read_error(sd_bus_message *m, void *field) {
        MeshError *e = field;

        return sd_bus_message_read(m, "(suusss)", &e->file, &e->line, &e->column, &e->service, &e->key,
                                   &e->message);
}

int read_errors(sd_bus_message *m, void *field) {
        MeshErrors *e = field;

        return read_list(m, "(suusss)", read_error, &e->list, &e->n, sizeof(*e->list));
}

void mesh_errors_done(MeshErrors *e) {
        free(e->list);
        *e = (MeshErrors) {};
}

static int read_subset(sd_bus_message *m, void *field) {
        MeshSubset *s = field;
        int r;

        r = sd_bus_message_enter_container(m, SD_BUS_TYPE_STRUCT, "ssao");
        if (r >= 0)
                r = sd_bus_message_read(m, "ss", &s->name, &s->balance);
        if (r >= 0)
                r = read_paths(m, &s->endpoints);
        return r < 0 ? r : sd_bus_message_exit_container(m);
}

static int read_subsets(sd_bus_message *m, void *field) {
        MeshSubsets *s = field;

        return read_list(m, "(ssao)", read_subset, &s->list, &s->n, sizeof(*s->list));
}

static int read_route(sd_bus_message *m, void *field) {
        MeshRoute *route = field;
        int r;

        r = sd_bus_message_enter_container(m, SD_BUS_TYPE_STRUCT, "sssa(su)t");
        if (r >= 0)
                r = sd_bus_message_read(m, "sss", &route->name, &route->match, &route->origin);
        if (r >= 0)
                r = read_shares(m, &route->split);
        if (r >= 0)
                r = sd_bus_message_read(m, "t", &route->requests);
        return r < 0 ? r : sd_bus_message_exit_container(m);
}

static int read_routes(sd_bus_message *m, void *field) {
        MeshRoutes *s = field;

        return read_list(m, "(sssa(su)t)", read_route, &s->list, &s->n, sizeof(*s->list));
}

static const Property manager_properties[] = {
        { "Version", read_text, offsetof(Mesh, version) },
        { "State", read_text, offsetof(Mesh, state) },
        { "Problems", read_problems, offsetof(Mesh, problems) },
        { "RelayState", read_text, offsetof(Mesh, relay_state) },
        { "RelayPID", read_u32, offsetof(Mesh, relay_pid) },
        { "RelayConnections", read_u32, offsetof(Mesh, relay_connections) },
        { "Revision", read_u64, offsetof(Mesh, revision) },
        { "FastPath", read_boolean, offsetof(Mesh, fast_path) },
        { "FastPathFeatures", read_texts, offsetof(Mesh, fast_features) },
        { "FastPathProblem", read_text, offsetof(Mesh, fast_problem) },
        { "PolicyErrors", read_errors, offsetof(Mesh, errors) },
        { "Reasons", read_counts, offsetof(Mesh, reasons) },
        { "Paths", read_request_paths, offsetof(Mesh, paths) },
};

static const Property service_properties[] = {
        { "Name", read_text, offsetof(MeshService, name) },
        { "Protocol", read_text, offsetof(MeshService, protocol) },
        { "Address", read_text, offsetof(MeshService, address) },
        { "State", read_text, offsetof(MeshService, state) },
        { "Origin", read_text, offsetof(MeshService, origin) },
        { "Revision", read_u32, offsetof(MeshService, revision) },
        { "Callers", read_texts, offsetof(MeshService, callers) },
        { "Subsets", read_subsets, offsetof(MeshService, subsets) },
        { "Routes", read_routes, offsetof(MeshService, routes) },
        { "Connections", read_u64, offsetof(MeshService, connections) },
        { "Requests", read_u64, offsetof(MeshService, requests) },
        { "ActiveRequests", read_u64, offsetof(MeshService, active) },
        { "Responses", read_counts, offsetof(MeshService, responses) },
        { "Reasons", read_counts, offsetof(MeshService, reasons) },
        { "FastLimits", read_problems, offsetof(MeshService, fast_limits) },
        { "Paths", read_request_paths, offsetof(MeshService, paths) },
};

static const Property endpoint_properties[] = {
        { "Service", read_text, offsetof(MeshEndpoint, service) },
        { "Subset", read_text, offsetof(MeshEndpoint, subset) },
        { "Text", read_text, offsetof(MeshEndpoint, text) },
        { "Address", read_text, offsetof(MeshEndpoint, address) },
        { "Weight", read_u32, offsetof(MeshEndpoint, weight) },
        { "Admin", read_text, offsetof(MeshEndpoint, admin) },
        { "State", read_text, offsetof(MeshEndpoint, state) },
        { "Answers", read_text, offsetof(MeshEndpoint, answers) },
        { "InFlight", read_u32, offsetof(MeshEndpoint, in_flight) },
        { "Connections", read_u32, offsetof(MeshEndpoint, connections) },
        { "Requests", read_u64, offsetof(MeshEndpoint, requests) },
        { "Failures", read_u64, offsetof(MeshEndpoint, failures) },
};

static const Property slice_properties[] = {
        { "Name", read_text, offsetof(MeshSlice, name) },
        { "Attached", read_boolean, offsetof(MeshSlice, attached) },
        { "Problem", read_text, offsetof(MeshSlice, problem) },
        { "ControlGroup", read_text, offsetof(MeshSlice, cgroup) },
        { "Ungoverned", read_u32, offsetof(MeshSlice, ungoverned) },
        { "Connects", read_u64, offsetof(MeshSlice, connects) },
        { "Captured", read_u64, offsetof(MeshSlice, captured) },
        { "Refused", read_u64, offsetof(MeshSlice, refused) },
        { "Foreign", read_u64, offsetof(MeshSlice, foreign) },
        { "Failed", read_u64, offsetof(MeshSlice, failed) },
        { "Paths", read_request_paths, offsetof(MeshSlice, paths) },
};

static int read_service(sd_bus_message *m, Mesh *mesh, const char *path) {
        MeshService *s = list_append(&mesh->services, &mesh->n_services, sizeof(*s));

        if (!s)
                return -ENOMEM;
        *s = (MeshService) {
                .path = path, .name = "", .protocol = "", .address = "", .state = "", .origin = "",
        };
        return properties_read(m, service_properties, ELEMENTSOF(service_properties), s);
}

static int read_endpoint(sd_bus_message *m, Mesh *mesh, const char *path) {
        MeshEndpoint *e = list_append(&mesh->endpoints, &mesh->n_endpoints, sizeof(*e));

        if (!e)
                return -ENOMEM;
        *e = (MeshEndpoint) {
                .path = path, .service = "", .subset = "", .text = "", .address = "", .admin = "",
                .state = "", .answers = "",
        };
        return properties_read(m, endpoint_properties, ELEMENTSOF(endpoint_properties), e);
}

static int read_slice(sd_bus_message *m, Mesh *mesh, const char *path) {
        MeshSlice *s = list_append(&mesh->slices, &mesh->n_slices, sizeof(*s));

        if (!s)
                return -ENOMEM;
        *s = (MeshSlice) { .path = path, .name = "", .problem = "", .cgroup = "" };
        return properties_read(m, slice_properties, ELEMENTSOF(slice_properties), s);
}

typedef struct InterfaceReader {
        const char *interface;
        int (*read)(sd_bus_message *m, Mesh *mesh, const char *path);
} InterfaceReader;

static const InterfaceReader interface_readers[] = {
        { MESH_INTERFACE("Service"), read_service },
        { MESH_INTERFACE("Endpoint"), read_endpoint },
        { MESH_INTERFACE("Slice"), read_slice },
};

static int read_interface(sd_bus_message *m, Mesh *mesh, const char *path) {
        const char *interface;
        int r;

        r = sd_bus_message_read(m, "s", &interface);
        if (r < 0)
                return r;
        for (size_t i = 0; i < ELEMENTSOF(interface_readers); i++)
                if (streq(interface, interface_readers[i].interface))
                        return interface_readers[i].read(m, mesh, path);
        return sd_bus_message_skip(m, "a{sv}");
}

static int read_object(sd_bus_message *m, Mesh *mesh) {
        const char *path;
        int r;

        r = sd_bus_message_read(m, "o", &path);
        if (r < 0)
                return r;
        r = sd_bus_message_enter_container(m, SD_BUS_TYPE_ARRAY, "{sa{sv}}");
        if (r < 0)
                return r;
        while ((r = sd_bus_message_enter_container(m, SD_BUS_TYPE_DICT_ENTRY, "sa{sv}")) > 0) {
                r = read_interface(m, mesh, path);
                if (r < 0)
                        return r;
                r = sd_bus_message_exit_container(m);
                if (r < 0)
                        return r;
        }
        return r < 0 ? r : sd_bus_message_exit_container(m);
}

static int read_objects(sd_bus_message *m, Mesh *mesh) {
        int r;

        r = sd_bus_message_enter_container(m, SD_BUS_TYPE_ARRAY, "{oa{sa{sv}}}");
        if (r < 0)
                return r;
        while ((r = sd_bus_message_enter_container(m, SD_BUS_TYPE_DICT_ENTRY, "oa{sa{sv}}")) > 0) {
                r = read_object(m, mesh);
                if (r < 0)
                        return r;
                r = sd_bus_message_exit_container(m);
                if (r < 0)
                        return r;
        }
        return r < 0 ? r : sd_bus_message_exit_container(m);
}

static int compare_services(const void *a, const void *b) {
        return strverscmp(((const MeshService *) a)->name, ((const MeshService *) b)->name);
}

static int compare_slices(const void *a, const void *b) {
        return strverscmp(((const MeshSlice *) a)->name, ((const MeshSlice *) b)->name);
}

static int compare_endpoints(const void *a, const void *b) {
        const MeshEndpoint *x = a, *y = b;
        int c;

        c = strverscmp(x->service, y->service);
        if (c == 0)
                c = strcmp(x->subset, y->subset);
        if (c == 0)
                c = strverscmp(x->address, y->address);
        return c;
}

/* Objects come in no order. Gives each service the run of endpoints that is its own. */
static void sort_objects(Mesh *m) {
        size_t e = 0;

        if (m->n_services > 0)
                qsort(m->services, m->n_services, sizeof(*m->services), compare_services);
        if (m->n_slices > 0)
                qsort(m->slices, m->n_slices, sizeof(*m->slices), compare_slices);
        if (m->n_endpoints > 0)
                qsort(m->endpoints, m->n_endpoints, sizeof(*m->endpoints), compare_endpoints);

        for (size_t i = 0; i < m->n_services; i++) {
                MeshService *s = &m->services[i];

                while (e < m->n_endpoints && strverscmp(m->endpoints[e].service, s->name) < 0)
                        e++;
                s->endpoints = m->endpoints + e;
                while (e < m->n_endpoints && streq(m->endpoints[e].service, s->name))
                        e++;
                s->n_endpoints = (size_t) (m->endpoints + e - s->endpoints);
        }
}

/* Keeps the reply, which is taken over. */
static int keep_reply(Mesh *m, sd_bus_message *reply) {
        sd_bus_message **slot = list_append(&m->replies, &m->n_replies, sizeof(*slot));

        if (!slot) {
                sd_bus_message_unref(reply);
                return -ENOMEM;
        }
        *slot = reply;
        return 0;
}

/* Gets all properties of the object and reads them. */
static ExitStatus load_object(sd_bus *bus, Mesh *m, const char *path, const InterfaceReader *reader) {
        sd_bus_message *reply;
        ExitStatus status;
        int r;

        status = bus_get_all(bus, path, reader->interface, &reply);
        if (status != STATUS_OK)
                return status;
        r = keep_reply(m, reply);
        if (r >= 0)
                r = reader->read(reply, m, path);
        return r < 0 ? bus_unexpected(r) : STATUS_OK;
}

static int read_manager(sd_bus_message *m, Mesh *mesh, const char *path) {
        return properties_read(m, manager_properties, ELEMENTSOF(manager_properties), mesh);
}

ExitStatus mesh_load(sd_bus *bus, Mesh *ret) {
        static const InterfaceReader manager = { MESH_INTERFACE("Manager"), read_manager };
        _cleanup_(mesh_done) Mesh m = { .version = "", .state = "", .relay_state = "", .fast_problem = "" };
        sd_bus_message *reply;
        ExitStatus status;
        int r;

        status = load_object(bus, &m, SM_BUS_PATH, &manager);
        if (status == STATUS_OK)
                status = bus_method(bus, SM_BUS_PATH, "org.freedesktop.DBus.ObjectManager",
                                    "GetManagedObjects", &reply, NULL);
        if (status != STATUS_OK)
                return status;
        r = keep_reply(&m, reply);
        if (r >= 0)
                r = read_objects(reply, &m);
        if (r < 0)
                return bus_unexpected(r);

        sort_objects(&m);
        *ret = m;
        m = (Mesh) {};
        return STATUS_OK;
}

static ExitStatus load_endpoints(sd_bus *bus, Mesh *m) {
        static const InterfaceReader reader = { MESH_INTERFACE("Endpoint"), read_endpoint };
        MeshService *s = &m->services[0];
        ExitStatus status;

        for (size_t i = 0; i < s->subsets.n; i++)
                for (size_t j = 0; j < s->subsets.list[i].endpoints.n; j++) {
                        status = load_object(bus, m, s->subsets.list[i].endpoints.list[j], &reader);
                        if (status != STATUS_OK)
                                return status;
                }
        s->endpoints = m->endpoints;
        s->n_endpoints = m->n_endpoints;
        return STATUS_OK;
}

ExitStatus mesh_load_service(sd_bus *bus, const char *name, Mesh *ret) {
        static const InterfaceReader reader = { MESH_INTERFACE("Service"), read_service };
        _cleanup_(mesh_done) Mesh m = {};
        sd_bus_message *reply;
        ExitStatus status;
        const char *path;
        int r;

        status = bus_method(bus, SM_BUS_PATH, MESH_INTERFACE("Manager"), "GetService", &reply, "s", name);
        if (status != STATUS_OK)
                return status;
        r = keep_reply(&m, reply);
        if (r >= 0)
                r = sd_bus_message_read(reply, "o", &path);
        if (r < 0)
                return bus_unexpected(r);

        status = load_object(bus, &m, path, &reader);
        if (status == STATUS_OK)
                status = load_endpoints(bus, &m);
        if (status != STATUS_OK)
                return status;
        *ret = m;
        m = (Mesh) {};
        return STATUS_OK;
}

static void service_done(MeshService *s) {
        for (size_t i = 0; i < s->subsets.n; i++)
                free(s->subsets.list[i].endpoints.list);
        for (size_t i = 0; i < s->routes.n; i++)
                free(s->routes.list[i].split.list);
        free(s->subsets.list);
        free(s->routes.list);
        free(s->callers.list);
        free(s->responses.list);
        free(s->reasons.list);
        free(s->fast_limits.list);
        paths_done(&s->paths);
}

void mesh_done(Mesh *m) {
        for (size_t i = 0; i < m->n_services; i++)
                service_done(&m->services[i]);
        free(m->services);
        for (size_t i = 0; i < m->n_slices; i++)
                paths_done(&m->slices[i].paths);
        free(m->endpoints);
        free(m->slices);
        free(m->fast_features.list);
        free(m->problems.list);
        mesh_errors_done(&m->errors);
        free(m->reasons.list);
        paths_done(&m->paths);
        for (size_t i = 0; i < m->n_replies; i++)
                sd_bus_message_unref(m->replies[i]);
        free(m->replies);
        *m = (Mesh) {};
}
