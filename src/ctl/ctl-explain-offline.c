/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../basic/macro.h"
#include "../basic/parse-util.h"
#include "../basic/string-util.h"
#include "../policy/policy-compile.h"
#include "../policy/policy-explain.h"
#include "ctl-explain.h"
#include "ctl-i18n.h"
#include "ctl-policy.h"
#include "ctl-terminal.h"

DEFINE_TRIVIAL_CLEANUP(Explanation *, explanation_free)

#define SERVICE_ID 1 /* the only one in the tables; 0 means none */

/* The tables that slicemeshd would have for one service, in memory of our own. */
typedef struct Workbench {
        const PolicyService *service;
        struct sm_tables tables; /* views of what follows */
        struct sm_service services[SERVICE_ID + 1];
        struct sm_service_counters counters[SERVICE_ID + 1];
        struct sm_endpoint *endpoints;
        struct sm_endpoint_state *endpoint_states;
        struct sm_subset_state *subset_states;
        struct sm_route_state *route_states;
        struct sm_cell *cells;

        BoundSubset *subsets; /* their endpoints are runs of `bound` */
        BoundEndpoint *bound;
        uint32_t *route_ids;
        const PolicyEndpoint **origins; /* by endpoint id */
        BoundSlice *slices;
        size_t n_slices;
        bool has_names;
} Workbench;

static void workbench_done(Workbench *w) {
        free(w->endpoints);
        free(w->endpoint_states);
        free(w->subset_states);
        free(w->route_states);
        free(w->cells);
        free(w->subsets);
        free(w->bound);
        free(w->route_ids);
        free(w->origins);
        free(w->slices);
}

static int workbench_allocate(Workbench *w) {
        const PolicyService *s = w->service;
        size_t n = 1;

        for (size_t i = 0; i < s->n_subsets; i++)
                n += s->subsets[i]->n_endpoints;
        w->endpoints = calloc(n, sizeof(*w->endpoints));
        w->endpoint_states = calloc(n, sizeof(*w->endpoint_states));
        w->subset_states = calloc(s->n_subsets + 1, sizeof(*w->subset_states));
        w->route_states = calloc(s->n_routes + 1, sizeof(*w->route_states));
        w->subsets = calloc(s->n_subsets, sizeof(*w->subsets));
        w->bound = calloc(n, sizeof(*w->bound));
        w->route_ids = calloc(s->n_routes, sizeof(*w->route_ids));
        w->origins = calloc(n, sizeof(*w->origins));
        if (!w->endpoints || !w->endpoint_states || !w->subset_states || !w->route_states || !w->subsets ||
            !w->bound || !w->route_ids || !w->origins)
                return -ENOMEM;

        w->tables = (struct sm_tables) {
                .services = w->services,
                .service_counters = w->counters,
                .endpoints = w->endpoints,
                .endpoint_states = w->endpoint_states,
                .subset_states = w->subset_states,
                .route_states = w->route_states,
                .n_services = ELEMENTSOF(w->services),
                .n_endpoints = (uint32_t) n,
                .n_subsets = (uint32_t) s->n_subsets + 1,
                .n_routes = (uint32_t) s->n_routes + 1,
        };
        return 0;
}

/* A name is not resolved: the answer shall depend on nothing but the files. An address of its own stands for
 * it, from a range that is for documentation (RFC 3849). */
static void bind_endpoint(Workbench *w, const PolicyEndpoint *e, uint32_t id) {
        struct sm_endpoint *row = &w->endpoints[id];
        BoundEndpoint *b = &w->bound[id];

        *b = (BoundEndpoint) {
                .id = id, .address = e->address, .port = e->port, .weight = e->weight, .admin = e->admin,
        };
        if (e->host) {
                (void) inet_pton(AF_INET6, "2001:db8::", &b->address);
                b->address.s6_addr32[3] = htonl(id);
                w->has_names = true;
        }
        *row = (struct sm_endpoint) { .port = htons(b->port), .service = SERVICE_ID, .weight = b->weight };
        memcpy(row->address, &b->address, sizeof(row->address));
        w->origins[id] = e;
}

