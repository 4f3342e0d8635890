/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <string.h>

#include "../basic/array-util.h"
#include "../basic/string-util.h"
#include "policy-model.h"

void policy_match_done(PolicyMatch *m) {
        if (m->join == MATCH_LEAF) {
                free(m->name);
                free(m->text);
        } else {
                for (size_t i = 0; i < m->n_children; i++)
                        policy_match_done(&m->children[i]);
                free(m->children);
        }
        *m = (PolicyMatch) {};
}

PolicyMatch *policy_match_free(PolicyMatch *m) {
        if (m)
                policy_match_done(m);
        free(m);
        return NULL;
}

int policy_match_add(PolicyMatch *parent, PolicyMatch *child) {
        int r;

        r = array_reserve(&parent->children, parent->n_children, sizeof(*parent->children));
        if (r < 0)
                return r;
        parent->children[parent->n_children++] = *child;
        *child = (PolicyMatch) {};
        return 0;
}

size_t policy_match_count(const PolicyMatch *m) {
        size_t n = 0;

        if (m->join == MATCH_LEAF)
                return 1;
        for (size_t i = 0; i < m->n_children; i++)
                n += policy_match_count(&m->children[i]);
        return n;
}

const PolicyMatch *policy_match_find(const PolicyMatch *m, bool (*wanted)(const PolicyMatch *leaf)) {
        if (!m)
                return NULL;
        if (m->join == MATCH_LEAF)
                return wanted(m) ? m : NULL;
        for (size_t i = 0; i < m->n_children; i++) {
                const PolicyMatch *found = policy_match_find(&m->children[i], wanted);

                if (found)
                        return found;
        }
        return NULL;
}

const PolicyMatch *policy_match_path(const PolicyMatch *m) {
        for (size_t i = 0; m && i < m->n_children; i++) {
                const PolicyMatch *child = &m->children[i];

                if (child->join == MATCH_LEAF && child->kind == SM_MATCH_PATH)
                        return child->op == SM_OP_EXACT || child->op == SM_OP_PREFIX ? child : NULL;
        }
        return NULL;
}

uint64_t fraction_to_share(unsigned fraction) {
        return (((uint64_t) fraction << 32) + POLICY_WHOLE / 2) / POLICY_WHOLE;
}

unsigned share_to_fraction(uint64_t share) {
        return (unsigned) ((share * POLICY_WHOLE + (1ULL << 31)) >> 32);
}

static bool leaf_equal(const PolicyMatch *a, const PolicyMatch *b) {
        if (a->kind != b->kind || a->op != b->op || a->absent != b->absent || a->first != b->first ||
            memcmp(&a->network, &b->network, sizeof(a->network)) != 0 || !streq_null(a->name, b->name))
                return false;
        return a->kind == SM_MATCH_USER || streq_null(a->text, b->text); /* by name or by number */
}

bool policy_match_equal(const PolicyMatch *a, const PolicyMatch *b) {
        if (!a || !b)
                return a == b;
        if (a->join != b->join)
                return false;
        if (a->join == MATCH_LEAF)
                return leaf_equal(a, b);
        if (a->n_children != b->n_children)
                return false;
        for (size_t i = 0; i < a->n_children; i++)
                if (!policy_match_equal(&a->children[i], &b->children[i]))
                        return false;
        return true;
}
