/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cleanup.h"
#include "macro.h"
#include "parse-util.h"
#include "time-util.h"

typedef struct Case {
        const char *text;
        int r;
        uint64_t value;
} Case;

static void test_unsigned(void **state) {
        static const Case cases[] = {
                { "0", 0, 0 }, { "7", 0, 7 }, { "18446744073709551615", 0, UINT64_MAX },
                { "18446744073709551616", -ERANGE, 0 }, { "", -EINVAL, 0 }, { "-1", -EINVAL, 0 },
                { "+1", -EINVAL, 0 }, { "010", -EINVAL, 0 }, { "0x10", -EINVAL, 0 }, { " 1", -EINVAL, 0 },
                { "1 ", -EINVAL, 0 }, { "1.5", -EINVAL, 0 },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                uint64_t value = 42;

                assert_int_equal(parse_unsigned(cases[i].text, &value), cases[i].r);
                assert_int_equal(value, cases[i].r < 0 ? 42 : cases[i].value);
        }
}

static void test_duration(void **state) {
        static const Case cases[] = {
                { "2s", 0, 2 * USEC_PER_SEC }, { "25ms", 0, 25 * USEC_PER_MSEC }, { "1h", 0, USEC_PER_HOUR },
                { "1m30s", 0, 90 * USEC_PER_SEC }, { "1min", 0, USEC_PER_MINUTE }, { "1.5s", 0, 1500000 },
                { "0.25ms", 0, 250 }, { "3us", 0, 3 }, { "1d", 0, 24 * USEC_PER_HOUR }, { "0", 0, 0 },
                { "0s", 0, 0 }, { "2", -EINVAL, 0 }, { "s", -EINVAL, 0 }, { "", -EINVAL, 0 },
                { "2 s", -EINVAL, 0 }, { "2x", -EINVAL, 0 }, { "-2s", -EINVAL, 0 }, { "1.s", -EINVAL, 0 },
                { "1.5us", -EINVAL, 0 }, { "1s2", -EINVAL, 0 }, { "99999999999999999999s", -ERANGE, 0 },
                { "999999999999999999h", -ERANGE, 0 },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                uint64_t value = 42;

                assert_int_equal(parse_duration(cases[i].text, &value), cases[i].r);
                assert_int_equal(value, cases[i].r < 0 ? 42 : cases[i].value);
        }
}

static void test_size(void **state) {
        static const Case cases[] = {
                { "4096", 0, 4096 }, { "64K", 0, 65536 }, { "8MiB", 0, 8 << 20 }, { "1G", 0, 1 << 30 },
                { "1.5K", -EINVAL, 0 }, { "10B", 0, 10 }, { "0", 0, 0 }, { "64KB", -EINVAL, 0 }, { "K", -EINVAL, 0 },
                { "1.5", -EINVAL, 0 }, { "64K1", -EINVAL, 0 }, { "99999999999999999G", -ERANGE, 0 },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                uint64_t value = 42;

                assert_int_equal(parse_size(cases[i].text, &value), cases[i].r);
                assert_int_equal(value, cases[i].r < 0 ? 42 : cases[i].value);
        }
}

static void test_percent(void **state) {
        static const Case cases[] = {
                { "20%", 0, 200 }, { "0.5%", 0, 5 }, { "100%", 0, 1000 }, { "0%", 0, 0 },
                { "100.1%", -ERANGE, 0 }, { "0.55%", -EINVAL, 0 }, { "20", -EINVAL, 0 }, { "%", -EINVAL, 0 },
                { "5%%", -EINVAL, 0 },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                unsigned value = 42;

                assert_int_equal(parse_percent(cases[i].text, &value), cases[i].r);
                assert_int_equal(value, cases[i].r < 0 ? 42 : cases[i].value);
        }
}

static void test_boolean_and_port(void **state) {
        uint16_t port = 42;
        bool b = false;

        assert_int_equal(parse_boolean("true", &b), 0);
        assert_true(b);
        assert_int_equal(parse_boolean("no", &b), 0);
        assert_false(b);
        assert_int_equal(parse_boolean("True", &b), -EINVAL);
        assert_int_equal(parse_boolean("1", &b), -EINVAL);
        assert_int_equal(parse_port("65535", &port), 0);
        assert_int_equal(port, 65535);
        assert_int_equal(parse_port("0", &port), -ERANGE);
        assert_int_equal(parse_port("65536", &port), -ERANGE);
        assert_int_equal(parse_port("http", &port), -EINVAL);
        assert_int_equal(port, 65535);
}

