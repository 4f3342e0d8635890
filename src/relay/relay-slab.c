/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <stdlib.h>

#include "../basic/macro.h"
#include "relay-slab.h"

/* The first word of an unused object links it. */
static void push(void **list, void *object) {
        *(void **) object = *list;
        *list = object;
}

static void *pop(void **list) {
        void *object = *list;

        if (object)
                *list = *(void **) object;
        return object;
}

void slab_init(Slab *s, size_t size) {
        *s = (Slab){ .size = MAX(size, sizeof(void *)) };
}

void slab_done(Slab *s) {
        assert(s->n_used == 0);
        slab_settle(s);
        slab_trim(s, s->n_free);
}

void *slab_alloc(Slab *s) {
        void *object = pop(&s->free);

        if (object)
                s->n_free--;
        else
                object = aligned_alloc(64, (s->size + 63) / 64 * 64);
        if (object)
                s->n_used++;
        return object;
}

void slab_free(Slab *s, void *object) {
        push(&s->dead, object);
        s->n_used--;
        s->n_free++;
}

void slab_settle(Slab *s) {
        for (void *object; (object = pop(&s->dead));)
                push(&s->free, object);
}

void slab_trim(Slab *s, size_t n) {
        for (void *object; n > 0 && (object = pop(&s->free)); n--) {
                free(object);
                s->n_free--;
        }
}
