/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "../basic/cleanup.h"
#include "../basic/string-util.h"
#include "daemon-bus.h"
#include "daemon-reload.h"
#include "daemon-resolve.h"
#include "daemon-service-parts.h"
#include "daemon-tables.h"
#include "daemon-trace.h"

DEFINE_TRIVIAL_CLEANUP(Service *, service_free)

static const char *const state_names[_SERVICE_STATE_MAX] = {
        [SERVICE_ACTIVE] = "active",
        [SERVICE_STALE] = "stale",
};

const char *service_state_to_string(ServiceState s) {
        return state_names[s];
}

int service_new(Manager *m, const char *name, Service **ret) {
        _cleanup_(service_freep) Service *s = calloc(1, sizeof(*s));
        int r;

        if (!s)
                return -ENOMEM;
        s->manager = m;
        s->name = strdup(name);
        if (!s->name)
                return -ENOMEM;
        r = tables_id_get(m->tables, ID_SERVICE, &s->id);
        if (r < 0)
                return r;
        r = hashmap_put(m->services, s->name, s);
        if (r < 0) {
                tables_id_put(m->tables, ID_SERVICE, s->id);
                return r;
        }
        *ret = TAKE_PTR(s);
        return 0;
}

/* Names are counted: those of the new model are watched before those of the old one are let go. */
static void watch_names(Service *s, const PolicyService *model, bool watch) {
        Resolver *resolver = s->manager->resolver;

        for (size_t i = 0; model && i < model->n_subsets; i++)
                for (size_t j = 0; j < model->subsets[i]->n_endpoints; j++) {
                        const char *host = model->subsets[i]->endpoints[j]->host;

                        if (!host)
                                continue;
                        if (watch)
                                (void) resolver_watch(resolver, host); /* no memory: unresolved for now */
                        else
                                resolver_unwatch(resolver, host);
                }
}

static void take_parts(Service *s, const ServiceParts *p) {
        s->subsets = p->subsets;
        s->n_subsets = p->n_subsets;
        s->routes = p->routes;
        s->n_routes = p->n_routes;
}

Service *service_free(Service *s) {
        ServiceParts own;

        if (!s)
                return NULL;
        trace_stop(s, "stopped");
        if (s->name && hashmap_get(s->manager->services, s->name) == s)
                (void) hashmap_remove(s->manager->services, s->name);
        watch_names(s, s->model, false);
        own = service_parts(s);
        service_parts_free(&own);
        free(s->name);
        free(s);
        return NULL;
}

void service_withdraw(Service *s) {
        static const ServiceParts none = {};
        ServiceParts own = service_parts(s);

        trace_stop(s, "gone");
        tables_withdraw(s->manager->tables, s->id);
        service_parts_drop(s, &own, &none);
        take_parts(s, &none);
        tables_id_put(s->manager->tables, ID_SERVICE, s->id);
        s->id = 0;
}

/* The settings of an endpoint in the model: those of the first entry that comes to its address. */
static const PolicyEndpoint *endpoint_model(const Service *s, const PolicySubset *model, const Endpoint *e) {
        for (size_t i = 0; i < model->n_endpoints; i++) {
                const PolicyEndpoint *p = model->endpoints[i];
                const struct in6_addr *addresses = &p->address;
                size_t n = 1;

                if (p->port != e->port)
                        continue;
                if (p->host)
                        n = resolver_lookup(s->manager->resolver, p->host, &addresses);
                for (size_t j = 0; j < n; j++)
                        if (IN6_ARE_ADDR_EQUAL(&addresses[j], &e->address))
                                return p;
        }
        return NULL;
}

