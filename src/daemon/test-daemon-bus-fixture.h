/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "../basic/time-util.h"
#include "../policy/policy-compile.h"
#include "daemon-bus-object.h"
#include "daemon-tables.h"

/*
 * The bus objects over a made-up mesh, spoken to over a socket pair by a client that is not root and plays
 * polkit as well. Everything runs in one event loop.
 */
#define WAIT_USEC (10 * USEC_PER_SEC)
#define SERVICE_PATH SM_BUS_PATH "/service/shop"
#define ENDPOINT_PATH SERVICE_PATH "/endpoint/1"
#define RUNTIME_FILE "/run/slicemesh/services/shop.d/90-bus.yaml"

typedef enum Polkit { POLKIT_YES, POLKIT_NO, POLKIT_CHALLENGE, POLKIT_ABSENT, POLKIT_SILENT } Polkit;

typedef struct Fixture {
        Manager manager;
        sd_bus *client;
        char root[40];

        Service service;
        ServiceSubset subset;
        Endpoint endpoint, *endpoints[1];
        ServiceRoute route;
        Slice slice;

        struct sm_tables tables;
        struct sm_service services[2];
        struct sm_service_counters counters[2];
        struct sm_path_counters service_paths[2], slice_paths[2];
        struct sm_endpoint table_endpoints[2];
        struct sm_endpoint_state endpoint_states[2];
        struct sm_subset_state subset_states[2];
        struct sm_route_state route_states[2];
        struct sm_slice_state slice_state;
        PolicyExtent extent;

        bool fast_enabled;
        Polkit polkit;
        unsigned n_asked;
        char details[128]; /* of the last question */
        int refresh_result;
        unsigned n_refreshed;
        sd_bus_message *reply;
} Fixture;

extern Fixture *fixture; /* of the test that runs */

/* The reply of these two belongs to the fixture. */
sd_bus_message *call(Fixture *f, const char *path, const char *interface, const char *method,
                     const char *types, ...);
void assert_error(sd_bus_message *reply, const char *name);
void assert_done(sd_bus_message *reply);
sd_bus_message *property(Fixture *f, const char *path, const char *interface, const char *name,
                         const char *type);
void put_file(const char *root, const char *name, const char *text);
bool file_exists(Fixture *f, const char *name);
int setup(void **state);
int teardown(void **state);
