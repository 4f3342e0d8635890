/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine-head.h"

/* What the tests of the engine share. src/engine stands on its own, and so do they. */

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* A copy of exactly that size, so that the sanitizer sees any read beyond it. */
static inline __u8 *test_copy(const char *text, size_t n) {
        __u8 *p = malloc(n > 0 ? n : 1);

        assert_non_null(p);
        memcpy(p, text, n);
        return p;
}

static inline void test_span(const char *text, struct sm_span s, const char *expected) {
        assert_int_equal(s.length, strlen(expected));
        assert_memory_equal(text + s.offset, expected, s.length);
}