static void test_host_port(void **state) {
        static const struct {
                const char *text, *host, *address; /* as it is written back */
                uint16_t port;
        } good[] = {
                { "1.2.3.4:80", NULL, "1.2.3.4:80", 80 },
                { "[::1]:8080", NULL, "[::1]:8080", 8080 },
                { "[fd00:0::1]:1", NULL, "[fd00::1]:1", 1 },
                { "[::ffff:1.2.3.4]:80", NULL, "1.2.3.4:80", 80 },
                { "db.example:5432", "db.example", NULL, 5432 },
                { "localhost:80", "localhost", NULL, 80 },
                { "_http._tcp.x:80", "_http._tcp.x", NULL, 80 },
        };
        static const char *const bad[] = {
                "", ":80", "1.2.3.4", "1.2.3.4:", "1.2.3.4:0", "1.2.3.4:65536", "1.2.3.300:80", "1.2.3:80",
                "::1:80", "[::1]", "[::1]80", "[::1:80", "[]:80", "[1.2.3.4]:80", "[db]:80", "a b:80",
                "a..b:80",
                ".a:80", "a.:80", "a/b:80", "01.2.3.4:80", "[:80", "]:80",
        };

        for (size_t i = 0; i < ELEMENTSOF(good); i++) {
                _cleanup_free_ char *host = NULL;
                char text[ADDRESS_PORT_STRLEN];
                struct in6_addr address;
                uint16_t port;

                assert_int_equal(parse_host_port(good[i].text, &host, &address, &port), 0);
                assert_int_equal(port, good[i].port);
                if (good[i].host)
                        assert_string_equal(host, good[i].host);
                else {
                        assert_null(host);
                        assert_string_equal(address_port_to_string(&address, port, text), good[i].address);
                }
        }
        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                char *host = NULL;
                struct in6_addr address;
                uint16_t port;

                assert_true(parse_host_port(bad[i], &host, &address, &port) < 0);
                assert_null(host);
        }
}

static void test_network(void **state) {
        char text[ADDRESS_STRLEN];
        struct in6_addr address;
        unsigned prefix;

        assert_int_equal(parse_network("127.71.0.0/16", &address, &prefix), 0);
        assert_int_equal(prefix, 16);
        assert_string_equal(address_to_string(&address, text), "127.71.0.0");
        assert_int_equal(parse_network("1.2.3.4/32", &address, &prefix), 0);
        assert_int_equal(parse_network("0.0.0.0/0", &address, &prefix), 0);
        assert_int_equal(parse_network("127.71.0.1/16", &address, &prefix), -EINVAL);
        assert_int_equal(parse_network("127.71.0.0", &address, &prefix), -EINVAL);
        assert_int_equal(parse_network("127.71.0.0/33", &address, &prefix), -ERANGE);
        assert_int_equal(parse_network("127.71.0.0/", &address, &prefix), -EINVAL);
        assert_int_equal(parse_network("fd00::/8", &address, &prefix), -EINVAL);
}

static void test_to_string(void **state) {
        char text[DURATION_STRLEN];
        uint64_t value;

        assert_string_equal(duration_to_string(0, text), "0");
        assert_string_equal(duration_to_string(90 * USEC_PER_SEC, text), "90s");
        assert_string_equal(duration_to_string(25 * USEC_PER_MSEC, text), "25ms");
        assert_string_equal(duration_to_string(1, text), "1us");
        assert_int_equal(parse_duration(duration_to_string(UINT64_MAX, text), &value), 0);
        assert_int_equal(value, UINT64_MAX);
        assert_string_equal(size_to_string(0, text), "0");
        assert_string_equal(size_to_string(65536, text), "64K");
        assert_string_equal(size_to_string(1000, text), "1000");
        assert_string_equal(size_to_string(UINT64_C(3) << 30, text), "3G");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_unsigned),
                cmocka_unit_test(test_duration),
                cmocka_unit_test(test_size),
                cmocka_unit_test(test_percent),
                cmocka_unit_test(test_boolean_and_port),
                cmocka_unit_test(test_host_port),
                cmocka_unit_test(test_network),
                cmocka_unit_test(test_to_string),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
