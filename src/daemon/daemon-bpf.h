/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../abi/abi-connection.h"
#include "../abi/abi-link.h"
#include "../abi/abi-state.h"

/*
 * The kernel side: loads the programs and maps, attaches to slices, keeps all of it pinned so that
 * traffic goes on without slicemeshd, and takes it over at the next start. Nobody else includes libbpf.
 *
 * Pins: PATH/LAYOUT/maps/NAME, PATH/LAYOUT/slices/CGROUP-ID/PROGRAM and PATH/LAYOUT/fast/PROGRAM. LAYOUT
 * names the ABI version and the sizes of the maps: what is found under it can be used as it is.
 */
typedef struct BpfPrograms BpfPrograms;

/* What maps and programs are made of; a change takes effect at the next start. */
typedef struct BpfSettings {
        const char *pin_path; /* below a bpffs */
        uint16_t relay_port; /* 0 = there is no relay */
        unsigned max_services, max_endpoints, max_subsets, max_routes;
        uint32_t max_cells;
        unsigned max_connections;
        unsigned fast_connections, fast_upstreams; /* of the fast path at once */
        unsigned workers;                          /* of the relay */
        unsigned max_head;                         /* bytes, likewise */
        bool fast; /* load the fast path's programs too; its maps are there in any case */
} BpfSettings;

/* Loads the programs, over the pinned maps if there are some, else over new ones. Nothing is attached or
 * pinned yet. */
int bpf_programs_new(const BpfSettings *s, BpfPrograms **ret);
BpfPrograms *bpf_programs_free(BpfPrograms *b);

/* The maps were there before: their contents are those that the slicemeshd before this one left. */
bool bpf_programs_taken_over(const BpfPrograms *b);

/* Pins new maps. From here on what is attached outlives this process. */
int bpf_programs_pin(BpfPrograms *b);

/* Takes that back, and detaches. */
void bpf_programs_unpin(BpfPrograms *b);

/* Removes what is pinned, and so attached, under other layouts than this. */
void bpf_programs_remove_others(BpfPrograms *b);

/* Removes everything pinned below `pin_path`: the slices are free of the mesh. 0 if there was nothing,
 * else 1. */
int bpf_pins_remove(const char *pin_path);

/* Descriptors of the shared arrays and their entries, as tables_new() and SM_LINK_TABLES want them. They
 * belong to `b`. */
void bpf_programs_tables(const BpfPrograms *b, int ret_fds[_SM_TABLE_MAX],
                         uint32_t ret_entries[_SM_TABLE_MAX]);

/* Attaches to a cgroup, or brings the programs that are attached up to date, which leaves no instant without
 * any. On failure nothing new stays attached. */
int bpf_slice_attach(BpfPrograms *b, const char *cgroup, uint64_t cgroup_id, uint32_t slice);

/* The slice is not managed any more: nothing is captured from here on. The other hooks stay until
 * bpf_slice_forget(), which should wait for the end of open connections (sm_slice_state.open), or in-flight
 * counts would never come down. */
void bpf_slice_release(BpfPrograms *b, uint64_t cgroup_id);

/* Detaches all, or removes the pins of links that went with their cgroup. */
void bpf_slice_forget(BpfPrograms *b, uint64_t cgroup_id);

/* Detaches from all cgroups but these. */
void bpf_slices_prune(BpfPrograms *b, const uint64_t *keep, size_t n_keep);

/* Counters of a slice, for reading; NULL if there is no such id. */
const struct sm_slice_state *bpf_slice_state(const BpfPrograms *b, uint32_t slice);

/* Goes through all TCP sockets of this network namespace. Each read looks at some of them and adds to the
 * counts, by slice, those of connections that would be captured if they were opened now; but were not.
 * 1 = there may be more, 0 = those were all. */
int bpf_ungoverned_open(const BpfPrograms *b, int *ret_fd);
int bpf_ungoverned_read(int fd, uint32_t counts[static SM_SLICES_MAX]);

/* Makes `vips` exactly these entries; new ones are put in before old ones are taken out. Sorts them. */
typedef struct BpfVip {
        struct sm_vip_key key;
        struct sm_vip value;
} BpfVip;
int bpf_vips_set(BpfPrograms *b, BpfVip *vips, size_t n);

/* What sock_ops has to tell: poll the descriptor, then read. */
typedef void (*bpf_event_handler_t)(const struct sm_link_event *event, void *userdata);
int bpf_events_open(BpfPrograms *b, bpf_event_handler_t handler, void *userdata, int *ret_fd);
int bpf_events_read(BpfPrograms *b);