static int bind_subset(Service *s, const PolicySubset *model, const ServiceSubset *subset,
                       BoundSubset *ret) {
        int r;

        ret->state = subset->state;
        ret->endpoints = calloc(subset->n_endpoints, sizeof(*ret->endpoints));
        if (!ret->endpoints && subset->n_endpoints > 0)
                return -ENOMEM;
        ret->n_endpoints = subset->n_endpoints;
        for (size_t i = 0; i < subset->n_endpoints; i++) {
                const Endpoint *e = subset->endpoints[i];
                const PolicyEndpoint *p = endpoint_model(s, model, e);

                if (!p)
                        return -ENXIO; /* the parts were made from this model */
                ret->endpoints[i] = (BoundEndpoint) {
                        .id = e->id,
                        .address = e->address,
                        .port = e->port,
                        .weight = p->weight,
                        .admin = p->admin,
                };
                r = tables_set_endpoint(s->manager->tables, e->id, s->id, &ret->endpoints[i]);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int commit_bound(Service *s, const PolicyService *model, const ServiceParts *p, BoundSubset *subsets,
                        uint32_t *routes) {
        _cleanup_free_ BoundSlice *slices = NULL;
        PolicyBinding binding = {
                .service = s->id,
                .revision = sm_service_at(tables_view(s->manager->tables), s->id)->revision,
                .subsets = subsets,
                .route_states = routes,
        };
        PolicyExtent extent = {};
        int r;

        for (size_t i = 0; i < p->n_subsets; i++) {
                r = bind_subset(s, model->subsets[i], &p->subsets[i], &subsets[i]);
                if (r < 0)
                        return r;
        }
        for (size_t i = 0; i < p->n_routes; i++)
                routes[i] = p->routes[i].state;
        if (model->looks_at_slices) {
                r = manager_bind_slices(s->manager, &slices, &binding.n_slices);
                if (r < 0)
                        return r;
                binding.slices = slices;
        }
        r = policy_compile(model, &binding, &extent);
        if (r < 0)
                return r;
        r = tables_commit(s->manager->tables, s->id, &extent);
        policy_extent_done(&extent);
        return r;
}

/* 1 = committed, 0 = nothing had changed. */
static int commit_parts(Service *s, const PolicyService *model, const ServiceParts *p) {
        _cleanup_free_ BoundSubset *subsets = calloc(p->n_subsets + 1, sizeof(*subsets));
        _cleanup_free_ uint32_t *routes = calloc(p->n_routes + 1, sizeof(*routes));
        int r;

        if (!subsets || !routes)
                return -ENOMEM;
        r = commit_bound(s, model, p, subsets, routes);
        for (size_t i = 0; i < p->n_subsets; i++)
                free(subsets[i].endpoints);
        return r;
}

/* What the bus shows of an endpoint follows the model. */
static void refresh_endpoints(Service *s, const PolicyService *model) {
        for (size_t i = 0; i < s->n_subsets; i++)
                for (size_t j = 0; j < s->subsets[i].n_endpoints; j++) {
                        Endpoint *e = s->subsets[i].endpoints[j];
                        const PolicyEndpoint *p = endpoint_model(s, model->subsets[i], e);
                        bool weight = e->weight != p->weight, admin = e->admin != p->admin;

                        (void) strdup_to(&e->text, p->text); /* no memory: it is called as before */
                        e->subset = i;
                        e->weight = p->weight;
                        e->admin = p->admin;
                        if (weight)
                                endpoint_bus_changed(e, "Weight");
                        if (admin)
                                endpoint_bus_changed(e, "Admin");
                }
}

/* Calls `tell` for each endpoint of `p` that `other` has not. */
static void tell_difference(const ServiceParts *p, const ServiceParts *other, void (*tell)(Endpoint *e)) {
        for (size_t i = 0; i < p->n_subsets; i++)
                for (size_t j = 0; j < p->subsets[i].n_endpoints; j++)
                        if (!service_parts_have(other, p->subsets[i].endpoints[j]))
                                tell(p->subsets[i].endpoints[j]);
}

int service_apply(Service *s, const PolicyService *model) {
        ServiceParts old = service_parts(s), parts;
        const PolicyService *before = s->model;
        int r, committed;

        watch_names(s, model, true);
        r = service_parts_make(s, model, &parts);
        if (r < 0)
                goto fail;
        committed = commit_parts(s, model, &parts);
        if (committed < 0) {
                r = committed;
                service_parts_drop(s, &parts, &old);
                goto fail;
        }

        tell_difference(&old, &parts, endpoint_bus_removed);
        take_parts(s, &parts);
        watch_names(s, s->model, false);
        s->model = model;
        refresh_endpoints(s, model);
        tell_difference(&parts, &old, endpoint_bus_added);
        service_parts_drop(s, &old, &parts);
        if (committed > 0) {
                s->revision = sm_service_at(tables_view(s->manager->tables), s->id)->revision;
                service_bus_changed(s, "Revision");
                service_bus_changed(s, "Subsets");
                if (before && before != model)
                        service_bus_changed(s, "Routes");
        }
        return 0;
fail:
        watch_names(s, model, false);
        return r;
}

bool service_uses_name(const Service *s, const char *host) {
        for (size_t i = 0; i < s->model->n_subsets; i++)
                for (size_t j = 0; j < s->model->subsets[i]->n_endpoints; j++)
                        if (streq_null(s->model->subsets[i]->endpoints[j]->host, host))
                                return true;
        return false;
}

int service_commit(Service *s) {
        return service_apply(s, s->model);
}
