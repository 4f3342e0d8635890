/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stddef.h>

/* Memory for what is read out of one file: many small things that go together. {} is an empty one. */
typedef struct ArenaChunk ArenaChunk;

typedef struct Arena {
        ArenaChunk *chunks;
        char *at;
        size_t left; /* bytes from `at` on */
} Arena;

/* Aligned for pointers, not zeroed; NULL if out of memory. Stays where it is until the arena is reset. */
void *arena_alloc(Arena *a, size_t size);
/* A copy of `size` bytes with a NUL behind it. */
char *arena_text(Arena *a, const char *text, size_t size);

/* As array_reserve(): room for one more behind n elements; the list moves when it grows. 0 or -ENOMEM. */
int arena_reserve(Arena *a, void *array, size_t n, size_t element_size);

void arena_reset(Arena *a); /* keeps one chunk for what comes next */
void arena_done(Arena *a);
