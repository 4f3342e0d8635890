/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ctl-bus.h"
#include "ctl-paths.h"
#include "ctl-properties.h"

/*
 * The objects of slicemeshd as they were at one moment. All texts are borrowed from the replies, which the
 * Mesh keeps.
 */
/* Also what of a policy is never fast. */
typedef struct MeshProblem {
        const char *id, *sentence;
} MeshProblem;

typedef struct MeshProblems {
        MeshProblem *list;
        size_t n;
} MeshProblems;

/* Also what `check` shows, without a bus. */
typedef struct MeshError {
        const char *file;
        uint32_t line, column;
        const char *service, *key, *message; /* "" where there is none */
} MeshError;

typedef struct MeshErrors {
        MeshError *list;
        size_t n;
} MeshErrors;

typedef struct MeshSubset {
        const char *name, *balance;
        Texts endpoints; /* paths */
} MeshSubset;

typedef struct MeshSubsets {
        MeshSubset *list;
        size_t n;
} MeshSubsets;

typedef struct MeshRoute {
        const char *name, *match, *origin;
        Counts split; /* subset and weight */
        const char *mirror; /* subset, only of one that was changed */
        uint64_t requests;
} MeshRoute;

typedef struct MeshRoutes {
        MeshRoute *list;
        size_t n;
} MeshRoutes;

typedef struct MeshEndpoint {
        const char *path, *service, *subset, *text, *address, *admin, *state, *answers;
        uint32_t weight, in_flight, connections;
        uint64_t requests, failures;
} MeshEndpoint;

typedef struct MeshService {
        const char *path, *name, *protocol, *address, *state, *origin;
        uint32_t revision;
        Texts callers;
        MeshSubsets subsets;
        MeshRoutes routes;
        uint64_t connections, requests, active;
        Counts responses, reasons;
        MeshProblems fast_limits;
        Paths paths;
        MeshEndpoint *endpoints; /* ordered by subset; part of Mesh.endpoints */
        size_t n_endpoints;
} MeshService;

typedef struct MeshSlice {
        const char *path, *name, *problem, *cgroup;
        bool attached;
        uint32_t ungoverned; /* connections */
        uint64_t connects, captured, refused, foreign, failed;
        Paths paths;
} MeshSlice;

typedef struct Mesh {
        sd_bus_message **replies;
        size_t n_replies;

        const char *version, *state, *relay_state;
        uint32_t relay_pid, relay_connections;
        uint64_t revision;
        bool fast_path; /* switched on */
        Texts fast_features;
        const char *fast_problem; /* why some of them are missing, or "" */
        MeshProblems problems;
        MeshErrors errors;
        Counts reasons;
        Paths paths;
        MeshService *services; /* by name */
        size_t n_services;
        MeshEndpoint *endpoints;
        size_t n_endpoints;
        MeshSlice *slices; /* by name */
        size_t n_slices;
} Mesh;

void mesh_done(Mesh *m);

/* Everything. */
ExitStatus mesh_load(sd_bus *bus, Mesh *ret);

/* One service with its endpoints, in the order of the policy; nothing else is filled in. */
ExitStatus mesh_load_service(sd_bus *bus, const char *name, Mesh *ret);

/* a(suusss), as PolicyErrors and Reload have it, into MeshErrors. */
int read_errors(sd_bus_message *m, void *field);
void mesh_errors_done(MeshErrors *e);
