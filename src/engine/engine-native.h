/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stddef.h>

#include "../abi/abi-downstream.h"
#include "../abi/abi-route.h"
#include "../abi/abi-state.h"

/* The side of engine-access.h in user space: tables and messages are in memory. */

struct sm_tables {
        const struct sm_cell *cells;
        const struct sm_service *services;
        const struct sm_endpoint *endpoints;
        struct sm_endpoint_state *endpoint_states;
        struct sm_subset_state *subset_states;
        struct sm_route_state *route_states;
        struct sm_service_counters *service_counters;
        struct sm_path_counters *service_paths, *slice_paths;
        struct sm_slot *slots;
        struct sm_downstream *downstreams;
        struct sm_stack *idle_slots;
        __u32 n_cells, n_services, n_endpoints, n_subsets, n_routes, n_slices;
        __u32 n_slots, n_downstreams, n_idle_slots;
        /* Whether a value matches the regular expression of the predicate at that cell (absolute): enum
         * sm_verdict. NULL: nobody here can tell. */
        int (*regex)(void *context, __u32 cell, const __u8 *bytes, __u32 length);
        void *regex_context;
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
SM_ACCESSOR(sm_service_paths_at, struct sm_path_counters, service_paths, n_services)
SM_ACCESSOR(sm_slice_paths_at, struct sm_path_counters, slice_paths, n_slices)
SM_ACCESSOR(sm_slot_entry, struct sm_slot, slots, n_slots)
SM_ACCESSOR(sm_downstream_entry, struct sm_downstream, downstreams, n_downstreams)
SM_ACCESSOR(sm_idle_entry, struct sm_stack, idle_slots, n_idle_slots)

#undef SM_ACCESSOR

/* Byte `i` of a head; the spans of a parsed head stay inside it. */
static inline __u8 sm_byte_at(const __u8 *bytes, __u32 i) {
        return bytes[i];
}

static inline __u64 sm_eight_at(const __u8 *bytes, __u32 i, __u32 end) {
        __u64 eight = 0;

        if (i < end)
                __builtin_memcpy(&eight, bytes + i, end - i < 8 ? end - i : 8);
        return sm_little_endian(eight);
}

#define sm_copy_byte sm_byte_at
#define sm_copy_eight sm_eight_at
#define sm_body_bytes(q) ((q)->body)
#define sm_body_offset(q) 0U

#define SM_REGEX_TEXT_MAX SM_HEAD_MAX /* longer than any value, decoded */
#define sm_regex_is_there(t) ((t)->regex != NULL)
#define sm_regex_run(t, cell, bytes, length) (t)->regex((t)->regex_context, cell, bytes, length)

static inline int sm_message_read(const void *message, __u32 position, __u32 size, __u8 *ret) {
        __u32 n = size - position < SM_WINDOW ? size - position : SM_WINDOW;

        __builtin_memcpy(ret, (const __u8 *) message + position, n);
        return 0;
}

static inline void sm_loop(__u32 n, long (*step)(__u32, void *), void *context) {
        for (__u32 i = 0; i < n; i++)
                if (step(i, context) != 0)
                        return;
}
