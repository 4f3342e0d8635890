/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "engine-judge.h"

/* A value and a predicate's operator. */

/* As they stand. */
static inline int sm_decide_raw(struct sm_match *m, __u32 op, __u32 offset, __u32 length) {
        struct sm_text_place *text = &m->w->compare.text;

        sm_predicate_text(m, text);
        if (op == SM_OP_EXACT ? length != text->length : length < text->length)
                return 0;
        return sm_text_stands(m, op == SM_OP_SUFFIX ? offset + length - text->length : offset, 0);
}

/* By what they say. */
static inline int sm_decide_decoded(struct sm_match *m, __u32 op, __u32 offset, __u32 length, __u32 coding) {
        struct sm_judge *j = &m->w->judge;

        sm_predicate_text(m, &j->text);
        j->cursor = j->skip = 0;
        if (op == SM_OP_SUFFIX) {
                (void) sm_judge_equal(m, SM_JUDGE_MEASURE, offset, length, coding);
                if (j->n < j->text.length)
                        return 0;
                j->skip = j->n - j->text.length;
        }
        return sm_judge_equal(m, op, offset, length, coding);
}

SM_FRAME enum sm_verdict sm_decide(struct sm_match *m, __u32 offset, __u32 length, __u32 coding) {
        __u32 op = m->p->op;
        int r;

        if (op == SM_OP_REGEX)
                return sm_judge_regex(m, offset, length, coding);
        if (op == SM_OP_PRESENT)
                r = 1;
        else if (op == SM_OP_RANGE)
                r = sm_judge_range(m, offset, length, coding);
        else if (coding == SM_CODING_NONE)
                r = sm_decide_raw(m, op, offset, length);
        else
                r = sm_decide_decoded(m, op, offset, length, coding);
        return r ? SM_VERDICT_YES : SM_VERDICT_NO;
}
