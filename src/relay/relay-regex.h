/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "../basic/regex.h"
#include "relay-list.h"
#include "relay-tables.h"

#define REGEX_BUCKETS 256
#define REGEX_CACHED_MAX 1024 /* patterns: with machine code, some 2 MiB */

/*
 * The regular expressions that a worker has compiled, so that no lock is on the way of a request. They are
 * found by their text: one that several services use, or that a reload has left as it was, is compiled once,
 * and what is not used any more makes room for others.
 */
typedef struct RegexCache {
        RegexRunner *runner; /* NULL: none was needed yet */
        bool accelerate;     /* make machine code of them */
        List used;           /* the one that was used last is the last one */
        List buckets[REGEX_BUCKETS];
        size_t n;
} RegexCache;

void regex_cache_init(RegexCache *c, bool accelerate);
void regex_cache_done(RegexCache *c);

/* What sm_tables.regex points to: whether a text matches, enum sm_verdict. What regex_run() gives up does
 * not match, counts as SM_REASON_REGEX_LIMIT, and is told to the journal once for each pattern. */
typedef struct RegexContext {
        RegexCache *cache;
        const struct sm_tables *tables;
        __u32 base; /* cell of the policy that the predicates are of */
} RegexContext;

int regex_context_judge(void *context, __u32 cell, const __u8 *text, __u32 length);
