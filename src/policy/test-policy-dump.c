/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "../basic/cleanup.h"
#include "../basic/macro.h"
#include "test-policy-files.h"
#include "test-policy-model.h"

DEFINE_TRIVIAL_CLEANUP(Policy *, policy_free)

/* One thing changed in each against the first. */
static const char *const variants[] = {
        "{service: s, endpoints: [\"10.1.0.1:80\"]}",
        "{service: t, endpoints: [\"10.1.0.1:80\"]}",
        "{service: s, protocol: tcp, endpoints: [\"10.1.0.1:80\"]}",
        "{service: s, port: 81, endpoints: [\"10.1.0.1:80\"]}",
        "{service: s, address: \"127.71.0.1:80\", endpoints: [\"10.1.0.1:80\"]}",
        "{service: s, address: \"[fd00::1]:80\", endpoints: [\"10.1.0.1:80\"]}",
        "{service: s, callers: [a.slice, b-c.slice], endpoints: [\"10.1.0.1:80\"]}",
        "{service: s, callers: [a.slice], endpoints: [\"10.1.0.1:80\"]}",
        "{service: s, endpoints: []}",
        "{service: s, endpoints: [\"10.1.0.1:81\"]}",
        "{service: s, endpoints: [\"[fd00::1]:80\"]}",
        "{service: s, endpoints: [\"db.example:80\"]}",
        "{service: s, endpoints: [{address: \"10.1.0.1:80\", weight: 0}]}",
        "{service: s, endpoints: [{address: \"10.1.0.1:80\", state: drain}]}",
        "{service: s, endpoints: [{address: \"10.1.0.1:80\", state: disabled}]}",
        "{service: s, endpoints: [\"10.1.0.1:80\", \"10.1.0.2:80\"]}",
        "{service: s, balance: random, endpoints: [\"10.1.0.1:80\"]}",
        "{service: s, balance: consistent-hash, endpoints: [\"10.1.0.1:80\"]}",
        "{service: s, balance: consistent-hash, hash: {header: X-Y}, endpoints: [\"10.1.0.1:80\"]}",
        "{service: s, balance: consistent-hash, hash: {cookie: X-Y}, endpoints: [\"10.1.0.1:80\"]}",
        "{service: s, subsets: {\"0\": {endpoints: [\"10.1.0.1:80\"]}}}",
        "{service: s, via: true, endpoints: [\"10.1.0.1:80\"]}",
        "{service: s, accelerate: always, endpoints: [\"10.1.0.1:80\"]}",
        "{service: s, accelerate: never, endpoints: [\"10.1.0.1:80\"]}",
        "{service: s, forwarded-for: true, endpoints: [\"10.1.0.1:80\"]}",
        "{service: s, connect-attempts: 1, endpoints: [\"10.1.0.1:80\"]}",
        "{service: s, timeouts: {connect: 1001us}, endpoints: [\"10.1.0.1:80\"]}",
        "{service: s, timeouts: {idle: 90s}, endpoints: [\"10.1.0.1:80\"]}",
        "{service: s, timeouts: {pool-idle: 24h}, endpoints: [\"10.1.0.1:80\"]}",
        "{service: s, endpoints: [\"10.1.0.1:80\"], routes: [{to: default}]}",
        "{service: s, endpoints: [\"10.1.0.1:80\"], routes: [{to: default, timeout: 1ms}]}",
        "{service: s, endpoints: [\"10.1.0.1:80\"], routes: [{to: default, match: {path: /x}}]}",
        "{service: s, endpoints: [\"10.1.0.1:80\"], routes: [{to: default, match: {path: '/\"\\{}'}}]}",
        "{service: s, endpoints: [\"10.1.0.1:80\"], routes: [{to: default, match: {path: {prefix: /x}}}]}",
        "{service: s, endpoints: [\"10.1.0.1:80\"], routes: [{to: default, match: {host: x.y}}]}",
        "{service: s, endpoints: [\"10.1.0.1:80\"], routes: [{to: default, match: {host: '*.y'}}]}",
        "{service: s, endpoints: [\"10.1.0.1:80\"], routes: [{to: default, match: {host: '[::1]'}}]}",
        "{service: s, endpoints: [\"10.1.0.1:80\"], routes: [{to: default, match: {host: x, path: /x}}]}",
        "{service: s, subsets: {a: {endpoints: []}, b: {endpoints: []}}, routes: [{to: a}]}",
        "{service: s, subsets: {a: {endpoints: []}, b: {endpoints: []}}, routes: [{to: b}]}",
        "{service: s, subsets: {a: {endpoints: []}, b: {endpoints: []}}, routes: [{split: {a: 1, b: 2}}]}",
        "{service: s, subsets: {a: {endpoints: []}, b: {endpoints: []}}, "
        "routes: [{split: {a: 1%, b: 99%}}]}",
        "{service: s, subsets: {a: {endpoints: []}, b: {endpoints: []}}, "
        "routes: [{name: x, to: a}, {to: b}]}",
        "{service: s, endpoints: [\"10.1.0.1:80\"], "
        "routes: [{to: default, match: {host: [x.y, '*.y']}}]}",
        "{service: s, endpoints: [\"10.1.0.1:80\"], "
        "routes: [{to: default, match: {path: {suffix: .gif}}}]}",
        "{service: s, endpoints: [\"10.1.0.1:80\"], "
        "routes: [{to: default, match: {path: {regex: '^/a+$'}}}]}",
        "{service: s, endpoints: [\"10.1.0.1:80\"], "
        "routes: [{to: default, match: {path: [/x, {prefix: /y}]}}]}",
        "{service: s, endpoints: [\"10.1.0.1:80\"], routes: [{to: default, match: {method: GET}}]}",
        "{service: s, endpoints: [\"10.1.0.1:80\"], "
        "routes: [{to: default, match: {method: [GET, POST]}}]}",
        "{service: s, endpoints: [\"10.1.0.1:80\"], "
        "routes: [{to: default, match: {headers: {x-a: b}}}]}",
        "{service: s, endpoints: [\"10.1.0.1:80\"], "
        "routes: [{to: default, match: {headers: {x-a: {prefix: b}}}}]}",
        "{service: s, endpoints: [\"10.1.0.1:80\"], "
        "routes: [{to: default, match: {headers: {x-a: {suffix: b}}}}]}",
        "{service: s, endpoints: [\"10.1.0.1:80\"], "
        "routes: [{to: default, match: {headers: {x-a: {regex: b}}}}]}",
        "{service: s, endpoints: [\"10.1.0.1:80\"], "
        "routes: [{to: default, match: {headers: {x-a: {present: true}}}}]}",
        "{service: s, endpoints: [\"10.1.0.1:80\"], "
        "routes: [{to: default, match: {headers: {x-a: {present: false}}}}]}",
        "{service: s, endpoints: [\"10.1.0.1:80\"], "
        "routes: [{to: default, match: {headers: {x-a: {range: 1..2}}}}]}",
        "{service: s, endpoints: [\"10.1.0.1:80\"], "
        "routes: [{to: default, match: {headers: {x-a: {range: -1..}}}}]}",
        "{service: s, endpoints: [\"10.1.0.1:80\"], "
        "routes: [{to: default, match: {headers: {x-a: {range: ..-1}}}}]}",
        "{service: s, endpoints: [\"10.1.0.1:80\"], "
        "routes: [{to: default, match: {headers: {x-a: b, x-c: d}}}]}",
        "{service: s, endpoints: [\"10.1.0.1:80\"], "
        "routes: [{to: default, match: {headers: {x-a: [b, {prefix: d}]}}}]}",
        "{service: s, endpoints: [\"10.1.0.1:80\"], "
        "routes: [{to: default, match: {headers: {x-a: ''}}}]}",
        "{service: s, endpoints: [\"10.1.0.1:80\"], "
        "routes: [{to: default, match: {headers: {x-a: 'yes: no # \"\\ {}[], &*!|>%@`'}}}]}",
        "{service: s, endpoints: [\"10.1.0.1:80\"], "
        "routes: [{to: default, match: {cookies: {sid: b}}}]}",
        "{service: s, endpoints: [\"10.1.0.1:80\"], routes: [{to: default, match: {query: {sid: b}}}]}",
        "{service: s, endpoints: [\"10.1.0.1:80\"], "
        "routes: [{to: default, match: {query: {'a b': \"\\x01\\n\\t\\x7f\\x85\\u2028\\ufeff\\uffff \"}}}]}",
        "{service: s, endpoints: [\"10.1.0.1:80\"], routes: [{to: default, match: {callers: a.slice}}]}",
        "{service: s, endpoints: [\"10.1.0.1:80\"], "
        "routes: [{to: default, match: {callers: a.service}}]}",
        "{service: s, endpoints: [\"10.1.0.1:80\"], "
        "routes: [{to: default, match: {callers: [a.slice, a.service]}}]}",
        "{service: s, endpoints: [\"10.1.0.1:80\"], "
        "routes: [{to: default, match: {callers: {user: 4}}}]}",
        "{service: s, endpoints: [\"10.1.0.1:80\"], "
        "routes: [{to: default, match: {callers: {user: root}}}]}",
        "{service: s, endpoints: [\"10.1.0.1:80\"], "
        "routes: [{to: default, match: {callers: {slice: a.slice, user: 4}}}]}",
        "{service: s, endpoints: [\"10.1.0.1:80\"], "
        "routes: [{to: default, match: {callers: [{slice: a.slice, unit: b.service, user: 4}, {unit: "
        "'c@\\\\x2d.service'}]}}]}",
        "{service: s, endpoints: [\"10.1.0.1:80\"], "
        "routes: [{to: default, match: {source: 10.0.0.0/8}}]}",
        "{service: s, endpoints: [\"10.1.0.1:80\"], "
        "routes: [{to: default, match: {source: 10.0.0.0/9}}]}",
        "{service: s, endpoints: [\"10.1.0.1:80\"], "
        "routes: [{to: default, match: {source: ['10.0.0.0/8', '::1', 'fd00::/8']}}]}",
        "{service: s, endpoints: [\"10.1.0.1:80\"], routes: [{to: default, match: {fraction: 5%}}]}",
        "{service: s, endpoints: [\"10.1.0.1:80\"], "
        "routes: [{to: default, match: {fraction: 0.000001%}}]}",
        "{service: s, endpoints: [\"10.1.0.1:80\"], routes: [{to: default, match: {fraction: 100%}}]}",
        "{service: s, endpoints: [\"10.1.0.1:80\"], routes: [{to: default, match: {fraction: 0%}}]}",
        "{service: s, endpoints: [\"10.1.0.1:80\"], "
        "routes: [{to: default, match: {body: {contains: a}}}]}",
        "{service: s, endpoints: [\"10.1.0.1:80\"], "
        "routes: [{to: default, match: {body: {contains: [a, b], first: 1K}}}]}",
        "{service: s, endpoints: [\"10.1.0.1:80\"], "
        "routes: [{to: default, match: {body: {json: {/a/b: c, '': d}}}}]}",
        "{service: s, endpoints: [\"10.1.0.1:80\"], "
        "routes: [{to: default, match: {body: {json: {/a: {range: 1..2}}, form: {b: {present: false}}, "
        "contains: c}}}]}",
        "{service: s, endpoints: [\"10.1.0.1:80\"], "
        "routes: [{to: default, match: {all: [{host: a}, {host: '*.b'}]}}]}",
        "{service: s, endpoints: [\"10.1.0.1:80\"], "
        "routes: [{to: default, match: {any: [{host: a}, {host: b.c, path: /x}]}}]}",
        "{service: s, endpoints: [\"10.1.0.1:80\"], routes: [{to: default, match: {not: {host: a}}}]}",
        "{service: s, endpoints: [\"10.1.0.1:80\"], "
        "routes: [{to: default, match: {not: {not: {host: a}}}}]}",
        "{service: s, endpoints: [\"10.1.0.1:80\"], "
        "routes: [{to: default, match: {host: a, any: [{all: [{path: /a}, {method: PUT}]}, {not: {any: "
        "[{path: /b}]}}]}}]}",
        "{service: s, endpoints: [\"10.1.0.1:80\"], routes: [{to: default, shadow: true}]}",
        "{service: s, endpoints: [\"10.1.0.1:80\"], routes: [{to: default, split-by: random}]}",
        "{service: s, endpoints: [\"10.1.0.1:80\"], routes: [{to: default, split-by: source}]}",
        "{service: s, endpoints: [\"10.1.0.1:80\"], routes: [{to: default, split-by: {header: X-Y}}]}",
        "{service: s, endpoints: [\"10.1.0.1:80\"], routes: [{to: default, split-by: {cookie: X-Y}}]}",
        "{service: s, endpoints: [\"10.1.0.1:80\"], "
        "routes: [{to: default, match: {path: {prefix: /a}}, rewrite: {prefix: /b}}]}",
        "{service: s, endpoints: [\"10.1.0.1:80\"], "
        "routes: [{to: default, match: {path: {prefix: /a}}, rewrite: {prefix: /b, host: 'c:81'}}]}",
        "{service: s, endpoints: [\"10.1.0.1:80\"], routes: [{to: default, rewrite: {host: c}}]}",
        "{service: s, endpoints: [\"10.1.0.1:80\"], "
        "routes: [{to: default, request-headers: {add: {a: b}}}]}",
        "{service: s, endpoints: [\"10.1.0.1:80\"], "
        "routes: [{to: default, request-headers: {add: {a: [b, c], d: e}}}]}",
        "{service: s, endpoints: [\"10.1.0.1:80\"], "
        "routes: [{to: default, request-headers: {set: {a: b}}}]}",
        "{service: s, endpoints: [\"10.1.0.1:80\"], "
        "routes: [{to: default, request-headers: {remove: [a, b], set: {c: d, e: ''}}}]}",
        "{service: s, endpoints: [\"10.1.0.1:80\"], "
        "routes: [{to: default, response-headers: {add: {a: b}}}]}",
        "{service: s, endpoints: [\"10.1.0.1:80\"], "
        "routes: [{to: default, request-headers: {remove: [a]}, response-headers: {remove: [a]}}]}",
        "{service: s, endpoints: [\"10.1.0.1:80\"], routes: [{to: default, mirror: {to: default}}]}",
        "{service: s, endpoints: [\"10.1.0.1:80\"], "
        "routes: [{to: default, mirror: {to: default, fraction: 1%}}]}",
        "{service: s, endpoints: [\"10.1.0.1:80\"], "
        "routes: [{to: default, mirror: {to: default, body: 0}}]}",
        "{service: s, endpoints: [\"10.1.0.1:80\"], "
        "routes: [{to: default, fault: {delay: {for: 1500us}}}]}",
        "{service: s, endpoints: [\"10.1.0.1:80\"], "
        "routes: [{to: default, fault: {delay: {for: 1500us, fraction: 2%}}}]}",
        "{service: s, endpoints: [\"10.1.0.1:80\"], "
        "routes: [{to: default, fault: {abort: {status: 503}}}]}",
        "{service: s, endpoints: [\"10.1.0.1:80\"], "
        "routes: [{to: default, fault: {abort: {status: 503, fraction: 0%, body: \"a\\nb\", content-type: "
        "a/b}}}]}",
        "{service: s, endpoints: [\"10.1.0.1:80\"], "
        "routes: [{to: default, fault: {delay: {for: 1s}, abort: {status: 500}}}]}",
        "{service: s, endpoints: [\"10.1.0.1:80\"], routes: [{redirect: {url: /a}}]}",
        "{service: s, endpoints: [\"10.1.0.1:80\"], routes: [{redirect: {url: /a, status: 301}}]}",
        "{service: s, endpoints: [\"10.1.0.1:80\"], "
        "routes: [{match: {path: /x}, redirect: {prefix: /a}}]}",
        "{service: s, endpoints: [\"10.1.0.1:80\"], routes: [{redirect: {host: a}}]}",
        "{service: s, endpoints: [\"10.1.0.1:80\"], routes: [{redirect: {host: a, scheme: https}}]}",
        "{service: s, endpoints: [\"10.1.0.1:80\"], "
        "routes: [{match: {path: /x}, redirect: {host: a, prefix: /b}}]}",
        "{service: s, endpoints: [\"10.1.0.1:80\"], routes: [{respond: {status: 200}}]}",
        "{service: s, endpoints: [\"10.1.0.1:80\"], routes: [{respond: {status: 200, body: ''}}]}",
        "{service: s, endpoints: [\"10.1.0.1:80\"], routes: [{respond: {status: 200, body: a}}]}",
        "{service: s, endpoints: [\"10.1.0.1:80\"], "
        "routes: [{respond: {status: 200, content-type: a/b}}]}",
        "{service: s, endpoints: [\"10.1.0.1:80\"], "
        "routes: [{respond: {status: 200, headers: {a: [b, c], d: e}}}]}",
        "{service: s, endpoints: [\"10.1.0.1:80\"], paths: {normalize: always}}",
        "{service: s, endpoints: [\"10.1.0.1:80\"], paths: {normalize: never}}",
        "{service: s, endpoints: [\"10.1.0.1:80\"], paths: {encoded-slash: keep}}",
        "{service: s, endpoints: [\"10.1.0.1:80\"], paths: {encoded-nul: keep}}",
};

