/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "../basic/cleanup.h"
#include "../basic/macro.h"
#include "../engine/engine-parse.h"
#include "policy-fast.h"
#include "test-policy-model.h"

DEFINE_TRIVIAL_CLEANUP(Policy *, policy_free)

/* The limits of a service, as "a b c". */
static const char *limits_of(const struct sm_policy *policy, bool remote) {
        static char text[256];
        FastLimit limits[_FAST_LIMIT_MAX];
        size_t n = fast_limits(policy, remote, limits);

        *text = 0;
        for (size_t i = 0; i < n; i++) {
                strcat(text, i > 0 ? " " : "");
                strcat(text, fast_limit_text(limits[i]));
        }
        return text;
}

static void test_flags(void **state) {
        static const struct {
                unsigned flags;
                bool remote;
                const char *limits;
        } cases[] = {
                { 0, false, "blocking" },
                { 0, true, "blocking remote" },
                { SM_POLICY_FAST_ALWAYS, false, "" },
                { SM_POLICY_FAST_ALWAYS, true, "remote" },
                /* where nothing is fast, what would be slow anyway is of no interest */
                { SM_POLICY_FAST_NEVER, true, "never" },
                { SM_POLICY_FORWARDED_FOR | SM_POLICY_FAST_ALWAYS, true, "forwarded-for" },
                { SM_POLICY_VIA | SM_POLICY_FORWARDED_FOR | SM_POLICY_FAST_NEVER, false,
                  "never forwarded-for via" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                struct sm_policy policy = { .flags = (__u16) cases[i].flags };

                assert_string_equal(limits_of(&policy, cases[i].remote), cases[i].limits);
                policy.protocol = SM_PROTOCOL_TCP;
                assert_string_equal(limits_of(&policy, cases[i].remote), "tcp");
        }
}

#define ROUTE(keys)                                                                                      \
        "{service: s, accelerate: always, endpoints: ['10.1.0.1:80'], routes: [{to: default, " keys "}]}"

/* What the files say arrives here. */
static void test_from_files(void **state) {
        static const struct {
                const char *text, *limits;
        } cases[] = {
                { "{service: s, endpoints: ['10.1.0.1:80']}", "blocking" },
                { "{service: s, endpoints: ['10.1.0.1:80'], accelerate: always}", "" },
                { "{service: s, endpoints: ['10.1.0.1:80'], accelerate: never}", "never" },
                { "{service: s, endpoints: ['10.1.0.1:80'], via: true}", "via" },
                { "{service: s, endpoints: ['10.1.0.1:80'], forwarded-for: true}", "forwarded-for" },
                { "{service: s, endpoints: ['10.1.0.1:80'], protocol: tcp}", "tcp" },
                { ROUTE("match: {path: {regex: a}}"), "regex" },
                { ROUTE("match: {body: {json: {/a: {regex: a}}}}"), "body" },
                { ROUTE("rewrite: {host: a}"), "rewrite" },
                { ROUTE("response-headers: {remove: [a]}"), "rewrite" },
                { ROUTE("shadow: true, response-headers: {remove: [a]}"), "" },
                { ROUTE("mirror: {to: default, fraction: 1%}"), "mirror" },
                { ROUTE("mirror: {to: default, fraction: 0%}"), "" },
                { ROUTE("fault: {delay: {for: 1s}}"), "delay" },
                { ROUTE("fault: {abort: {status: 503}}"), "" },
                { ROUTE("match: {not: {path: {suffix: a}}, fraction: 5%}"), "" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(policy_freep) Policy *p = test_load(cases[i].text);
                _cleanup_(policy_extent_done) PolicyExtent extent = {};
                const struct sm_policy *policy;

                test_compile(p->services[0], &extent);
                policy = (const struct sm_policy *) extent.cells;
                assert_string_equal(limits_of(policy, false), cases[i].limits);
        }
}

static void test_sentences(void **state) {
        for (FastLimit l = 0; l < _FAST_LIMIT_MAX; l++) {
                const char *sentence = fast_limit_sentence(l);

                assert_true(sentence[strlen(sentence) - 1] == '.');
        }
}

static enum sm_slow judge(unsigned flags, const char *fields) {
        const struct sm_policy policy = { .flags = (__u16) flags };
        _cleanup_free_ char *text = NULL;
        struct sm_head_parser parser;
        struct sm_head head;
        int n;

        n = asprintf(&text, "POST /x HTTP/1.1\r\nHost: s\r\n%s\r\n", fields);
        assert_true(n > 0);
        sm_head_start(&parser, &head, SM_HEAD_REQUEST, SM_HEAD_MAX);
        assert_int_equal(sm_head_parse(&parser, &head, (const __u8 *) text, (__u32) n), n);
        return fast_request(&policy, &head);
}

static void test_requests(void **state) {
        _cleanup_free_ char *large = NULL, *full = NULL, *over = NULL;
        const char *head = "POST /x HTTP/1.1\r\nHost: s\r\nContent-Length: 12345\r\n\r\n";

        assert_int_equal(judge(0, ""), SM_SLOW_NONE);
        assert_int_equal(judge(SM_POLICY_FAST_ALWAYS, "Connection: keep-alive\r\n"), SM_SLOW_NONE);
        assert_int_equal(judge(SM_POLICY_FAST_NEVER, ""), SM_SLOW_NEVER);
        assert_int_equal(judge(SM_POLICY_VIA, ""), SM_SLOW_REWRITTEN);
        assert_int_equal(judge(SM_POLICY_FORWARDED_FOR, ""), SM_SLOW_REWRITTEN);
        assert_int_equal(judge(0, "Connection: close\r\n"), SM_SLOW_REWRITTEN);
        assert_int_equal(judge(0, "Expect: 100-continue\r\nContent-Length: 1\r\n"), SM_SLOW_REWRITTEN);
        assert_int_equal(judge(0, "Transfer-Encoding: chunked\r\n"), SM_SLOW_CODED);

        assert_true(asprintf(&large, "X: %0*d\r\n", SM_HEAD_KERNEL_MAX, 0) > 0);
        assert_int_equal(judge(0, large), SM_SLOW_TOO_LARGE);
        assert_true(asprintf(&full, "Content-Length: %zu\r\n", SM_FAST_MAX - strlen(head)) > 0);
        assert_int_equal(judge(0, full), SM_SLOW_NONE);
        assert_true(asprintf(&over, "Content-Length: %zu\r\n", SM_FAST_MAX - strlen(head) + 1) > 0);
        assert_int_equal(judge(0, over), SM_SLOW_TOO_LARGE);
        assert_int_equal(judge(0, "Content-Length: 1000000000000\r\n"), SM_SLOW_TOO_LARGE);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_flags),
                cmocka_unit_test(test_from_files),
                cmocka_unit_test(test_sentences),
                cmocka_unit_test(test_requests),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
