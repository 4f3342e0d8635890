/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../basic/cleanup.h"
#include "policy-cells.h"
#include "policy-schedule.h"

/* Where the key does not decide: all slots are laid out in the smoothest order. */
static int add_turns(Builder *b, const PolicyRoute *route, struct sm_schedule *ret) {
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

static int add_shares(Builder *b, const PolicyRoute *route, struct sm_schedule *ret) {
        _cleanup_free_ struct sm_share *shares = NULL;
        struct sm_schedule schedule = { .n = (__u32) route->n_splits };
        int r;

        shares = calloc(route->n_splits, sizeof(*shares));
        if (!shares)
                return -ENOMEM;
        for (size_t i = 0; i < route->n_splits; i++)
                shares[i] = (struct sm_share) {
                        .seed = builder_hash(b->service->subsets[route->splits[i].subset]->name),
                        .subset = (__u32) route->splits[i].subset,
                        .weight = route->splits[i].weight,
                };
        r = builder_add_bytes(b, shares, route->n_splits * sizeof(*shares), &schedule.slots);
        if (r >= 0)
                *ret = schedule;
        return r;
}

static int add_split(Builder *b, const PolicyRoute *route, struct sm_route *ret) {
        int r;

        ret->split_by = (__u8) route->split_by;
        ret->split_hash = (__u8) route->split_hash;
        if (route->n_splits == 0)
                return 0;
        if (route->split_by != SM_SPLIT_BY_KEY)
                return add_turns(b, route, &ret->split);
        r = add_shares(b, route, &ret->split);
        return r < 0 ? r : builder_add_text(b, route->split_hash_name, &ret->split_hash_name);
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

/* Which of the service's shadow routes it is, from 1 on. */
static unsigned shadow_number(const PolicyService *s, size_t i) {
        unsigned n = 1;

        if (!s->routes[i]->shadow)
                return 0;
        for (size_t j = 0; j < i; j++)
                n += s->routes[j]->shadow;
        return n;
}

int compile_route(Builder *b, size_t i, uint32_t cell) {
        const PolicyRoute *route = b->service->routes[i];
        struct sm_route result = {
                .state = b->binding->route_states[i],
                .shadow = (__u8) shadow_number(b->service, i),
                .timeout_ms = usec_to_ms(route->timeout_usec),
        };
        int r;

        r = compile_match(b, route->match, &result.predicates, &result.n_predicates);
        if (r >= 0)
                r = add_split(b, route, &result);
        if (r >= 0)
                r = compile_actions(b, route, &result.actions);
        if (r >= 0)
                r = builder_add_text(b, route->name, &result.name);
        if (r >= 0)
                r = add_origin(b, &route->origin, &result.origin);
        if (r >= 0)
                memcpy(builder_at(b, cell), &result, sizeof(result));
        return r;
}
