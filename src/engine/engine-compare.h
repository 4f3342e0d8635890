/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "engine-eight.h"
#include "engine-request.h"

/* Texts of a policy against bytes of a request, eight at a time. */

/* Eight bytes of a text from byte `i` on, a multiple of 8; what is behind its end is of no meaning. They
 * are in one cell: texts start at multiples of 8, too. 0: the table does not reach there. */
static inline int sm_text_eight(const struct sm_tables *t, const struct sm_text_place *text, __u32 i,
                                __u64 *ret) {
        __u32 at = text->start + i;
        const struct sm_cell *c = sm_cell_at(t, text->cell + at / SM_CELL_SIZE);

        if (!c)
                return 0;
        *ret = sm_little_endian(*(const __u64 *) (c->bytes + (at & (SM_CELL_SIZE - 8))));
        return 1;
}

/* The first eight bytes, or as many as there are of it, of the text from byte `i` on: whether they stand at
 * the same place of the request. */
static inline int sm_compare_part(const struct sm_match *m, __u32 i) {
        const struct sm_compare *c = &m->w->compare;
        __u32 n = c->text.length - i;
        __u64 mask = sm_low_bytes(n < 8 ? n : 8), text, bytes;

        if (!sm_text_eight(m->t, &c->text, i, &text))
                return 0;
        bytes = sm_copy_eight(m->bytes, c->offset + i, c->offset + c->text.length);
        if (c->fold)
                bytes = sm_lower_eight(bytes);
        return ((text ^ bytes) & mask) == 0;
}

static inline long sm_compare_step(__u32 i, void *context) {
        struct sm_match *m = context;

        if (sm_compare_part(m, 8 * (i + 1)))
                return 0;
        m->w->compare.differ = 1;
        return 1;
}

/* Whether the text in w->compare stands at that offset. What differs mostly does so at the start. */
static inline int sm_text_stands(struct sm_match *m, __u32 offset, int fold) {
        struct sm_compare *c = &m->w->compare;

        c->offset = offset;
        c->fold = (__u32) fold;
        c->differ = 0;
        if (c->text.length == 0)
                return 1;
        if (!sm_compare_part(m, 0))
                return 0;
        if (c->text.length > 8)
                sm_loop((c->text.length - 1) / 8, sm_compare_step, m);
        return !c->differ;
}

/* Makes the predicate's text what is compared with. */
static inline void sm_predicate_text(const struct sm_match *m, struct sm_text_place *ret) {
        const struct sm_predicate *p = m->p;
        const struct sm_search *s = &m->w->search;

        ret->length = p->text.length;
        ret->cell = p->text.cell ? s->base + p->text.cell : s->cell;
        ret->start = p->text.cell ? 0 : __builtin_offsetof(struct sm_predicate, inline_bytes);
}

/* What ends a run: `a`, `b` and what is less than `low`. */
#define SM_STOPS(a, b, low) ((__u32) (a) | (__u32) (b) << 8 | (__u32) (low) << 16)

static inline __u32 sm_run_of_eight(const __u8 *bytes, __u32 at, __u32 end, __u32 stops) {
        __u64 eight = sm_copy_eight(bytes, at, end);

        return sm_first_flagged(sm_flag_equal(eight, (__u8) stops) |
                                sm_flag_equal(eight, (__u8) (stops >> 8)) |
                                sm_flag_below(eight, (__u8) (stops >> 16)));
}

/* How many bytes there are, at most SM_WINDOW, before the next one that is SM_STOPS(), or `end`. No loop:
 * Linux 6.1 may refuse what the compiler makes of one ("back-edge"); the test bpf-edges would tell. */
SM_FRAME __u32 sm_run_until(const __u8 *bytes, __u32 at, __u32 end, __u32 stops) {
        __u32 n = sm_run_of_eight(bytes, at, end, stops), left = end - at;

        if (n == 8)
                n += sm_run_of_eight(bytes, at + 8, end, stops);
        if (n == 16)
                n += sm_run_of_eight(bytes, at + 16, end, stops);
        if (n == 24)
                n += sm_run_of_eight(bytes, at + 24, end, stops);
        return n < left ? n : left;
}
