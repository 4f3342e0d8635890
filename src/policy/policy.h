/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy-route.h"

/*
 * The policy model: what the files in /etc/slicemesh say, checked and with defaults filled in. This
 * library is pure: it knows no bus, no BPF and no event loop, so slicemeshctl uses it without a daemon.
 *
 * Outcomes: 0 = done, negative errno = fatal for the whole operation (no memory, a directory that cannot
 * be read). What is wrong *in* a policy is never an errno: it is a PolicyError in the list, and the
 * services that are not concerned are still returned.
 */

typedef enum EndpointAdmin {
        ENDPOINT_ENABLED,
        ENDPOINT_DRAIN,    /* no new requests; those in flight finish */
        ENDPOINT_DISABLED, /* as if it were not listed */
        _ENDPOINT_ADMIN_MAX,
        _ENDPOINT_ADMIN_INVALID = -EINVAL,
} EndpointAdmin;

/* Whether the kernel may serve requests: on non-blocking connections, on all, or not at all. */
typedef enum Accelerate { ACCELERATE_AUTO, ACCELERATE_ALWAYS, ACCELERATE_NEVER, _ACCELERATE_MAX } Accelerate;

/* One entry of `endpoints:`. By address or by name; a name stands for all addresses it resolves to. */
typedef struct PolicyEndpoint {
        char *text;              /* as written, "10.1.0.11:8080" or "db.example:8080": its identity */
        char *host;              /* name to resolve, NULL when `address` is literal */
        struct in6_addr address; /* literal, IPv4 mapped */
        uint16_t port;           /* host order */
        unsigned weight;         /* 0 ... SM_WEIGHT_MAX */
        EndpointAdmin admin;
        PolicyOrigin origin;
} PolicyEndpoint;

typedef struct PolicySubset {
        char *name;
        PolicyEndpoint **endpoints;
        size_t n_endpoints;
        enum sm_balance balance;
        enum sm_hash_source hash;
        char *hash_name; /* header in lower case, or cookie */
        PolicyOrigin origin;
} PolicySubset;

typedef struct PolicyService {
        char *name;
        enum sm_protocol protocol;
        bool has_address;        /* else one is allocated, see policy-vip.h */
        struct in6_addr address; /* IPv4 mapped */
        uint16_t port;           /* host order */
        char **callers;          /* slices, NULL-terminated; NULL = every managed slice */
        PolicySubset **subsets;
        size_t n_subsets;
        PolicyRoute **routes; /* never empty: without `routes:` there is one to the only subset */
        size_t n_routes;
        bool via, forwarded_for;
        bool looks_at_slices; /* some route goes by the caller's slice */
        NormalizePaths normalize_paths;
        EncodedPaths encoded_slash, encoded_nul;
        Accelerate accelerate;
        uint64_t connect_timeout_usec, idle_timeout_usec, pool_idle_usec;
        unsigned attempts;
        PolicyOrigin origin;
} PolicyService;

/* mesh.yaml */
typedef struct PolicyMesh {
        char **slices;
        struct in6_addr vip_network; /* IPv4 mapped */
        unsigned vip_prefix;         /* of the IPv4 address, 8 ... 30 */
        uint16_t relay_port;
        unsigned relay_workers; /* 0 = one for each CPU */
        unsigned max_connections, fast_connections, fast_upstreams;
        uint64_t max_head, max_buffer;
        uint64_t drain_usec;
        bool fast; /* use the fast path */
        unsigned max_services, max_endpoints, max_subsets, max_routes;
        uint64_t max_cells; /* memory of compiled policy, in cells */
} PolicyMesh;

typedef struct PolicyError {
        PolicyOrigin origin; /* line 0: the file as a whole */
        char *service;       /* whose definition is affected, NULL if not known or none */
        char *key;           /* "subsets.stable.endpoints[1].weight", NULL for syntax errors */
        char *message;       /* what was expected */
} PolicyError;

typedef struct Policy {
        PolicyMesh mesh;
        PolicyService **services; /* sorted by name */
        size_t n_services;
        PolicyError *errors; /* in order of file and line */
        size_t n_errors;
        bool mesh_given;       /* there is a mesh.yaml, so that the managed slices are known */
        bool mesh_broken;      /* mesh.yaml has errors: `mesh` holds defaults, keep what is in force */
        char **broken_files;   /* service files and drop-ins with errors, NULL-terminated: services that
                                * were last loaded from them, or are named in an error, keep their last
                                * good policy */
        struct PolicyStrings *strings;
} Policy;

Policy *policy_free(Policy *p);

/* Reads mesh.yaml and services/ below the etc/, run/ and usr/lib/ `slicemesh` directories of `root` (NULL
 * = "/"), with drop-ins and masking as systemd does. */
int policy_load(const char *root, Policy **ret);

/* The same for one directory that is laid out like /etc/slicemesh, without looking elsewhere. */
int policy_load_directory(const char *directory, Policy **ret);

const PolicyService *policy_find_service(const Policy *p, const char *name);

/* "file:line:column: key: message"; allocated. */
int policy_error_format(const PolicyError *e, char **ret);

/* Whether a slice is `above` or lies within it: "shop-web.slice" within "shop.slice". */
bool slice_is_within(const char *name, const char *above);

/* By name or number, as files have it. -ENOENT */
int policy_find_user(const char *text, uint32_t *ret);

const char *protocol_to_string(enum sm_protocol p);
const char *balance_to_string(enum sm_balance b);
enum sm_balance balance_from_string(const char *s); /* -EINVAL if there is none of that name */
const char *endpoint_admin_to_string(EndpointAdmin a);
