/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdlib.h>

#include "../basic/cleanup.h"
#include "../basic/macro.h"
#include "../basic/time-util.h"
#include "policy-compile.h"
#include "policy-schedule.h"

/* Cells are appended; pointers into them last until the next append, indexes for ever. All bytes that
 * nothing is written to are 0. */
typedef struct Builder {
        struct sm_cell *cells;
        uint32_t n_cells, size;
} Builder;

static void builder_done(Builder *b) {
        free(b->cells);
}

static int builder_add(Builder *b, uint32_t n, uint32_t *ret) {
        struct sm_cell *grown;
        uint32_t size = b->size;

        if (n > UINT32_MAX / 4 - b->n_cells)
                return -E2BIG;
        if (b->n_cells + n > size) {
                size = MAX(2 * size, b->n_cells + n);
                grown = aligned_alloc(SM_CELL_SIZE, (size_t) size * SM_CELL_SIZE);
                if (!grown)
                        return -ENOMEM;
                if (b->n_cells > 0)
                        memcpy(grown, b->cells, (size_t) b->n_cells * SM_CELL_SIZE);
                free(b->cells);
                b->cells = grown;
                b->size = size;
        }
        memset(b->cells + b->n_cells, 0, (size_t) n * SM_CELL_SIZE);
        *ret = b->n_cells;
        b->n_cells += n;
        return 0;
}

static void *builder_at(Builder *b, uint32_t cell) {
        return b->cells[cell].bytes;
}

static int builder_add_bytes(Builder *b, const void *bytes, size_t size, uint32_t *ret) {
        uint32_t cell = 0;
        int r;

        if (size > 0) {
                r = builder_add(b, (uint32_t) ((size + SM_CELL_SIZE - 1) / SM_CELL_SIZE), &cell);
                if (r < 0)
                        return r;
                memcpy(builder_at(b, cell), bytes, size);
        }
        *ret = cell;
        return 0;
}

static int builder_add_text(Builder *b, const char *text, struct sm_text *ret) {
        struct sm_text t = { .length = text ? (__u32) strlen(text) : 0 };
        int r;

        r = builder_add_bytes(b, text, t.length, &t.cell);
        if (r >= 0)
                *ret = t;
        return r;
}

static uint32_t usec_to_ms(uint64_t usec) {
        return (uint32_t) MIN((usec + USEC_PER_MSEC - 1) / USEC_PER_MSEC, (uint64_t) UINT32_MAX);
}

static int add_predicates(Builder *b, const PolicyRoute *route, uint32_t *ret) {
        uint32_t first = 0;
        int r;

        if (route->n_predicates > 0) {
                r = builder_add(b, (uint32_t) route->n_predicates, &first);
                if (r < 0)
                        return r;
        }
        for (size_t i = 0; i < route->n_predicates; i++) {
                const PolicyPredicate *p = &route->predicates[i];
                __u16 next = i + 1 < route->n_predicates ? (__u16) (i + 1) : SM_GOTO_MATCHED;
                struct sm_predicate cell = {
                        .kind = p->kind,
                        .op = p->op,
                        .yes = p->negate ? SM_GOTO_FAILED : next,
                        .no = p->negate ? next : SM_GOTO_FAILED,
                };

                cell.text.length = (__u32) strlen(p->text);
                if (cell.text.length <= SM_PREDICATE_INLINE)
                        memcpy(cell.inline_bytes, p->text, cell.text.length);
                else {
                        r = builder_add_text(b, p->text, &cell.text);
                        if (r < 0)
                                return r;
                }
                memcpy(builder_at(b, first + (uint32_t) i), &cell, sizeof(cell));
        }
        *ret = first;
        return 0;
}

static int add_split(Builder *b, const PolicyRoute *route, struct sm_schedule *ret) {
        _cleanup_free_ unsigned *weights = NULL;
        _cleanup_free_ uint32_t *slots = NULL;
        struct sm_schedule schedule = {};
        int r;

        weights = calloc(route->n_splits, sizeof(*weights));
        if (!weights)
                return -ENOMEM;
        for (size_t i = 0; i < route->n_splits; i++)
                weights[i] = route->splits[i].weight;
        r = schedule_round_robin(weights, route->n_splits, &slots, &schedule.n);
        if (r < 0)
                return r;
        for (uint32_t i = 0; i < schedule.n; i++)
                slots[i] = (uint32_t) route->splits[slots[i]].subset;
        r = builder_add_bytes(b, slots, schedule.n * sizeof(*slots), &schedule.slots);
        if (r >= 0)
                *ret = schedule;
        return r;
}

static int add_origin(Builder *b, const PolicyOrigin *origin, struct sm_text *ret) {
        size_t n = strlen(origin->file);
        char line[sizeof(":4294967295")];
        struct sm_text t = {};
        int r;

        t.length = (__u32) n + (__u32) snprintf(line, sizeof(line), ":%u", origin->line);
        r = builder_add(b, (t.length + SM_CELL_SIZE - 1) / SM_CELL_SIZE, &t.cell);
        if (r < 0)
                return r;
        memcpy(mempcpy(builder_at(b, t.cell), origin->file, n), line, t.length - n);
        *ret = t;
        return 0;
}

static int add_route(Builder *b, const PolicyRoute *route, uint32_t state, uint32_t cell) {
        struct sm_route result = {
                .state = state,
                .n_predicates = (__u16) route->n_predicates,
                .timeout_ms = usec_to_ms(route->timeout_usec),
        };
        int r;

        r = add_predicates(b, route, &result.predicates);
        if (r >= 0)
                r = add_split(b, route, &result.split);
        if (r >= 0)
                r = builder_add_text(b, route->name, &result.name);
        if (r >= 0)
                r = add_origin(b, &route->origin, &result.origin);
        if (r >= 0)
                memcpy(builder_at(b, cell), &result, sizeof(result));
        return r;
}

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

/* The first cell, and room for routes and subsets behind it. */
static int add_policy(Builder *b, const PolicyService *s, const PolicyBinding *binding,
                      struct sm_policy *ret) {
        struct sm_policy result = {
                .service = binding->service,
                .revision = binding->revision,
                .protocol = (__u8) s->protocol,
                .flags = (__u16) ((s->forwarded_for ? SM_POLICY_FORWARDED_FOR : 0) |
                                  (s->via ? SM_POLICY_VIA : 0) | accelerate_flags[s->accelerate]),
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
        _cleanup_(builder_done) Builder b = {};
        struct sm_policy policy;
        int r;

        r = add_policy(&b, s, binding, &policy);
        for (size_t i = 0; r >= 0 && i < s->n_routes; i++)
                r = add_route(&b, s->routes[i], binding->route_states[i], policy.routes + (uint32_t) i);
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
