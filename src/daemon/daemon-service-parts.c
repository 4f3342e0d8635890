/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "../basic/array-util.h"
#include "../basic/cleanup.h"
#include "../basic/string-util.h"
#include "daemon-endpoint.h"
#include "daemon-resolve.h"
#include "daemon-service-parts.h"
#include "daemon-tables.h"

ServiceParts service_parts(const Service *s) {
        return (ServiceParts) { s->subsets, s->n_subsets, s->routes, s->n_routes };
}

static const ServiceSubset *find_subset(const ServiceParts *p, const char *name) {
        for (size_t i = 0; i < p->n_subsets; i++)
                if (streq(p->subsets[i].name, name))
                        return &p->subsets[i];
        return NULL;
}

/* Starts behind the last one that was found (*next), as most stand in the order that they had. */
static const ServiceRoute *find_route(const ServiceParts *p, const char *name, size_t *next) {
        for (size_t i = 0; i < p->n_routes; i++) {
                size_t at = (*next + i) % p->n_routes;

                if (!streq(p->routes[at].name, name))
                        continue;
                *next = at + 1;
                return &p->routes[at];
        }
        return NULL;
}

static Endpoint *find_endpoint(const ServiceSubset *subset, const struct in6_addr *address, uint16_t port) {
        for (size_t i = 0; subset && i < subset->n_endpoints; i++)
                if (IN6_ARE_ADDR_EQUAL(&subset->endpoints[i]->address, address) &&
                    subset->endpoints[i]->port == port)
                        return subset->endpoints[i];
        return NULL;
}

static int make_endpoint(Service *s, size_t subset, const PolicyEndpoint *model,
                         const struct in6_addr *address, Endpoint **ret) {
        Endpoint *e = calloc(1, sizeof(*e));
        int r;

        if (!e)
                return -ENOMEM;
        e->text = strdup(model->text);
        r = e->text ? tables_id_get(s->manager->tables, ID_ENDPOINT, &e->id) : -ENOMEM;
        if (r < 0) {
                endpoint_free(e);
                return r;
        }
        e->service = s;
        e->subset = subset;
        e->address = *address;
        e->port = model->port;
        e->weight = model->weight;
        e->admin = model->admin;
        *ret = e;
        return 0;
}

/* Adds one address to the subset, with the endpoint that had it before if there is one. Two entries may come
 * to the same address by their names: the first counts. */
static int add_endpoint(Service *s, ServiceSubset *subset, size_t index, const ServiceSubset *before,
                        const PolicyEndpoint *model, const struct in6_addr *address) {
        Endpoint *e;
        int r;

        if (find_endpoint(subset, address, model->port))
                return 0;
        r = array_reserve(&subset->endpoints, subset->n_endpoints, sizeof(*subset->endpoints));
        if (r < 0)
                return r;
        e = find_endpoint(before, address, model->port);
        if (!e) {
                r = make_endpoint(s, index, model, address, &e);
                if (r < 0)
                        return r;
        }
        subset->endpoints[subset->n_endpoints++] = e;
        return 0;
}

static int make_subset(Service *s, const PolicySubset *model, size_t index, const ServiceSubset *before,
                       ServiceSubset *subset) {
        int r;

        subset->name = strdup(model->name);
        if (!subset->name)
                return -ENOMEM;
        if (before)
                subset->state = before->state;
        else {
                r = tables_id_get(s->manager->tables, ID_SUBSET, &subset->state);
                if (r < 0)
                        return r;
        }
        for (size_t i = 0; i < model->n_endpoints; i++) {
                const PolicyEndpoint *e = model->endpoints[i];
                const struct in6_addr *addresses = &e->address;
                size_t n = 1;

                if (e->host)
                        n = resolver_lookup(s->manager->resolver, e->host, &addresses);
                for (size_t j = 0; j < n; j++) {
                        r = add_endpoint(s, subset, index, before, e, &addresses[j]);
                        if (r < 0)
                                return r;
                }
        }
        return 0;
}

