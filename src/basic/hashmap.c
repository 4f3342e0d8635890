/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include "cleanup.h"
#include "hashmap.h"
#include "macro.h"

#define BUCKETS_MIN 8

typedef struct Entry {
        const char *key; /* NULL = never used, `removed` = was used: a search goes on past it */
        void *value;
} Entry;

struct Hashmap {
        Entry *entries;
        size_t n_buckets; /* power of two */
        size_t n_entries;
        size_t n_touched; /* entries and removed ones */
};

static const char removed[] = "";

static bool entry_is_live(const Entry *e) {
        return e->key && e->key != removed;
}

/* FNV-1a. Keys come from the administrator's own files, so nobody gains from collisions. */
static uint64_t string_hash(const char *s) {
        uint64_t h = UINT64_C(0xcbf29ce484222325);

        for (; *s; s++)
                h = (h ^ (unsigned char) *s) * UINT64_C(0x100000001b3);
        return h;
}

Hashmap *hashmap_new(void) {
        _cleanup_free_ Hashmap *h = calloc(1, sizeof(*h));

        if (!h)
                return NULL;
        h->entries = calloc(BUCKETS_MIN, sizeof(*h->entries));
        if (!h->entries)
                return NULL;
        h->n_buckets = BUCKETS_MIN;
        return TAKE_PTR(h);
}

Hashmap *hashmap_free(Hashmap *h) {
        if (!h)
                return NULL;
        free(h->entries);
        free(h);
        return NULL;
}

/* The entry of `key`, or the first bucket never used on its way, where it would have to go. */
static Entry *hashmap_find(const Hashmap *h, const char *key) {
        size_t mask = h->n_buckets - 1;

        for (size_t i = string_hash(key) & mask;; i = (i + 1) & mask) {
                Entry *e = &h->entries[i];

                if (!e->key || (e->key != removed && streq(e->key, key)))
                        return e;
        }
}

static int hashmap_resize(Hashmap *h, size_t n_buckets) {
        Hashmap larger = { .n_buckets = n_buckets };

        larger.entries = calloc(n_buckets, sizeof(*larger.entries));
        if (!larger.entries)
                return -ENOMEM;
        for (size_t i = 0; i < h->n_buckets; i++)
                if (entry_is_live(&h->entries[i]))
                        *hashmap_find(&larger, h->entries[i].key) = h->entries[i];
        larger.n_entries = larger.n_touched = h->n_entries;

        free(h->entries);
        *h = larger;
        return 0;
}

int hashmap_put(Hashmap *h, const char *key, void *value) {
        Entry *e;
        int r;

        if (hashmap_find(h, key)->key)
                return -EEXIST;

        /* At least a quarter stays untouched, so that every search ends soon. */
        if ((h->n_touched + 1) * 4 > h->n_buckets * 3) {
                size_t n = h->n_buckets;

                r = hashmap_resize(h, (h->n_entries + 1) * 2 > n ? n * 2 : n);
                if (r < 0)
                        return r;
        }

        e = hashmap_find(h, key);
        *e = (Entry) { .key = key, .value = value };
        h->n_entries++;
        h->n_touched++;
        return 0;
}

void *hashmap_get(const Hashmap *h, const char *key) {
        return hashmap_find(h, key)->value;
}

void *hashmap_remove(Hashmap *h, const char *key) {
        Entry *e = hashmap_find(h, key);
        void *value = e->value;

        if (!e->key)
                return NULL;
        *e = (Entry) { .key = removed };
        h->n_entries--;
        return value;
}

size_t hashmap_size(const Hashmap *h) {
        return h->n_entries;
}

void *hashmap_next(const Hashmap *h, size_t *position) {
        while (*position < h->n_buckets) {
                const Entry *e = &h->entries[(*position)++];

                if (entry_is_live(e))
                        return e->value;
        }
        return NULL;
}
