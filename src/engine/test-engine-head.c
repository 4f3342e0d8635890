/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../basic/macro.h"
#include "engine-fields.h"
#include "engine-framing.h"
#include "engine-parse.h"

#define PREFIX "GET / HTTP/1.1\r\nHost: a\r\n"

/* A copy of exactly that size, so that the sanitizer sees any read beyond it. */
static __u8 *copy(const char *text, size_t n) {
        __u8 *p = malloc(n > 0 ? n : 1);

        assert_non_null(p);
        memcpy(p, text, n);
        return p;
}

static int parse(const char *text, enum sm_head_kind kind, __u32 limit, struct sm_head *head) {
        struct sm_head_parser parser;
        size_t n = strlen(text);
        __u8 *bytes = copy(text, n);
        int r;

        sm_head_start(&parser, head, kind, limit);
        r = sm_head_parse(&parser, head, bytes, (__u32) n);
        free(bytes);
        return r;
}

static const char *reason_name(int r) {
        static const char *const names[] = {
#define REASON_NAME(id, text, status, sentence) [SM_REASON_##id] = text,
                SM_REASONS(REASON_NAME)
#undef REASON_NAME
        };

        return r < 0 ? names[-r] : r > 0 ? "accepted" : "needs more";
}

static const struct {
        const char *text, *result;
        int response;
} cases[] = {
#include "test-engine-head-cases.h"
};

static void test_outcomes(void **state) {
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                struct sm_head head;
                int r = parse(cases[i].text, cases[i].response, SM_HEAD_MAX, &head);

                if (strcmp(reason_name(r), cases[i].result) != 0)
                        print_error("%s\n", cases[i].text);
                assert_string_equal(reason_name(r), cases[i].result);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_outcomes),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
