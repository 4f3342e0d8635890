/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdlib.h>

#include "policy-compile.h"

/* Every endpoint gets an id of its own, from 1 on in order; a name stands for 10.9.9.9. */
typedef struct TestBinding {
        PolicyBinding binding;
        BoundSubset *subsets;
        uint32_t *route_states;
        uint32_t n_endpoints;
} TestBinding;

static inline void test_binding_done(TestBinding *b) {
        for (size_t i = 0; b->subsets && b->subsets[i].state; i++)
                free(b->subsets[i].endpoints);
        free(b->subsets);
        free(b->route_states);
}

static inline void test_bind_endpoint(BoundEndpoint *bound, const PolicyEndpoint *e, uint32_t id) {
        *bound = (BoundEndpoint) {
                .id = id,
                .address = e->address,
                .port = e->port,
                .weight = e->weight,
                .admin = e->admin,
        };
        if (e->host)
                bound->address = (struct in6_addr) {
                        .s6_addr = { [10] = 0xff, [11] = 0xff, [12] = 10, [13] = 9, [14] = 9, [15] = 9 },
                };
}

static inline TestBinding test_bind(const PolicyService *s) {
        TestBinding b = {
                .binding = { .service = 1, .revision = 7 },
                .subsets = calloc(s->n_subsets + 1, sizeof(BoundSubset)),
                .route_states = calloc(s->n_routes, sizeof(uint32_t)),
        };

        for (size_t i = 0; i < s->n_subsets; i++) {
                BoundSubset *subset = &b.subsets[i];

                subset->state = (uint32_t) i + 1;
                subset->n_endpoints = s->subsets[i]->n_endpoints;
                subset->endpoints = calloc(subset->n_endpoints + 1, sizeof(BoundEndpoint));
                for (size_t j = 0; j < subset->n_endpoints; j++)
                        test_bind_endpoint(&subset->endpoints[j], s->subsets[i]->endpoints[j],
                                           ++b.n_endpoints);
        }
        for (size_t i = 0; i < s->n_routes; i++)
                b.route_states[i] = (uint32_t) i + 1;
        b.binding.subsets = b.subsets;
        b.binding.route_states = b.route_states;
        return b;
}
