/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "engine-decide.h"

/* Header fields of one name, each of which is given to the predicate until one satisfies it. */

static inline void sm_find_start(struct sm_match *m, const struct sm_text_place *name) {
        struct sm_find *f = &m->w->find;

        f->name = *name;
        f->coding = SM_CODING_NONE;
        f->open = 0;
        f->verdict = SM_VERDICT_NO;
}

/* A value of that name was found: 1 if nothing else has to be looked at. */
static inline long sm_find_decide(struct sm_match *m) {
        struct sm_find *f = &m->w->find;

        f->verdict = sm_decide(m, f->value_offset, f->value_length, f->coding);
        return f->verdict != SM_VERDICT_NO;
}

/* Whether field `i` has that name; then its value is in find.value_*. */
static inline int sm_find_in_field(struct sm_match *m, __u32 i) {
        struct sm_find *f = &m->w->find;
        const struct sm_field *field;

        if (i >= SM_HEAD_FIELDS_MAX)
                return 0;
        field = &m->q->head->fields[i];
        if (field->name.length != f->name.length)
                return 0;
        m->w->compare.text = f->name;
        f->value_offset = field->value.offset;
        f->value_length = field->value.length;
        return sm_text_stands(m, field->name.offset, 1);
}

static inline long sm_find_field_step(__u32 i, void *context) {
        return sm_find_in_field(context, i) ? sm_find_decide(context) : 0;
}

SM_FRAME enum sm_verdict sm_find_field(struct sm_match *m) {
        if (m->q->head->n_fields > 0)
                sm_loop(m->q->head->n_fields, sm_find_field_step, m);
        return (enum sm_verdict) m->w->find.verdict;
}
