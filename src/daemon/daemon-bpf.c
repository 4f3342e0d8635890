/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <arpa/inet.h>
#include <errno.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "../basic/cleanup.h"
#include "../basic/log.h"
#include "../basic/macro.h"
#include "daemon-bpf-programs.h"
#include "slicemesh.skel.h"

#define SLICE_STATES_SIZE (SM_SLICES_MAX * sizeof(struct sm_slice_state))

DEFINE_TRIVIAL_CLEANUP(BpfPrograms *, bpf_programs_free)

static int print_libbpf(enum libbpf_print_level level, const char *format, va_list ap) {
        char line[1024];

        if (log_get_max_level() < LOG_DEBUG)
                return 0;
        (void) vsnprintf(line, sizeof(line), format, ap);
        line[strcspn(line, "\n")] = 0;
        log_debug("libbpf: %s", line);
        return 0;
}

static int netns_cookie(__u64 *ret) {
        _cleanup_close_ int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        uint64_t cookie;

        if (fd < 0)
                return -errno;
        if (getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &(socklen_t) { sizeof(cookie) }) < 0)
                return -errno;
        *ret = cookie;
        return 0;
}

static int bpf_programs_configure(BpfPrograms *b, const BpfSettings *s) {
        struct slicemesh_bpf *skeleton = b->skeleton;
        const struct {
                struct bpf_map *map;
                uint32_t entries;
                int table; /* enum sm_table, or -1 */
        } sizes[] = {
                /* one more than the cap: index 0 is unused */
                { skeleton->maps.cells, s->max_cells + 1, SM_TABLE_CELLS },
                { skeleton->maps.services, s->max_services + 1, SM_TABLE_SERVICES },
                { skeleton->maps.service_counters, s->max_services + 1, SM_TABLE_SERVICE_COUNTERS },
                { skeleton->maps.service_paths, s->max_services + 1, SM_TABLE_SERVICE_PATHS },
                { skeleton->maps.slice_paths, SM_SLICES_MAX, SM_TABLE_SLICE_PATHS },
                { skeleton->maps.endpoints, s->max_endpoints + 1, SM_TABLE_ENDPOINTS },
                { skeleton->maps.endpoint_states, s->max_endpoints + 1, SM_TABLE_ENDPOINT_STATES },
                { skeleton->maps.subset_states, s->max_subsets + 1, SM_TABLE_SUBSET_STATES },
                { skeleton->maps.route_states, s->max_routes + 1, SM_TABLE_ROUTE_STATES },
                /* connections that were opened but not yet accepted */
                { skeleton->maps.callers, MAX(s->max_connections, 1024u), SM_TABLE_CALLERS },
                { skeleton->maps.vips, s->max_services * 16 + SM_SLICES_MAX, -1 },
                { skeleton->maps.fast_control, 1, SM_TABLE_FAST_CONTROL },
                { skeleton->maps.slots, s->fast_upstreams + 1, SM_TABLE_SLOTS },
                { skeleton->maps.server_sockets, s->fast_upstreams + 1, -1 },
                { skeleton->maps.server_scratches, s->fast_upstreams + 1, -1 },
                { skeleton->maps.upstream_sockets, s->fast_upstreams + 1, SM_TABLE_UPSTREAM_SOCKETS },
                { skeleton->maps.downstreams, s->fast_connections + 1, SM_TABLE_DOWNSTREAMS },
                { skeleton->maps.requests, s->fast_connections + 1, SM_TABLE_REQUESTS },
                { skeleton->maps.caller_sockets, s->fast_connections + 1, -1 },
                { skeleton->maps.caller_scratches, s->fast_connections + 1, -1 },
                { skeleton->maps.accepted_sockets, s->fast_connections + 1, SM_TABLE_ACCEPTED_SOCKETS },
                { skeleton->maps.free_downstreams, 1, SM_TABLE_FREE_DOWNSTREAMS },
                { skeleton->maps.idle_slots, (s->max_endpoints + 1) * s->workers, SM_TABLE_IDLE_SLOTS },
        };
        int r;

        for (size_t i = 0; i < ELEMENTSOF(sizes); i++) {
                r = bpf_map__set_max_entries(sizes[i].map, sizes[i].entries);
                if (r < 0)
                        return r;
                if (sizes[i].table >= 0)
                        b->entries[sizes[i].table] = sizes[i].entries;
        }

        r = netns_cookie((__u64 *) &skeleton->rodata->mesh_netns);
        if (r < 0)
                return r;
        *(__be16 *) &skeleton->rodata->relay_port = htons(s->relay_port);

        b->pin_path = strdup(s->pin_path);
        if (!b->pin_path)
                return -ENOMEM;
        if (asprintf(&b->layout, "%s/v%u-%u-%u-%u-%u-%u-%u-%u-%u-%u", s->pin_path, SM_ABI_VERSION,
                     s->max_services, s->max_endpoints, s->max_subsets, s->max_routes, s->max_cells,
                     s->max_connections, s->fast_connections, s->fast_upstreams, s->workers) < 0)
                return -ENOMEM;
        return 0;
}

