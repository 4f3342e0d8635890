/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../basic/cleanup.h"
#include "policy-compile.h"
#include "policy-load.h"

/*
 * Whatever bytes a policy file holds: no crash, no leak, and every error has a place and a sentence. A
 * service that is accepted compiles, and its dump is accepted as an equal service.
 */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

DEFINE_TRIVIAL_CLEANUP(Policy *, policy_free)

static void require(bool condition) {
        if (!condition)
                abort();
}

static void compile(const PolicyService *s) {
        BoundSubset *subsets = calloc(s->n_subsets, sizeof(*subsets));
        uint32_t *route_states = calloc(s->n_routes, sizeof(*route_states));
        const PolicyBinding binding = { .service = 1, .subsets = subsets, .route_states = route_states };
        PolicyExtent extent = {};
        uint32_t id = 0;

        for (size_t i = 0; i < s->n_subsets; i++) {
                subsets[i].n_endpoints = s->subsets[i]->n_endpoints;
                subsets[i].endpoints = calloc(subsets[i].n_endpoints + 1, sizeof(BoundEndpoint));
                for (size_t j = 0; j < subsets[i].n_endpoints; j++) {
                        const PolicyEndpoint *e = s->subsets[i]->endpoints[j];

                        subsets[i].endpoints[j] = (BoundEndpoint) {
                                ++id, e->address, e->port, e->weight, e->admin,
                        };
                }
        }
        require(policy_compile(s, &binding, &extent) == 0);
        policy_extent_done(&extent);
        for (size_t i = 0; i < s->n_subsets; i++)
                free(subsets[i].endpoints);
        free(subsets);
        free(route_states);
}

static void round_trip(const PolicyService *s) {
        _cleanup_(policy_freep) Policy *again = NULL;
        _cleanup_free_ char *text = NULL;
        size_t size;
        FILE *f = open_memstream(&text, &size);

        require(policy_service_dump(s, f) == 0 && fclose(f) == 0);
        require(policy_load_memory("dump", text, size, &again) == 0);
        require(again->n_errors == 0 && again->n_services == 1);
        require(policy_service_equal(s, again->services[0]));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(policy_freep) Policy *p = NULL;

        require(policy_load_memory("input", (const char *) data, size, &p) == 0);
        for (size_t i = 0; i < p->n_errors; i++) {
                _cleanup_free_ char *text = NULL;

                require(policy_error_format(&p->errors[i], &text) == 0);
                require(p->errors[i].origin.line > 0 && p->errors[i].message[0]);
                for (size_t j = 0; p->errors[i].service && j < p->n_services; j++)
                        require(strcmp(p->errors[i].service, p->services[j]->name) != 0);
        }
        for (size_t i = 0; i < p->n_services; i++) {
                compile(p->services[i]);
                round_trip(p->services[i]);
        }
        return 0;
}
