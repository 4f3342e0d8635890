/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "engine-text.h"

/* Eight bytes at a time, in user space. */

#define SM_EACH_BYTE(c) (0x0101010101010101ULL * (c))

/* Whether any of eight bytes is a control character, HTAB included: one below SP, or DEL. */
static inline int sm_has_control(__u64 eight) {
        __u64 del = eight ^ SM_EACH_BYTE(0x7f);
        __u64 below = (eight - SM_EACH_BYTE(' ')) & ~eight, zero = (del - SM_EACH_BYTE(1)) & ~del;

        return ((below | zero) & SM_EACH_BYTE(0x80)) != 0;
}

/* The end of the run of text from `i` on, at most `end`. */
static inline __u32 sm_run_of_text(const __u8 *bytes, __u32 i, __u32 end) {
        __u64 eight;

        for (; i + 8 <= end; i += 8) {
                __builtin_memcpy(&eight, bytes + i, 8);
                if (sm_has_control(eight))
                        break;
        }
        while (i < end && bytes[i] >= ' ' && bytes[i] != 0x7f)
                i++;
        return i;
}

/* Up to eight bytes of a name, as sm_word_add() would place them one by one. */
static inline __u64 sm_word_part(const __u8 *bytes, __u32 n) {
        __u64 eight;

        if (n == 0)
                return 0;
        __builtin_memcpy(&eight, bytes, 8);
        if (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__)
                eight = __builtin_bswap64(eight);
        return (eight | SM_EACH_BYTE(0x20)) & (~0ULL >> (n < 8 ? 64 - 8 * n : 0));
}