/* All maps or none: they refer to each other. */
static int bpf_programs_take_over(BpfPrograms *b) {
        struct bpf_map *map;
        int r;

        bpf_object__for_each_map(map, b->skeleton->obj) {
                _cleanup_free_ char *path = NULL;
                _cleanup_close_ int fd = -EBADF;

                if (bpf_map__is_internal(map))
                        continue;
                if (asprintf(&path, "%s/maps/%s", b->layout, bpf_map__name(map)) < 0)
                        return -ENOMEM;
                fd = bpf_obj_get(path);
                if (fd < 0)
                        return fd;
                r = bpf_map__reuse_fd(map, fd);
                if (r < 0)
                        return r;
        }
        b->taken_over = b->pinned = true;
        return 0;
}

static int bpf_programs_open(const BpfSettings *s, BpfPrograms **ret) {
        _cleanup_(bpf_programs_freep) BpfPrograms *b = calloc(1, sizeof(*b));
        int r;

        if (!b)
                return -ENOMEM;
        b->skeleton = slicemesh_bpf__open();
        if (!b->skeleton)
                return -errno;
        r = bpf_programs_configure(b, s);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(b);
        return 0;
}

static int bpf_programs_load(const BpfSettings *s, bool fast, BpfPrograms **ret) {
        _cleanup_(bpf_programs_freep) BpfPrograms *b = NULL;
        int r;

        r = bpf_programs_open(s, &b);
        if (r < 0)
                return r;
        if (bpf_programs_take_over(b) < 0) {
                /* An object that some maps were put into cannot be rid of them. */
                b = bpf_programs_free(b);
                r = bpf_programs_open(s, &b);
                if (r < 0)
                        return r;
        }
        bpf_fast_choose(b, fast);
        r = slicemesh_bpf__load(b->skeleton);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(b);
        return 0;
}

int bpf_programs_new(const BpfSettings *s, BpfPrograms **ret) {
        _cleanup_(bpf_programs_freep) BpfPrograms *b = NULL;
        int r, error = -EOPNOTSUPP;
        void *p;

        libbpf_set_print(print_libbpf);
        if (s->fast)
                error = bpf_programs_load(s, true, &b);
        if (!b) {
                r = bpf_programs_load(s, false, &b);
                if (r < 0)
                        return r;
        }
        b->fast_error = error;
        r = bpf_fast_prepare(b, s);
        if (r < 0)
                return r;

        p = mmap(NULL, SLICE_STATES_SIZE, PROT_READ, MAP_SHARED,
                 bpf_map__fd(b->skeleton->maps.slice_states), 0);
        if (p == MAP_FAILED)
                return -errno;
        b->slice_states = p;

        *ret = TAKE_PTR(b);
        return 0;
}

BpfPrograms *bpf_programs_free(BpfPrograms *b) {
        if (!b)
                return NULL;
        ring_buffer__free(b->events);
        if (b->slice_states)
                (void) munmap((void *) b->slice_states, SLICE_STATES_SIZE);
        bpf_fast_done(b);
        slicemesh_bpf__destroy(b->skeleton);
        free(b->layout);
        free(b->pin_path);
        free(b);
        return NULL;
}

bool bpf_programs_taken_over(const BpfPrograms *b) {
        return b->taken_over;
}

static int bpf_programs_pin_maps(BpfPrograms *b) {
        static const char *const directories[] = { "", "/maps", "/slices", "/fast" };
        struct bpf_map *map;
        int r;

        r = bpf_pin_make_directory(b->pin_path);
        if (r < 0)
                return r;
        for (size_t i = 0; i < ELEMENTSOF(directories); i++) {
                _cleanup_free_ char *path = NULL;

                if (asprintf(&path, "%s%s", b->layout, directories[i]) < 0)
                        return -ENOMEM;
                r = bpf_pin_make_directory(path);
                if (r < 0)
                        return r;
        }
        bpf_object__for_each_map(map, b->skeleton->obj) {
                _cleanup_free_ char *path = NULL;

                if (bpf_map__is_internal(map))
                        continue;
                if (asprintf(&path, "%s/maps/%s", b->layout, bpf_map__name(map)) < 0)
                        return -ENOMEM;
                r = bpf_obj_pin(bpf_map__fd(map), path);
                if (r < 0)
                        return r;
        }
        return 0;
}

