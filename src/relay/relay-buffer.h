/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Bytes between two sockets. A connection has a buffer only while bytes of it are in flight, so one that is
 * idle costs none; a worker's buffers have one size, and the one given back last is the next one out,
 * because it is the one in the cache.
 */
typedef struct Buffer {
        struct Buffer *next; /* unused ones only */
        uint32_t start, end; /* filled part of data[] */
        uint32_t capacity;
        bool odd; /* of a size of its own */
        uint8_t data[];
} Buffer;

typedef struct BufferPool {
        Buffer *free;
        size_t region; /* bytes mapped for one buffer, a multiple of the page size */
        size_t n_used, n_free;
        size_t n_low; /* lowest n_free since the last trim: these were not needed at all */
        size_t odd;   /* bytes of buffers in use that are larger than others */
} BufferPool;

void buffer_pool_init(BufferPool *p, size_t capacity); /* at least so many bytes in a buffer */
void buffer_pool_done(BufferPool *p);                  /* nothing may be in use */

Buffer *buffer_acquire(BufferPool *p); /* empty; NULL: no memory */
/* Likewise, with room for so much: a buffer of its own if it must be larger than others. */
Buffer *buffer_acquire_size(BufferPool *p, size_t capacity);
void buffer_release(BufferPool *p, Buffer *b); /* accepts NULL */

/* To be called at regular intervals: gives half of what was unused all the time back to the kernel. */
void buffer_pool_trim(BufferPool *p);

/* Gives every unused buffer back, before buffers of another size are handed out. */
void buffer_pool_resize(BufferPool *p, size_t capacity);

static inline size_t buffer_pool_bytes(const BufferPool *p) {
        return (p->n_used + p->n_free) * p->region + p->odd;
}

static inline uint32_t buffer_filled(const Buffer *b) {
        return b->end - b->start;
}

static inline uint32_t buffer_room(const Buffer *b) {
        return b->capacity - b->end;
}

static inline uint8_t *buffer_at(Buffer *b) {
        return b->data + b->start;
}

/* Drops `n` bytes at the start; an empty buffer begins anew. */
static inline void buffer_consume(Buffer *b, uint32_t n) {
        b->start += n;
        if (b->start == b->end)
                b->start = b->end = 0;
}

/* Moves what is filled to the front, so that all room is behind it. */
void buffer_compact(Buffer *b);

/* Appends all of it or nothing: -ENOBUFS. */
int buffer_append(Buffer *b, const void *bytes, size_t n);
