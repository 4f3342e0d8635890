/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "cleanup.h"
#include "hashmap.h"

#define N_KEYS 1000

DEFINE_TRIVIAL_CLEANUP(Hashmap *, hashmap_free)

static char keys[N_KEYS][16];

static int fill_keys(void **state) {
        for (size_t i = 0; i < N_KEYS; i++)
                (void) snprintf(keys[i], sizeof(keys[i]), "key-%zu", i);
        return 0;
}

static void test_put_get_remove(void **state) {
        _cleanup_(hashmap_freep) Hashmap *h = hashmap_new();

        assert_non_null(h);
        assert_null(hashmap_get(h, "a"));
        assert_null(hashmap_remove(h, "a"));
        assert_int_equal(hashmap_put(h, "a", keys[0]), 0);
        assert_int_equal(hashmap_put(h, "a", keys[1]), -EEXIST);
        assert_ptr_equal(hashmap_get(h, "a"), keys[0]);
        assert_int_equal(hashmap_put(h, "", keys[2]), 0); /* not mistaken for a removed entry */
        assert_ptr_equal(hashmap_remove(h, "a"), keys[0]);
        assert_null(hashmap_get(h, "a"));
        assert_ptr_equal(hashmap_get(h, ""), keys[2]);
        assert_int_equal(hashmap_size(h), 1);
}

static void test_growth_and_churn(void **state) {
        _cleanup_(hashmap_freep) Hashmap *h = hashmap_new();

        assert_non_null(h);
        for (unsigned round = 0; round < 20; round++) {
                for (size_t i = 0; i < N_KEYS; i++)
                        assert_int_equal(hashmap_put(h, keys[i], keys[i]), 0);
                assert_int_equal(hashmap_size(h), N_KEYS);
                for (size_t i = 0; i < N_KEYS; i++)
                        assert_ptr_equal(hashmap_get(h, keys[i]), keys[i]);
                for (size_t i = 0; i < N_KEYS; i++)
                        assert_ptr_equal(hashmap_remove(h, keys[i]), keys[i]);
                assert_int_equal(hashmap_size(h), 0);
        }
}

static void test_iterate_while_removing(void **state) {
        _cleanup_(hashmap_freep) Hashmap *h = hashmap_new();
        size_t position = 0, n = 0;
        char *key;

        assert_non_null(h);
        for (size_t i = 0; i < N_KEYS; i++)
                assert_int_equal(hashmap_put(h, keys[i], keys[i]), 0);
        while ((key = hashmap_next(h, &position))) {
                assert_ptr_equal(hashmap_remove(h, key), key);
                n++;
        }
        assert_int_equal(n, N_KEYS);
        assert_int_equal(hashmap_size(h), 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_put_get_remove),
                cmocka_unit_test(test_growth_and_churn),
                cmocka_unit_test(test_iterate_while_removing),
        };

        return cmocka_run_group_tests(tests, fill_keys, NULL);
}
