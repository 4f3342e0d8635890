/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <string.h>

#include "engine-access.h"

/*
 * A small policy laid out by hand, for the tests of matching and balancing: cells from BASE on, states in
 * arrays. Everything is zero at first; a test fills in what it is about.
 */

#define TEST_BASE 3
#define TEST_CELLS 128
#define TEST_IDS 32

typedef struct TestTables {
        struct sm_cell cells[TEST_CELLS];
        struct sm_endpoint endpoints[TEST_IDS];
        struct sm_endpoint_state endpoint_states[TEST_IDS];
        struct sm_subset_state subset_states[TEST_IDS];
        struct sm_route_state route_states[TEST_IDS];
        struct sm_tables view;
        __u32 used; /* cells behind the policy's first one, that one included */
} TestTables;

static inline void *test_cell(TestTables *t, __u32 cell) {
        return t->cells[TEST_BASE + cell].bytes;
}

static inline struct sm_policy *test_policy(TestTables *t) {
        return test_cell(t, 0);
}

static inline void test_tables_start(TestTables *t) {
        memset(t, 0, sizeof(*t));
        t->used = 1;
        t->view = (struct sm_tables) {
                .cells = t->cells,
                .endpoints = t->endpoints,
                .endpoint_states = t->endpoint_states,
                .subset_states = t->subset_states,
                .route_states = t->route_states,
                .n_cells = TEST_CELLS,
                .n_endpoints = TEST_IDS,
                .n_subsets = TEST_IDS,
                .n_routes = TEST_IDS,
        };
}

/* `n` cells behind those in use. */
static inline __u32 test_take(TestTables *t, __u32 n) {
        __u32 first = t->used;

        t->used += n;
        return first;
}

static inline __u32 test_ids(TestTables *t, const __u32 *ids, __u32 n) {
        __u32 cell = test_take(t, (n + SM_SLOTS_PER_CELL - 1) / SM_SLOTS_PER_CELL);

        memcpy(test_cell(t, cell), ids, n * sizeof(__u32));
        return cell;
}

static inline struct sm_text test_text(TestTables *t, const char *text) {
        __u32 length = (__u32) strlen(text), cell = test_take(t, (length + SM_CELL_SIZE - 1) / SM_CELL_SIZE);

        memcpy(test_cell(t, cell), text, length);
        return (struct sm_text) { cell, length };
}

/* One subset with that schedule; its endpoints are those of `list`. */
static inline struct sm_subset *test_subset(TestTables *t, __u32 cell, enum sm_balance balance,
                                            const __u32 *slots, __u32 n, const __u32 *list, __u32 n_list) {
        struct sm_subset *s = test_cell(t, cell);

        s->state = 1;
        s->balance = (__u8) balance;
        s->schedule.slots = test_ids(t, slots, n);
        s->schedule.n = n;
        s->endpoints = test_ids(t, list, n_list);
        s->n_endpoints = n_list;
        return s;
}
