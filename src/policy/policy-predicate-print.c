/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../basic/cleanup.h"
#include "../basic/macro.h"
#include "../engine/engine-access.h"
#include "policy-model.h"
#include "policy-predicate-print.h"

static int copy_text(const struct sm_tables *t, uint32_t cell, uint32_t start, uint32_t length, char **ret) {
        _cleanup_free_ char *s = NULL;

        if (length > t->n_cells * (uint64_t) SM_CELL_SIZE)
                return -EBADMSG;
        s = malloc((size_t) length + 1);
        if (!s)
                return -ENOMEM;
        for (uint32_t i = 0; i < length; i++) {
                int c = sm_text_at(t, cell, start + i);

                if (c < 0)
                        return -EBADMSG;
                s[i] = (char) c;
        }
        s[length] = 0;
        *ret = TAKE_PTR(s);
        return 0;
}

int policy_text_copy(const struct sm_tables *t, uint32_t base, const struct sm_text *text, char **ret) {
        return copy_text(t, base + text->cell, 0, text->length, ret);
}

/* Of a network, a unit, a user and a slice the number counts, but the word stands beside it. */
static int leaf_text(const struct sm_tables *t, uint32_t base, uint32_t cell, const struct sm_predicate *p,
                     char **ret) {
        if (p->text.cell > 0)
                return policy_text_copy(t, base, &p->text, ret);
        return copy_text(t, cell, offsetof(struct sm_predicate, inline_bytes), p->text.length, ret);
}

static int leaf_of(const struct sm_tables *t, uint32_t base, uint32_t cell, bool absent, PolicyMatch *ret) {
        const struct sm_predicate *p = sm_cell_of(t, cell);
        _cleanup_free_ char *name = NULL, *text = NULL;
        int r;

        if (!p || p->kind >= _SM_MATCH_MAX || p->op >= _SM_OP_MAX)
                return -EBADMSG;
        r = policy_text_copy(t, base, &p->name, &name);
        if (r >= 0)
                r = leaf_text(t, base, cell, p, &text);
        if (r < 0)
                return r;
        *ret = (PolicyMatch) {
                .join = MATCH_LEAF,
                .kind = p->kind,
                .op = p->op,
                .absent = absent && p->op == SM_OP_PRESENT,
                .first = p->first,
                .low = p->kind == SM_MATCH_FRACTION ? share_to_fraction((uint64_t) p->low) : p->low,
                .high = p->high,
                .name = TAKE_PTR(name),
                .text = TAKE_PTR(text),
        };
        return 0;
}

/* Several managed slices can stand for one name of the file. */
static bool is_said(const PolicyMatch *list, const PolicyMatch *leaf) {
        const PolicyMatch *last = list->n_children > 0 ? &list->children[list->n_children - 1] : NULL;

        return last && leaf->kind == SM_MATCH_SLICE && last->kind == SM_MATCH_SLICE &&
               streq(last->text, leaf->text);
}

int policy_predicate_format(const struct sm_tables *t, uint32_t base, const uint32_t *cells, size_t n,
                            bool absent, char **ret) {
        _cleanup_(policy_match_done) PolicyMatch keys = { .join = MATCH_KEYS };
        _cleanup_(policy_match_done) PolicyMatch list = { .join = MATCH_VALUES };
        int r = 0;

        for (size_t i = 0; r >= 0 && i < n; i++) {
                _cleanup_(policy_match_done) PolicyMatch leaf = {};

                r = leaf_of(t, base, cells[i], absent, &leaf);
                if (r >= 0 && !is_said(&list, &leaf))
                        r = policy_match_add(&list, &leaf);
        }
        if (r >= 0)
                r = policy_match_add(&keys, list.n_children == 1 ? &list.children[0] : &list);
        return r < 0 ? r : policy_match_format(&keys, ret);
}
