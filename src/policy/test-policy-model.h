/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdlib.h>
#include <string.h>

#include "policy-load.h"
#include "test-policy-bind.h"

/* What tests of this folder share: a policy from a text, its errors as a text, one service compiled. To be
 * included after cmocka.h. */

/* "line:column: key: message", a line each. */
static inline char *test_errors(const Policy *p) {
        char *text = NULL;
        size_t size;
        FILE *f = open_memstream(&text, &size);

        assert_non_null(f);
        for (size_t i = 0; i < p->n_errors; i++) {
                char *line = NULL;

                assert_int_equal(policy_error_format(&p->errors[i], &line), 0);
                fprintf(f, "%s\n", line);
                free(line);
        }
        assert_int_equal(fclose(f), 0);
        return text;
}

static inline Policy *test_load(const char *text) {
        Policy *p = NULL;
        char *errors;

        assert_int_equal(policy_load_memory("f", text, strlen(text), &p), 0);
        errors = test_errors(p);
        assert_string_equal(errors, "");
        free(errors);
        return p;
}

static inline void test_compile(const PolicyService *s, PolicyExtent *ret) {
        TestBinding b = test_bind(s);

        assert_int_equal(policy_compile(s, &b.binding, ret), 0);
        test_binding_done(&b);
}
