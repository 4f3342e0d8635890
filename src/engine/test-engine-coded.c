/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdbool.h>
#include <stdio.h>

#include "engine-coded.h"
#include "engine-parse.h"
#include "test-engine.h"

static bool is_coded(const char *fields) {
        struct sm_head_parser p;
        struct sm_head head;
        char text[256];
        bool coded;
        __u8 *copy;
        __u32 n;

        n = (__u32) snprintf(text, sizeof(text), "POST / HTTP/1.1\r\nHost: h\r\n%s\r\n", fields);
        copy = test_copy(text, n);
        sm_head_start(&p, &head, SM_HEAD_REQUEST, SM_HEAD_MAX);
        assert_int_equal(sm_head_parse(&p, &head, copy, n), n);
        coded = sm_body_is_coded(copy, &head);
        free(copy);
        return coded;
}

static void test_coded(void **state) {
        assert_true(is_coded("Content-Encoding: gzip\r\n"));
        assert_true(is_coded("CONTENT-ENCODING:br\r\n"));
        assert_true(is_coded("Content-Encoding: identity\r\nX: y\r\nContent-Encoding: gzip\r\n"));
        assert_true(is_coded("Content-Encoding: identity, gzip\r\n"));
        assert_true(is_coded("Content-Encoding:\r\n"));

        assert_false(is_coded(""));
        assert_false(is_coded("Content-Encoding: identity\r\n"));
        assert_false(is_coded("content-encoding: IDENTITY\r\n"));
        assert_false(is_coded("Content-Encodings: gzip\r\n"));
        assert_false(is_coded("Content-Encodinh: gzip\r\n"));
        assert_false(is_coded("Xontent-Encoding: gzip\r\n"));
        assert_false(is_coded("Transfer-Encoding: chunked\r\n"));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_coded),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
