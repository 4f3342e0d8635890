/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stddef.h>

/* A map from string to pointer. Keys are borrowed: they live inside the values, as a rule. */
typedef struct Hashmap Hashmap;

Hashmap *hashmap_new(void);
Hashmap *hashmap_free(Hashmap *h);

int hashmap_put(Hashmap *h, const char *key, void *value); /* -EEXIST, -ENOMEM */
void *hashmap_get(const Hashmap *h, const char *key);      /* NULL if there is none */
void *hashmap_remove(Hashmap *h, const char *key);
size_t hashmap_size(const Hashmap *h);

/* Iterates in no order; `position` starts at 0. NULL at the end. Removing the entry just returned is
 * allowed, anything else is not. */
void *hashmap_next(const Hashmap *h, size_t *position);