static int make_route(Service *s, const PolicyRoute *model, const ServiceRoute *before,
                      ServiceRoute *route) {
        route->name = strdup(model->name);
        if (!route->name)
                return -ENOMEM;
        if (!before)
                return tables_id_get(s->manager->tables, ID_ROUTE, &route->state);
        route->state = before->state;
        return 0;
}

static int fill_parts(Service *s, const PolicyService *model, const ServiceParts *before, ServiceParts *p) {
        size_t next = 0;
        int r;

        p->subsets = calloc(model->n_subsets, sizeof(*p->subsets));
        p->routes = calloc(model->n_routes, sizeof(*p->routes));
        if ((!p->subsets && model->n_subsets > 0) || (!p->routes && model->n_routes > 0))
                return -ENOMEM;
        for (size_t i = 0; i < model->n_subsets; i++) {
                const PolicySubset *subset = model->subsets[i];

                p->n_subsets++;
                r = make_subset(s, subset, i, find_subset(before, subset->name), &p->subsets[i]);
                if (r < 0)
                        return r;
        }
        for (size_t i = 0; i < model->n_routes; i++) {
                const PolicyRoute *route = model->routes[i];

                p->n_routes++;
                r = make_route(s, route, find_route(before, route->name, &next), &p->routes[i]);
                if (r < 0)
                        return r;
        }
        return 0;
}

int service_parts_make(Service *s, const PolicyService *model, ServiceParts *ret) {
        const ServiceParts before = service_parts(s);
        ServiceParts p = {};
        int r;

        r = fill_parts(s, model, &before, &p);
        if (r < 0) {
                service_parts_drop(s, &p, &before);
                return r;
        }
        *ret = p;
        return 0;
}

static bool has_endpoint(const ServiceSubset *subset, const Endpoint *e) {
        for (size_t i = 0; subset && i < subset->n_endpoints; i++)
                if (subset->endpoints[i] == e)
                        return true;
        return false;
}

bool service_parts_have(const ServiceParts *p, const Endpoint *e) {
        for (size_t i = 0; i < p->n_subsets; i++)
                if (has_endpoint(&p->subsets[i], e))
                        return true;
        return false;
}

/* Puts back what `other` has not; the endpoints that it has are taken out, so that they are not freed. */
static void put_subset(Service *s, ServiceSubset *subset, const ServiceSubset *other) {
        Tables *t = s->manager->tables;

        for (size_t i = 0; i < subset->n_endpoints; i++) {
                if (has_endpoint(other, subset->endpoints[i]))
                        subset->endpoints[i] = NULL;
                else
                        tables_id_put(t, ID_ENDPOINT, subset->endpoints[i]->id);
        }
        if (!other)
                tables_id_put(t, ID_SUBSET, subset->state);
}

void service_parts_drop(Service *s, ServiceParts *p, const ServiceParts *other) {
        size_t next = 0;

        for (size_t i = 0; i < p->n_subsets; i++)
                put_subset(s, &p->subsets[i],
                           p->subsets[i].name ? find_subset(other, p->subsets[i].name) : NULL);
        for (size_t i = 0; i < p->n_routes; i++)
                if (!p->routes[i].name || !find_route(other, p->routes[i].name, &next))
                        tables_id_put(s->manager->tables, ID_ROUTE, p->routes[i].state);
        service_parts_free(p);
}

void service_parts_free(ServiceParts *p) {
        for (size_t i = 0; i < p->n_subsets; i++) {
                for (size_t j = 0; j < p->subsets[i].n_endpoints; j++)
                        endpoint_free(p->subsets[i].endpoints[j]);
                free(p->subsets[i].endpoints);
                free(p->subsets[i].name);
        }
        for (size_t i = 0; i < p->n_routes; i++)
                free(p->routes[i].name);
        free(p->subsets);
        free(p->routes);
        *p = (ServiceParts) {};
}
