/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "../basic/string-util.h"
#include "policy-files.h"
#include "policy-schema.h"

/* Rows of a place stand together, no key twice, each with all that its type needs. */
static void test_table(void **state) {
        size_t sum = 0;

        for (SchemaPlace place = 0; place < _PLACE_MAX; place++) {
                const SchemaKey *keys;
                size_t n;

                assert_non_null(schema_place_title(place));
                keys = schema_place_keys(place, &n);
                assert_in_range(n, 1, 64);
                sum += n;
                for (size_t i = 0; i < n; i++) {
                        for (size_t j = 0; j < i; j++)
                                assert_string_not_equal(keys[i].name, keys[j].name);
                        assert_true(keys[i].min <= keys[i].max || keys[i].max == 0);
                        if (keys[i].type == TYPE_UNSUPPORTED)
                                continue;
                        assert_non_null(keys[i].doc);
                        assert_int_equal(keys[i].doc[strlen(keys[i].doc) - 1], '.');
                        assert_int_equal(keys[i].type == TYPE_OTHER, keys[i].parse != NULL);
                        assert_int_equal(keys[i].type == TYPE_ENUM, keys[i].values != NULL);
                        assert_int_equal(keys[i].type == TYPE_SIZE, keys[i].unit > 0);
                        assert_true(keys[i].type != TYPE_OTHER || keys[i].form);
                        assert_false(keys[i].required && keys[i].standard);
                }
        }
        assert_int_equal(sum, n_schema_keys);
}

static const SchemaKey *find(SchemaPlace place, const char *name) {
        const SchemaKey *keys;
        size_t n;

        keys = schema_place_keys(place, &n);
        for (size_t i = 0; i < n; i++)
                if (streq(keys[i].name, name))
                        return &keys[i];
        fail();
        return NULL;
}

static void refuse(const SchemaKey *key, const char *text, void *object, const char *expected) {
        _cleanup_free_ char *found = NULL;

        assert_int_equal(schema_store(key, text, object, &found), -EINVAL);
        assert_string_equal(found, expected);
}

static void store(const SchemaKey *key, const char *text, void *object) {
        char *found = NULL;

        assert_int_equal(schema_store(key, text, object, &found), 0);
        assert_null(found);
}

static void test_store(void **state) {
        PolicyMesh m = {};
        PolicyEndpoint e = { .weight = 42 };
        PolicyService s = {};

        store(find(PLACE_ENDPOINT, "weight"), "1000", &e);
        assert_int_equal(e.weight, 1000);
        refuse(find(PLACE_ENDPOINT, "weight"), "1001", &e, "a number from 0 to 1000");
        assert_int_equal(e.weight, 1000);
        store(find(PLACE_ENDPOINT, "state"), "drain", &e);
        assert_int_equal(e.admin, ENDPOINT_DRAIN);
        refuse(find(PLACE_ENDPOINT, "state"), "Drain", &e, "enabled, drain or disabled");
        store(find(PLACE_RELAY, "buffer"), "1M", &m);
        assert_int_equal(m.max_buffer, 1 << 20);
        refuse(find(PLACE_RELAY, "buffer"), "4095", &m, "a size from 4K to 1M, like 64K or 8M");
        store(find(PLACE_CAPS, "memory"), "2M", &m);
        assert_int_equal(m.max_cells, (2 << 20) / SM_CELL_SIZE);
        refuse(find(PLACE_CAPS, "memory"), "1048577", &m, "a size from 1M to 4G, like 64K or 8M");
        refuse(find(PLACE_RELAY, "port"), "0", &m, "a port from 1 to 65535");
        store(find(PLACE_RELAY, "port"), "7471", &m);
        assert_int_equal(m.relay_port, 7471);
        refuse(find(PLACE_TIMEOUTS, "connect"), "999us", &s, "a time from 1ms to 10m, like 2s or 25ms");
        refuse(find(PLACE_TIMEOUTS, "connect"), "2", &s, "a time from 1ms to 10m, like 2s or 25ms");
        store(find(PLACE_TIMEOUTS, "connect"), "1ms", &s);
        assert_int_equal(s.connect_timeout_usec, 1000);
        refuse(find(PLACE_SERVICE, "via"), "on", &s, "true or false");
        refuse(find(PLACE_SERVICE, "protocol"), "https", &s, "http or tcp");
}

static void test_names(void **state) {
        static const char *const good[] = {
                "a", "0", "shop-2.x_y", "a23456789012345678901234567890123456789012345678901234567890123",
        };
        static const char *const bad[] = {
                "", "-a", ".a", "_a", "a b", "a/b", "\xc3\xa4", "a:b",
                "a234567890123456789012345678901234567890123456789012345678901234",
        };
        static const char *const good_slices[] = {
                "shop.slice", "shop-eu.slice", "a_b:c.slice", "x\\x2dy.slice",
        };
        static const char *const bad_slices[] = {
                "", "shop", ".slice", "-.slice", "-a.slice", "a-.slice", "a--b.slice", "a/b.slice",
                "a.service", "shop.slice.d",
        };

        for (size_t i = 0; i < ELEMENTSOF(good); i++)
                assert_true(policy_name_is_valid(good[i]));
        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                assert_false(policy_name_is_valid(bad[i]));
        for (size_t i = 0; i < ELEMENTSOF(good_slices); i++)
                assert_true(slice_name_is_valid(good_slices[i]));
        for (size_t i = 0; i < ELEMENTSOF(bad_slices); i++)
                assert_false(slice_name_is_valid(bad_slices[i]));
}

static const char *candidate(const void *userdata, size_t i) {
        return ((const char *const *) userdata)[i];
}

static void test_nearest(void **state) {
        static const char *const names[] = { "balance", "endpoints", "to", "via", "hash" };
        size_t n = ELEMENTSOF(names);

        assert_string_equal(schema_nearest("balence", candidate, names, n), "balance");
        assert_string_equal(schema_nearest("endpoint", candidate, names, n), "endpoints");
        assert_string_equal(schema_nearest("hsah", candidate, names, n), "hash");
        assert_null(schema_nearest("xy", candidate, names, n)); /* as far from "to" as it is long */
        assert_null(schema_nearest("something-else", candidate, names, n));
        assert_null(schema_nearest("hash", candidate, names, 0));
}

/* The reference that is checked in is the one that the table makes. */
static void test_reference(void **state) {
        static const char marker[] = "<!-- generated -->\n";
        _cleanup_free_ char *document = NULL, *reference = NULL;
        size_t size, reference_size;
        const char *part;
        FILE *f;

        assert_int_equal(policy_file_read(SOURCE_ROOT "/docs/policy.md", &document, &size), 0);
        part = strstr(document, marker);
        assert_non_null(part);
        f = open_memstream(&reference, &reference_size);
        assert_non_null(f);
        policy_schema_print_reference(f);
        assert_int_equal(fclose(f), 0);
        assert_string_equal(part + strlen(marker), reference);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_table),
                cmocka_unit_test(test_store),
                cmocka_unit_test(test_names),
                cmocka_unit_test(test_nearest),
                cmocka_unit_test(test_reference),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
