/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stddef.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "../../src/abi/abi-connection.h"
#include "../../src/abi/abi-downstream.h"
#include "../../src/abi/abi-policy.h"
#include "../../src/abi/abi-state.h"
#include "../../src/basic/cleanup.h"
#include "../../src/basic/macro.h"
#include "relay-lab.h"

/* Enough for some hundred services that come and go, and for every port of two addresses in `callers`. */
static const struct {
        const char *name;
        uint32_t value_size;
        uint32_t entries;
} tables[] = {
        [SM_TABLE_CELLS] = { "lab_cells", sizeof(struct sm_cell), 1 << 16 },
        [SM_TABLE_SERVICES] = { "lab_services", sizeof(struct sm_service), 1024 },
        [SM_TABLE_ENDPOINTS] = { "lab_endpoints", sizeof(struct sm_endpoint), 4096 },
        [SM_TABLE_ENDPOINT_STATES] = { "lab_ep_states", sizeof(struct sm_endpoint_state), 4096 },
        [SM_TABLE_SUBSET_STATES] = { "lab_subsets", sizeof(struct sm_subset_state), 2048 },
        [SM_TABLE_ROUTE_STATES] = { "lab_routes", sizeof(struct sm_route_state), 2048 },
        [SM_TABLE_SERVICE_COUNTERS] = { "lab_counters", sizeof(struct sm_service_counters), 1024 },
        [SM_TABLE_SERVICE_PATHS] = { "lab_sv_paths", sizeof(struct sm_path_counters), 1024 },
        [SM_TABLE_SLICE_PATHS] = { "lab_sl_paths", sizeof(struct sm_path_counters), SM_SLICES_MAX },
        [SM_TABLE_FAST_CONTROL] = { "lab_control", sizeof(struct sm_fast_control), 1 },
        [SM_TABLE_SLOTS] = { "lab_slots", sizeof(struct sm_slot), 256 },
        [SM_TABLE_DOWNSTREAMS] = { "lab_downstreams", sizeof(struct sm_downstream), 256 },
        [SM_TABLE_IDLE_SLOTS] = { "lab_idle_slots", sizeof(struct sm_stack), 4096 * LAB_FAST_WORKERS },
        [SM_TABLE_FREE_DOWNSTREAMS] = { "lab_free_down", sizeof(struct sm_stack), 1 },
        [SM_TABLE_REQUESTS] = { "lab_requests", sizeof(struct sm_request_copy), 256 },
        /* arrays in place of sockets' storage, by descriptor, and of maps of sockets */
        [SM_TABLE_RELAY_CONTEXTS] = { "lab_contexts", sizeof(struct sm_relay_context), 1 << 16 },
        [SM_TABLE_UPSTREAM_SOCKETS] = { "lab_upstreams", sizeof(__u64), 256 },
        [SM_TABLE_ACCEPTED_SOCKETS] = { "lab_accepted", sizeof(__u64), 256 },
        [SM_TABLE_ENROL] = { "lab_enrol", 0, 1 },
        [SM_TABLE_CALLERS] = { "lab_callers", sizeof(struct sm_caller), 1 << 17 },
};
_Static_assert(ELEMENTSOF(tables) == _SM_TABLE_MAX, "one row for each table");

/* In place of `enrol`: every server is one of a managed slice. */
static int load_program(void) {
        static const struct bpf_insn enrolled[] = {
                { .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = SM_ENROLLED },
                { .code = BPF_JMP | BPF_EXIT },
        };

        return RET_NERRNO(bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, tables[SM_TABLE_ENROL].name, "GPL",
                                        enrolled, ELEMENTSOF(enrolled), NULL));
}

static int create_map(enum sm_table t) {
        LIBBPF_OPTS(bpf_map_create_opts, options);
        enum bpf_map_type type = BPF_MAP_TYPE_LRU_HASH;
        uint32_t key_size = sizeof(struct sm_caller_key);

        if (t == SM_TABLE_ENROL)
                return load_program();
        if (t != SM_TABLE_CALLERS) {
                type = BPF_MAP_TYPE_ARRAY;
                key_size = sizeof(uint32_t);
                options.map_flags = BPF_F_MMAPABLE;
        }
        return RET_NERRNO(bpf_map_create(type, tables[t].name, key_size, tables[t].value_size,
                                         tables[t].entries, &options));
}

int lab_maps_create(int fds[static _SM_TABLE_MAX], uint32_t entries[static _SM_TABLE_MAX]) {
        for (enum sm_table t = 0; t < _SM_TABLE_MAX; t++) {
                fds[t] = create_map(t);
                if (fds[t] < 0) {
                        int r = fds[t];

                        while (t-- > 0)
                                close(fds[t]);
                        return r;
                }
                entries[t] = tables[t].entries;
        }
        return 0;
}
