/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "../abi/abi-policy.h"
#include "../abi/abi-state.h"

/*
 * How engine code reaches the tables: the one place that differs between the kernel and user space.
 *
 * Each accessor returns NULL for an index outside its array, and callers must take NULL as "no such
 * thing": the verifier insists on it, and natively it keeps a torn or hostile table from being followed
 * out of bounds. Under BPF the tables are maps and `t` is unused; the including program defines the maps
 * in bpf/maps.h first.
 */
#ifdef __bpf__

#include "../../bpf/engine-maps.h"

#else

struct sm_tables {
        const struct sm_cell *cells;
        const struct sm_service *services;
        const struct sm_endpoint *endpoints;
        struct sm_endpoint_state *endpoint_states;
        struct sm_subset_state *subset_states;
        struct sm_route_state *route_states;
        struct sm_service_counters *service_counters;
        __u32 n_cells, n_services, n_endpoints, n_subsets, n_routes;
};

#define SM_ACCESSOR(name, type, array, count)                                             \
        static inline type *name(const struct sm_tables *t, __u32 i) {                    \
                return i < t->count ? &t->array[i] : NULL;                                \
        }

SM_ACCESSOR(sm_cell_at, const struct sm_cell, cells, n_cells)
SM_ACCESSOR(sm_service_at, const struct sm_service, services, n_services)
SM_ACCESSOR(sm_endpoint_at, const struct sm_endpoint, endpoints, n_endpoints)
SM_ACCESSOR(sm_endpoint_state_at, struct sm_endpoint_state, endpoint_states, n_endpoints)
SM_ACCESSOR(sm_subset_state_at, struct sm_subset_state, subset_states, n_subsets)
SM_ACCESSOR(sm_route_state_at, struct sm_route_state, route_states, n_routes)
SM_ACCESSOR(sm_service_counters_at, struct sm_service_counters, service_counters, n_services)

#undef SM_ACCESSOR

#endif
