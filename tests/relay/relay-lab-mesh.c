/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../src/basic/cleanup.h"
#include "../../src/basic/macro.h"
#include "../../src/policy/policy-compile.h"
#include "relay-lab.h"

DEFINE_TRIVIAL_CLEANUP(Policy *, policy_free)

/* Frees the memory, and gives back every id that was not moved into another object (then it is 0). */
static void service_done(LabService *s, Tables *t) {
        for (size_t i = 0; i < s->n_subsets; i++) {
                LabSubset *u = &s->subsets[i];

                for (size_t j = 0; j < u->n_endpoints; j++) {
                        if (u->endpoints[j].id > 0)
                                tables_id_put(t, ID_ENDPOINT, u->endpoints[j].id);
                        free(u->endpoints[j].text);
                }
                if (u->state > 0)
                        tables_id_put(t, ID_SUBSET, u->state);
                free(u->endpoints);
                free(u->name);
        }
        for (size_t i = 0; i < s->n_routes; i++)
                if (s->route_states[i] > 0)
                        tables_id_put(t, ID_ROUTE, s->route_states[i]);
        if (s->id > 0) {
                tables_withdraw(t, s->id);
                tables_id_put(t, ID_SERVICE, s->id);
        }
        free(s->subsets);
        free(s->route_states);
        free(s->name);
}

static void services_free(LabService *services, size_t n, Tables *t) {
        for (size_t i = 0; i < n; i++)
                service_done(&services[i], t);
        free(services);
}

void lab_mesh_done(LabMesh *m) {
        services_free(m->services, m->n_services, m->tables);
        policy_free(m->policy);
        tables_free(m->tables);
}

LabService *lab_mesh_find(const LabMesh *m, const char *service) {
        for (size_t i = 0; i < m->n_services; i++)
                if (streq(m->services[i].name, service))
                        return &m->services[i];
        return NULL;
}

static LabSubset *find_subset(LabService *s, const char *name) {
        for (size_t i = 0; s && i < s->n_subsets; i++)
                if (streq(s->subsets[i].name, name))
                        return &s->subsets[i];
        return NULL;
}

static LabEndpoint *find_endpoint(LabSubset *u, const char *text) {
        for (size_t i = 0; u && i < u->n_endpoints; i++)
                if (streq(u->endpoints[i].text, text))
                        return &u->endpoints[i];
        return NULL;
}

LabEndpoint *lab_mesh_find_endpoint(const LabMesh *m, const char *service, const char *text) {
        LabService *s = lab_mesh_find(m, service);

        for (size_t i = 0; s && i < s->n_subsets; i++) {
                LabEndpoint *e = find_endpoint(&s->subsets[i], text);

                if (e)
                        return e;
        }
        return NULL;
}

/* The id that the object had before (it is moved), else a new one. */
static int take_id(Tables *t, TableId kind, uint32_t *before, uint32_t *ret) {
        if (!before || *before == 0)
                return tables_id_get(t, kind, ret);
        *ret = *before;
        *before = 0;
        return 0;
}

