/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "../basic/string-util.h"
#include "policy-files.h"
#include "test-policy-model.h"

DEFINE_TRIVIAL_CLEANUP(Policy *, policy_free)

/*
 * tests/policy/NAME.yaml against NAME.errors: all errors as they are told, then the services that load in
 * spite of them. After a change on purpose: SLICEMESH_TEST_WRITE=1, and read the diff.
 */
static const char *const names[] = {
        "actions", "adjust-routes", "between", "endpoints", "match", "routes", "service", "subsets",
        "syntax",
};

static char *outcome(const char *name, const char *data, size_t size) {
        _cleanup_(policy_freep) Policy *p = NULL;
        _cleanup_free_ char *errors = NULL;
        char *text = NULL;
        size_t text_size;
        FILE *f;

        assert_int_equal(policy_load_memory(name, data, size, &p), 0);
        errors = test_errors(p);
        f = open_memstream(&text, &text_size);
        assert_non_null(f);
        fprintf(f, "%sservices:", errors);
        for (size_t i = 0; i < p->n_services; i++)
                fprintf(f, " %s", p->services[i]->name);
        fputc('\n', f);
        assert_int_equal(fclose(f), 0);
        return text;
}

static void check(const char *name) {
        _cleanup_free_ char *data = NULL, *expected = NULL, *found = NULL;
        char path[512], file[64];
        size_t size, expected_size;

        snprintf(file, sizeof(file), "%s.yaml", name);
        snprintf(path, sizeof(path), SOURCE_ROOT "/tests/policy/%s", file);
        assert_int_equal(policy_file_read(path, &data, &size), 0);
        found = outcome(file, data, size);
        snprintf(path, sizeof(path), SOURCE_ROOT "/tests/policy/%s.errors", name);
        if (getenv("SLICEMESH_TEST_WRITE"))
                assert_int_equal(policy_file_write(path, found, strlen(found)), 0);
        assert_int_equal(policy_file_read(path, &expected, &expected_size), 0);
        assert_string_equal(found, expected);
}

static void test_golden(void **state) {
        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                check(names[i]);
}

/* A file with errors in every one of its documents costs no more than it must: all of them are told, up to
 * a bound for each document, and every service is named. */
static void test_many_errors(void **state) {
        _cleanup_(policy_freep) Policy *p = NULL;
        _cleanup_free_ char *text = NULL;
        size_t size, named = 0;
        FILE *f = open_memstream(&text, &size);

        for (unsigned i = 0; i < 100; i++) {
                fprintf(f, "---\nservice: s%u\nendpoints: []\n", i);
                for (unsigned j = 0; j < 2000; j++)
                        fprintf(f, "x%u: 1\n", j);
        }
        assert_int_equal(fclose(f), 0);
        assert_int_equal(policy_load_memory("f", text, size, &p), 0);
        assert_int_equal(p->n_errors, 100 * 1000);
        assert_int_equal(p->n_services, 0);
        for (size_t i = 1; i < p->n_errors; i++)
                named += !streq(p->errors[i].service, p->errors[i - 1].service);
        assert_int_equal(named, 99);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_golden),
                cmocka_unit_test(test_many_errors),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
