/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "engine-find.h"

/*
 * Pairs of name and value: cookies (RFC 6265, section 4.2.1), parameters of a query and fields of a form
 * (WHATWG URL, section 5.1). As in engine-find.h each of that name is looked at. A step goes over up to 32
 * bytes of a pair; at its end the pair is looked at as a whole.
 *
 * A parameter without '=' has an empty value; a cookie without is none. The name of a cookie begins behind
 * ';' and at most one space. Of cookies all Cookie fields are read.
 */

/* Whether the name of this pair is the one that is looked for. */
static inline int sm_pairs_is_named(struct sm_match *m) {
        const struct sm_find *f = &m->w->find;
        __u32 length = (f->equals ? f->equals - 1 : f->at) - f->start;

        if (f->coding == SM_CODING_FORM) {
                m->w->judge.text = f->name;
                m->w->judge.cursor = m->w->judge.skip = 0;
                return sm_judge_equal(m, SM_OP_EXACT, f->start, length, SM_CODING_FORM);
        }
        m->w->compare.text = f->name;
        return f->equals && length == f->name.length && sm_text_stands(m, f->start, 0);
}

static inline void sm_pairs_begin(struct sm_find *f, __u32 at) {
        f->start = f->at = at;
        f->equals = 0;
}

enum sm_pairs_turn {
        SM_PAIRS_GO_ON,
        SM_PAIRS_FOUND, /* a pair of that name; its value is in find.value_* */
        SM_PAIRS_END,
};

/* Goes on with the next Cookie field. */
static inline enum sm_pairs_turn sm_pairs_next_field(struct sm_match *m) {
        const struct sm_head *head = m->q->head;
        struct sm_find *f = &m->w->find;
        const struct sm_field *field;
        __u32 i = f->field;

        if (f->coding == SM_CODING_FORM || i >= head->n_fields)
                return SM_PAIRS_END;
        sm_forget(i);
        if (i >= SM_HEAD_FIELDS_MAX)
                return SM_PAIRS_END;
        f->field = i + 1;
        field = &head->fields[i];
        if (field->name.length != 6 ||
            (sm_lower_eight(sm_copy_eight(m->bytes, field->name.offset, field->name.offset + 6U)) &
             sm_low_bytes(6)) != SM_LITERAL_PART("cookie", 0))
                return SM_PAIRS_GO_ON;
        sm_pairs_begin(f, field->value.offset);
        f->end = field->value.offset + field->value.length;
        return SM_PAIRS_GO_ON;
}

/* The pair from `start` to `at` is whole: the next one begins behind it. */
static inline enum sm_pairs_turn sm_pairs_end_one(struct sm_match *m) {
        struct sm_find *f = &m->w->find;
        int found = sm_pairs_is_named(m);

        f->value_offset = f->equals ?: f->at;
        f->value_length = f->at - f->value_offset;
        sm_pairs_begin(f, f->at + 1);
        if (f->coding == SM_CODING_NONE && f->at < f->end && sm_copy_byte(m->bytes, f->at) == ' ')
                sm_pairs_begin(f, f->at + 1);
        return found ? SM_PAIRS_FOUND : SM_PAIRS_GO_ON;
}

static inline enum sm_pairs_turn sm_pairs_next(struct sm_match *m) {
        struct sm_find *f = &m->w->find;
        __u8 separator = f->coding == SM_CODING_FORM ? '&' : ';', c;

        if (f->start >= f->end)
                return sm_pairs_next_field(m);
        if (f->at < f->end)
                f->at += sm_run_until(m->bytes, f->at, f->end,
                                      SM_STOPS(separator, f->equals ? separator : '=', 0));
        if (f->at < f->end) {
                c = sm_copy_byte(m->bytes, f->at);
                if (c == '=' && !f->equals) {
                        f->at++;
                        f->equals = f->at;
                        return SM_PAIRS_GO_ON;
                }
                if (c != separator)
                        return SM_PAIRS_GO_ON;
        } else if (f->open) {
                return SM_PAIRS_END;
        }
        return sm_pairs_end_one(m);
}

static inline long sm_pairs_step(__u32 i, void *context) {
        enum sm_pairs_turn turn = sm_pairs_next(context);

        return turn == SM_PAIRS_FOUND ? sm_find_decide(context) : turn == SM_PAIRS_END;
}

/* Begins with the first Cookie field; so many steps are enough then, as each takes a byte or a field. */
static inline __u32 sm_pairs_start_cookies(struct sm_match *m) {
        const struct sm_head *head = m->q->head;
        struct sm_find *f = &m->w->find;

        f->start = f->end = 0;
        f->field = head->known[SM_FIELD_COOKIE] - 1U;
        return head->length + SM_HEAD_FIELDS_MAX;
}

/* Of all Cookie fields. */
SM_FRAME enum sm_verdict sm_find_cookie(struct sm_match *m) {
        if (m->q->head->known[SM_FIELD_COOKIE] == 0)
                return SM_VERDICT_NO;
        sm_loop(sm_pairs_start_cookies(m), sm_pairs_step, m);
        return (enum sm_verdict) m->w->find.verdict;
}

/* Of a query or form that stands there. */
SM_FRAME enum sm_verdict sm_find_parameter(struct sm_match *m, __u32 offset, __u32 length) {
        struct sm_find *f = &m->w->find;

        f->coding = SM_CODING_FORM;
        f->end = offset + length;
        sm_pairs_begin(f, offset);
        if (length > 0)
                sm_loop(length + 1, sm_pairs_step, m);
        return (enum sm_verdict) f->verdict;
}
