/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stddef.h>

#include "../abi/abi-action.h"
#include "../abi/abi-downstream.h"
#include "../abi/abi-route.h"
#include "../abi/abi-state.h"

/*
 * How engine code reaches the tables: the one place that differs between the kernel and user space.
 *
 * Each accessor returns NULL for an index outside its array, and callers must take NULL as "no such
 * thing": the verifier insists on it, and natively it keeps a torn or hostile table from being followed
 * out of bounds. Under BPF the tables are maps and `t` is unused; the including program defines the maps
 * and the accessors in bpf/engine-maps.h.
 *
 * sm_loop() calls `step(i, context)` for i = 0 ... n - 1 until it returns non-zero. Under BPF that is
 * bpf_loop(), whose callback the verifier of Linux before 6.7 walks only once: a step may therefore set what
 * the context holds, but must never branch on what an earlier step has set.
 */
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define sm_little_endian(x) __builtin_bswap64(x)
#else
#define sm_little_endian(x) (x)
#endif

/* Or the compiler concludes from earlier checks that one is not needed, which the verifier of 6.1 does
 * not follow. */
#define sm_forget(x) asm volatile("" : "+r"(x))

#define SM_WINDOW 32 /* bytes of a message that are looked at together */

#ifdef __bpf__

#include "../../bpf/engine-maps.h"

#define sm_loop(n, step, context) bpf_loop(n, step, context, 0)

/* Byte `i` of a head, which the kernel side copies into SM_HEAD_KERNEL_MAX bytes of a map's value. */
static inline __u8 sm_byte_at(const __u8 *bytes, __u32 i) {
        sm_forget(i);
        return i < SM_HEAD_KERNEL_MAX ? bytes[i] : 0;
}

/* Eight of them, of which those from `end` on are of no meaning. */
static inline __u64 sm_eight_at(const __u8 *bytes, __u32 i, __u32 end) {
        sm_forget(i);
        return i <= SM_HEAD_KERNEL_MAX - 8 ? sm_little_endian(*(const __u64 *) (bytes + i)) : 0;
}

/* Copies SM_WINDOW bytes of a message of `size` bytes from `position` on, or as many as there are. 0, or
 * negative. Defined by the including program, in bpf/message.h. */
static inline int sm_message_read(void *message, __u32 position, __u32 size, __u8 *ret);

#else

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

#endif

/* Words that others change meanwhile. */
#define SM_READ_ONCE(x) (*(const volatile __typeof__(x) *) &(x))

static inline __u32 sm_count_up(__u32 *word) {
        return __sync_fetch_and_add(word, 1);
}

/* Slot `i` of a schedule or list of ids that starts at cell `slots`; -1 if the table does not reach
 * there. */
static inline __s64 sm_slot_at(const struct sm_tables *t, __u32 slots, __u32 i) {
        const struct sm_cell *c = sm_cell_at(t, slots + i / SM_SLOTS_PER_CELL);

        return c ? (__s64) ((const __u32 *) c->bytes)[i % SM_SLOTS_PER_CELL] : -1;
}

/* Byte `i` of text that starts at cell `cell`. */
static inline __s32 sm_text_at(const struct sm_tables *t, __u32 cell, __u32 i) {
        const struct sm_cell *c = sm_cell_at(t, cell + i / SM_CELL_SIZE);

        return c ? c->bytes[i % SM_CELL_SIZE] : -1;
}

/* The struct that a cell holds, or the first of several. */
static inline const void *sm_cell_of(const struct sm_tables *t, __u32 cell) {
        const struct sm_cell *c = sm_cell_at(t, cell);

        return c ? c->bytes : NULL;
}
