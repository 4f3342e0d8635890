/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "engine-compare.h"
#include "engine-decode.h"

/* Whether a value is what a predicate asks for. */

/* Further ways to go over a value, beside enum sm_predicate_op. */
enum sm_judge_op {
        SM_JUDGE_MEASURE = _SM_OP_MAX, /* only count its bytes */
        SM_JUDGE_TOKEN, /* it is the token of a JSON pointer at `cursor`: up to the next '/' (RFC 6901) */
};

/* Numbers are those between -(2^63 - 1) and 2^63 - 1; of what is none, `differ` says so. */
static inline void sm_judge_digit(struct sm_judge *j, __u8 c) {
        if (c == '-' && j->n == 0) {
                j->negative = 1;
                return;
        }
        if (!sm_is_digit(c) || j->magnitude > (0x7fffffffffffffffULL - (__u64) (c - '0')) / 10)
                j->differ = 1;
        j->magnitude = j->magnitude * 10 + (__u64) (c - '0');
        j->digits = 1;
}

static inline __s32 sm_judge_text(const struct sm_match *m, __u32 i) {
        const struct sm_text_place *text = &m->w->judge.text;

        return i < text->length ? sm_text_at(m->t, text->cell, text->start + i) : -1;
}

static inline void sm_judge_byte(const struct sm_match *m, __u8 c) {
        struct sm_judge *j = &m->w->judge;
        __s32 wanted;

        if (j->op == SM_OP_RANGE) {
                sm_judge_digit(j, c);
        } else if (j->op != SM_JUDGE_MEASURE && j->n >= j->skip) {
                wanted = sm_judge_text(m, j->cursor);
                if (j->op == SM_JUDGE_TOKEN && wanted == '~') {
                        j->cursor++;
                        wanted = sm_judge_text(m, j->cursor) == '1' ? '/' : '~';
                } else if (j->op == SM_JUDGE_TOKEN && wanted == '/') {
                        wanted = -1;
                }
                if (wanted != c && (j->op != SM_OP_PREFIX || j->cursor < j->text.length))
                        j->differ = 1;
                j->cursor++;
        }
        j->n++;
}

/* One decoded byte. */
static inline long sm_judge_step(__u32 i, void *context) {
        struct sm_match *m = context;
        struct sm_judge *j = &m->w->judge;
        struct sm_decoded decoded;

        if (j->n_pending == 0) {
                if (j->at >= j->end)
                        return 1;
                sm_decode(m->bytes, j->at, j->end, j->coding, &decoded);
                j->at += decoded.used;
                j->pending = decoded.bytes;
                j->n_pending = decoded.n;
        }
        sm_judge_byte(m, (__u8) j->pending);
        j->pending >>= 8;
        j->n_pending--;
        return j->differ != 0;
}

/* Goes over a value, with text, cursor and skip set; `offset` is where it stands. */
static inline void sm_judge_run(struct sm_match *m, __u32 op, __u32 offset, __u32 length, __u32 coding) {
        struct sm_judge *j = &m->w->judge;

        j->at = offset;
        j->end = offset + length;
        j->n_pending = 0;
        j->coding = coding;
        j->op = op;
        j->n = j->differ = j->negative = j->digits = 0;
        j->magnitude = 0;
        if (length > 0)
                sm_loop(length, sm_judge_step, m);
}

/* A function of its own, as it is used in many places. Whether the text is what the value says, all of
 * it. */
SM_FRAME int sm_judge_equal(struct sm_match *m, __u32 op, __u32 offset, __u32 length, __u32 coding) {
        struct sm_judge *j = &m->w->judge;

        sm_judge_run(m, op, offset, length, coding);
        return !j->differ && (op == SM_OP_PREFIX ? j->cursor >= j->text.length :
                              op == SM_OP_RANGE  ? j->digits != 0 :
                                                   j->cursor == j->text.length);
}

static inline int sm_judge_range(struct sm_match *m, __u32 offset, __u32 length, __u32 coding) {
        const struct sm_judge *j = &m->w->judge;
        __s64 value;

        if (!sm_judge_equal(m, SM_OP_RANGE, offset, length, coding))
                return 0;
        value = j->negative ? -(__s64) j->magnitude : (__s64) j->magnitude;
        return value >= m->p->low && value <= m->p->high;
}

/* Regular expressions see what a value says. */
SM_FRAME enum sm_verdict sm_judge_regex(struct sm_match *m, __u32 offset, __u32 length, __u32 coding) {
        __u8 text[SM_REGEX_TEXT_MAX];
        struct sm_decoded decoded;
        __u32 n = 0;

        if (!sm_regex_is_there(m->t) || length > SM_REGEX_TEXT_MAX)
                return SM_VERDICT_UNDECIDED;
        if (coding == SM_CODING_NONE)
                return (enum sm_verdict) sm_regex_run(m->t, m->w->search.cell, m->bytes + offset, length);
        for (__u32 i = offset; i < offset + length; i += decoded.used) {
                sm_decode(m->bytes, i, offset + length, coding, &decoded);
                for (; decoded.n > 0; decoded.n--, decoded.bytes >>= 8)
                        text[n++] = (__u8) decoded.bytes;
        }
        return (enum sm_verdict) sm_regex_run(m->t, m->w->search.cell, text, n);
}