static int subset_init(LabSubset *u, const PolicySubset *p, LabSubset *before, Tables *t) {
        int r;

        u->name = strdup(p->name);
        u->endpoints = calloc(p->n_endpoints + 1, sizeof(LabEndpoint));
        if (!u->name || !u->endpoints)
                return -ENOMEM;
        r = take_id(t, ID_SUBSET, before ? &before->state : NULL, &u->state);
        if (r < 0)
                return r;
        for (; u->n_endpoints < p->n_endpoints; u->n_endpoints++) {
                LabEndpoint *e = &u->endpoints[u->n_endpoints];
                LabEndpoint *b = find_endpoint(before, p->endpoints[u->n_endpoints]->text);

                if (b)
                        *e = (LabEndpoint){ .has_weight = b->has_weight, .has_admin = b->has_admin,
                                            .weight = b->weight, .admin = b->admin };
                e->text = strdup(p->endpoints[u->n_endpoints]->text);
                if (!e->text)
                        return -ENOMEM;
                r = take_id(t, ID_ENDPOINT, b ? &b->id : NULL, &e->id);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int service_init(LabService *s, const PolicyService *p, LabService *before, Tables *t) {
        int r;

        s->name = strdup(p->name);
        s->subsets = calloc(p->n_subsets + 1, sizeof(LabSubset));
        s->route_states = calloc(p->n_routes + 1, sizeof(uint32_t));
        if (!s->name || !s->subsets || !s->route_states)
                return -ENOMEM;
        r = take_id(t, ID_SERVICE, before ? &before->id : NULL, &s->id);
        if (r < 0)
                return r;
        for (; s->n_subsets < p->n_subsets; s->n_subsets++) {
                r = subset_init(&s->subsets[s->n_subsets], p->subsets[s->n_subsets],
                                find_subset(before, p->subsets[s->n_subsets]->name), t);
                if (r < 0)
                        return r;
        }
        for (; s->n_routes < p->n_routes; s->n_routes++) {
                size_t i = s->n_routes;

                r = take_id(t, ID_ROUTE, before && i < before->n_routes ? &before->route_states[i] : NULL,
                            &s->route_states[i]);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int bind_subset(LabMesh *m, uint32_t service, const PolicySubset *p, const LabSubset *u,
                       BoundSubset *ret) {
        BoundEndpoint *bound;
        int r;

        bound = calloc(p->n_endpoints + 1, sizeof(BoundEndpoint));
        if (!bound)
                return -ENOMEM;
        for (size_t i = 0; i < p->n_endpoints; i++) {
                const PolicyEndpoint *q = p->endpoints[i];
                const LabEndpoint *e = &u->endpoints[i];

                bound[i] = (BoundEndpoint){
                        .id = e->id,
                        .address = q->address, /* the lab resolves no names */
                        .port = q->port,
                        .weight = e->has_weight ? e->weight : q->weight,
                        .admin = e->has_admin ? e->admin : q->admin,
                };
                r = tables_set_endpoint(m->tables, e->id, service, &bound[i]);
                if (r < 0) {
                        free(bound);
                        return r;
                }
        }
        *ret = (BoundSubset){ .state = u->state, .endpoints = bound, .n_endpoints = p->n_endpoints };
        return 0;
}

int lab_mesh_commit(LabMesh *m, const char *service) {
        const PolicyService *p = policy_find_service(m->policy, service);
        const LabService *s = lab_mesh_find(m, service);
        _cleanup_(policy_extent_done) PolicyExtent extent = {};
        BoundSubset *bound;
        PolicyBinding binding;
        int r = 0;

        if (!p || !s)
                return -ENOENT;
        bound = calloc(p->n_subsets + 1, sizeof(BoundSubset));
        if (!bound)
                return -ENOMEM;
        for (size_t i = 0; i < p->n_subsets && r >= 0; i++)
                r = bind_subset(m, s->id, p->subsets[i], &s->subsets[i], &bound[i]);
        binding = (PolicyBinding){ .service = s->id, .revision = ++m->revision, .subsets = bound,
                                   .route_states = s->route_states };
        if (r >= 0)
                r = policy_compile(p, &binding, &extent);
        if (r >= 0)
                r = tables_commit(m->tables, s->id, &extent);

        for (size_t i = 0; i < p->n_subsets; i++)
                free(bound[i].endpoints);
        free(bound);
        return r;
}

static int policy_read(const char *directory, Policy **ret) {
        _cleanup_(policy_freep) Policy *p = NULL;
        int r;

        r = policy_load_directory(directory, &p);
        if (r < 0)
                return r;
        for (size_t i = 0; i < p->n_errors; i++) {
                _cleanup_free_ char *text = NULL;

                if (policy_error_format(&p->errors[i], &text) >= 0)
                        fprintf(stderr, "%s\n", text);
        }
        if (p->n_errors > 0)
                return -EBADMSG;
        *ret = TAKE_PTR(p);
        return 0;
}

int lab_mesh_load(LabMesh *m) {
        _cleanup_(policy_freep) Policy *p = NULL;
        LabService *services;
        size_t n = 0;
        int r;

        r = policy_read(m->directory, &p);
        if (r < 0)
                return r;
        services = calloc(p->n_services + 1, sizeof(LabService));
        if (!services)
                return -ENOMEM;
        for (; n < p->n_services && r >= 0; n++)
                r = service_init(&services[n], p->services[n], lab_mesh_find(m, p->services[n]->name),
                                 m->tables);

        /* Also after a failure: what the new ones took over has id 0 in the old ones. */
        services_free(m->services, m->n_services, m->tables);
        policy_free(m->policy);
        m->services = services;
        m->n_services = n;
        m->policy = TAKE_PTR(p);
        for (size_t i = 0; i < n && r >= 0; i++)
                r = lab_mesh_commit(m, m->services[i].name);
        return r < 0 ? r : 0;
}
