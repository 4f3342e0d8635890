/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "engine-hash.h"

/*
 * How the name of a caller's unit is known to the programs: by a hash. Names are given by the administrator,
 * who would have to look for two that collide.
 */
struct sm_unit_hash {
        __u64 hash;
        __u64 tail; /* the last eight bytes */
};

static inline void sm_unit_hash_start(struct sm_unit_hash *h) {
        h->hash = sm_hash_start(0);
        h->tail = 0;
}

static inline void sm_unit_hash_add(struct sm_unit_hash *h, __u8 byte) {
        h->hash = sm_hash_add(h->hash, byte);
        h->tail = h->tail << 8 | byte;
}

/* ".slice" */
static inline int sm_unit_hash_is_slice(const struct sm_unit_hash *h) {
        return (h->tail & 0xffffffffffffULL) == 0x2e736c696365ULL;
}

/* Never 0, which stands for none. */
static inline __u64 sm_unit_hash_finish(const struct sm_unit_hash *h) {
        return sm_hash_finish(h->hash) | 1;
}

static inline __u64 sm_unit_hash_of(const char *name) {
        struct sm_unit_hash h;

        sm_unit_hash_start(&h);
        for (; *name; name++)
                sm_unit_hash_add(&h, (__u8) *name);
        return sm_unit_hash_finish(&h);
}
