/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "engine-json-pointer.h"

/*
 * A walk through a JSON document (RFC 8259), to the end, so that what is malformed is known to be. Bytes
 * above 127 are taken as they are; a \u escape of half a surrogate pair is malformed.
 */

#define SM_JSON_DEPTH_MAX 64

enum sm_json_state {
        SM_JSON_VALUE,
        SM_JSON_VALUE_OR_END, /* behind '[' */
        SM_JSON_NAME,
        SM_JSON_NAME_OR_END, /* behind '{' */
        SM_JSON_COLON,
        SM_JSON_NEXT, /* behind a value in a container */
        SM_JSON_END,  /* behind the document */
        SM_JSON_IN_STRING,
        /* in numbers, behind what they are called by; a number may end in those with a star */
        SM_JSON_MINUS,
        SM_JSON_ZERO,     /* * */
        SM_JSON_DIGITS,   /* * */
        SM_JSON_POINT,
        SM_JSON_FRACTION, /* * */
        SM_JSON_E,
        SM_JSON_E_SIGN,
        SM_JSON_EXPONENT, /* * */
        SM_JSON_BAD,
};

static inline void sm_json_value_ends(struct sm_json *j, enum sm_json_found kind, __u32 end) {
        if (j->taken) {
                j->found = kind;
                j->found_start = j->start;
                j->found_end = end;
        }
        j->taken = 0;
        j->state = j->level > 0 ? SM_JSON_NEXT : SM_JSON_END;
}

static inline __u32 sm_json_number_state(__u32 state, __u8 c) {
        int e = (c | 0x20) == 'e';

        switch (state) {

        case SM_JSON_MINUS:
                return c == '0' ? SM_JSON_ZERO : sm_is_digit(c) ? SM_JSON_DIGITS : SM_JSON_BAD;

        case SM_JSON_ZERO:
                return c == '.' ? SM_JSON_POINT : e ? SM_JSON_E : SM_JSON_NEXT;

        case SM_JSON_DIGITS:
                return sm_is_digit(c) ? state : c == '.' ? SM_JSON_POINT : e ? SM_JSON_E : SM_JSON_NEXT;

        case SM_JSON_POINT:
                return sm_is_digit(c) ? SM_JSON_FRACTION : SM_JSON_BAD;

        case SM_JSON_FRACTION:
                return sm_is_digit(c) ? state : e ? SM_JSON_E : SM_JSON_NEXT;

        case SM_JSON_E:
                if (c == '+' || c == '-')
                        return SM_JSON_E_SIGN;
                return sm_is_digit(c) ? SM_JSON_EXPONENT : SM_JSON_BAD;

        case SM_JSON_E_SIGN:
                return sm_is_digit(c) ? SM_JSON_EXPONENT : SM_JSON_BAD;

        default:
                return sm_is_digit(c) ? state : SM_JSON_NEXT;
        }
}

/* What ends a number is looked at once more. */
static inline void sm_json_number(struct sm_json *j, __u8 c) {
        __u32 state = sm_json_number_state(j->state, c);

        if (state == SM_JSON_NEXT) {
                sm_json_value_ends(j, SM_JSON_SCALAR, j->at);
                return;
        }
        j->state = state;
        j->at++;
}

/* The code of \uXXXX at `at`; negative if it is none. */
static inline __s32 sm_json_unit(const struct sm_match *m, __u32 at) {
        __u32 hex = 0;

        for (__u32 i = 2; i < 6; i++)
                hex += (__u32) sm_is_hex(sm_copy_byte(m->bytes, at + i));
        if (hex < 4 || sm_copy_byte(m->bytes, at) != '\\' || sm_copy_byte(m->bytes, at + 1) != 'u')
                return -1;
        return (__s32) sm_decode_unit(m->bytes, at + 2);
}

/* Length of the escape at `at`, 0 if it is none; what is cut off by the end reaches beyond it. */
SM_FRAME __u32 sm_json_escape(const struct sm_match *m, __u32 at, __u32 left) {
        __u8 c = left > 1 ? sm_copy_byte(m->bytes, at + 1) : 'n';
        __s32 unit;

        if (c != 'u')
                return c == '"' || c == '\\' || c == '/' || c == 'b' || c == 'f' || c == 'n' || c == 'r' ||
                       c == 't' ? 2 : 0;
        if (left < 6)
                return 6;
        unit = sm_json_unit(m, at);
        if (unit < 0 || unit >> 10 == 0xdc00 >> 10)
                return 0;
        if (unit >> 10 != 0xd800 >> 10)
                return 6;
        if (left < 12)
                return 12;
        unit = sm_json_unit(m, at + 6);
        return unit >= 0 && unit >> 10 == 0xdc00 >> 10 ? 12 : 0;
}
