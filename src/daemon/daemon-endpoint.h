/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <netinet/in.h>

#include "../policy/policy.h"

typedef struct Manager Manager;
typedef struct Service Service;

/* One address of one subset. An endpoint by name gives as many of these as it resolves to. */
typedef struct Endpoint {
        Service *service;
        size_t subset; /* index */
        uint32_t id;   /* in endpoints and endpoint_states; the ID of its bus path */
        char *text;    /* PolicyEndpoint.text that it stems from */
        struct in6_addr address; /* IPv4 mapped */
        uint16_t port;
        unsigned weight;
        EndpointAdmin admin;
        const char *told; /* state that the bus was told of last */
} Endpoint;

Endpoint *endpoint_free(Endpoint *e);

/* "up", "avoided", "draining", "drained", "disabled": admin state and the live words together. */
const char *endpoint_state(const Endpoint *e);
int endpoint_address_string(const Endpoint *e, char **ret);

/* Tells the bus of states that have changed. Returns how many will change by themselves: an avoided
 * endpoint is tried again after a while, a draining one is drained when nothing is in flight. */
size_t endpoints_watch(Manager *m);
