/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../abi/abi-limits.h"
#include "../basic/cleanup.h"
#include "../basic/macro.h"
#include "policy-schedule.h"

/* A choice's own order of preference among the slots: start, start + step, start + 2 step ... */
typedef struct Rank {
        uint64_t hash;
        uint32_t choice; /* index in what the caller gave */
        uint32_t slot;   /* that it would take next */
        uint32_t step;
} Rank;

/*
 * At least 100 slots for each choice, as far as SM_SLOTS_MAX goes. Few sizes, because going from one to
 * another moves nearly every hash.
 */
static uint32_t maglev_size(size_t n) {
        static const uint32_t primes[] = { 1021, 8191, 65521 };

        for (size_t i = 0; i < ELEMENTSOF(primes); i++)
                if (n * 100 <= primes[i])
                        return primes[i];
        return primes[ELEMENTSOF(primes) - 1];
}

/* The finalizer of splitmix64 (Steele, Lea and Flood, 2014). */
static uint64_t mix(uint64_t x) {
        x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
        x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
        return x ^ (x >> 31);
}

static uint64_t hash_choice(const MaglevChoice *c) {
        uint64_t half[2];

        memcpy(half, &c->address, sizeof(half));
        return mix(mix(mix(half[0] + 1) ^ half[1]) ^ c->port);
}

static int compare_ranks(const void *a, const void *b) {
        const Rank *x = a, *y = b;

        if (x->hash != y->hash)
                return x->hash < y->hash ? -1 : 1;
        return x->choice < y->choice ? -1 : 1;
}

static Rank *rank_choices(const MaglevChoice *choices, size_t n, uint32_t size, size_t *ret_n) {
        Rank *ranks = calloc(n, sizeof(*ranks));
        size_t used = 0;

        for (size_t i = 0; ranks && i < n; i++) {
                uint64_t hash = hash_choice(&choices[i]);

                if (choices[i].weight == 0)
                        continue;
                ranks[used++] = (Rank) {
                        .hash = hash,
                        .choice = (uint32_t) i,
                        .slot = (uint32_t) (hash % size),
                        .step = (uint32_t) (mix(hash + 1) % (size - 1)) + 1,
                };
        }
        if (ranks)
                qsort(ranks, used, sizeof(*ranks), compare_ranks);
        *ret_n = used;
        return ranks;
}

/* Each takes, whenever it is its turn, the slot that it likes best of those that are left. */
static int fill_table(const MaglevChoice *choices, Rank *ranks, size_t n, uint32_t *table, uint32_t size) {
        _cleanup_free_ unsigned *weights = NULL;
        _cleanup_free_ uint32_t *turns = NULL;
        int r;

        weights = calloc(n, sizeof(*weights));
        turns = calloc(size, sizeof(*turns));
        if (!weights || !turns)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++)
                weights[i] = choices[ranks[i].choice].weight;
        r = schedule_turns(weights, n, turns, size, true);
        if (r < 0)
                return r;
        memset(table, 0xff, size * sizeof(*table));
        for (uint32_t i = 0; i < size; i++) {
                Rank *rank = &ranks[turns[i]];

                while (table[rank->slot] != UINT32_MAX)
                        rank->slot = (rank->slot + rank->step) % size;
                table[rank->slot] = rank->choice;
        }
        return 0;
}

int schedule_maglev(const MaglevChoice *choices, size_t n, uint32_t **ret, uint32_t *ret_n) {
        _cleanup_free_ uint32_t *table = NULL;
        _cleanup_free_ Rank *ranks = NULL;
        uint32_t size = maglev_size(n);
        size_t used = 0;
        int r;

        if (n > 0) {
                ranks = rank_choices(choices, n, size, &used);
                if (!ranks)
                        return -ENOMEM;
        }
        if (used > size)
                return -E2BIG;
        if (used == 0) {
                *ret = NULL;
                *ret_n = 0;
                return 0;
        }
        table = calloc(size, sizeof(*table));
        if (!table)
                return -ENOMEM;
        r = fill_table(choices, ranks, used, table, size);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(table);
        *ret_n = size;
        return 0;
}