int bpf_programs_pin(BpfPrograms *b) {
        int r;

        if (b->pinned)
                return 0;
        /* What lies there is incomplete, or it had been taken over. */
        r = bpf_pin_remove_tree(b->layout);
        if (r < 0)
                return r;
        r = bpf_programs_pin_maps(b);
        if (r < 0) {
                bpf_programs_unpin(b);
                return r;
        }
        b->pinned = true;
        return 0;
}

void bpf_programs_unpin(BpfPrograms *b) {
        (void) bpf_pin_remove_tree(b->layout);
        (void) rmdir(b->pin_path); /* stays if another layout is there */
        b->pinned = false;
}

void bpf_programs_tables(const BpfPrograms *b, int ret_fds[_SM_TABLE_MAX],
                         uint32_t ret_entries[_SM_TABLE_MAX]) {
        const struct bpf_map *const maps[_SM_TABLE_MAX] = {
                [SM_TABLE_CELLS] = b->skeleton->maps.cells,
                [SM_TABLE_SERVICES] = b->skeleton->maps.services,
                [SM_TABLE_ENDPOINTS] = b->skeleton->maps.endpoints,
                [SM_TABLE_ENDPOINT_STATES] = b->skeleton->maps.endpoint_states,
                [SM_TABLE_SUBSET_STATES] = b->skeleton->maps.subset_states,
                [SM_TABLE_ROUTE_STATES] = b->skeleton->maps.route_states,
                [SM_TABLE_SERVICE_COUNTERS] = b->skeleton->maps.service_counters,
                [SM_TABLE_SERVICE_PATHS] = b->skeleton->maps.service_paths,
                [SM_TABLE_SLICE_PATHS] = b->skeleton->maps.slice_paths,
                [SM_TABLE_FAST_CONTROL] = b->skeleton->maps.fast_control,
                [SM_TABLE_SLOTS] = b->skeleton->maps.slots,
                [SM_TABLE_DOWNSTREAMS] = b->skeleton->maps.downstreams,
                [SM_TABLE_IDLE_SLOTS] = b->skeleton->maps.idle_slots,
                [SM_TABLE_FREE_DOWNSTREAMS] = b->skeleton->maps.free_downstreams,
                [SM_TABLE_REQUESTS] = b->skeleton->maps.requests,
                [SM_TABLE_CALLERS] = b->skeleton->maps.callers,
                [SM_TABLE_RELAY_CONTEXTS] = b->skeleton->maps.relay_contexts,
                [SM_TABLE_UPSTREAM_SOCKETS] = b->skeleton->maps.upstream_sockets,
                [SM_TABLE_ACCEPTED_SOCKETS] = b->skeleton->maps.accepted_sockets,
        };

        for (enum sm_table i = 0; i < _SM_TABLE_MAX; i++) {
                ret_entries[i] = b->entries[i];
                if (maps[i])
                        ret_fds[i] = bpf_map__fd(maps[i]);
        }
        /* Something must stand there; the relay does not run it as long as SM_FAST_SERVERS is missing. */
        ret_fds[SM_TABLE_ENROL] = b->fast_error < 0 ? ret_fds[SM_TABLE_FAST_CONTROL]
                                                    : bpf_program__fd(b->skeleton->progs.sm_enrol);
}

const struct sm_slice_state *bpf_slice_state(const BpfPrograms *b, uint32_t slice) {
        return slice < SM_SLICES_MAX ? &b->slice_states[slice] : NULL;
}

static int handle_event(void *userdata, void *data, size_t size) {
        BpfPrograms *b = userdata;

        if (size >= sizeof(struct sm_link_event))
                b->event_handler(data, b->event_userdata);
        return 0;
}

int bpf_events_open(BpfPrograms *b, bpf_event_handler_t handler, void *userdata, int *ret_fd) {
        b->event_handler = handler;
        b->event_userdata = userdata;
        b->events = ring_buffer__new(bpf_map__fd(b->skeleton->maps.events), handle_event, b, NULL);
        if (!b->events)
                return -errno;
        *ret_fd = ring_buffer__epoll_fd(b->events);
        return 0;
}

int bpf_events_read(BpfPrograms *b) {
        int r;

        r = ring_buffer__consume(b->events);
        return r < 0 ? r : 0;
}
