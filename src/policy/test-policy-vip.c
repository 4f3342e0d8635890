/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <errno.h>

#include <cmocka.h>

#include "../basic/cleanup.h"
#include "../basic/parse-util.h"
#include "policy-vip.h"
#include "test-policy-files.h"

DEFINE_TRIVIAL_CLEANUP(VipRegister *, vip_register_free)

static struct in6_addr address(const char *text) {
        struct in6_addr a;

        assert_int_equal(parse_address(text, &a), 0);
        return a;
}

static int get(VipRegister *r, const char *name, const char *network, char text[static ADDRESS_STRLEN]) {
        struct in6_addr n, result;
        unsigned prefix;
        int k;

        assert_int_equal(parse_network(network, &n, &prefix), 0);
        k = vip_register_get(r, name, &n, prefix, &result);
        if (k >= 0)
                address_to_string(&result, text);
        return k;
}

static VipRegister *load(void) {
        VipRegister *r = NULL;
        unsigned line = 0;

        assert_int_equal(vip_register_load(test_path("vips"), &r, &line), 0);
        return r;
}

static void test_same_address_for_ever(void **state) {
        char first[ADDRESS_STRLEN], text[ADDRESS_STRLEN], other[ADDRESS_STRLEN];

        for (int round = 0; round < 3; round++) {
                _cleanup_(vip_register_freep) VipRegister *r = load();

                assert_int_equal(get(r, "payments", "127.71.0.0/16", text), 0);
                assert_int_equal(get(r, "shop", "127.71.0.0/16", other), 0);
                assert_string_not_equal(text, other);
                if (round == 0)
                        strcpy(first, text);
                assert_string_equal(text, first);
                assert_int_equal(vip_register_save(r), 0);
        }
}

static void test_claims(void **state) {
        _cleanup_(vip_register_freep) VipRegister *r = load();
        char text[ADDRESS_STRLEN];
        struct in6_addr a;

        assert_int_equal(get(r, "shop", "127.71.0.0/16", text), 0);
        a = address(text);
        assert_int_equal(vip_register_claim(r, "shop", &a), 0);
        assert_int_equal(vip_register_claim(r, "other", &a), -EEXIST);
        a = address("10.1.0.10");
        assert_int_equal(vip_register_claim(r, "shop", &a), 0);
        assert_int_equal(vip_register_claim(r, "other", &a), -EEXIST);
        a = address("fd00::1");
        assert_int_equal(vip_register_claim(r, "other", &a), 0);
        assert_int_equal(vip_register_save(r), 0);

        /* Of several addresses of a name, the one in the network that is asked for. */
        r = vip_register_free(r);
        r = load();
        assert_int_equal(get(r, "shop", "10.1.0.0/24", text), 0);
        assert_string_equal(text, "10.1.0.10");
        assert_int_equal(get(r, "other", "10.1.0.0/24", text), 0);
        assert_string_not_equal(text, "10.1.0.10");
        assert_memory_equal(text, "10.1.0.", 7);
}

static void test_full(void **state) {
        _cleanup_(vip_register_freep) VipRegister *r = load();
        char a[ADDRESS_STRLEN], b[ADDRESS_STRLEN], c[ADDRESS_STRLEN] = "untouched";

        assert_int_equal(get(r, "one", "127.90.0.4/30", a), 0);
        assert_int_equal(get(r, "two", "127.90.0.4/30", b), 0);
        assert_string_not_equal(a, b);
        assert_true(strcmp(a, "127.90.0.5") == 0 || strcmp(a, "127.90.0.6") == 0);
        assert_int_equal(get(r, "three", "127.90.0.4/30", c), -ENOSPC);
        assert_string_equal(c, "untouched");
        assert_int_equal(get(r, "one", "127.90.0.4/30", c), 0);
        assert_string_equal(a, c);
}

/* All that a network has are handed out, but none that is or looks like something else. */
static void test_unusable(void **state) {
        _cleanup_(vip_register_freep) VipRegister *r = load();
        char name[16], text[ADDRESS_STRLEN];
        unsigned n = 0;

        for (; snprintf(name, sizeof(name), "s%u", n) > 0 && get(r, name, "127.80.4.0/23", text) == 0; n++) {
                const char *last = strrchr(text, '.');

                assert_string_not_equal(last, ".0");
                assert_string_not_equal(last, ".255");
        }
        assert_int_equal(n, 512 - 4);
        for (n = 0; n < 100; n++) {
                snprintf(name, sizeof(name), "t%u", n);
                assert_int_equal(get(r, name, "127.0.0.0/15", text), 0);
                assert_memory_equal(text, "127.1.", 6);
        }
}

static void test_file(void **state) {
        _cleanup_(vip_register_freep) VipRegister *r = load();
        char text[ADDRESS_STRLEN], content[128] = {};
        struct stat before, after;
        FILE *f;

        assert_int_equal(vip_register_save(r), 0);
        assert_int_equal(access(test_path("vips"), F_OK), -1); /* nothing to write, nothing written */
        assert_int_equal(get(r, "one", "127.71.0.0/16", text), 0);
        assert_int_equal(vip_register_save(r), 0);
        f = fopen(test_path("vips"), "r");
        assert_non_null(fgets(content, sizeof(content), f));
        assert_null(fgets(content + 64, 64, f));
        fclose(f);
        assert_memory_equal(content, "one ", 4);
        assert_string_equal(strchr(content, '\n'), "\n");
        content[strlen(content) - 1] = 0;
        assert_string_equal(content + 4, text);

        assert_int_equal(stat(test_path("vips"), &before), 0);
        assert_int_equal(vip_register_save(r), 0);
        assert_int_equal(stat(test_path("vips"), &after), 0);
        assert_int_equal(before.st_ino, after.st_ino); /* nothing new: not written again */
        assert_int_equal(before.st_mode & 0777, 0644);
}

static void test_damaged(void **state) {
        static const struct {
                const char *content;
                unsigned line;
        } cases[] = {
                { "one 127.71.0.1\ntwo 127.71", 2 },          /* cut off */
                { "one 127.71.0.1\ntwo 127.71.0.2", 2 },      /* likewise */
                { "one 127.71.0.1\n\n", 2 },
                { "one 127.71.0.1\ntwo 127.71.0.1\n", 2 },    /* the same address twice */
                { "one 127.71.0.300\n", 1 },
                { "one\n", 1 },
                { " 127.71.0.1\n", 1 },
                { "o/ne 127.71.0.1\n", 1 },
                { "one 127.71.0.1 x\n", 1 },
        };

        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                VipRegister *r = NULL;
                unsigned line = 0;

                test_write("vips", cases[i].content);
                assert_int_equal(vip_register_load(test_path("vips"), &r, &line), -EBADMSG);
                assert_null(r);
                assert_int_equal(line, cases[i].line);
        }
}

static void test_cannot_write(void **state) {
        _cleanup_(vip_register_freep) VipRegister *r = NULL;
        char text[ADDRESS_STRLEN];
        unsigned line;

        assert_int_equal(vip_register_load(test_path("none/vips"), &r, &line), 0);
        assert_int_equal(get(r, "one", "127.71.0.0/16", text), 0);
        assert_int_equal(vip_register_save(r), -ENOENT);
        test_write("none/x", "");
        assert_int_equal(vip_register_save(r), 0); /* tried again, not forgotten */
        assert_int_equal(access(test_path("none/vips"), F_OK), 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, test_root_setup, test_root_teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_same_address_for_ever),
                TEST(test_claims),
                TEST(test_full),
                TEST(test_unusable),
                TEST(test_file),
                TEST(test_damaged),
                TEST(test_cannot_write),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
