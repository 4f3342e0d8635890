/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "policy-compile.h"

/* An extent while it is built, and its parts. All functions return 0, -ENOMEM or -E2BIG. */

/* Cells are appended; pointers into them last until the next append, indexes for ever. All bytes that
 * nothing is written to are 0. {} is an empty one. */
typedef struct Builder {
        struct sm_cell *cells;
        uint32_t n_cells, size;
        const PolicyService *service; /* whose it is, */
        const PolicyBinding *binding; /* with these ids */
} Builder;

void builder_done(Builder *b);
int builder_add(Builder *b, uint32_t n, uint32_t *ret);
void *builder_at(Builder *b, uint32_t cell);
int builder_add_bytes(Builder *b, const void *bytes, size_t size, uint32_t *ret);
int builder_add_text(Builder *b, const char *text, struct sm_text *ret); /* NULL is as good as "" */

uint64_t builder_hash(const char *text); /* of engine-hash.h */
uint32_t usec_to_ms(uint64_t usec); /* rounded up, so that little is not nothing */

/* policy-compile-action.c: what else is done; *ret stays if that is nothing. */
int compile_actions(Builder *b, const PolicyRoute *route, uint32_t *ret);

/* The i-th route, into the cell that was kept for it. */
int compile_route(Builder *b, size_t i, uint32_t cell);

/* policy-compile-match.c: the predicates of a match, and how many they are; NULL has none. */
int compile_match(Builder *b, const PolicyMatch *match, uint32_t *ret, uint16_t *ret_n);
