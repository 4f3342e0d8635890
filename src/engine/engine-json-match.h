/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "engine-json-step.h"

/* Predicates of JSON documents. */

static inline long sm_json_step(__u32 i, void *context) {
        struct sm_match *m = context;
        struct sm_json *j = &m->w->json;
        __u8 c;

        if (j->at >= j->end || j->state == SM_JSON_BAD)
                return 1;
        if (j->state == SM_JSON_IN_STRING) {
                sm_json_string(m);
                return 0;
        }
        c = sm_copy_byte(m->bytes, j->at);
        if (j->state >= SM_JSON_MINUS)
                sm_json_number(j, c);
        else if (sm_is_space(c) || c == '\r' || c == '\n')
                j->at++;
        else if (j->state <= SM_JSON_VALUE_OR_END)
                sm_json_value(m, c);
        else
                sm_json_punctuation(m, c);
        return 0;
}

static inline void sm_json_start(struct sm_json *j, const struct sm_look *look) {
        __builtin_memset(j, 0, sizeof(*j));
        j->state = SM_JSON_VALUE;
        j->at = look->offset;
        j->end = look->offset + look->length;
}

static inline int sm_json_number_may_end(__u32 state) {
        return state == SM_JSON_ZERO || state == SM_JSON_DIGITS || state == SM_JSON_FRACTION ||
               state == SM_JSON_EXPONENT;
}

static inline enum sm_verdict sm_json_decide(struct sm_match *m) {
        const struct sm_json *j = &m->w->json;

        if (j->found == SM_JSON_NOTHING || (j->found == SM_JSON_CONTAINER && m->p->op != SM_OP_PRESENT))
                return SM_VERDICT_NO;
        return sm_decide(m, j->found_start, j->found_end - j->found_start,
                         j->found == SM_JSON_STRING ? SM_CODING_JSON : SM_CODING_NONE);
}

/* What find.name points to; in a document that is all there, and nothing else. */
SM_FRAME enum sm_verdict sm_match_json(struct sm_match *m) {
        struct sm_json *j = &m->w->json;
        enum sm_verdict verdict;
        struct sm_look look;

        sm_look_at_body(m, &look);
        sm_json_start(j, &look);
        if (look.length > 0) /* each byte, and at the end of a number once more */
                sm_loop(2 * look.length, sm_json_step, m);
        if (!look.open && j->level == 0 && sm_json_number_may_end(j->state))
                sm_json_value_ends(j, SM_JSON_SCALAR, j->end);
        if (j->state != SM_JSON_END)
                return look.open && j->state != SM_JSON_BAD ? SM_VERDICT_UNDECIDED : SM_VERDICT_NO;
        verdict = sm_json_decide(m);
        return verdict == SM_VERDICT_YES && look.open ? SM_VERDICT_UNDECIDED : verdict;
}
