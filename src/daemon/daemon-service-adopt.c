/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <arpa/inet.h>
#include <errno.h>

#include "../basic/array-util.h"
#include "../basic/cleanup.h"
#include "daemon-endpoint.h"
#include "daemon-service.h"
#include "daemon-tables.h"

/*
 * What the slicemeshd before this one had in force is read back from the tables: no file can disagree with
 * them. tables_new() has checked that all references stay inside the extent.
 */

DEFINE_TRIVIAL_CLEANUP(Service *, service_free)

static char *read_text(const struct sm_tables *t, uint32_t base, const struct sm_text *text) {
        const struct sm_cell *cell = sm_cell_at(t, base + text->cell);

        return cell ? strndup((const char *) cell->bytes, text->length) : NULL;
}

static int adopt_endpoint(Service *s, ServiceSubset *subset, size_t index, uint32_t id) {
        const struct sm_endpoint *found = sm_endpoint_at(tables_view(s->manager->tables), id);
        Endpoint *e;
        int r;

        r = array_reserve(&subset->endpoints, subset->n_endpoints, sizeof(*subset->endpoints));
        if (r < 0)
                return r;
        e = calloc(1, sizeof(*e));
        if (!e)
                return -ENOMEM;
        e->service = s;
        e->subset = index;
        e->id = id;
        memcpy(&e->address, found->address, sizeof(e->address));
        e->port = ntohs(found->port);
        e->weight = found->weight;
        e->text = strdup(""); /* the model will tell */
        if (!e->text) {
                endpoint_free(e);
                return -ENOMEM;
        }
        subset->endpoints[subset->n_endpoints++] = e;
        return 0;
}

static int adopt_subset(Service *s, uint32_t base, const struct sm_subset *found, size_t index) {
        const struct sm_tables *t = tables_view(s->manager->tables);
        ServiceSubset *subset = &s->subsets[index];
        int r;

        s->n_subsets++;
        subset->state = found->state;
        subset->name = read_text(t, base, &found->name);
        if (!subset->name)
                return -ENOMEM;
        for (uint32_t i = 0; i < found->n_endpoints; i++) {
                r = adopt_endpoint(s, subset, index, (uint32_t) sm_slot_at(t, base + found->endpoints, i));
                if (r < 0)
                        return r;
        }
        return 0;
}

static int adopt_parts(Service *s, uint32_t base, const struct sm_policy *policy) {
        const struct sm_tables *t = tables_view(s->manager->tables);
        int r;

        s->subsets = calloc(policy->n_subsets + 1, sizeof(*s->subsets));
        s->routes = calloc(policy->n_routes + 1, sizeof(*s->routes));
        if (!s->subsets || !s->routes)
                return -ENOMEM;
        for (uint32_t i = 0; i < policy->n_subsets; i++) {
                const void *found = sm_cell_at(t, base + policy->subsets + i);

                r = adopt_subset(s, base, found, i);
                if (r < 0)
                        return r;
        }
        for (uint32_t i = 0; i < policy->n_routes; i++) {
                const struct sm_route *found = (const void *) sm_cell_at(t, base + policy->routes + i);
                ServiceRoute *route = &s->routes[s->n_routes++];

                route->state = found->state;
                route->name = read_text(t, base, &found->name);
                if (!route->name)
                        return -ENOMEM;
        }
        return 0;
}

int service_adopt(Manager *m, uint32_t id, Service **ret) {
        const struct sm_tables *t = tables_view(m->tables);
        const struct sm_service *found = sm_service_at(t, id);
        const struct sm_policy *policy = (const struct sm_policy *) sm_cell_at(t, found->root);
        _cleanup_(service_freep) Service *s = calloc(1, sizeof(*s));
        int r;

        if (!s)
                return -ENOMEM;
        s->manager = m;
        s->id = id;
        s->revision = found->revision;
        s->name = read_text(t, found->root, &policy->name);
        if (!s->name)
                return -ENOMEM;
        r = adopt_parts(s, found->root, policy);
        if (r < 0)
                return r;
        tables_set_trace(m->tables, id, 0); /* who had asked for it has gone */
        r = hashmap_put(m->services, s->name, s);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(s);
        return 0;
}
