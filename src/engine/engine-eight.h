/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "engine-text.h"

/*
 * Eight bytes at a time, the first of them the lowest. What flags bytes sets the highest bit of each; beyond
 * the first one that is flagged there may be others that should not be.
 */

#define SM_EACH_BYTE(c) (0x0101010101010101ULL * (c))

static inline __u64 sm_flag_below(__u64 eight, __u8 c) {
        return (eight - SM_EACH_BYTE(c)) & ~eight & SM_EACH_BYTE(0x80);
}

static inline __u64 sm_flag_equal(__u64 eight, __u8 c) {
        return sm_flag_below(eight ^ SM_EACH_BYTE(c), 1);
}

/* Control characters, HTAB included: below SP, and DEL. */
static inline __u64 sm_flag_control(__u64 eight) {
        return sm_flag_below(eight, ' ') | sm_flag_equal(eight, 0x7f);
}

/* What is not in a target (sm_is_target()), and '?'. */
static inline __u64 sm_flag_no_target(__u64 eight) {
        return sm_flag_below(eight, ' ' + 1) | (eight & SM_EACH_BYTE(0x80)) | sm_flag_equal(eight, 0x7f) |
               sm_flag_equal(eight, '#') | sm_flag_equal(eight, '?');
}

/* All but letters, digits, '-' and '.', which tokens and hosts have in common. Exact for each byte. */
static inline __u64 sm_flag_no_word(__u64 eight) {
        __u64 low = eight & SM_EACH_BYTE(0x7f), letter = low | SM_EACH_BYTE(0x20);
        __u64 is_letter = (letter + SM_EACH_BYTE(0x80 - 'a')) & ~(letter + SM_EACH_BYTE(0x7f - 'z'));
        __u64 is_other = (low + SM_EACH_BYTE(0x80 - '-')) & ~(low + SM_EACH_BYTE(0x7f - '9'));
        __u64 is_slash = ~((low ^ SM_EACH_BYTE('/')) + SM_EACH_BYTE(0x7f));

        return (~(is_letter | (is_other & ~is_slash)) | eight) & SM_EACH_BYTE(0x80);
}

static inline __u64 sm_flag_no_digit(__u64 eight) {
        __u64 low = eight & SM_EACH_BYTE(0x7f);
        __u64 is_digit = (low + SM_EACH_BYTE(0x80 - '0')) & ~(low + SM_EACH_BYTE(0x7f - '9'));

        return (~is_digit | eight) & SM_EACH_BYTE(0x80);
}

/* With capital letters made small. Exact for each byte. */
static inline __u64 sm_lower_eight(__u64 eight) {
        __u64 low = eight & SM_EACH_BYTE(0x7f);
        __u64 is_capital = (low + SM_EACH_BYTE(0x80 - 'A')) & ~(low + SM_EACH_BYTE(0x7f - 'Z')) & ~eight;

        return eight | (is_capital & SM_EACH_BYTE(0x80)) >> 2;
}

/* What the first `n` bytes say, 1 ... 8 digits: neighbours are put together, and then those neighbours. */
static inline __u32 sm_decimal(__u64 eight, __u32 n) {
        __u64 v = (eight - SM_EACH_BYTE('0')) << (64 - 8 * n);

        v = v * 10 + (v >> 8);
        v = (v & 0xff000000ff) * (100 + (1000000ULL << 32)) +
            ((v >> 16) & 0xff000000ff) * (1 + (10000ULL << 32));
        return (__u32) (v >> 32);
}

/* How many bytes there are before the first one that is flagged: 0 ... 8. */
static inline __u32 sm_first_flagged(__u64 flags) {
        flags >>= 7;
        return (__u32) (((((flags & -flags) - 1) & SM_EACH_BYTE(1)) * SM_EACH_BYTE(1)) >> 56);
}

/* The first `n` bytes, 0 ... 8. */
static inline __u64 sm_low_bytes(__u32 n) {
        return n > 0 ? ~0ULL >> (64 - 8 * n) : 0;
}

/* The end of the run of text from `i` on, at most `end`. */
static inline __u32 sm_run_of_text(const __u8 *bytes, __u32 i, __u32 end) {
        __u64 eight;

        for (; i + 8 <= end; i += 8) {
                __builtin_memcpy(&eight, bytes + i, 8);
                if (sm_flag_control(eight))
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
        return (eight | SM_EACH_BYTE(0x20)) & sm_low_bytes(n < 8 ? n : 8);
}
