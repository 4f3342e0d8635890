/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "engine-pairs.h"

/*
 * Predicates of a request's body. They look at its first sm_predicate.first bytes as if it had no more. As
 * long as fewer are there and more may come, what is not certain yet is SM_VERDICT_UNDECIDED.
 */

struct sm_look {
        __u32 offset; /* relative to m->bytes */
        __u32 length;
        __u32 open; /* more may come that is to be looked at */
};

static inline void sm_look_at_body(struct sm_match *m, struct sm_look *ret) {
        const struct sm_request *q = m->q;

        m->bytes = sm_body_bytes(q);
        ret->offset = sm_body_offset(q);
        ret->length = q->body_length < m->p->first ? q->body_length : m->p->first;
        ret->open = q->body_length < m->p->first && !q->body_complete;
}

/* From one byte that could be the first of the text to the next. */
static inline long sm_content_step(__u32 i, void *context) {
        struct sm_match *m = context;
        struct sm_find *f = &m->w->find;
        __u8 first = (__u8) f->equals;
        __u32 n;

        if (f->at >= f->end)
                return 1;
        n = sm_run_until(m->bytes, f->at, f->end, SM_STOPS(first, first, 0));
        f->at += n;
        if (f->end - f->at < f->name.length)
                return 1;
        if (n >= SM_WINDOW)
                return 0;
        m->w->compare.text = f->name;
        if (sm_text_stands(m, f->at, 0)) {
                f->verdict = SM_VERDICT_YES;
                return 1;
        }
        f->at++;
        return 0;
}

/* The text stands anywhere. */
SM_FRAME enum sm_verdict sm_match_content(struct sm_match *m) {
        struct sm_find *f = &m->w->find;
        struct sm_look look;
        __s32 first;

        sm_look_at_body(m, &look);
        sm_predicate_text(m, &f->name);
        first = sm_text_at(m->t, f->name.cell, f->name.start);
        if (f->name.length == 0)
                return SM_VERDICT_YES;
        f->verdict = SM_VERDICT_NO;
        f->at = look.offset;
        f->end = look.offset + look.length;
        f->equals = (__u32) first;
        if (first >= 0 && look.length > 0)
                sm_loop(look.length, sm_content_step, m);
        if (f->verdict == SM_VERDICT_NO && look.open)
                return SM_VERDICT_UNDECIDED;
        return (enum sm_verdict) f->verdict;
}

#define SM_FORM_TYPE_LENGTH 33U /* application/x-www-form-urlencoded */

static inline int sm_form_part(const struct sm_match *m, __u32 at, __u64 part) {
        return sm_lower_eight(sm_copy_eight(m->bytes, at, at + 8)) == part;
}

/* Content-Type is that of a form, whatever its parameters. */
static inline long sm_form_type_step(__u32 i, void *context) {
        struct sm_match *m = context;
        const struct sm_field *field;
        struct sm_span v;
        __u8 last;

        if (i >= SM_HEAD_FIELDS_MAX)
                return 1;
        field = &m->q->head->fields[i];
        v = field->name;
        if (v.length != 12 || !sm_form_part(m, v.offset + 0U, SM_LITERAL_PART("content-type", 0)) ||
            !sm_form_part(m, v.offset + 4U, SM_LITERAL_PART("content-type", 4)))
                return 0;
        v = field->value;
        if (v.length < SM_FORM_TYPE_LENGTH)
                return 1;
        last = v.length > SM_FORM_TYPE_LENGTH ? sm_copy_byte(m->bytes, v.offset + SM_FORM_TYPE_LENGTH) : ';';
        m->w->find.verdict = sm_form_part(m, v.offset + 0U, SM_LITERAL_PART("applicat", 0)) &&
                             sm_form_part(m, v.offset + 8U, SM_LITERAL_PART("ion/x-ww", 0)) &&
                             sm_form_part(m, v.offset + 16U, SM_LITERAL_PART("w-form-u", 0)) &&
                             sm_form_part(m, v.offset + 24U, SM_LITERAL_PART("rlencode", 0)) &&
                             sm_form_part(m, v.offset + 25U, SM_LITERAL_PART("lencoded", 0)) &&
                             (last == ';' || sm_is_space(last));
        return 1;
}

SM_FRAME int sm_form_is_one(struct sm_match *m) {
        m->w->find.verdict = SM_VERDICT_NO;
        m->bytes = m->q->bytes;
        if (m->q->head->n_fields > 0)
                sm_loop(m->q->head->n_fields, sm_form_type_step, m);
        return m->w->find.verdict != SM_VERDICT_NO;
}

/* Any field of that name; with find.name set. One that may go on is not looked at. */
static inline enum sm_verdict sm_match_form(struct sm_match *m) {
        enum sm_verdict verdict;
        struct sm_look look;

        if (!sm_form_is_one(m))
                return SM_VERDICT_NO;
        sm_look_at_body(m, &look);
        m->w->find.verdict = SM_VERDICT_NO;
        m->w->find.open = look.open;
        verdict = sm_find_parameter(m, look.offset, look.length);
        return verdict == SM_VERDICT_NO && look.open ? SM_VERDICT_UNDECIDED : verdict;
}
