/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "engine-key.h"

/*
 * Splits by key: weighted rendezvous hashing in integers, so that the kernel, the relay and whoever has only
 * this description come to the same. With all arithmetic on unsigned numbers:
 *
 *      h = sm_hash_finish(key ^ seed)           64 bits
 *      v = h >> 32 | 1                          u = v / 2^32 is in (0, 1)
 *      score = 32 * 2^24 - log2(v) * 2^24       that is -log2(u), in units of 2^-24
 *
 * and log2(v) * 2^24 is e * 2^24 + f with e = floor(log2(v)) and f made of 24 bits, the highest first: y
 * begins as v << (31 - e); for each bit y is squared and shifted right by 31; if it has 33 bits now, the bit
 * is 1, and y is shifted right once more; else it is 0.
 *
 * The share with the least score / weight wins, of equals the first one; one with weight 0 never does. The
 * key is sm_hash_finish() of what the split is taken of (engine-key.h), or random for a request that lacks
 * it.
 */
#define SM_SCORE_BITS 24
#define SM_SHARES_PER_CELL (SM_CELL_SIZE / sizeof(struct sm_share))

SM_FRAME __u64 sm_share_score(__u64 key, __u64 seed) {
        __u64 y = (__u32) (sm_hash_finish(key ^ seed) >> 32) | 1, log = 31, bit;

        for (__u32 shift = 16; shift > 0; shift >>= 1) {
                bit = y >> (32 - shift) == 0 ? shift : 0;
                y <<= bit;
                log -= bit;
        }
        for (int i = 0; i < SM_SCORE_BITS; i++) {
                y = y * y >> 31;
                bit = y >> 32;
                y >>= bit;
                log = log << 1 | bit;
        }
        return (32ULL << SM_SCORE_BITS) - log;
}

struct sm_share_run {
        const struct sm_tables *t;
        __u64 key;
        __u64 score;  /* of the best one so far */
        __u32 weight; /* 0: there is none yet */
        __u32 subset;
        __u32 shares; /* cell, absolute */
        __u32 _pad;
};

static inline long sm_share_step(__u32 i, void *context) {
        struct sm_share_run *run = context;
        const struct sm_cell *c = sm_cell_at(run->t, run->shares + i / SM_SHARES_PER_CELL);
        const struct sm_share *share;
        __u64 score;

        if (!c)
                return 1;
        share = (const struct sm_share *) c->bytes + i % SM_SHARES_PER_CELL;
        score = sm_share_score(run->key, share->seed);
        if (score * run->weight >= run->score * share->weight)
                return 0;
        run->score = score;
        run->weight = share->weight;
        run->subset = share->subset;
        return 0;
}

/* The subset of the split's share that wins, -1 if there is none. */
static __always_inline __s64 sm_split_by_key(const struct sm_tables *t, __u32 base,
                                             const struct sm_route *route, const struct sm_request *q) {
        __u32 n = SM_READ_ONCE(route->split.n), zero = SM_READ_ONCE(route->split.n) - n;
        struct sm_share_run run = {
                .t = t,
                .shares = base + route->split.slots,
                /* Any share with a weight is better, and the verifier does not know these numbers. */
                .score = 1 + (__u64) zero,
                .weight = zero,
                .subset = zero,
        };

        if (!sm_key_of_request(q, route->split_hash, &run.key))
                run.key = sm_hash_finish(q->random + ((__u64) SM_SALT_SPLIT << 32));
        sm_loop(n < SM_SLOTS_MAX ? n : SM_SLOTS_MAX, sm_share_step, &run);
        return run.weight > 0 ? (__s64) run.subset : -1;
}
