/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "../engine/engine-framing.h"
#include "../engine/engine-parse.h"
#include "relay-caller.h"
#include "relay-reply.h"

static void check_reply(enum sm_reason reason, unsigned options) {
        struct sm_head_parser p;
        struct sm_head head;
        BufferPool pool;
        Buffer *b;

        buffer_pool_init(&pool, 4096);
        b = buffer_acquire(&pool);
        assert_int_equal(reply_write(b, reason, options), 0);
        sm_head_start(&p, &head, SM_HEAD_RESPONSE, 4096);
        assert_true(sm_head_parse(&p, &head, buffer_at(b), buffer_filled(b)) > 0);
        assert_int_equal(head.status, reply_status(reason));
        assert_true(head.reason.length > 0);
        assert_int_equal(!(options & SM_REPLY_CLOSE), sm_head_persistent(&head));
        assert_int_equal(head.length + (options & SM_REPLY_HEAD ? 0 : head.content_length),
                         buffer_filled(b));
        buffer_release(&pool, b);
        buffer_pool_done(&pool);
}

static void test_every_reason_that_has_a_status(void **state) {
        for (enum sm_reason reason = 0; reason < _SM_REASON_MAX; reason++)
                for (unsigned options = 0; options < 8 && reply_status(reason) > 0; options++)
                        check_reply(reason, options);
}

static void check_address(const char *text, __be16 port, const char *expected, socklen_t size) {
        struct sockaddr_storage socket_address = {}, back = {};
        char printed[ADDRESS_TEXT_MAX];
        __u8 address[16], again[16];
        __be16 port_again;

        assert_int_equal(inet_pton(AF_INET6, text, address), 1);
        address_print(address, port, printed);
        assert_string_equal(printed, expected);
        assert_int_equal(address_load(address, port, &socket_address), size);
        memcpy(&back, &socket_address, size);
        address_store(&back, again, &port_again);
        assert_memory_equal(again, address, 16);
        assert_int_equal(port_again, port);
}

static void test_addresses(void **state) {
        check_address("::ffff:127.0.0.1", htons(80), "127.0.0.1:80", sizeof(struct sockaddr_in));
        check_address("::ffff:10.1.2.3", 0, "10.1.2.3", sizeof(struct sockaddr_in));
        check_address("::1", htons(8080), "[::1]:8080", sizeof(struct sockaddr_in6));
        check_address("fe80::1", 0, "fe80::1", sizeof(struct sockaddr_in6));
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_every_reason_that_has_a_status),
                cmocka_unit_test(test_addresses),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
