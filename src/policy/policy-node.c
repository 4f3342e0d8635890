/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdlib.h>

#include "../basic/string-util.h"
#include "policy-yaml.h"

static const char *const node_kind_table[_NODE_KIND_MAX] = {
        [NODE_SCALAR] = "a single value",
        [NODE_SEQUENCE] = "a list",
        [NODE_MAPPING] = "a mapping",
};

const char *node_kind_to_string(NodeKind k) {
        return node_kind_table[k];
}

PolicyNode *policy_node_new(Arena *a, NodeKind kind, const PolicyOrigin *origin) {
        PolicyNode *n = arena_alloc(a, sizeof(*n));

        if (n)
                *n = (PolicyNode) { .kind = kind, .origin = *origin };
        return n;
}

int policy_node_add(Arena *a, PolicyNode *parent, PolicyNode *child) {
        int r;

        r = arena_reserve(a, &parent->children, parent->n_children, sizeof(*parent->children));
        if (r < 0)
                return r;
        parent->children[parent->n_children++] = child;
        return 0;
}

static ssize_t node_find(const PolicyNode *mapping, const char *key) {
        for (size_t i = 0; mapping->kind == NODE_MAPPING && i < mapping->n_children; i++)
                if (streq(mapping->children[i]->key, key))
                        return (ssize_t) i;
        return -1;
}

PolicyNode *policy_node_get(const PolicyNode *mapping, const char *key) {
        ssize_t i = node_find(mapping, key);

        return i < 0 ? NULL : mapping->children[i];
}

PolicyNode *policy_node_take(PolicyNode *mapping, const char *key) {
        ssize_t i = node_find(mapping, key);
        PolicyNode *child;

        if (i < 0)
                return NULL;
        child = mapping->children[i];
        mapping->n_children--;
        memmove(mapping->children + i, mapping->children + i + 1,
                (mapping->n_children - (size_t) i) * sizeof(*mapping->children));
        return child;
}

static int compare_keys(const void *a, const void *b) {
        return strcmp((*(PolicyNode *const *) a)->key, (*(PolicyNode *const *) b)->key);
}

int policy_node_keys_differ(const PolicyNode *mapping) {
        enum { FEW = 12 }; /* so many are compared each with each */
        _cleanup_free_ PolicyNode **sorted = NULL;
        PolicyNode *const *children = mapping->children;
        size_t n = mapping->n_children;

        if (n > FEW) {
                sorted = malloc(n * sizeof(*sorted));
                if (!sorted)
                        return -ENOMEM;
                memcpy(sorted, children, n * sizeof(*sorted));
                qsort(sorted, n, sizeof(*sorted), compare_keys);
                children = sorted;
        }
        for (size_t i = 1; i < n; i++)
                for (size_t j = sorted ? i - 1 : 0; j < i; j++)
                        if (streq(children[i]->key, children[j]->key))
                                return 0;
        return 1;
}

static int compare_places(const void *a, const void *b) {
        return strcmp((**(PolicyNode **const *) a)->key, (**(PolicyNode **const *) b)->key);
}

static int compare_key_to_place(const void *key, const void *place) {
        return strcmp(key, (**(PolicyNode **const *) place)->key);
}

/* Costs (n + k) log n for k keys into n: both can be long lists of endpoints. */
static int merge_mapping(Arena *a, PolicyNode *base, PolicyNode *over) {
        _cleanup_free_ PolicyNode ***places = NULL;
        size_t n = base->n_children;
        int r;

        places = calloc(n + 1, sizeof(*places));
        if (!places)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++)
                places[i] = &base->children[i];
        qsort(places, n, sizeof(*places), compare_places);

        for (size_t i = 0; i < over->n_children; i++) {
                PolicyNode ***place = bsearch(over->children[i]->key, places, n, sizeof(*places),
                                              compare_key_to_place);

                if (!place)
                        continue;
                r = policy_node_merge(a, *place, TAKE_PTR(over->children[i]));
                if (r < 0)
                        return r;
        }
        /* Only now: what is new may move the array that `places` points into. */
        for (size_t i = 0; i < over->n_children; i++) {
                if (!over->children[i])
                        continue;
                r = policy_node_add(a, base, over->children[i]);
                if (r < 0)
                        return r;
        }
        return 0;
}

int policy_node_merge(Arena *a, PolicyNode **base, PolicyNode *over) {
        if (*base && (*base)->kind == NODE_MAPPING && over->kind == NODE_MAPPING)
                return merge_mapping(a, *base, over);
        *base = over;
        return 0;
}
