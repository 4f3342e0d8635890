/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <linux/types.h>

/*
 * Characters and keywords. A set of ASCII characters is two words rather than a table: tables would have to
 * live in .rodata, for which clang 14 emits wrong BTF when they are static.
 */

#define SM_CHAR_BIT(c) (1ULL << ((c) & 63))

#define SM_DIGITS_LOW 0x03ff000000000000ULL  /* 0-9 */
#define SM_LETTERS_HIGH 0x07fffffe07fffffeULL /* A-Z, a-z */

/* RFC 9110, section 5.6.2: tchar */
#define SM_TOKEN_LOW                                                                              \
        (SM_DIGITS_LOW | SM_CHAR_BIT('!') | SM_CHAR_BIT('#') | SM_CHAR_BIT('$') | SM_CHAR_BIT('%') | \
         SM_CHAR_BIT('&') | SM_CHAR_BIT('\'') | SM_CHAR_BIT('*') | SM_CHAR_BIT('+') | SM_CHAR_BIT('-') | \
         SM_CHAR_BIT('.'))
#define SM_TOKEN_HIGH                                                                       \
        (SM_LETTERS_HIGH | SM_CHAR_BIT('^') | SM_CHAR_BIT('_') | SM_CHAR_BIT('`') | SM_CHAR_BIT('|') | \
         SM_CHAR_BIT('~'))

/* RFC 3986, section 3.2.2: what a reg-name consists of, but for "%" HEXDIG HEXDIG */
#define SM_HOST_LOW                                                                                 \
        (SM_DIGITS_LOW | SM_CHAR_BIT('-') | SM_CHAR_BIT('.') | SM_CHAR_BIT('!') | SM_CHAR_BIT('$') | \
         SM_CHAR_BIT('&') | SM_CHAR_BIT('\'') | SM_CHAR_BIT('(') | SM_CHAR_BIT(')') | SM_CHAR_BIT('*') | \
         SM_CHAR_BIT('+') | SM_CHAR_BIT(',') | SM_CHAR_BIT(';') | SM_CHAR_BIT('='))
#define SM_HOST_HIGH (SM_LETTERS_HIGH | SM_CHAR_BIT('_') | SM_CHAR_BIT('~'))

static inline int sm_set_has(__u64 low, __u64 high, __u8 c) {
        return c < 128 && (((c & 64) ? high : low) >> (c & 63) & 1);
}

static inline int sm_is_token(__u8 c) {
        return sm_set_has(SM_TOKEN_LOW, SM_TOKEN_HIGH, c);
}

static inline int sm_is_digit(__u8 c) {
        return (__u8) (c - '0') < 10;
}

static inline int sm_is_hex(__u8 c) {
        return sm_is_digit(c) || (__u8) ((c | 0x20) - 'a') < 6;
}

static inline int sm_is_space(__u8 c) {
        return c == ' ' || c == '\t';
}

/* In a field value or reason phrase: HTAB, SP, VCHAR, obs-text (RFC 9110, section 5.5). */
static inline int sm_is_text(__u8 c) {
        return (c >= ' ' && c != 0x7f) || c == '\t';
}

static inline __u8 sm_lower(__u8 c) {
        return (__u8) (c - 'A') < 26 ? c | 0x20 : c;
}

/*
 * The first bytes of a word that is being read, to be compared with keywords of up to SM_WORD_MAX
 * bytes. Case is folded by setting bit 5 of every byte, which is exact as long as only token characters are
 * added: none but the letters themselves is mapped to a letter, digit or "-".
 */
#define SM_WORD_MAX 24
#define SM_WORD_LENGTH_CAP 255 /* longer words are all alike: no keyword */

struct sm_word {
        __u64 parts[SM_WORD_MAX / 8];
        __u8 length; /* at most SM_WORD_LENGTH_CAP */
        __u8 _pad[7];
};

static inline void sm_word_start(struct sm_word *w) {
        w->parts[0] = w->parts[1] = w->parts[2] = 0;
        w->length = 0;
}

static inline void sm_word_add(struct sm_word *w, __u8 c) {
        __u32 i = w->length;

        if (i < SM_WORD_MAX)
                w->parts[i >> 3] |= (__u64) c << ((i & 7) * 8);
        if (i < SM_WORD_LENGTH_CAP)
                w->length = (__u8) (i + 1);
}

/* Constant expressions of a literal: its byte i, and its eight bytes from i on. */
#define SM_LITERAL_BYTE(s, i) ((__u64) (__u8) (s "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0")[i])
#define SM_LITERAL_PART(s, i)                                                                        \
        (SM_LITERAL_BYTE(s, i) | SM_LITERAL_BYTE(s, (i) + 1) << 8 | SM_LITERAL_BYTE(s, (i) + 2) << 16 | \
         SM_LITERAL_BYTE(s, (i) + 3) << 24 | SM_LITERAL_BYTE(s, (i) + 4) << 32 |                        \
         SM_LITERAL_BYTE(s, (i) + 5) << 40 | SM_LITERAL_BYTE(s, (i) + 6) << 48 |                        \
         SM_LITERAL_BYTE(s, (i) + 7) << 56)

#define sm_word_is(w, s)                                                                              \
        ((w)->length == sizeof(s) - 1 && (w)->parts[0] == SM_LITERAL_PART(s, 0) &&                       \
         (w)->parts[1] == SM_LITERAL_PART(s, 8) && (w)->parts[2] == SM_LITERAL_PART(s, 16))
