/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "../basic/cleanup.h"
#include "../basic/macro.h"
#include "../basic/time-util.h"
#include "../engine/engine-atomic.h"
#include "relay-tables.h"

static const struct {
        size_t entry_size;
        int protection;
} layouts[_SM_TABLE_MAPPED_MAX] = {
        [SM_TABLE_CELLS] = { sizeof(struct sm_cell), PROT_READ },
        [SM_TABLE_SERVICES] = { sizeof(struct sm_service), PROT_READ },
        [SM_TABLE_ENDPOINTS] = { sizeof(struct sm_endpoint), PROT_READ },
        [SM_TABLE_ENDPOINT_STATES] = { sizeof(struct sm_endpoint_state), PROT_READ | PROT_WRITE },
        [SM_TABLE_SUBSET_STATES] = { sizeof(struct sm_subset_state), PROT_READ | PROT_WRITE },
        [SM_TABLE_ROUTE_STATES] = { sizeof(struct sm_route_state), PROT_READ | PROT_WRITE },
        [SM_TABLE_SERVICE_COUNTERS] = { sizeof(struct sm_service_counters), PROT_READ | PROT_WRITE },
        [SM_TABLE_SERVICE_PATHS] = { sizeof(struct sm_path_counters), PROT_READ | PROT_WRITE },
        [SM_TABLE_SLICE_PATHS] = { sizeof(struct sm_path_counters), PROT_READ | PROT_WRITE },
        [SM_TABLE_FAST_CONTROL] = { sizeof(struct sm_fast_control), PROT_READ },
        [SM_TABLE_SLOTS] = { sizeof(struct sm_slot), PROT_READ | PROT_WRITE },
        [SM_TABLE_DOWNSTREAMS] = { sizeof(struct sm_downstream), PROT_READ | PROT_WRITE },
        [SM_TABLE_IDLE_SLOTS] = { sizeof(struct sm_stack), PROT_READ | PROT_WRITE },
        [SM_TABLE_FREE_DOWNSTREAMS] = { sizeof(struct sm_stack), PROT_READ | PROT_WRITE },
        [SM_TABLE_REQUESTS] = { sizeof(struct sm_request_copy), PROT_READ },
};

#define HEAD_BYTES_MIN 1024

static int check_settings(const struct sm_link_tables *m) {
        if (m->max_connections == 0)
                return -ERANGE;
        if (m->buffer_bytes < SM_BUFFER_MIN || m->buffer_bytes > SM_BUFFER_MAX)
                return -ERANGE;
        if (m->head_bytes < HEAD_BYTES_MIN || m->head_bytes > SM_HEAD_MAX)
                return -ERANGE;
        return 0;
}

/* An array map refuses to be mapped beyond its end; a memfd has to be asked, or reading it raises SIGBUS. */
static int map_table(SharedTables *t, enum sm_table i, int fd) {
        size_t size = t->settings.entries[i] * layouts[i].entry_size;
        struct stat st;
        void *p;

        if (size == 0)
                return -EINVAL;
        if (fstat(fd, &st) < 0)
                return -errno;
        if (S_ISREG(st.st_mode) && (uint64_t) st.st_size < size)
                return -EINVAL;
        p = mmap(NULL, size, layouts[i].protection, MAP_SHARED, fd, 0);
        if (p == MAP_FAILED)
                return -errno;
        t->maps[i].address = p;
        t->maps[i].size = size;
        return 0;
}

static void fill_tables(SharedTables *t) {
        const __u32 *n = t->settings.entries;

        t->tables = (struct sm_tables){
                .cells = t->maps[SM_TABLE_CELLS].address,
                .services = t->maps[SM_TABLE_SERVICES].address,
                .endpoints = t->maps[SM_TABLE_ENDPOINTS].address,
                .endpoint_states = t->maps[SM_TABLE_ENDPOINT_STATES].address,
                .subset_states = t->maps[SM_TABLE_SUBSET_STATES].address,
                .route_states = t->maps[SM_TABLE_ROUTE_STATES].address,
                .service_counters = t->maps[SM_TABLE_SERVICE_COUNTERS].address,
                .service_paths = t->maps[SM_TABLE_SERVICE_PATHS].address,
                .slice_paths = t->maps[SM_TABLE_SLICE_PATHS].address,
                .slots = t->maps[SM_TABLE_SLOTS].address,
                .downstreams = t->maps[SM_TABLE_DOWNSTREAMS].address,
                .idle_slots = t->maps[SM_TABLE_IDLE_SLOTS].address,
                .n_cells = n[SM_TABLE_CELLS],
                .n_services = MIN(n[SM_TABLE_SERVICES],
                                  MIN(n[SM_TABLE_SERVICE_COUNTERS], n[SM_TABLE_SERVICE_PATHS])),
                .n_endpoints = MIN(n[SM_TABLE_ENDPOINTS], n[SM_TABLE_ENDPOINT_STATES]),
                .n_subsets = n[SM_TABLE_SUBSET_STATES],
                .n_routes = n[SM_TABLE_ROUTE_STATES],
                .n_slices = n[SM_TABLE_SLICE_PATHS],
                .n_slots = n[SM_TABLE_SLOTS],
                .n_downstreams = MIN(n[SM_TABLE_DOWNSTREAMS], n[SM_TABLE_REQUESTS]),
                .n_idle_slots = n[SM_TABLE_IDLE_SLOTS],
        };
        t->control = t->maps[SM_TABLE_FAST_CONTROL].address;
        t->free_downstreams = t->maps[SM_TABLE_FREE_DOWNSTREAMS].address;
        t->requests = t->maps[SM_TABLE_REQUESTS].address;
        t->workers = MIN(t->control->workers, (__u32) SM_WORKERS_MAX);
}

