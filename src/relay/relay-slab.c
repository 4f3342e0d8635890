/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <stdlib.h>

#include "relay-slab.h"

/* The link of an unused object stands behind it: what is in it is still read, until the slab settles. */
static void **link_of(const Slab *s, void *object) {
        return (void **) ((char *) object + s->size);
}

static void push(const Slab *s, void **list, void *object) {
        *link_of(s, object) = *list;
        *list = object;
}

static void *pop(const Slab *s, void **list) {
        void *object = *list;

        if (object)
                *list = *link_of(s, object);
        return object;
}

void slab_init(Slab *s, size_t size) {
        *s = (Slab){ .size = (size + sizeof(void *) - 1) / sizeof(void *) * sizeof(void *) };
}

void slab_done(Slab *s) {
        assert(s->n_used == 0);
        slab_settle(s);
        slab_trim(s, s->n_free);
}

void *slab_alloc(Slab *s) {
        void *object = pop(s, &s->free);

        if (object)
                s->n_free--;
        else
                object = malloc(s->size + sizeof(void *));
        if (object)
                s->n_used++;
        return object;
}

void slab_free(Slab *s, void *object) {
        push(s, &s->dead, object);
        s->n_used--;
        s->n_free++;
}

void slab_settle(Slab *s) {
        for (void *object; (object = pop(s, &s->dead));)
                push(s, &s->free, object);
}

void slab_trim(Slab *s, size_t n) {
        for (void *object; n > 0 && (object = pop(s, &s->free)); n--) {
                free(object);
                s->n_free--;
        }
}
