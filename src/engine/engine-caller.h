/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "engine-hash.h"
#include "engine-request.h"

/* Predicates that need no head: who asks, and chance. They are all that connections of tcp services have. */

/* The first `bits` of eight bytes, lowest first. */
static inline __u64 sm_network_mask(__s64 bits) {
        if (bits <= 0)
                return 0;
        return bits >= 64 ? ~0ULL : __builtin_bswap64(~(~0ULL >> bits));
}

static inline int sm_match_source(const struct sm_predicate *p, const __u8 *source) {
        __u64 address[2], network[2];

        if (!source)
                return 0;
        __builtin_memcpy(address, source, sizeof(address));
        __builtin_memcpy(network, p->inline_bytes, sizeof(network));
        return ((sm_little_endian(address[0] ^ network[0]) & sm_network_mask(p->low)) |
                (sm_little_endian(address[1] ^ network[1]) & sm_network_mask(p->low - 64))) == 0;
}

/* `cell` is where the predicate is, relative to its policy: the salt of its dice. */
static inline int sm_match_caller(const struct sm_request *q, const struct sm_predicate *p, __u32 cell) {
        switch (p->kind) {

        case SM_MATCH_SLICE:
                return q->slice == (__u64) p->low;

        case SM_MATCH_UNIT:
                return q->unit != 0 && q->unit == (__u64) p->low;

        case SM_MATCH_USER:
                return q->uid == (__u64) p->low;

        case SM_MATCH_SOURCE:
                return sm_match_source(p, q->source);

        default:
                return sm_dice_below(q->random, SM_SALT_FRACTION + cell, (__u64) p->low);
        }
}

static inline int sm_match_needs_head(__u32 kind) {
        return kind < SM_MATCH_SLICE || kind > SM_MATCH_FRACTION;
}
