/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once

#include "maps.h"
#include "slot-maps.h"

/* The accessors of src/engine/engine-access.h as map look-ups, which bring the bounds check along. There
 * is one set of tables, so `t` says nothing here. */
struct sm_tables;

#define SM_ACCESSOR(name, type, map)                                                      \
        static inline type *name(const struct sm_tables *t, __u32 i) {                    \
                return bpf_map_lookup_elem(&map, &i);                                     \
        }

SM_ACCESSOR(sm_cell_at, const struct sm_cell, cells)
SM_ACCESSOR(sm_service_at, const struct sm_service, services)
SM_ACCESSOR(sm_endpoint_at, const struct sm_endpoint, endpoints)
SM_ACCESSOR(sm_endpoint_state_at, struct sm_endpoint_state, endpoint_states)
SM_ACCESSOR(sm_subset_state_at, struct sm_subset_state, subset_states)
SM_ACCESSOR(sm_route_state_at, struct sm_route_state, route_states)
SM_ACCESSOR(sm_service_counters_at, struct sm_service_counters, service_counters)
SM_ACCESSOR(sm_slot_entry, struct sm_slot, slots)
SM_ACCESSOR(sm_downstream_entry, struct sm_downstream, downstreams)
SM_ACCESSOR(sm_idle_entry, struct sm_stack, idle_slots)

#undef SM_ACCESSOR
