/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdlib.h>

#include "string-util.h"

char **strv_free(char **strv) {
        for (char **s = strv; s && *s; s++)
                free(*s);
        free(strv);
        return NULL;
}

size_t strv_length(char *const *strv) {
        size_t n = 0;

        while (strv && strv[n])
                n++;
        return n;
}

int strv_push(char ***strv, const char *s) {
        _cleanup_free_ char *copy = NULL;
        size_t n = strv_length(*strv);
        char **grown;

        copy = strdup(s);
        if (!copy)
                return -ENOMEM;
        /* Grows by doubling, so that appending n strings costs no more than the walk to the end. */
        if ((n & (n + 1)) == 0) {
                grown = reallocarray(*strv, 2 * (n + 1), sizeof(char *));
                if (!grown)
                        return -ENOMEM;
                *strv = grown;
        }
        (*strv)[n] = TAKE_PTR(copy);
        (*strv)[n + 1] = NULL;
        return 0;
}

bool strv_contains(char *const *strv, const char *s) {
        for (; strv && *strv; strv++)
                if (streq(*strv, s))
                        return true;
        return false;
}

const char *startswith(const char *s, const char *prefix) {
        size_t n = strlen(prefix);

        return strncmp(s, prefix, n) == 0 ? s + n : NULL;
}

const char *endswith(const char *s, const char *suffix) {
        size_t n = strlen(s), m = strlen(suffix);

        return n >= m && streq(s + n - m, suffix) ? s + n - m : NULL;
}

bool streq_null(const char *a, const char *b) {
        return a && b ? streq(a, b) : a == b;
}

int strdup_to(char **p, const char *s) {
        char *copy = NULL;

        if (s) {
                copy = strdup(s);
                if (!copy)
                        return -ENOMEM;
        }
        free(*p);
        *p = copy;
        return 0;
}

unsigned string_distance(const char *a, const char *b, unsigned limit) {
        enum { LONGEST = 64 };
        unsigned rows[3][LONGEST + 1], *before = rows[0], *above = rows[1], *row = rows[2];
        size_t n = strnlen(a, LONGEST + 1), m = strnlen(b, LONGEST + 1);

        if (n > LONGEST || m > LONGEST)
                return limit + 1;
        for (unsigned j = 0; j <= m; j++)
                above[j] = j;
        for (unsigned i = 1; i <= n; i++) {
                unsigned *oldest = before;

                row[0] = i;
                for (unsigned j = 1; j <= m; j++) {
                        row[j] = MIN(MIN(above[j], row[j - 1]) + 1, above[j - 1] + (a[i - 1] != b[j - 1]));
                        if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                                row[j] = MIN(row[j], before[j - 2] + 1);
                }
                before = above;
                above = row;
                row = oldest;
        }
        return MIN(above[m], limit + 1);
}

const char *string_quote(const char *s, char buffer[static QUOTED_SIZE]) {
        enum { LONGEST = 64 };
        size_t n = 0;

        buffer[n++] = '"';
        for (; *s && n <= LONGEST; s++)
                buffer[n++] = *s >= ' ' && *s <= '~' ? *s : '?';
        if (*s)
                n = (size_t) (stpcpy(buffer + n, "...") - buffer);
        buffer[n++] = '"';
        buffer[n] = 0;
        return buffer;
}
