/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <arpa/inet.h>
#include <errno.h>
#include <sys/mman.h>

#include "../basic/cleanup.h"
#include "../basic/macro.h"
#include "../basic/time-util.h"
#include "daemon-extents.h"
#include "daemon-tables.h"

typedef enum RetiredKind {
        RETIRED_ID,       /* of `table` */
        RETIRED_ENDPOINT, /* its id, when the generation has been raised */
        RETIRED_EXTENT,
} RetiredKind;

/* Not in use any more, but a reader may have looked it up before `epoch` ended. */
typedef struct Retired {
        RetiredKind kind;
        TableId table;
        uint32_t start, n; /* cells; or the id and 1 */
        uint64_t epoch;
} Retired;

typedef struct IdSpace {
        uint8_t *used; /* also while retired */
        uint32_t n, last;
} IdSpace;

struct Tables {
        struct sm_tables view;
        void *maps[_SM_TABLE_MAX];
        size_t map_sizes[_SM_TABLE_MAX];

        /* The same memory as in `view`, where only slicemeshd may write. */
        struct sm_cell *cells;
        struct sm_service *services;
        struct sm_endpoint *endpoints;

        IdSpace ids[_TABLE_ID_MAX];
        FreeExtents free_cells;
        Retired *retired;
        size_t n_retired, n_retired_allocated;
        size_t n_live; /* ids and extents that may still have to be retired */
        uint64_t epoch;
};

static const size_t entry_sizes[_SM_TABLE_MAX] = {
        [SM_TABLE_CELLS] = sizeof(struct sm_cell),
        [SM_TABLE_SERVICES] = sizeof(struct sm_service),
        [SM_TABLE_ENDPOINTS] = sizeof(struct sm_endpoint),
        [SM_TABLE_ENDPOINT_STATES] = sizeof(struct sm_endpoint_state),
        [SM_TABLE_SUBSET_STATES] = sizeof(struct sm_subset_state),
        [SM_TABLE_ROUTE_STATES] = sizeof(struct sm_route_state),
        [SM_TABLE_SERVICE_COUNTERS] = sizeof(struct sm_service_counters),
        [SM_TABLE_SERVICE_PATHS] = sizeof(struct sm_path_counters),
        [SM_TABLE_SLICE_PATHS] = sizeof(struct sm_path_counters),
        /* The others are between the programs and the relay, or no arrays. */
};

DEFINE_TRIVIAL_CLEANUP(Tables *, tables_free)

/* Room for one more thing in use, taken beforehand so that retiring it later cannot fail. */
static int tables_reserve(Tables *t) {
        size_t n = t->n_live + t->n_retired + 1;
        int r;

        if (n > t->n_retired_allocated) {
                Retired *retired = reallocarray(t->retired, n * 2, sizeof(*retired));

                if (!retired)
                        return -ENOMEM;
                t->retired = retired;
                t->n_retired_allocated = n * 2;
        }

        /* Between n extents there are at most n + 1 gaps; taking one out of the middle of a gap makes
         * two. */
        r = free_extents_reserve(&t->free_cells, n + 2);
        if (r < 0)
                return r;
        t->n_live++;
        return 0;
}

static void tables_retire(Tables *t, Retired retired) {
        retired.epoch = t->epoch++;
        t->retired[t->n_retired++] = retired;
        t->n_live--;
}

static int tables_map(Tables *t, const int fds[], const uint32_t entries[]) {
        for (enum sm_table i = 0; i < _SM_TABLE_MAX; i++) {
                void *p;

                if (entry_sizes[i] == 0)
                        continue;
                t->map_sizes[i] = entry_sizes[i] * entries[i];
                p = mmap(NULL, t->map_sizes[i], PROT_READ | PROT_WRITE, MAP_SHARED, fds[i], 0);
                if (p == MAP_FAILED)
                        return -errno;
                t->maps[i] = p;
        }

        t->view = (struct sm_tables) {
                .cells = t->maps[SM_TABLE_CELLS],
                .services = t->maps[SM_TABLE_SERVICES],
                .endpoints = t->maps[SM_TABLE_ENDPOINTS],
                .endpoint_states = t->maps[SM_TABLE_ENDPOINT_STATES],
                .subset_states = t->maps[SM_TABLE_SUBSET_STATES],
                .route_states = t->maps[SM_TABLE_ROUTE_STATES],
                .service_counters = t->maps[SM_TABLE_SERVICE_COUNTERS],
                .service_paths = t->maps[SM_TABLE_SERVICE_PATHS],
                .slice_paths = t->maps[SM_TABLE_SLICE_PATHS],
                .n_cells = entries[SM_TABLE_CELLS],
                .n_services = MIN(entries[SM_TABLE_SERVICES],
                                  MIN(entries[SM_TABLE_SERVICE_COUNTERS], entries[SM_TABLE_SERVICE_PATHS])),
                .n_endpoints = MIN(entries[SM_TABLE_ENDPOINTS], entries[SM_TABLE_ENDPOINT_STATES]),
                .n_subsets = entries[SM_TABLE_SUBSET_STATES],
                .n_routes = entries[SM_TABLE_ROUTE_STATES],
                .n_slices = entries[SM_TABLE_SLICE_PATHS],
        };
        t->cells = t->maps[SM_TABLE_CELLS];
        t->services = t->maps[SM_TABLE_SERVICES];
        t->endpoints = t->maps[SM_TABLE_ENDPOINTS];
        return 0;
}

