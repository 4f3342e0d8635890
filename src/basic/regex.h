/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stddef.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

/*
 * The regular expressions of policies: Perl's, over bytes (no UTF), case-sensitive unless they say (?i), found
 * anywhere in a value unless anchored; $ is the end of the value alone. Where a pattern is checked and where it
 * runs it must be the same language, so this is the only place that compiles one.
 */

typedef struct RegexError {
        size_t offset; /* bytes of the pattern in front of what is wrong */
        char message[128];
} RegexError;

/* -EINVAL: the pattern is none, and *ret_error says why; it is untouched otherwise. */
int regex_compile(const char *pattern, size_t length, pcre2_code **ret, RegexError *ret_error);
