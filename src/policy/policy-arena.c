/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../basic/macro.h"
#include "policy-arena.h"

enum { CHUNK_MIN = 128 << 10 };

struct ArenaChunk {
        ArenaChunk *next;
        size_t size; /* bytes behind this struct */
        char bytes[];
};

static void arena_use(Arena *a, ArenaChunk *chunk) {
        a->chunks = chunk;
        a->at = chunk->bytes;
        a->left = chunk->size;
}

static int arena_grow(Arena *a, size_t size) {
        size_t wanted = MAX(size, a->chunks ? 2 * a->chunks->size : (size_t) CHUNK_MIN);
        ArenaChunk *chunk = malloc(sizeof(*chunk) + wanted);

        if (!chunk)
                return -1;
        chunk->next = a->chunks;
        chunk->size = wanted;
        arena_use(a, chunk);
        return 0;
}

void *arena_alloc(Arena *a, size_t size) {
        const size_t unit = sizeof(void *);
        void *p;

        if (size > SIZE_MAX / 4)
                return NULL;
        size = (size + unit - 1) / unit * unit;
        if (size > a->left && arena_grow(a, size) < 0)
                return NULL;
        p = a->at;
        a->at += size;
        a->left -= size;
        return p;
}

char *arena_text(Arena *a, const char *text, size_t size) {
        char *copy = arena_alloc(a, size + 1);

        if (copy) {
                memcpy(copy, text, size);
                copy[size] = 0;
        }
        return copy;
}

int arena_reserve(Arena *a, void *array, size_t n, size_t element_size) {
        void *elements, *grown;

        if ((n & (n - 1)) != 0)
                return 0;
        memcpy(&elements, array, sizeof(elements));
        grown = arena_alloc(a, MAX(2 * n, (size_t) 1) * element_size);
        if (!grown)
                return -ENOMEM;
        if (n > 0)
                memcpy(grown, elements, n * element_size);
        memcpy(array, &grown, sizeof(grown));
        return 0;
}

/* Each chunk is as large as all before it, so the newest alone is enough for as much again. */
void arena_reset(Arena *a) {
        ArenaChunk *newest = a->chunks;

        if (!newest)
                return;
        for (ArenaChunk *chunk = newest->next, *next; chunk; chunk = next) {
                next = chunk->next;
                free(chunk);
        }
        newest->next = NULL;
        arena_use(a, newest);
}

void arena_done(Arena *a) {
        arena_reset(a);
        free(a->chunks);
        *a = (Arena) {};
}
