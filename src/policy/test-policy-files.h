/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A throw-away directory tree for tests of what reads and writes files. To be included after cmocka.h. */

static char *test_root;

static inline int test_root_setup(void **state) {
        char template[] = "/tmp/test-policy-XXXXXX";

        test_root = strdup(mkdtemp(template) ?: "");
        return *test_root ? 0 : -1;
}

static inline int test_remove_entry(const char *path, const struct stat *st, int kind, struct FTW *ftw) {
        return remove(path);
}

static inline int test_root_teardown(void **state) {
        nftw(test_root, test_remove_entry, 16, FTW_DEPTH | FTW_PHYS);
        free(test_root);
        return 0;
}

static inline const char *test_path(const char *path) {
        static char buffer[4][512];
        static unsigned turn;
        char *result = buffer[turn++ % 4];

        snprintf(result, sizeof(buffer[0]), "%s/%s", test_root, path);
        return result;
}

/* With the directories above it. */
static inline const char *test_make_place(const char *path) {
        const char *whole = test_path(path);

        for (char *p = (char *) whole + strlen(test_root) + 1; (p = strchr(p, '/')); p++) {
                *p = 0;
                mkdir(whole, 0755);
                *p = '/';
        }
        return whole;
}

static inline void test_write(const char *path, const char *text) {
        FILE *f = fopen(test_make_place(path), "w");

        assert_non_null(f);
        assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
        assert_int_equal(fclose(f), 0);
}
