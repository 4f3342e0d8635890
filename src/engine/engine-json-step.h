/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "engine-json.h"

/* The steps of a walk through a JSON document. */

static inline void sm_json_string(struct sm_match *m) {
        struct sm_json *j = &m->w->json;
        __u32 n = sm_run_until(m->bytes, j->at, j->end, SM_STOPS('"', '\\', ' ')), left;
        __u8 c;

        j->at += n;
        left = j->end - j->at;
        if (left == 0 || n == SM_WINDOW)
                return;
        c = sm_copy_byte(m->bytes, j->at);
        if (c == '\\') {
                n = sm_json_escape(m, j->at, left);
                j->at += n < left ? n : left;
                if (n == 0)
                        j->state = SM_JSON_BAD;
                return;
        }
        j->at++;
        if (c != '"') { /* a control character */
                j->state = SM_JSON_BAD;
        } else if (!j->is_key) {
                sm_json_value_ends(j, SM_JSON_STRING, j->at - 1);
        } else {
                j->state = SM_JSON_COLON;
                if (sm_pointer_is_here(m))
                        sm_pointer_read_name(m, j->at - 1);
        }
}

static inline void sm_json_open_string(struct sm_json *j, __u32 is_key) {
        j->at++;
        j->start = j->at;
        j->is_key = is_key;
        j->state = SM_JSON_IN_STRING;
}

static inline void sm_json_open(struct sm_match *m, int object) {
        struct sm_json *j = &m->w->json;

        if (j->taken)
                j->found = SM_JSON_CONTAINER;
        j->taken = 0;
        j->at++;
        j->objects = j->objects << 1 | (__u64) object;
        j->level++;
        j->state = object ? SM_JSON_NAME_OR_END : SM_JSON_VALUE_OR_END;
        if (j->level > SM_JSON_DEPTH_MAX)
                j->state = SM_JSON_BAD;
        else if (!object && sm_pointer_is_here(m))
                sm_pointer_read_element(m);
}

static inline void sm_json_close(struct sm_json *j, __u8 c) {
        if (j->level == 0 || c != (j->objects & 1 ? '}' : ']')) {
                j->state = SM_JSON_BAD;
                return;
        }
        j->at++;
        j->objects >>= 1;
        j->level--;
        j->state = j->level > 0 ? SM_JSON_NEXT : SM_JSON_END;
}

/* true, false or null. */
static inline void sm_json_literal(struct sm_match *m, __u8 c) {
        struct sm_json *j = &m->w->json;
        __u64 eight = sm_copy_eight(m->bytes, j->at, j->end);
        __u32 length = c == 'f' ? 5 : 4, left = j->end - j->at;
        __u64 text = c == 'f'   ? SM_LITERAL_PART("false", 0) :
                     c == 't'   ? SM_LITERAL_PART("true", 0) :
                                  SM_LITERAL_PART("null", 0);

        if (((eight ^ text) & sm_low_bytes(left < length ? left : length)) != 0) {
                j->state = SM_JSON_BAD;
                return;
        }
        j->at += left < length ? left : length;
        if (left >= length)
                sm_json_value_ends(j, SM_JSON_SCALAR, j->at);
}

static inline void sm_json_value(struct sm_match *m, __u8 c) {
        struct sm_json *j = &m->w->json;

        if (c == ']' && j->state == SM_JSON_VALUE_OR_END) {
                sm_json_close(j, c);
                return;
        }
        sm_pointer_enter(m);
        j->start = j->at;
        if (c == '"') {
                sm_json_open_string(j, 0);
        } else if (c == '{' || c == '[') {
                sm_json_open(m, c == '{');
        } else if (c == '-' || sm_is_digit(c)) {
                j->state = c == '-' ? SM_JSON_MINUS : c == '0' ? SM_JSON_ZERO : SM_JSON_DIGITS;
                j->at++;
        } else if (c == 't' || c == 'f' || c == 'n') {
                sm_json_literal(m, c);
        } else {
                j->state = SM_JSON_BAD;
        }
}

static inline void sm_json_next(struct sm_match *m, __u8 c) {
        struct sm_json *j = &m->w->json;

        sm_pointer_go_back(m);
        if (c != ',') {
                sm_json_close(j, c);
                return;
        }
        j->at++;
        j->state = j->objects & 1 ? SM_JSON_NAME : SM_JSON_VALUE;
        if (sm_pointer_is_here(m))
                j->element++;
}

static inline void sm_json_punctuation(struct sm_match *m, __u8 c) {
        struct sm_json *j = &m->w->json;

        if (j->state == SM_JSON_NEXT) {
                sm_json_next(m, c);
        } else if (j->state == SM_JSON_COLON && c == ':') {
                j->at++;
                j->state = SM_JSON_VALUE;
        } else if (j->state != SM_JSON_COLON && j->state != SM_JSON_END && c == '"') {
                sm_json_open_string(j, 1);
        } else if (j->state == SM_JSON_NAME_OR_END) {
                sm_json_close(j, c);
        } else {
                j->state = SM_JSON_BAD;
        }
}
