/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <linux/types.h>

/*
 * A 64-bit hash of short texts: FNV-1a over the bytes, seeded with their number, and the finaliser of
 * MurmurHash3.
 *
 * FNV needs one xor and one multiplication a byte, no unaligned loads and no table, which suits the
 * verifier; the finaliser gives what FNV lacks, high bits that depend on every input bit, so that `% n`
 * is even. It is not keyed: a caller who chooses colliding keys only chooses its endpoint, as it could by
 * a single key. The result is part of no ABI, but a change of it moves every key to another endpoint
 * once.
 */

static inline __u64 sm_hash_start(__u64 length) {
        return 0xcbf29ce484222325ULL ^ length;
}

static inline __u64 sm_hash_add(__u64 h, __u8 byte) {
        return (h ^ byte) * 0x100000001b3ULL;
}

static inline __u64 sm_hash_finish(__u64 h) {
        h ^= h >> 33;
        h *= 0xff51afd7ed558ccdULL;
        h ^= h >> 33;
        h *= 0xc4ceb9fe1a85ec53ULL;
        return h ^ h >> 33;
}

/*
 * Random numbers of one request: each use of sm_request.random adds a salt of its own, so that they are
 * independent of each other.
 */
enum sm_salt {
        SM_SALT_PICK, /* and the slots that are tried, up to SM_PICK_TRIES */
        SM_SALT_SPLIT = 1000,
        SM_SALT_ABORT,
        SM_SALT_DELAY,
        SM_SALT_MIRROR,
        SM_SALT_FRACTION = 1 << 16, /* and the cell of the predicate, relative to its policy */
};

static inline __u32 sm_dice(__u32 random, __u32 salt) {
        return (__u32) sm_hash_finish(random + ((__u64) salt << 32));
}

/* Whether it falls to that share of 2^32. */
static inline int sm_dice_below(__u32 random, __u32 salt, __u64 share) {
        return sm_dice(random, salt) < share;
}
