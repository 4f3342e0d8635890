/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "../policy/policy-compile.h"
#include "daemon-manager.h"

typedef struct Endpoint Endpoint;

typedef enum ServiceState {
        SERVICE_ACTIVE,
        SERVICE_STALE, /* its file is broken: the last good policy is in force */
        _SERVICE_STATE_MAX,
} ServiceState;

typedef struct ServiceSubset {
        char *name;
        uint32_t state; /* id in subset_states; kept over reloads while service and name stay */
        Endpoint **endpoints;
        size_t n_endpoints;
} ServiceSubset;

typedef struct ServiceRoute {
        char *name;
        uint32_t state; /* id in route_states; likewise */
} ServiceRoute;

/* A service in force. Its model is borrowed from the Policy that `policy` keeps alive. */
struct Service {
        Manager *manager;
        char *name;
        uint32_t id;
        ServiceState state;
        uint32_t revision;
        struct in6_addr address; /* IPv4 mapped */
        uint16_t port;
        const PolicyService *model;
        ServiceSubset *subsets; /* as in the model */
        size_t n_subsets;
        ServiceRoute *routes; /* as in the model */
        size_t n_routes;
};

int service_new(Manager *m, const PolicyService *model, Service **ret);
Service *service_free(Service *s);

/* Takes over a new model: ids of what stays are kept, endpoints appear and vanish, addresses of names that
 * are known already are used at once. Commits to the tables. */
int service_apply(Service *s, const PolicyService *model);

/* Compiles and commits again: weights, administrative states or resolved addresses changed. */
int service_commit(Service *s);

const char *service_state_to_string(ServiceState s);
