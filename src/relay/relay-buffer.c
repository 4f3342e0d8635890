/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../basic/macro.h"
#include "relay-buffer.h"

static size_t region_size(size_t capacity) {
        size_t page = (size_t) sysconf(_SC_PAGESIZE);

        return (sizeof(Buffer) + capacity + page - 1) / page * page;
}

/* A buffer may outlive the pool's size of its time: it knows its own. */
static size_t buffer_region(const Buffer *b) {
        return sizeof(Buffer) + b->capacity;
}

void buffer_pool_init(BufferPool *p, size_t capacity) {
        *p = (BufferPool){ .region = region_size(capacity) };
}

static void free_some(BufferPool *p, size_t n) {
        for (; n > 0 && p->free; n--) {
                Buffer *b = p->free;

                p->free = b->next;
                p->n_free--;
                munmap(b, buffer_region(b));
        }
        p->n_low = MIN(p->n_low, p->n_free);
}

void buffer_pool_done(BufferPool *p) {
        assert(p->n_used == 0 && p->odd == 0);
        free_some(p, p->n_free);
}

void buffer_pool_resize(BufferPool *p, size_t capacity) {
        free_some(p, p->n_free);
        p->region = region_size(capacity);
}

static Buffer *map_buffer(size_t region) {
        Buffer *b = mmap(NULL, region, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        if (b == MAP_FAILED)
                return NULL;
        b->capacity = (uint32_t) (region - sizeof(Buffer));
        return b;
}

Buffer *buffer_acquire(BufferPool *p) {
        Buffer *b = p->free;

        if (b) {
                p->free = b->next;
                p->n_free--;
                p->n_low = MIN(p->n_low, p->n_free);
        } else {
                b = map_buffer(p->region);
                if (!b)
                        return NULL;
        }
        p->n_used++;
        b->start = b->end = 0;
        return b;
}

Buffer *buffer_acquire_size(BufferPool *p, size_t capacity) {
        size_t region = region_size(capacity);
        Buffer *b;

        if (region <= p->region)
                return buffer_acquire(p);
        b = map_buffer(region);
        if (!b)
                return NULL;
        p->odd += region;
        b->odd = true;
        return b;
}

void buffer_release(BufferPool *p, Buffer *b) {
        if (!b)
                return;
        if (b->odd) {
                p->odd -= buffer_region(b);
                munmap(b, buffer_region(b));
                return;
        }
        p->n_used--;
        if (buffer_region(b) != p->region) {
                munmap(b, buffer_region(b));
                return;
        }
        b->next = p->free;
        p->free = b;
        p->n_free++;
}

void buffer_pool_trim(BufferPool *p) {
        free_some(p, (p->n_low + 1) / 2);
        p->n_low = p->n_free;
}

void buffer_compact(Buffer *b) {
        if (b->start == 0)
                return;
        memmove(b->data, buffer_at(b), buffer_filled(b));
        b->end -= b->start;
        b->start = 0;
}

int buffer_append(Buffer *b, const void *bytes, size_t n) {
        if (n > buffer_room(b))
                return -ENOBUFS;
        memcpy(b->data + b->end, bytes, n);
        b->end += (uint32_t) n;
        return 0;
}