static void test_round_trip(void **state) {
        for (size_t i = 0; i < ELEMENTSOF(variants); i++) {
                _cleanup_(policy_freep) Policy *p = test_load(variants[i]), *again = NULL;
                _cleanup_free_ char *text = NULL;
                size_t size;
                FILE *f = open_memstream(&text, &size);

                assert_int_equal(p->n_services, 1);
                assert_int_equal(policy_service_dump(p->services[0], f), 0);
                assert_int_equal(fclose(f), 0);
                again = test_load(text);
                assert_int_equal(again->n_services, 1);
                assert_true(policy_service_equal(p->services[0], again->services[0]));
        }
}

static void test_equal_tells_apart(void **state) {
        for (size_t i = 0; i < ELEMENTSOF(variants); i++) {
                _cleanup_(policy_freep) Policy *a = test_load(variants[i]);

                for (size_t j = 0; j < ELEMENTSOF(variants); j++) {
                        _cleanup_(policy_freep) Policy *b = test_load(variants[j]);

                        assert_int_equal(policy_service_equal(a->services[0], b->services[0]), i == j);
                }
        }
}

static void test_good(void **state) {
        _cleanup_(policy_freep) Policy *s = test_load(variants[3]), *t = test_load(variants[1]);
        _cleanup_(policy_freep) Policy *good = NULL;

        assert_int_equal(policy_load_good(test_root, &good), 0);
        assert_int_equal(good->n_services, 0);
        good = policy_free(good);
        assert_int_equal(policy_save_good(test_root, s->services[0]), 0);
        assert_int_equal(policy_save_good(test_root, t->services[0]), 0);
        test_write("s.d/10.yaml", "port: 99\n"); /* no drop-ins here */
        assert_int_equal(policy_load_good(test_root, &good), 0);
        assert_int_equal(good->n_errors, 0);
        assert_int_equal(good->n_services, 2);
        assert_true(policy_service_equal(policy_find_service(good, "s"), s->services[0]));
        assert_true(policy_service_equal(policy_find_service(good, "t"), t->services[0]));
        good = policy_free(good);

        assert_int_equal(policy_remove_good(test_root, "s"), 0);
        assert_int_equal(policy_remove_good(test_root, "s"), 0);
        assert_int_equal(policy_load_good(test_root, &good), 0);
        assert_int_equal(good->n_services, 1);
        assert_null(policy_find_service(good, "s"));
        assert_int_equal(policy_save_good(test_path("none"), s->services[0]), -ENOENT);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_round_trip),
                cmocka_unit_test(test_equal_tells_apart),
                cmocka_unit_test_setup_teardown(test_good, test_root_setup, test_root_teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
