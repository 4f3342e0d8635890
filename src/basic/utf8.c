/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdbool.h>

#include "macro.h"
#include "utf8.h"

size_t utf8_decode(const char *s, size_t n, uint32_t *ret) {
        static const uint32_t lowest[] = { 0, 0, 0x80, 0x800, 0x10000 }; /* by length: less is overlong */
        const uint8_t *b = (const uint8_t *) s;
        uint32_t c;
        size_t length;

        if (b[0] < 0x80) {
                *ret = b[0];
                return 1;
        }
        length = b[0] >= 0xf8 ? 0 : b[0] >= 0xf0 ? 4 : b[0] >= 0xe0 ? 3 : b[0] >= 0xc0 ? 2 : 0;
        if (length == 0 || length > n)
                return 0;

        c = b[0] & (0x7fU >> length);
        for (size_t i = 1; i < length; i++) {
                if ((b[i] & 0xc0) != 0x80)
                        return 0;
                c = c << 6 | (b[i] & 0x3f);
        }
        if (c < lowest[length] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
                return 0;
        *ret = c;
        return length;
}

typedef struct CharacterRange {
        uint32_t first, last;
} CharacterRange;

/* Marks that combine with the character before them, and joiners. */
static const CharacterRange zero_width[] = {
        { 0x0300, 0x036f },   { 0x0483, 0x0489 },   { 0x0591, 0x05bd },   { 0x0610, 0x061a },
        { 0x064b, 0x065f },   { 0x200b, 0x200f },   { 0x202a, 0x202e },   { 0x2060, 0x2064 },
        { 0x20d0, 0x20f0 },   { 0xfe00, 0xfe0f },   { 0xfe20, 0xfe2f },   { 0xfeff, 0xfeff },
        { 0xe0100, 0xe01ef },
};

/* East Asian Wide and Fullwidth (Unicode Standard Annex #11), and emoji. */
static const CharacterRange double_width[] = {
        { 0x1100, 0x115f },   { 0x2e80, 0x303e },   { 0x3041, 0x33ff },   { 0x3400, 0x4dbf },
        { 0x4e00, 0x9fff },   { 0xa000, 0xa4cf },   { 0xac00, 0xd7a3 },   { 0xf900, 0xfaff },
        { 0xfe30, 0xfe6f },   { 0xff00, 0xff60 },   { 0xffe0, 0xffe6 },   { 0x1f300, 0x1f64f },
        { 0x1f680, 0x1f6ff }, { 0x1f900, 0x1f9ff }, { 0x20000, 0x3fffd },
};

static bool in_ranges(uint32_t c, const CharacterRange *ranges, size_t n) {
        for (size_t i = 0; i < n; i++)
                if (c >= ranges[i].first && c <= ranges[i].last)
                        return true;
        return false;
}

unsigned utf8_columns(uint32_t c) {
        if (c < 0x20 || (c >= 0x7f && c < 0xa0) || in_ranges(c, zero_width, ELEMENTSOF(zero_width)))
                return 0;
        return in_ranges(c, double_width, ELEMENTSOF(double_width)) ? 2 : 1;
}
