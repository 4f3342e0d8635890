/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stddef.h>
#include <stdint.h>

/*
 * Decodes the character that starts at `s`, of which `n` > 0 bytes may be read. Returns its length in
 * bytes, 1 to 4, or 0 if no well-formed UTF-8 starts there (RFC 3629: no surrogates, no overlong forms).
 */
size_t utf8_decode(const char *s, size_t n, uint32_t *ret);

/* Columns that the character takes on a terminal: 0, 1 or 2. Control characters count 0. Independent of the
 * locale, unlike wcwidth(3), which knows nothing beyond ASCII in the C locale. */
unsigned utf8_columns(uint32_t c);
