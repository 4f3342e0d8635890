/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

/*
 * The regular expressions of policies: Perl's, over bytes (no UTF), case-sensitive unless they say (?i),
 * found anywhere in a value unless anchored; $ is the end of the value alone. Where a pattern is checked and
 * where it runs it must be the same language, so this is the only place that compiles and runs them.
 */

typedef struct RegexError {
        size_t offset; /* bytes of the pattern in front of what is wrong */
        char message[128];
} RegexError;

/* -EINVAL: the pattern is none, and *ret_error says why; it is untouched otherwise. */
int regex_compile(const char *pattern, size_t length, pcre2_code **ret, RegexError *ret_error);

/* Makes machine code of it. False: this process may not have any, and it is interpreted. */
bool regex_accelerate(pcre2_code *code);

/*
 * What one thread runs them with. Who sends requests must not be able to occupy it with a value that makes a
 * pattern try without end, so what a value can cost is limited.
 */
typedef struct RegexRunner RegexRunner;

RegexRunner *regex_runner_new(void); /* NULL: no memory */
RegexRunner *regex_runner_free(RegexRunner *r);

/* 1: it matches, 0: it does not. -EDQUOT: it was given up, as it takes too much time or memory; -ENOMEM. */
int regex_run(RegexRunner *r, const pcre2_code *code, const uint8_t *text, size_t length);