/* Where SharedTables keeps the descriptors of what is not mapped. */
static const struct {
        enum sm_table table;
        size_t offset;
} descriptors[] = {
        { SM_TABLE_CALLERS, offsetof(SharedTables, callers) },
        { SM_TABLE_RELAY_CONTEXTS, offsetof(SharedTables, relay_contexts) },
        { SM_TABLE_UPSTREAM_SOCKETS, offsetof(SharedTables, upstream_sockets) },
        { SM_TABLE_ACCEPTED_SOCKETS, offsetof(SharedTables, accepted_sockets) },
        { SM_TABLE_ENROL, offsetof(SharedTables, enrol) },
};
_Static_assert(ELEMENTSOF(descriptors) == _SM_TABLE_MAX - _SM_TABLE_MAPPED_MAX, "each has its place");

static int *descriptor_at(SharedTables *t, size_t i) {
        return (int *) ((char *) t + descriptors[i].offset);
}

static SharedTables *shared_tables_free(SharedTables *t) {
        for (unsigned i = 0; i < ELEMENTSOF(t->maps); i++)
                if (t->maps[i].address)
                        munmap(t->maps[i].address, t->maps[i].size);
        for (size_t i = 0; i < ELEMENTSOF(descriptors); i++)
                closep(descriptor_at(t, i));
        free(t);
        return NULL;
}

DEFINE_TRIVIAL_CLEANUP(SharedTables *, shared_tables_free)

int shared_tables_new(const struct sm_link_tables *message, int fds[static _SM_TABLE_MAX],
                      SharedTables **ret) {
        _cleanup_(shared_tables_freep) SharedTables *t = NULL;
        int r;

        r = check_settings(message);
        if (r < 0)
                return r;
        t = calloc(1, sizeof(SharedTables));
        if (!t)
                return -ENOMEM;
        for (size_t i = 0; i < ELEMENTSOF(descriptors); i++)
                *descriptor_at(t, i) = -EBADF;
        t->settings = *message;
        t->users = 1;

        for (enum sm_table i = 0; i < _SM_TABLE_MAPPED_MAX; i++) {
                r = map_table(t, i, fds[i]);
                if (r < 0)
                        return r;
        }
        fill_tables(t);
        for (size_t i = 0; i < ELEMENTSOF(descriptors); i++) /* a mapping does not need its descriptor */
                *descriptor_at(t, i) = TAKE_FD(fds[descriptors[i].table]);
        *ret = TAKE_PTR(t);
        return 0;
}

/* A mark in the slot that is not used tells: the maps may have been pinned, and given to several
 * slicemeshds, or made anew by the last one. */
bool shared_tables_continue(SharedTables *t, const SharedTables *before) {
        __u64 *mark = &t->tables.slots[0].since;

        t->memory = sm_load(mark);
        if (before && t->memory == before->memory)
                return true;
        t->memory = now_nsec();
        sm_store(mark, t->memory);
        return false;
}

const struct sm_policy *shared_tables_policy(const SharedTables *t, __u32 service, __u32 *ret_base) {
        const struct sm_service *s = sm_service_at(&t->tables, service);

        *ret_base = s ? __atomic_load_n(&s->root, __ATOMIC_ACQUIRE) : 0;
        return *ret_base > 0 ? (const struct sm_policy *) sm_cell_at(&t->tables, *ret_base) : NULL;
}

bool shared_tables_is_current(const SharedTables *t, __u32 service, __u32 generation) {
        const struct sm_service *s = sm_service_at(&t->tables, service);

        return s && __atomic_load_n(&s->generation, __ATOMIC_ACQUIRE) == generation;
}

SharedTables *shared_tables_ref(SharedTables *t) {
        atomic_fetch_add_explicit(&t->users, 1, memory_order_relaxed);
        return t;
}

SharedTables *shared_tables_unref(SharedTables *t) {
        if (t && atomic_fetch_sub_explicit(&t->users, 1, memory_order_acq_rel) == 1)
                return shared_tables_free(t);
        return NULL;
}