static int tables_prepare_ids(Tables *t) {
        const uint32_t sizes[_TABLE_ID_MAX] = {
                [ID_SERVICE] = t->view.n_services, [ID_ENDPOINT] = t->view.n_endpoints,
                [ID_SUBSET] = t->view.n_subsets,   [ID_ROUTE] = t->view.n_routes,
                [ID_SLICE] = SM_SLICES_MAX,
        };

        for (TableId i = 0; i < _TABLE_ID_MAX; i++) {
                IdSpace *ids = &t->ids[i];

                ids->n = sizes[i];
                ids->used = calloc(ids->n, 1);
                if (!ids->used)
                        return -ENOMEM;
                ids->used[0] = 1; /* means "none" everywhere */
        }
        return 0;
}

/* Marks an id that an extent refers to. A second reference, or one outside the array, is damage. */
static int tables_adopt_id(Tables *t, TableId kind, uint32_t id) {
        IdSpace *ids = &t->ids[kind];
        int r;

        if (id == 0 || id >= ids->n || ids->used[id])
                return -EUCLEAN;
        r = tables_reserve(t);
        if (r < 0)
                return r;
        ids->used[id] = 1;
        return 0;
}

static int tables_adopt_subset(Tables *t, uint32_t base, uint32_t n_cells, uint32_t cell) {
        const struct sm_subset *subset;
        const uint32_t *endpoints;
        int r;

        if (cell >= n_cells)
                return -EUCLEAN;
        subset = (const struct sm_subset *) &t->cells[base + cell];
        if (subset->endpoints > n_cells ||
            subset->n_endpoints > (n_cells - subset->endpoints) * (uint64_t) SM_SLOTS_PER_CELL)
                return -EUCLEAN;
        r = tables_adopt_id(t, ID_SUBSET, subset->state);
        if (r < 0)
                return r;
        endpoints = (const uint32_t *) &t->cells[base + subset->endpoints];
        for (uint32_t i = 0; i < subset->n_endpoints; i++) {
                r = tables_adopt_id(t, ID_ENDPOINT, endpoints[i]);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* Takes over the extent that `service` has from before a restart. */
static int tables_adopt_service(Tables *t, uint32_t service) {
        uint32_t base = t->services[service].root, room = t->view.n_cells - base;
        const struct sm_policy *policy;
        const struct sm_route *route;
        int r;

        if (base >= t->view.n_cells)
                return -EUCLEAN;
        policy = (const struct sm_policy *) &t->cells[base];
        if (policy->service != service || policy->n_cells == 0 || policy->n_cells > room)
                return -EUCLEAN;

        r = tables_adopt_id(t, ID_SERVICE, service);
        if (r < 0)
                return r;
        r = tables_reserve(t);
        if (r < 0)
                return r;
        r = free_extents_take_at(&t->free_cells, base, policy->n_cells);
        if (r < 0)
                return r;

        for (uint32_t i = 0; i < policy->n_subsets; i++) {
                r = tables_adopt_subset(t, base, policy->n_cells, policy->subsets + i);
                if (r < 0)
                        return r;
        }
        for (uint32_t i = 0; i < policy->n_routes; i++) {
                if (policy->routes + i >= policy->n_cells)
                        return -EUCLEAN;
                route = (const struct sm_route *) &t->cells[base + policy->routes + i];
                r = tables_adopt_id(t, ID_ROUTE, route->state);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* What lies between the extents in force was perhaps retired just before the restart, and the relay may
 * still read it. Only what lies behind every cell that was ever written is certainly free. */
static int tables_quarantine_cells(Tables *t) {
        static const struct sm_cell zero = {};
        uint32_t end = t->view.n_cells, start, n;
        int r;

        while (end > 1 && memcmp(&t->cells[end - 1], &zero, sizeof(zero)) == 0)
                end--;
        for (size_t i = 0; i < t->free_cells.n_ranges && t->free_cells.ranges[i].start < end;) {
                start = t->free_cells.ranges[i].start;
                n = MIN(t->free_cells.ranges[i].n, end - start);
                r = tables_reserve(t);
                if (r < 0)
                        return r;
                r = free_extents_take_at(&t->free_cells, start, n);
                if (r < 0)
                        return r;
                tables_retire(t, (Retired) { .kind = RETIRED_EXTENT, .start = start, .n = n });
        }
        return 0;
}

/* Endpoints that no extent lists but that still have something in flight: ids of drained ones. */
static int tables_quarantine_endpoints(Tables *t) {
        int r;

        for (uint32_t i = 1; i < t->view.n_endpoints; i++) {
                if (t->ids[ID_ENDPOINT].used[i] || t->view.endpoint_states[i].in_flight == 0)
                        continue;
                r = tables_adopt_id(t, ID_ENDPOINT, i);
                if (r < 0)
                        return r;
                tables_retire(t, (Retired) { .kind = RETIRED_ID, .table = ID_ENDPOINT, .start = i, .n = 1 });
        }
        return 0;
}

int tables_new(const int fds[_SM_TABLE_MAX], const uint32_t entries[_SM_TABLE_MAX], Tables **ret) {
        _cleanup_(tables_freep) Tables *t = calloc(1, sizeof(*t));
        int r;

        if (!t)
                return -ENOMEM;
        t->epoch = now_nsec(); /* above every epoch that a slicemeshd before this one can have named */

        r = tables_map(t, fds, entries);
        if (r < 0)
                return r;
        r = tables_prepare_ids(t);
        if (r < 0)
                return r;
        r = free_extents_reserve(&t->free_cells, 2);
        if (r < 0)
                return r;
        free_extents_give(&t->free_cells, 1, t->view.n_cells - 1); /* cell 0 means "none" */

        for (uint32_t i = 1; i < t->view.n_services; i++) {
                if (t->services[i].root == 0)
                        continue;
                r = tables_adopt_service(t, i);
                if (r < 0)
                        return r;
        }
        r = tables_quarantine_cells(t);
        if (r < 0)
                return r;
        r = tables_quarantine_endpoints(t);
        if (r < 0)
                return r;

        *ret = TAKE_PTR(t);
        return 0;
}

Tables *tables_free(Tables *t) {
        if (!t)
                return NULL;
        for (enum sm_table i = 0; i < _SM_TABLE_MAX; i++)
                if (t->maps[i])
                        (void) munmap(t->maps[i], t->map_sizes[i]);
        for (TableId i = 0; i < _TABLE_ID_MAX; i++)
                free(t->ids[i].used);
        free_extents_done(&t->free_cells);
        free(t->retired);
        free(t);
        return NULL;
}

const struct sm_tables *tables_view(const Tables *t) {
        return &t->view;
}

/* Connections that the relay pooled to the endpoint that had the id before are still counted in it, and
 * are still counted down: those words are left alone. */
static void tables_zero_state(Tables *t, TableId kind, uint32_t id) {
        switch (kind) {
        case ID_SERVICE:
                t->view.service_counters[id] = (struct sm_service_counters) {};
                t->view.service_paths[id] = (struct sm_path_counters) {};
                t->services[id].revision = 0;
                break;
        case ID_ENDPOINT: {
                struct sm_endpoint_state *state = &t->view.endpoint_states[id];

                state->avoid_until = state->requests = state->failures = 0;
                state->failures_in_row = state->enrolled = 0;
                break;
        }
        case ID_SUBSET:
                t->view.subset_states[id] = (struct sm_subset_state) {};
                break;
        case ID_ROUTE:
                t->view.route_states[id] = (struct sm_route_state) {};
                break;
        default: /* a slice comes to the same id again, and goes on counting */
                break;
        }
}

int tables_id_claim(Tables *t, TableId kind, uint32_t wanted, uint32_t *ret) {
        IdSpace *ids = &t->ids[kind];
        int r;

        for (uint32_t i = 0; i < ids->n; i++) {
                uint32_t id = (uint32_t) (((uint64_t) wanted + i) % ids->n);

                if (ids->used[id])
                        continue;
                r = tables_reserve(t);
                if (r < 0)
                        return r;
                ids->used[id] = 1;
                ids->last = id;
                tables_zero_state(t, kind, id);
                *ret = id;
                return 0;
        }
        return -ENOSPC;
}

int tables_id_get(Tables *t, TableId kind, uint32_t *ret) {
        /* Goes round, so that an id rests as long as possible before it means something else. */
        return tables_id_claim(t, kind, t->ids[kind].last + 1, ret);
}

void tables_id_put(Tables *t, TableId kind, uint32_t id) {
        if (id != 0)
                tables_retire(t, (Retired) { .kind = RETIRED_ID, .table = kind, .start = id, .n = 1 });
}

int tables_set_endpoint(Tables *t, uint32_t id, uint32_t service, const BoundEndpoint *e) {
        struct sm_endpoint *endpoint;

        if (id == 0 || id >= t->view.n_endpoints)
                return -ERANGE;
        endpoint = &t->endpoints[id];
        memcpy(endpoint->address, &e->address, sizeof(endpoint->address));
        endpoint->port = htons(e->port);
        endpoint->service = service;
        endpoint->weight = e->weight;
        return 0;
}

static void tables_retire_extent(Tables *t, uint32_t start) {
        const struct sm_policy *policy = (const struct sm_policy *) &t->cells[start];

        tables_retire(t, (Retired) { .kind = RETIRED_EXTENT, .start = start, .n = policy->n_cells });
}

int tables_commit(Tables *t, uint32_t service, const PolicyExtent *extent) {
        struct sm_service *entry;
        uint32_t start, old;
        int r;

        if (service == 0 || service >= t->view.n_services)
                return -ERANGE;
        entry = &t->services[service];
        old = entry->root;
        if (old != 0 && ((const struct sm_policy *) &t->cells[old])->n_cells == extent->n_cells &&
            memcmp(&t->cells[old], extent->cells, extent->n_cells * sizeof(struct sm_cell)) == 0)
                return 0;

        r = tables_reserve(t);
        if (r < 0)
                return r;
        start = free_extents_take(&t->free_cells, extent->n_cells);
        if (start == 0) {
                t->n_live--;
                return -ENOSPC;
        }

        memcpy(&t->cells[start], extent->cells, extent->n_cells * sizeof(struct sm_cell));
        entry->revision++;
        ((struct sm_policy *) &t->cells[start])->revision = entry->revision;
        __atomic_store_n(&entry->root, start, __ATOMIC_RELEASE);
        if (old != 0)
                tables_retire_extent(t, old);
        return 1;
}

void tables_withdraw(Tables *t, uint32_t service) {
        uint32_t old = t->services[service].root;

        if (old == 0)
                return;
        __atomic_store_n(&t->services[service].root, 0, __ATOMIC_RELEASE);
        tables_retire_extent(t, old);
}

void tables_set_trace(Tables *t, uint32_t service, uint32_t n) {
        struct sm_service_counters *c = &t->view.service_counters[service];

        __atomic_store_n(&c->traces_lost, 0, __ATOMIC_RELAXED);
        __atomic_store_n(&c->traces, n, __ATOMIC_RELAXED);
        __atomic_store_n(&t->services[service].trace, n, __ATOMIC_RELAXED);
}

uint64_t tables_epoch(const Tables *t) {
        return t->epoch;
}

/*
 * The id of a service or an endpoint is not given away while something is in flight to it: its end would be
 * counted on the next one. Raising the generation tells the relay which connections are not the next
 * one's. To an endpoint the kernel might still use such a connection, as it looks at the id alone: so the id
 * rests once more, until the relay, which looks at each new epoch, has closed them.
 */
static bool tables_release(Tables *t, Retired *retired) {
        if (retired->kind == RETIRED_EXTENT) {
                free_extents_give(&t->free_cells, retired->start, retired->n);
                return true;
        }
        if (retired->kind == RETIRED_ID && retired->table == ID_ENDPOINT) {
                const struct sm_endpoint_state *state = &t->view.endpoint_states[retired->start];

                if (__atomic_load_n(&state->in_flight, __ATOMIC_ACQUIRE) != 0)
                        return false;
                __atomic_fetch_add(&t->endpoints[retired->start].generation, 1, __ATOMIC_RELEASE);
                retired->kind = RETIRED_ENDPOINT;
                retired->epoch = t->epoch++;
                return false;
        }
        if (retired->table == ID_SERVICE) {
                const struct sm_service_counters *counters = &t->view.service_counters[retired->start];

                if (__atomic_load_n(&counters->active, __ATOMIC_ACQUIRE) != 0)
                        return false;
                __atomic_fetch_add(&t->services[retired->start].generation, 1, __ATOMIC_RELEASE);
        }
        t->ids[retired->table].used[retired->start] = 0;
        return true;
}

void tables_epoch_passed(Tables *t, uint64_t passed) {
        size_t n = 0;

        for (size_t i = 0; i < t->n_retired; i++)
                if (t->retired[i].epoch >= passed || !tables_release(t, &t->retired[i]))
                        t->retired[n++] = t->retired[i];
        t->n_retired = n;
}

bool tables_has_retired(const Tables *t) {
        return t->n_retired > 0;
}