static void bind_endpoints(Workbench *w) {
        const PolicyService *s = w->service;
        uint32_t id = 1;

        for (size_t i = 0; i < s->n_subsets; i++) {
                w->subsets[i] = (BoundSubset) {
                        .state = (uint32_t) i + 1,
                        .endpoints = &w->bound[id],
                        .n_endpoints = s->subsets[i]->n_endpoints,
                };
                for (size_t j = 0; j < s->subsets[i]->n_endpoints; j++)
                        bind_endpoint(w, s->subsets[i]->endpoints[j], id++);
        }
        for (size_t i = 0; i < s->n_routes; i++)
                w->route_ids[i] = (uint32_t) i + 1;
}

/* Those of mesh.yaml, by name as they have to be; numbered from 1 on. */
static int compare_slices(const void *a, const void *b) {
        return strcmp(((const BoundSlice *) a)->name, ((const BoundSlice *) b)->name);
}

static int bind_slices(Workbench *w, const PolicyMesh *mesh) {
        w->n_slices = mesh->slices ? strv_length(mesh->slices) : 0;
        w->slices = calloc(w->n_slices + 1, sizeof(*w->slices));
        if (!w->slices)
                return -ENOMEM;
        for (size_t i = 0; i < w->n_slices; i++)
                w->slices[i] = (BoundSlice) { .name = mesh->slices[i], .id = (uint32_t) i + 1 };
        qsort(w->slices, w->n_slices, sizeof(*w->slices), compare_slices);
        return 0;
}

/* The innermost managed slice that it is in, which is what its connections are told apart by. */
static uint32_t find_slice(const Workbench *w, const char *name) {
        const BoundSlice *found = NULL;

        for (size_t i = 0; name && i < w->n_slices; i++)
                if (slice_is_within(name, w->slices[i].name) &&
                    (!found || strlen(w->slices[i].name) > strlen(found->name)))
                        found = &w->slices[i];
        return found ? found->id : 0;
}

/* Places the extent behind the first cell, since a root of 0 means none. */
static int place_extent(Workbench *w, const PolicyExtent *extent) {
        w->cells = aligned_alloc(SM_CELL_SIZE, (extent->n_cells + 1) * sizeof(*w->cells));
        if (!w->cells)
                return -ENOMEM;
        memset(w->cells, 0, sizeof(*w->cells));
        memcpy(w->cells + 1, extent->cells, extent->n_cells * sizeof(*w->cells));
        w->tables.cells = w->cells;
        w->tables.n_cells = extent->n_cells + 1;
        w->services[SERVICE_ID].root = 1;
        return 0;
}

static int workbench_compile(Workbench *w, const PolicyMesh *mesh) {
        _cleanup_(policy_extent_done) PolicyExtent extent = {};
        PolicyBinding binding;
        int r;

        r = workbench_allocate(w);
        if (r < 0)
                return r;
        r = bind_slices(w, mesh);
        if (r < 0)
                return r;
        bind_endpoints(w);
        binding = (PolicyBinding) {
                .service = SERVICE_ID, .revision = 1, .subsets = w->subsets, .route_states = w->route_ids,
                .slices = w->slices, .n_slices = w->n_slices,
        };
        r = policy_compile(w->service, &binding, &extent);
        return r < 0 ? r : place_extent(w, &extent);
}

/* Endpoints by name are shown as they are written. */
static void restore_names(const Workbench *w, ExplainOutcome *o) {
        for (size_t i = 0; i < o->n_subsets; i++)
                for (size_t j = 0; j < o->subsets[i].n_candidates; j++) {
                        ExplainCandidate *c = &o->subsets[i].candidates[j];
                        const PolicyEndpoint *origin = w->origins[c->endpoint];

                        if (origin->host)
                                snprintf(c->address, sizeof(c->address), "%s", origin->text);
                }
}

