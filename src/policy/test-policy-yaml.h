/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdlib.h>
#include <string.h>

#include "policy-yaml.h"

/* Whether both readers of YAML read the same. */

static inline bool test_same_origin(const PolicyOrigin *a, const PolicyOrigin *b) {
        return a->file == b->file && a->line == b->line && a->column == b->column;
}

static inline bool test_same_text(const char *a, const char *b) {
        return a && b ? strcmp(a, b) == 0 : a == b;
}

static inline bool test_same_node(const PolicyNode *a, const PolicyNode *b) {
        if (a->kind != b->kind || !test_same_origin(&a->origin, &b->origin) ||
            !test_same_text(a->text, b->text) || !test_same_text(a->key, b->key) ||
            !test_same_origin(&a->key_origin, &b->key_origin) || a->n_children != b->n_children)
                return false;
        for (size_t i = 0; i < a->n_children; i++)
                if (!test_same_node(a->children[i], b->children[i]))
                        return false;
        return true;
}

static inline bool test_same_documents(const PolicyDocuments *a, const PolicyDocuments *b) {
        if (a->n_items != b->n_items || a->n_text_errors != b->n_text_errors)
                return false;
        for (size_t i = 0; i < a->n_items; i++) {
                const PolicyDocument *x = &a->items[i], *y = &b->items[i];

                if (x->first_line != y->first_line || x->last_line != y->last_line ||
                    x->first_error != y->first_error || x->n_errors != y->n_errors ||
                    x->partial != y->partial || !test_same_node(x->root, y->root))
                        return false;
        }
        return true;
}

/* 0: it is not plain; 1: it is, and libyaml agrees; -1: it does not. */
static inline int test_plain_is_yaml(const char *data, size_t size) {
        PolicyDocuments plain, whole;
        Policy *p = calloc(1, sizeof(*p));
        Arena arena = {};
        int verdict = 0;

        if (policy_yaml_parse_plain(&arena, "file", data, size, &plain))
                verdict = policy_yaml_parse_whole(p, &arena, plain.items[0].root->origin.file, data, size,
                                                  &whole) == 0 &&
                          p->n_errors == 0 && test_same_documents(&plain, &whole) ? 1 : -1;
        policy_free(p);
        arena_done(&arena);
        return verdict;
}
