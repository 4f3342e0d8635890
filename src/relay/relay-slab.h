/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stddef.h>

/*
 * Objects of one size, reused most recent first. What is freed keeps its contents and stays unused until
 * slab_settle(), which a worker calls when it has handled a batch of events: a later event of the same
 * batch may still point to the object, and finds that its descriptor is closed.
 */
typedef struct Slab {
        size_t size; /* of an object */
        void *free, *dead;
        size_t n_used, n_free; /* the dead count as free */
} Slab;

void slab_init(Slab *s, size_t size);
void slab_done(Slab *s); /* nothing may be in use */

void *slab_alloc(Slab *s); /* contents undefined; NULL: no memory */
void slab_free(Slab *s, void *object);
void slab_settle(Slab *s);

/* Gives up to `n` unused objects back to libc. */
void slab_trim(Slab *s, size_t n);