/* The caller's address and user, or what of them is none. */
static const char *read_caller(const Request *q, struct in6_addr *ret_source, uint32_t *ret_uid) {
        if (q->source && parse_address(q->source, ret_source) < 0)
                return q->source;
        if (q->user && policy_find_user(q->user, ret_uid) < 0)
                return q->user;
        return NULL;
}

static int workbench_explain(const Workbench *w, const Request *q, const struct in6_addr *source,
                             uint32_t uid, JsonValue **ret) {
        const ExplainRequest request = {
                .method = q->method, .host = q->host, .target = q->target, .fields = q->fields,
                .body = q->body, .body_length = q->body_length, .slice = q->slice, .unit = q->unit,
                .user = q->user, .source = q->source ? source : NULL, .slice_id = find_slice(w, q->slice),
                .uid = uid,
        };
        _cleanup_(explanation_freep) Explanation *e = NULL;
        _cleanup_free_ char *json = NULL;
        int r;

        r = policy_explain(&w->tables, SERVICE_ID, &request, &e);
        if (r < 0)
                return r;
        restore_names(w, &e->outcome);
        for (size_t i = 0; i < e->n_possible; i++)
                restore_names(w, &e->possible[i].outcome);
        r = explanation_to_json(e, &json);
        return r < 0 ? r : json_parse(json, ret);
}

/* By name or by address, with or without a port; http's is 80. */
static const PolicyService *find_service(const Policy *p, const char *authority) {
        _cleanup_free_ char *host = NULL, *with_port = NULL;
        const PolicyService *s = policy_find_service(p, authority);
        struct in6_addr address;
        uint16_t port;
        int r;

        if (s)
                return s;
        r = parse_host_port(authority, &host, &address, &port);
        if (r < 0 && asprintf(&with_port, "%s:80", authority) >= 0)
                r = parse_host_port(with_port, &host, &address, &port);
        if (r < 0)
                return NULL;
        if (host)
                return policy_find_service(p, host);
        for (size_t i = 0; i < p->n_services; i++) {
                s = p->services[i];
                if (s->has_address && s->port == port && memcmp(&s->address, &address, sizeof(address)) == 0)
                        return s;
        }
        return NULL;
}

static CallerVerdict judge_caller(const Policy *p, const PolicyService *s, const char *slice) {
        const char *const *slices = (const char *const *) p->mesh.slices;
        const char *const *callers = (const char *const *) s->callers;

        if (!slice)
                return CALLER_NOT_ASKED;
        if (!slice_is_in(slice, slices, strv_length(p->mesh.slices)))
                return CALLER_UNMANAGED;
        if (!callers || slice_is_in(slice, callers, strv_length(s->callers)))
                return CALLER_ALLOWED;
        return CALLER_REFUSED;
}

ExitStatus explain_offline(const Request *q, const char *directory, const char *root, Answer *ret) {
        _cleanup_(workbench_done) Workbench w = {};
        _cleanup_(policy_freep) Policy *p = NULL;
        struct in6_addr source;
        const char *wrong;
        ExitStatus status;
        uint32_t uid = 0;
        int r;

        wrong = read_caller(q, &source, &uid);
        if (wrong) {
                print_error(_("There is no user or address \"%s\"."), wrong);
                return STATUS_USAGE;
        }
        status = load_policy(directory, root, &p);
        if (status != STATUS_OK)
                return status;
        w.service = find_service(p, q->authority);
        if (!w.service) {
                print_error(p->n_errors > 0 ? _("There is no service \"%s\" without errors; try \"check\".")
                                            : _("There is no service \"%s\"."), q->authority);
                return STATUS_FAILURE;
        }
        r = workbench_compile(&w, &p->mesh);
        if (r >= 0)
                r = workbench_explain(&w, q, &source, uid, &ret->explanation);
        if (r < 0) {
                print_error(_("Cannot explain the request: %s."), strerror(-r));
                return STATUS_FAILURE;
        }
        ret->has_names = w.has_names;
        ret->caller = judge_caller(p, w.service, q->slice);
        return STATUS_OK;
}
