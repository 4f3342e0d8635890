/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdlib.h>

#include "../basic/cleanup.h"
#include "../basic/macro.h"
#include "policy-cells.h"
#include "policy-model.h"
#include "policy-schedule.h"

/* Only endpoints that take new requests have a weight. */
static unsigned effective_weight(const BoundEndpoint *e) {
        return e->admin == ENDPOINT_ENABLED ? e->weight : 0;
}

static int schedule_by_hash(const BoundSubset *bound, uint32_t **ret, uint32_t *ret_n) {
        _cleanup_free_ MaglevChoice *choices = NULL;

        choices = calloc(bound->n_endpoints + 1, sizeof(*choices));
        if (!choices)
                return -ENOMEM;
        for (size_t i = 0; i < bound->n_endpoints; i++)
                choices[i] = (MaglevChoice) {
                        .address = bound->endpoints[i].address,
                        .port = bound->endpoints[i].port,
                        .weight = effective_weight(&bound->endpoints[i]),
                };
        return schedule_maglev(choices, bound->n_endpoints, ret, ret_n);
}

static int schedule_in_turn(const BoundSubset *bound, uint32_t **ret, uint32_t *ret_n) {
        _cleanup_free_ unsigned *weights = NULL;

        weights = calloc(bound->n_endpoints + 1, sizeof(*weights));
        if (!weights)
                return -ENOMEM;
        for (size_t i = 0; i < bound->n_endpoints; i++)
                weights[i] = effective_weight(&bound->endpoints[i]);
        return schedule_round_robin(weights, bound->n_endpoints, ret, ret_n);
}

static int add_schedule(Builder *b, enum sm_balance balance, const BoundSubset *bound,
                        struct sm_schedule *ret) {
        _cleanup_free_ uint32_t *slots = NULL;
        struct sm_schedule schedule = {};
        int r;

        if (balance == SM_BALANCE_CONSISTENT_HASH)
                r = schedule_by_hash(bound, &slots, &schedule.n);
        else
                r = schedule_in_turn(bound, &slots, &schedule.n);
        if (r < 0)
                return r;
        for (uint32_t i = 0; i < schedule.n; i++)
                slots[i] = bound->endpoints[slots[i]].id;
        r = builder_add_bytes(b, slots, schedule.n * sizeof(*slots), &schedule.slots);
        if (r >= 0)
                *ret = schedule;
        return r;
}

static int add_endpoint_ids(Builder *b, const BoundSubset *bound, uint32_t *ret) {
        _cleanup_free_ uint32_t *ids = NULL;

        ids = calloc(bound->n_endpoints + 1, sizeof(*ids));
        if (!ids)
                return -ENOMEM;
        for (size_t i = 0; i < bound->n_endpoints; i++)
                ids[i] = bound->endpoints[i].id;
        return builder_add_bytes(b, ids, bound->n_endpoints * sizeof(*ids), ret);
}

static int add_subset(Builder *b, const PolicySubset *subset, const BoundSubset *bound, uint32_t cell) {
        struct sm_subset result = {
                .state = bound->state,
                .balance = (__u8) subset->balance,
                .hash = (__u8) subset->hash,
                .n_endpoints = (__u32) bound->n_endpoints,
        };
        int r;

        r = add_schedule(b, subset->balance, bound, &result.schedule);
        if (r >= 0)
                r = add_endpoint_ids(b, bound, &result.endpoints);
        if (r >= 0)
                r = builder_add_text(b, subset->hash_name, &result.hash_name);
        if (r >= 0)
                r = builder_add_text(b, subset->name, &result.name);
        if (r >= 0)
                memcpy(builder_at(b, cell), &result, sizeof(result));
        return r;
}

static const enum sm_policy_flags accelerate_flags[_ACCELERATE_MAX] = {
        [ACCELERATE_ALWAYS] = SM_POLICY_FAST_ALWAYS,
        [ACCELERATE_NEVER] = SM_POLICY_FAST_NEVER,
};

static bool leaf_is_path(const PolicyMatch *leaf) {
        return leaf->kind == SM_MATCH_PATH;
}

/* Some route looks at the path, or changes it. */
static bool service_needs_paths(const PolicyService *s) {
        for (size_t i = 0; i < s->n_routes; i++) {
                const PolicyRoute *route = s->routes[i];

                if (policy_match_find(route->match, leaf_is_path) ||
                    (route->actions && route->actions->rewrite_prefix))
                        return true;
        }
        return false;
}

static unsigned policy_flags(const PolicyService *s) {
        unsigned flags = accelerate_flags[s->accelerate];

        if (s->forwarded_for)
                flags |= SM_POLICY_FORWARDED_FOR;
        if (s->via)
                flags |= SM_POLICY_VIA;
        if (s->protocol != SM_PROTOCOL_TCP && s->normalize_paths != NORMALIZE_NEVER &&
            (s->normalize_paths == NORMALIZE_ALWAYS || service_needs_paths(s)))
                flags |= SM_POLICY_NORMAL_PATHS;
        if (s->encoded_slash == ENCODED_KEEP)
                flags |= SM_POLICY_KEEP_SLASHES;
        if (s->encoded_nul == ENCODED_KEEP)
                flags |= SM_POLICY_KEEP_NULS;
        return flags;
}

/* The first cell, and room for routes and subsets behind it. */
static int add_policy(Builder *b, struct sm_policy *ret) {
        const PolicyBinding *binding = b->binding;
        const PolicyService *s = b->service;
        struct sm_policy result = {
                .service = binding->service,
                .revision = binding->revision,
                .protocol = (__u8) s->protocol,
                .flags = (__u16) policy_flags(s),
                .n_routes = (__u16) s->n_routes,
                .n_subsets = (__u16) s->n_subsets,
                .connect_timeout_ms = usec_to_ms(s->connect_timeout_usec),
                .idle_timeout_ms = usec_to_ms(s->idle_timeout_usec),
                .pool_idle_ms = usec_to_ms(s->pool_idle_usec),
                .attempts = s->attempts,
        };
        uint32_t cell;
        int r;

        r = builder_add(b, 1, &cell);
        if (r >= 0)
                r = builder_add(b, result.n_routes, &result.routes);
        if (r >= 0)
                r = builder_add(b, result.n_subsets, &result.subsets);
        if (r >= 0)
                r = builder_add_text(b, s->name, &result.name);
        if (r >= 0)
                *ret = result;
        return r;
}

int policy_compile(const PolicyService *s, const PolicyBinding *binding, PolicyExtent *ret) {
        _cleanup_(builder_done) Builder b = { .service = s, .binding = binding };
        struct sm_policy policy;
        int r;

        r = add_policy(&b, &policy);
        for (size_t i = 0; r >= 0 && i < s->n_routes; i++)
                r = compile_route(&b, i, policy.routes + (uint32_t) i);
        for (size_t i = 0; r >= 0 && i < s->n_subsets; i++)
                r = add_subset(&b, s->subsets[i], &binding->subsets[i], policy.subsets + (uint32_t) i);
        if (r < 0)
                return r;
        policy.n_cells = b.n_cells;
        memcpy(builder_at(&b, 0), &policy, sizeof(policy));
        *ret = (PolicyExtent) { .cells = TAKE_PTR(b.cells), .n_cells = b.n_cells };
        return 0;
}

void policy_extent_done(PolicyExtent *e) {
        free(e->cells);
        *e = (PolicyExtent) {};
}
