/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "../basic/cleanup.h"
#include "daemon-bus.h"

/*
 * dbus/NAME.xml and the vtables are the same interfaces, in the same order. Compared are the elements
 * between <interface> and </interface>; their ends, comments and white space are left out.
 */

static char *read_file(const char *name) {
        _cleanup_free_ char *path = NULL, *text = NULL;
        _cleanup_fclose_ FILE *f = NULL;
        size_t size = 0;

        assert_true(asprintf(&path, "%s/%s.%s.xml", getenv("SLICEMESH_DBUS_DIR"), SM_BUS_NAME, name) > 0);
        f = fopen(path, "re");
        assert_non_null(f);
        assert_true(getdelim(&text, &size, '\0', f) > 0);
        return TAKE_PTR(text);
}

static char *introspect(const char *path) {
        char *text = NULL;
        size_t size;
        FILE *f;

        f = open_memstream(&text, &size);
        assert_non_null(f);
        assert_return_code(bus_introspect(path, f), errno);
        assert_int_equal(fclose(f), 0);
        return text;
}

/* Puts what is compared, one element a line, at the start of `xml`. */
static void reduce(char *xml, const char *name) {
        _cleanup_free_ char *start = NULL;
        char *to = xml, *from;

        assert_true(asprintf(&start, "<interface name=\"%s.%s\">", SM_BUS_NAME, name) > 0);
        from = strstr(xml, start);
        assert_non_null(from);
        while (strncmp(from, "</interface>", strlen("</interface>")) != 0) {
                assert_true(*from != '\0');
                if (strncmp(from, "<!--", 4) == 0)
                        from = strstr(from, "-->") + 3;
                else if (strncmp(from, "</", 2) == 0 || *from != '<')
                        from++;
                else {
                        while (*from != '>' && strncmp(from, "/>", 2) != 0)
                                *to++ = *from++;
                        *to++ = '\n';
                }
        }
        *to = '\0';
}

static void check(const char *name, const char *path) {
        _cleanup_free_ char *file = NULL, *vtable = NULL;

        file = read_file(name);
        vtable = introspect(path);
        reduce(file, name);
        reduce(vtable, name);
        assert_string_equal(vtable, file);
}

static void test_manager(void **state) {
        check("Manager", SM_BUS_PATH);
}

static void test_service(void **state) {
        check("Service", SM_BUS_PATH "/service/NAME");
}

static void test_endpoint(void **state) {
        check("Endpoint", SM_BUS_PATH "/service/NAME/endpoint/12");
}

static void test_slice(void **state) {
        check("Slice", SM_BUS_PATH "/slice/shop_2eslice");
}

static void test_unknown_path(void **state) {
        assert_int_equal(bus_introspect("/", stdout), -ENOENT);
        assert_int_equal(bus_introspect(SM_BUS_PATH "/service", stdout), -ENOENT);
        assert_int_equal(bus_introspect(SM_BUS_PATH "/service/a/b", stdout), -ENOENT);
        assert_int_equal(bus_introspect(SM_BUS_PATH "/service/a/endpoint/1/2", stdout), -ENOENT);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_manager),
                cmocka_unit_test(test_service),
                cmocka_unit_test(test_endpoint),
                cmocka_unit_test(test_slice),
                cmocka_unit_test(test_unknown_path),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
