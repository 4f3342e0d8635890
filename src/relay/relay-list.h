/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "../basic/macro.h"

/* A doubly linked ring through a member of the objects that it lists. A head and a link that is in no list
 * point at themselves, so removing twice is harmless. */
typedef struct List {
        struct List *next, *previous;
} List;

static inline void list_init(List *l) {
        l->next = l->previous = l;
}

static inline bool list_is_empty(const List *l) {
        return l->next == l;
}

static inline void list_insert_after(List *position, List *l) {
        l->previous = position;
        l->next = position->next;
        position->next->previous = l;
        position->next = l;
}

static inline void list_prepend(List *head, List *l) {
        list_insert_after(head, l);
}

static inline void list_append(List *head, List *l) {
        list_insert_after(head->previous, l);
}

static inline void list_remove(List *l) {
        l->previous->next = l->next;
        l->next->previous = l->previous;
        list_init(l);
}

/* Moves everything in `from` to the empty `to`. */
static inline void list_take(List *to, List *from) {
        if (list_is_empty(from))
                return;
        *to = *from;
        to->next->previous = to;
        to->previous->next = to;
        list_init(from);
}

#define LIST_FIRST(head, type, member) CONTAINER_OF((head)->next, type, member)
#define LIST_LAST(head, type, member) CONTAINER_OF((head)->previous, type, member)
