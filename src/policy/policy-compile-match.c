/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "../basic/cleanup.h"
#include "../basic/macro.h"
#include "../engine/engine-unit.h"
#include "policy-cells.h"
#include "policy-model.h"

/*
 * From a tree of conditions to a program of forward jumps (abi-route.h). Each part is told where to go on if
 * it holds and if it does not; all, any and not only hand that on differently. The parts of all and any are
 * laid out by what they cost: what the kernel cannot decide comes last, since it may not be needed.
 */

typedef struct Program {
        Builder *b;
        uint32_t first; /* cell */
        uint32_t n;     /* predicates so far */
} Program;

enum cost { COST_HEAD, COST_REGEX, COST_BODY, _COST_MAX };

static enum cost match_cost(const PolicyMatch *m) {
        enum cost most = COST_HEAD;

        if (m->join == MATCH_LEAF)
                return m->kind >= SM_MATCH_CONTENT ? COST_BODY
                     : m->op == SM_OP_REGEX        ? COST_REGEX
                                                   : COST_HEAD;
        for (size_t i = 0; i < m->n_children; i++)
                most = MAX(most, match_cost(&m->children[i]));
        return most;
}

/* Of the managed slices those that are the named one or below it: a caller is known by the innermost. */
static size_t count_slices(const PolicyBinding *binding, const char *name) {
        size_t n = 0;

        for (size_t i = 0; i < binding->n_slices; i++)
                n += slice_is_within(binding->slices[i].name, name);
        return n;
}

/* How many predicates it comes to. */
static uint32_t match_size(const Builder *b, const PolicyMatch *m) {
        uint32_t n = 0;

        if (m->join == MATCH_LEAF)
                return m->kind == SM_MATCH_SLICE ? MAX(1u, (uint32_t) count_slices(b->binding, m->text)) : 1;
        for (size_t i = 0; i < m->n_children; i++)
                n += match_size(b, &m->children[i]);
        return n;
}

static void fill_numbers(struct sm_predicate *p, const PolicyMatch *leaf) {
        switch (leaf->kind) {
        case SM_MATCH_SOURCE:
                memcpy(p->inline_bytes, &leaf->network, sizeof(leaf->network));
                p->low = leaf->first;
                break;
        case SM_MATCH_UNIT:
                p->low = (int64_t) sm_unit_hash_of(leaf->text);
                break;
        case SM_MATCH_FRACTION:
                p->low = (int64_t) fraction_to_share((unsigned) leaf->low);
                break;
        default:
                p->low = leaf->low;
                p->high = leaf->high;
                p->first = leaf->first;
        }
}

static int emit(Program *p, const PolicyMatch *leaf, uint16_t yes, uint16_t no, const int64_t *slice) {
        struct sm_predicate cell = { .kind = leaf->kind, .op = leaf->op };
        size_t length = leaf->text ? strlen(leaf->text) : 0;
        int r;

        cell.yes = leaf->absent ? no : yes;
        cell.no = leaf->absent ? yes : no;
        fill_numbers(&cell, leaf);
        if (slice)
                cell.low = *slice;
        r = builder_add_text(p->b, leaf->name, &cell.name);
        if (r < 0)
                return r;
        if (length <= SM_PREDICATE_INLINE && leaf->kind != SM_MATCH_SOURCE) {
                cell.text.length = (__u32) length;
                if (length > 0)
                        memcpy(cell.inline_bytes, leaf->text, length);
        } else {
                r = builder_add_text(p->b, leaf->text, &cell.text);
                if (r < 0)
                        return r;
        }
        memcpy(builder_at(p->b, p->first + p->n++), &cell, sizeof(cell));
        return 0;
}

/* Any of the managed slices that the name stands for; no slice at all has the id SM_SLICES_MAX. */
static int emit_slices(Program *p, const PolicyMatch *leaf, uint16_t yes, uint16_t no) {
        const PolicyBinding *binding = p->b->binding;
        size_t left = count_slices(binding, leaf->text);
        int64_t id = SM_SLICES_MAX;
        int r = 0;

        if (left == 0)
                return emit(p, leaf, yes, no, &id);
        for (size_t i = 0; r >= 0 && left > 0; i++) {
                if (!slice_is_within(binding->slices[i].name, leaf->text))
                        continue;
                id = binding->slices[i].id;
                r = emit(p, leaf, yes, --left > 0 ? (uint16_t) (p->n + 1) : no, &id);
        }
        return r;
}

static int emit_match(Program *p, const PolicyMatch *m, uint16_t yes, uint16_t no);

static int emit_children(Program *p, const PolicyMatch *m, uint16_t yes, uint16_t no) {
        bool any = m->join == MATCH_ANY || m->join == MATCH_VALUES;
        size_t left = m->n_children;
        int r = 0;

        for (enum cost cost = 0; cost < _COST_MAX; cost++)
                for (size_t i = 0; r >= 0 && i < m->n_children; i++) {
                        const PolicyMatch *child = &m->children[i];
                        uint16_t next;

                        if (match_cost(child) != cost)
                                continue;
                        next = (uint16_t) (p->n + match_size(p->b, child));
                        if (--left == 0)
                                next = any ? no : yes;
                        r = emit_match(p, child, any ? yes : next, any ? next : no);
                }
        return r;
}

static int emit_match(Program *p, const PolicyMatch *m, uint16_t yes, uint16_t no) {
        switch (m->join) {
        case MATCH_LEAF:
                return m->kind == SM_MATCH_SLICE ? emit_slices(p, m, yes, no) : emit(p, m, yes, no, NULL);
        case MATCH_NOT:
                return emit_match(p, &m->children[0], no, yes);
        default:
                return emit_children(p, m, yes, no);
        }
}

int compile_match(Builder *b, const PolicyMatch *match, uint32_t *ret, uint16_t *ret_n) {
        uint32_t n = match ? match_size(b, match) : 0;
        Program p = { .b = b };
        int r;

        if (n > SM_PREDICATES_MAX)
                return -E2BIG;
        if (n > 0) {
                r = builder_add(b, n, &p.first);
                if (r >= 0)
                        r = emit_match(&p, match, SM_GOTO_MATCHED, SM_GOTO_FAILED);
                if (r < 0)
                        return r;
        }
        *ret = p.first;
        *ret_n = (uint16_t) n;
        return 0;
}
