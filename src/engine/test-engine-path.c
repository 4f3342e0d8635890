/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "engine-path-normal.h"
#include "test-engine.h"

/* The normal form of paths. */

static enum sm_path_kind judge(const char *path, __u32 flags) {
        struct sm_span span = { 0, (__u16) strlen(path) };
        __u8 *bytes = test_copy(path, span.length);
        enum sm_path_kind kind;
        struct sm_work work;

        memset(&work, 0xa5, sizeof(work));
        kind = sm_path_judge(bytes, span, flags, &work);
        free(bytes);
        return kind;
}

static void check(const char *path, const char *normal, __u32 flags) {
        __u32 n = (__u32) strlen(path);
        __u8 *bytes = test_copy(path, n);
        int same = strcmp(path, normal) == 0;

        if (judge(path, flags) != (same ? SM_PATH_NORMAL : SM_PATH_NOT_NORMAL))
                print_error("%s\n", path);
        assert_int_equal(judge(path, flags), same ? SM_PATH_NORMAL : SM_PATH_NOT_NORMAL);
        assert_int_equal(judge(normal, flags), SM_PATH_NORMAL);
        n = sm_path_normalise(bytes, n);
        assert_int_equal(n, strlen(normal));
        assert_memory_equal(bytes, normal, n);
        free(bytes);
}

static void test_normal(void **state) {
        static const char *const rows[][2] = {
                { "", "" }, { "*", "*" }, { "/", "/" }, { "/a/b", "/a/b" }, { "/a/", "/a/" },
                { "/...", "/..." }, { "/.a", "/.a" }, { "/a.", "/a." }, { "/..a", "/..a" }, { "/a..", "/a.." },
                { "/a/.b/..c/d../e.", "/a/.b/..c/d../e." }, { "/%C3%A4", "/%C3%A4" }, { "/a%3Fb", "/a%3Fb" },
                { "/a;b=c,d:e@f!$&'()*+", "/a;b=c,d:e@f!$&'()*+" }, { "/a\\b", "/a\\b" }, { "/%25", "/%25" },
                { "/%252F", "/%252F" }, { "/%2541", "/%2541" },
                { "//", "/" }, { "///a", "/a" }, { "/a//b", "/a/b" }, { "/a/b//", "/a/b/" },
                { "/.", "/" }, { "/./", "/" }, { "/..", "/" }, { "/../", "/" }, { "/../../a", "/a" },
                { "/a/.", "/a/" }, { "/a/./b", "/a/b" }, { "/a/..", "/" }, { "/a/../b", "/b" }, { "/a/b/..", "/a/" },
                { "/a/b/../../c", "/c" }, { "/a/b/c/./../../g", "/a/g" }, { "/mid/content=5/../6", "/mid/6" },
                { "/a//../b", "/b" }, { "/a/.//./b", "/a/b" },
                { "/%41", "/A" }, { "/%7e%2D%5f%2e", "/~-_." }, { "/%c3%a4", "/%C3%A4" }, { "/%2e", "/" },
                { "/a/%2E%2e/b", "/b" }, { "/a/.%2e", "/" }, { "/%2e%2ea", "/..a" }, { "/%3f", "/%3F" },
                { "/a-path-of-more-than-thirty-two-bytes-before/../b", "/b" },
                { "/a-path-of-more-than-thirty-two-bytes-before%7e", "/a-path-of-more-than-thirty-two-bytes-before~" },
        };

        for (size_t i = 0; i < COUNT(rows); i++)
                check(rows[i][0], rows[i][1], 0);
}

static void test_ambiguous(void **state) {
        static const char *const always[] = { "/%", "/%4", "/%zz", "/%4g", "/a%/b", "/%%341", "/a%2" };
        static const char *const slashes[] = { "/a%2Fb", "/a%2fb", "/%5C", "/..%5c", "/a/%2F/..", "//%2F" };
        static const __u32 keep = SM_POLICY_KEEP_SLASHES | SM_POLICY_KEEP_NULS;

        for (size_t i = 0; i < COUNT(always); i++)
                assert_int_equal(judge(always[i], keep), SM_PATH_AMBIGUOUS);
        for (size_t i = 0; i < COUNT(slashes); i++) {
                assert_int_equal(judge(slashes[i], SM_POLICY_KEEP_NULS), SM_PATH_AMBIGUOUS);
                assert_int_not_equal(judge(slashes[i], SM_POLICY_KEEP_SLASHES), SM_PATH_AMBIGUOUS);
        }
        assert_int_equal(judge("/a%00", SM_POLICY_KEEP_SLASHES), SM_PATH_AMBIGUOUS);
        assert_int_equal(judge("/./a%00", 0), SM_PATH_AMBIGUOUS);
        check("/a%00", "/a%00", keep);
        check("/a%2Fb", "/a%2Fb", keep);
        check("/a%2f..%5c/../c", "/c", keep);
        check("/a%2f../c", "/a%2F../c", keep);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_normal),
                cmocka_unit_test(test_ambiguous),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
