/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "../../src/abi/abi-connection.h"
#include "../../src/abi/abi-link.h"
#include "../../src/basic/json-writer.h"
#include "../../src/daemon/daemon-tables.h"
#include "../../src/policy/policy.h"

/*
 * relay-lab plays slicemeshd towards a real slicemesh-relay, without systemd and without programs on
 * slices: whoever runs a test says which local ports are callers of which service.
 */

/* Descriptors and sizes of the arrays, and of `callers`. -EPERM without the right to make BPF maps. */
int lab_maps_create(int fds[static _SM_TABLE_MAX], uint32_t entries[static _SM_TABLE_MAX]);

#define LAB_FAST_WORKERS 4 /* workers that have slots */

typedef struct LabEndpoint {
        char *text; /* as in the policy: what commands name it by */
        uint32_t id;
        bool has_weight, has_admin; /* set by command, in force until the lab ends */
        unsigned weight;
        EndpointAdmin admin;
} LabEndpoint;

typedef struct LabSubset {
        char *name;
        uint32_t state;
        LabEndpoint *endpoints;
        size_t n_endpoints;
} LabSubset;

typedef struct LabService {
        char *name;
        uint32_t id;
        LabSubset *subsets;
        size_t n_subsets;
        uint32_t *route_states;
        size_t n_routes;
} LabService;

/* The policy in force and the ids that its parts have. */
typedef struct LabMesh {
        const char *directory;
        Policy *policy;
        Tables *tables;
        uint32_t revision;
        LabService *services;
        size_t n_services;
} LabMesh;

void lab_mesh_done(LabMesh *m);

/* Loads the directory and commits it. -EBADMSG if it has errors, which are printed to standard error;
 * nothing is changed then. */
int lab_mesh_load(LabMesh *m);

LabService *lab_mesh_find(const LabMesh *m, const char *service);
LabEndpoint *lab_mesh_find_endpoint(const LabMesh *m, const char *service, const char *text);

/* Compiles and commits a service again after an endpoint of it was changed. */
int lab_mesh_commit(LabMesh *m, const char *service);

/* The connection to the relay, in slicemeshd's role. */
#define LAB_EVENTS_MAX 256

typedef struct LabLink {
        const char *path; /* of the relay's socket */
        int fd;
        uint32_t workers;
        int listeners[SM_WORKERS_MAX][2]; /* IPv4, IPv6 */
        uint16_t ports[2];
        uint32_t relay_pid;
        uint64_t cookie;
        struct sm_link_event events[LAB_EVENTS_MAX]; /* the first so many since last asked for */
        size_t n_events;
} LabLink;

void lab_link_done(LabLink *l);

/* Binds a pair of listeners for each worker on the loopback addresses, on ports of the kernel's choice. */
int lab_link_listen(LabLink *l);

/* Connects, shakes hands, hands over tables and listeners; returns when the relay has started. */
int lab_link_connect(LabLink *l, const struct sm_link_tables *tables, const int fds[static _SM_TABLE_MAX]);

/* Sends a PING and waits for its PONG; events that arrive first are kept. -ECONNRESET: the relay hung up. */
int lab_link_ping(LabLink *l, uint64_t epoch, struct sm_link_pong *ret);

int lab_link_stop(LabLink *l, uint32_t drain_ms);

/* What slicemeshd and the programs of the fast path share with the relay; mapped until the lab ends. */
typedef struct LabKernel {
        struct sm_tables tables; /* those of the mesh as well */
        struct sm_fast_control *control;
        struct sm_stack *unused; /* downstreams */
        struct sm_request_copy *requests;
} LabKernel;

/* Nothing of the fast path is used before the command `features`. */
int lab_kernel_init(LabKernel *k, const struct sm_tables *mesh, const int fds[static _SM_TABLE_MAX],
                    const uint32_t entries[static _SM_TABLE_MAX], uint32_t workers);

typedef struct Lab {
        LabMesh mesh;
        LabLink link;
        LabKernel kernel;
        int fds[_SM_TABLE_MAX];
        struct sm_link_tables tables;
} Lab;

typedef struct LabVerb {
        const char *name;
        int n_args;
        int (*handler)(Lab *l, char **a, JsonWriter *w);
} LabVerb;

/* Where the lab plays the programs; up to one without name. */
extern const LabVerb lab_kernel_verbs[];

/* ADDRESS and PORT as the key of a caller, and what the connect hook and sock_ops would note of one of the
 * service's. */
int lab_parse_caller(char **a, struct sm_caller_key *ret, uint16_t *ret_port);
int lab_describe_caller(const Lab *l, const char *service, struct sm_caller *ret);

/* Does what a line says, which is cut up for that, and writes members about it into the open object. */
int lab_run(Lab *l, char *line, JsonWriter *w);
