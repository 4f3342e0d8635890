/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "../policy/policy-compile.h"
#include "daemon-manager.h"

typedef struct Endpoint Endpoint;
typedef struct Trace Trace; /* daemon-trace.c */

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

/* A service in force. Its model is borrowed from one of the manager's policies; NULL only while a start or
 * reload goes on, for one found in the tables that has not got a new model yet. */
struct Service {
        Manager *manager;
        char *name;
        uint32_t id;
        ServiceState state;
        bool unsaved; /* its model is still to be written down: daemon-good.h */
        bool leaving; /* during a reload: its address is being taken back, then it is withdrawn */
        uint32_t revision;
        struct in6_addr address; /* IPv4 mapped */
        uint16_t port;
        const PolicyService *model;
        ServiceSubset *subsets; /* as in the model */
        size_t n_subsets;
        ServiceRoute *routes; /* as in the model */
        size_t n_routes;
        Trace *trace; /* NULL: it is not traced */
};

/* A service of that name with an id, or the one that has the id in the tables since before a restart, with
 * the ids of its subsets, routes and endpoints. The manager lists it. */
int service_new(Manager *m, const char *name, Service **ret);
int service_adopt(Manager *m, uint32_t id, Service **ret);

/* Takes it off the manager's list. What is in the tables stays in force, unless it was withdrawn before. */
Service *service_free(Service *s);

/* Nothing of it is in force any more, and its ids may mean something else. To be freed next. */
void service_withdraw(Service *s);

/* Takes over a new model: ids of what stays are kept, endpoints appear and vanish, addresses of names
 * that are known already are used at once. Commits to the tables. On failure everything is as before;
 * -ENOSPC if the tables are full, perhaps only until the relay has passed an epoch. */
int service_apply(Service *s, const PolicyService *model);

/* Takes over the same model again: weights, administrative states or resolved addresses changed. */
int service_commit(Service *s);

/* Whether an endpoint of its model is given by that name. */
bool service_uses_name(const Service *s, const char *host);

const char *service_state_to_string(ServiceState s);
