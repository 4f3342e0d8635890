/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "policy.h"

/*
 * From a service of the model to its extent of cells (abi-policy.h). The caller owns the stable ids and
 * the addresses that names resolved to; the result depends on nothing else, so the same input gives the
 * same bytes and a commit can tell by memcmp whether a service changed.
 */

/* An endpoint with its address known. A PolicyEndpoint by name gives one of these for each address. */
typedef struct BoundEndpoint {
        uint32_t id;
        struct in6_addr address; /* IPv4 mapped; with the port, what a consistent hash ranks it by */
        uint16_t port;
        unsigned weight;
        EndpointAdmin admin;
} BoundEndpoint;

typedef struct BoundSubset {
        uint32_t state; /* id of its sm_subset_state */
        BoundEndpoint *endpoints;
        size_t n_endpoints;
} BoundSubset;

/* A managed slice. */
typedef struct BoundSlice {
        const char *name;
        uint32_t id;
} BoundSlice;

typedef struct PolicyBinding {
        uint32_t service;
        uint32_t revision;
        const BoundSubset *subsets;   /* as many as the service has, in its order */
        const uint32_t *route_states; /* likewise */
        const BoundSlice *slices;     /* all that are managed, sorted by name; nothing where the service does
                                       * not look at slices */
        size_t n_slices;
} PolicyBinding;

typedef struct PolicyExtent {
        struct sm_cell *cells;
        uint32_t n_cells;
} PolicyExtent;

void policy_extent_done(PolicyExtent *e);

/* -E2BIG if a schedule would need more than SM_SLOTS_MAX slots (the checks of policy_load() exclude that
 * for what a file can say; many addresses behind one name can still bring it about). */
int policy_compile(const PolicyService *s, const PolicyBinding *b, PolicyExtent *ret);
