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

static inline void test_set_schedule(TestTables *t, struct sm_schedule *s, const __u32 *slots, __u32 n) {
        s->slots = test_ids(t, slots, n);
        s->n = n;
}

/* One subset with that schedule; its endpoints are those of `list`. */
static inline struct sm_subset *test_subset(TestTables *t, __u32 cell, enum sm_balance balance,
                                            const __u32 *slots, __u32 n, const __u32 *list, __u32 n_list) {
        struct sm_subset *s = test_cell(t, cell);

        s->state = 1;
        s->balance = (__u8) balance;
        test_set_schedule(t, &s->schedule, slots, n);
        s->endpoints = test_ids(t, list, n_list);
        s->n_endpoints = n_list;
        return s;
}

/* A predicate with its text inline, or in cells if that is too long. */
static inline void test_predicate(TestTables *t, __u32 cell, enum sm_predicate_kind kind,
                                  enum sm_predicate_op op, int negate, const char *text) {
        struct sm_predicate *p = test_cell(t, cell);

        p->kind = (__u8) kind;
        p->op = (__u8) op;
        p->yes = negate ? SM_GOTO_FAILED : SM_GOTO_MATCHED;
        p->no = negate ? SM_GOTO_MATCHED : SM_GOTO_FAILED;
        p->text.length = (__u32) strlen(text);
        if (p->text.length > SM_PREDICATE_INLINE)
                p->text = test_text(t, text);
        else
                memcpy(p->inline_bytes, text, p->text.length);
}

/* All of n consecutive predicates must hold. */
static inline void test_all(TestTables *t, __u32 cell, __u16 n) {
        for (__u16 i = 0; i + 1 < n; i++) {
                struct sm_predicate *p = test_cell(t, cell + i);

                if (p->yes == SM_GOTO_MATCHED)
                        p->yes = i + 1;
                else
                        p->no = i + 1;
        }
}

#define TEST_LONG_PATH "/a/path/of/more/than/forty-eight/bytes/which/therefore/stands/in/cells/of/its/own"

enum { TEST_ROUTE_API, TEST_ROUTE_SHOP, TEST_ROUTE_LONG, TEST_ROUTE_PUBLIC, TEST_ROUTE_REST, TEST_ROUTES };

/* One of everything that can be matched, and a subset for each kind of balance and hash. */
static inline void test_full_policy(TestTables *t) {
        static const __u32 split[] = { 0, 1, 0, 0 }, one[] = { 0, 1, 2, 3, 4 };
        static const __u32 ids[] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17 };
        static const __u8 balances[] = { SM_BALANCE_ROUND_ROBIN, SM_BALANCE_CONSISTENT_HASH,
                                         SM_BALANCE_LEAST_REQUEST, SM_BALANCE_CONSISTENT_HASH,
                                         SM_BALANCE_CONSISTENT_HASH };
        static const __u8 hashes[] = { 0, SM_HASH_HEADER, 0, SM_HASH_COOKIE, SM_HASH_SOURCE_ADDRESS };
        struct sm_policy *policy = test_policy(t);
        struct sm_route *routes;
        __u32 first;

        test_tables_start(t);
        policy->n_subsets = 5;
        policy->subsets = test_take(t, policy->n_subsets);
        for (__u32 i = 0; i < policy->n_subsets; i++) {
                struct sm_subset *s = test_subset(t, policy->subsets + i, balances[i], ids, 17, ids, 17);

                s->state = i + 1;
                s->hash = hashes[i];
                s->hash_name = test_text(t, hashes[i] == SM_HASH_COOKIE ? "Session" : "x-user");
        }

        policy->n_routes = TEST_ROUTES;
        policy->routes = test_take(t, TEST_ROUTES);
        routes = test_cell(t, policy->routes);
        for (__u32 i = 0; i < TEST_ROUTES; i++) {
                routes[i].state = i + 1;
                test_set_schedule(t, &routes[i].split, &one[i], 1);
        }
        test_set_schedule(t, &routes[TEST_ROUTE_API].split, split, 4);

        first = test_take(t, 7);
        routes[TEST_ROUTE_API].predicates = first;
        routes[TEST_ROUTE_API].n_predicates = 2;
        test_predicate(t, first, SM_MATCH_HOST, SM_OP_EXACT, 0, "api.example");
        test_predicate(t, first + 1, SM_MATCH_PATH, SM_OP_PREFIX, 0, "/v2");
        test_all(t, first, 2);

        routes[TEST_ROUTE_SHOP].predicates = first + 2;
        routes[TEST_ROUTE_SHOP].n_predicates = 2;
        test_predicate(t, first + 2, SM_MATCH_HOST, SM_OP_SUFFIX, 0, ".shop.example");
        test_predicate(t, first + 3, SM_MATCH_PATH, SM_OP_PREFIX, 1, "/private/");
        test_all(t, first + 2, 2);

        routes[TEST_ROUTE_LONG].predicates = first + 4;
        routes[TEST_ROUTE_LONG].n_predicates = 1;
        test_predicate(t, first + 4, SM_MATCH_PATH, SM_OP_EXACT, 0, TEST_LONG_PATH);

        routes[TEST_ROUTE_PUBLIC].predicates = first + 5;
        routes[TEST_ROUTE_PUBLIC].n_predicates = 2;
        test_predicate(t, first + 5, SM_MATCH_HOST, SM_OP_EXACT, 1, "[::1]");
        test_predicate(t, first + 6, SM_MATCH_PATH, SM_OP_PREFIX, 0, "/public/");
        test_all(t, first + 5, 2);
}
