/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "cleanup.h"
#include "macro.h"

/* NULL-terminated arrays of allocated strings; NULL is an empty one. */
char **strv_free(char **strv);
size_t strv_length(char *const *strv);
int strv_push(char ***strv, const char *s); /* appends a copy */
bool strv_contains(char *const *strv, const char *s);
DEFINE_TRIVIAL_CLEANUP(char **, strv_free)
#define _cleanup_strv_free_ _cleanup_(strv_freep)

/* What follows the prefix, or NULL. */
const char *startswith(const char *s, const char *prefix);
/* Where the suffix starts, or NULL. */
const char *endswith(const char *s, const char *suffix);

/* Both NULL, or equal. */
bool streq_null(const char *a, const char *b);

/* Frees *p and puts a copy of s (NULL: nothing) there; *p is untouched on failure. */
int strdup_to(char **p, const char *s);

/* Insertions, deletions, substitutions and swaps of neighbours that lead from a to b; `limit` + 1 if they
 * are more than `limit`, or a string is longer than 64 bytes. */
unsigned string_distance(const char *a, const char *b, unsigned limit);

/*
 * A text from outside as it may stand in a message for people: quoted, cut to 64 bytes, everything but
 * printable ASCII replaced. `buffer` is returned.
 */
#define QUOTED_SIZE 72
const char *string_quote(const char *s, char buffer[static QUOTED_SIZE]);
