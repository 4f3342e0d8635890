/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "engine-request.h"
#include "engine-text.h"

/* What a value says: queries and forms (WHATWG URL, section 5.1) and JSON strings (RFC 8259, section 7). */

/* Up to four bytes, the first of them lowest, that `used` raw bytes stand for. */
struct sm_decoded {
        __u32 bytes;
        __u32 n;
        __u32 used;
};

static inline __u32 sm_hex_value(__u8 c) {
        return (c & 15) + (c >> 6) * 9U;
}

/* '%' without two digits behind it stands for itself. */
static inline void sm_decode_form(const __u8 *bytes, __u32 at, __u32 end, struct sm_decoded *ret) {
        __u8 c = sm_copy_byte(bytes, at), high = 0, low = 0;

        if (c == '%' && end - at > 2) {
                high = sm_copy_byte(bytes, at + 1);
                low = sm_copy_byte(bytes, at + 2);
        }
        ret->n = 1;
        ret->used = sm_is_hex(high) && sm_is_hex(low) ? 3 : 1;
        if (ret->used == 3)
                ret->bytes = sm_hex_value(high) << 4 | sm_hex_value(low);
        else
                ret->bytes = c == '+' ? ' ' : c;
}

static inline __u32 sm_decode_unit(const __u8 *bytes, __u32 at) {
        return sm_hex_value(sm_copy_byte(bytes, at)) << 12 | sm_hex_value(sm_copy_byte(bytes, at + 1)) << 8 |
               sm_hex_value(sm_copy_byte(bytes, at + 2)) << 4 | sm_hex_value(sm_copy_byte(bytes, at + 3));
}

/* A code point in UTF-8. */
static inline void sm_encode(__u32 code, struct sm_decoded *ret) {
        __u32 last = 0x80 | (code & 0x3f), before = 0x80 | (code >> 6 & 0x3f);

        if (code < 0x80) {
                ret->n = 1;
                ret->bytes = code;
        } else if (code < 0x800) {
                ret->n = 2;
                ret->bytes = 0xc0 | code >> 6 | last << 8;
        } else if (code < 0x10000) {
                ret->n = 3;
                ret->bytes = 0xe0 | code >> 12 | before << 8 | last << 16;
        } else {
                ret->n = 4;
                ret->bytes = 0xf0 | code >> 18 | (0x80 | (code >> 12 & 0x3f)) << 8 | before << 16 |
                             last << 24;
        }
}

/* Behind a backslash: what it stands for, but for 'u'. */
static inline __u8 sm_json_escaped(__u8 c) {
        switch (c) {

        case 'b':
                return '\b';

        case 'f':
                return '\f';

        case 'n':
                return '\n';

        case 'r':
                return '\r';

        case 't':
                return '\t';

        default:
                return c; /* a quotation mark, '\\', '/' */
        }
}

/* Of a string in which every escape is whole and every surrogate has its other half. */
static inline void sm_decode_json(const __u8 *bytes, __u32 at, struct sm_decoded *ret) {
        __u8 c = sm_copy_byte(bytes, at);
        __u32 code;

        ret->n = ret->used = 1;
        ret->bytes = c;
        if (c != '\\')
                return;
        c = sm_copy_byte(bytes, at + 1);
        ret->used = 2;
        ret->bytes = sm_json_escaped(c);
        if (c != 'u')
                return;
        code = sm_decode_unit(bytes, at + 2);
        ret->used = 6;
        if (code >> 10 == 0xd800 >> 10) {
                code = 0x10000 + ((code & 0x3ff) << 10 | (sm_decode_unit(bytes, at + 8) & 0x3ff));
                ret->used = 12;
        }
        sm_encode(code, ret);
}

static inline void sm_decode(const __u8 *bytes, __u32 at, __u32 end, __u32 coding, struct sm_decoded *ret) {
        if (coding == SM_CODING_FORM) {
                sm_decode_form(bytes, at, end, ret);
        } else if (coding == SM_CODING_JSON) {
                sm_decode_json(bytes, at, ret);
        } else {
                ret->bytes = sm_copy_byte(bytes, at);
                ret->n = ret->used = 1;
        }
}
