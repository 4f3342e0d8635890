/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "engine-content.h"

/*
 * Where a walk through a JSON document stands to a JSON pointer (RFC 6901), whose text is find.name.
 * `matched` of the containers that are open are those that the pointer goes through; the next token begins
 * at `token`.
 *
 * Of names that an object has more than once the last one counts, as with most parsers.
 */

enum sm_json_found {
        SM_JSON_NOTHING,
        SM_JSON_STRING,
        SM_JSON_SCALAR, /* number, true, false or null */
        SM_JSON_CONTAINER,
};

#define SM_JSON_NO_ELEMENT (~0U)
#define SM_JSON_DIGITS_MAX 5 /* of an element's number: all that can be in SM_BODY_LOOK_MAX */

static inline __s32 sm_pointer_at(const struct sm_match *m, __u32 i) {
        const struct sm_text_place *pointer = &m->w->find.name;

        return i < pointer->length ? sm_text_at(m->t, pointer->cell, i) : -1;
}

/* The innermost container is one that the pointer goes through, and goes on in. */
static inline int sm_pointer_is_here(const struct sm_match *m) {
        const struct sm_json *j = &m->w->json;

        return j->level > 0 && j->matched == j->level - 1 && j->token < m->w->find.name.length;
}

static inline void sm_pointer_go_on(struct sm_json *j, __u32 token) {
        j->matched = j->level;
        j->token = token;
        j->found = SM_JSON_NOTHING;
}

static inline long sm_pointer_digit_step(__u32 i, void *context) {
        struct sm_match *m = context;
        struct sm_json *j = &m->w->json;
        __s32 c = sm_pointer_at(m, j->next);

        if (c < '0' || c > '9' || (i == 1 && j->target == 0))
                return 1;
        j->target = j->target * 10 + (__u32) (c - '0');
        j->next++;
        return 0;
}

/* In an array that was just opened: which element the token stands for. */
SM_FRAME void sm_pointer_read_element(struct sm_match *m) {
        struct sm_json *j = &m->w->json;
        __s32 c;

        j->element = 0;
        j->target = 0;
        j->next = j->token + 1;
        sm_loop(SM_JSON_DIGITS_MAX, sm_pointer_digit_step, m);
        c = sm_pointer_at(m, j->next);
        if (j->next == j->token + 1 || (c != '/' && c >= 0))
                j->target = SM_JSON_NO_ELEMENT;
}

/* The name from `start` on was read. */
SM_FRAME void sm_pointer_read_name(struct sm_match *m, __u32 end) {
        struct sm_json *j = &m->w->json;
        struct sm_judge *judge = &m->w->judge;
        __s32 c;

        judge->text = m->w->find.name;
        judge->cursor = j->token + 1;
        judge->skip = 0;
        (void) sm_judge_equal(m, SM_JUDGE_TOKEN, j->start, end - j->start, SM_CODING_JSON);
        if (judge->differ)
                return;
        c = sm_pointer_at(m, judge->cursor);
        if (c < 0 || c == '/')
                sm_pointer_go_on(j, judge->cursor);
}

static inline long sm_pointer_back_step(__u32 i, void *context) {
        struct sm_match *m = context;
        struct sm_json *j = &m->w->json;

        j->next--;
        return sm_pointer_at(m, j->next) == '/';
}

/* The value that the pointer went through, or to, has ended. */
SM_FRAME void sm_pointer_go_back(struct sm_match *m) {
        struct sm_json *j = &m->w->json;

        if (j->level == 0 || j->matched != j->level)
                return;
        j->matched--;
        j->target = SM_JSON_NO_ELEMENT;
        j->next = j->token;
        if (j->token > 0)
                sm_loop(j->token, sm_pointer_back_step, m);
        j->token = j->next;
}

/* A value begins: whether it is the one. */
static inline void sm_pointer_enter(struct sm_match *m) {
        struct sm_json *j = &m->w->json;

        if (sm_pointer_is_here(m) && !(j->objects & 1) && j->element == j->target)
                sm_pointer_go_on(j, j->next);
        j->taken = j->matched == j->level && j->token == m->w->find.name.length;
}
