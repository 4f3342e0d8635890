/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../engine/engine-parse.h"
#include "../engine/engine-reply.h"
#include "relay-answer.h"
#include "relay-changes.h"

#define CELLS 32
#define BASE 2 /* of the policy, whose cells count from there */

typedef struct Bench {
        struct sm_cell cells[CELLS];
        struct sm_tables tables;
        __u32 used; /* cells of the policy */
} Bench;

static void bench_start(Bench *b) {
        *b = (Bench){ .used = 1 };
        b->tables = (struct sm_tables){ .cells = b->cells, .n_cells = CELLS };
}

static __u32 add(Bench *b, const void *bytes, size_t n) {
        __u32 cell = b->used;

        memcpy(b->cells[BASE + cell].bytes, bytes, n);
        b->used += (__u32) ((n + SM_CELL_SIZE - 1) / SM_CELL_SIZE);
        return cell;
}

static struct sm_text add_text(Bench *b, const char *text) {
        return (struct sm_text){ add(b, text, strlen(text)), (__u32) strlen(text) };
}

static void assert_text(Text text, const char *expected) {
        assert_non_null(text.bytes);
        assert_int_equal(text.length, strlen(expected));
        assert_memory_equal(text.bytes, expected, text.length);
}

static struct sm_actions add_changes(Bench *b) {
        struct sm_edit edits[] = {
                { .kind = SM_EDIT_SET, .name = add_text(b, "x-a"), .value = add_text(b, "1") },
                { .kind = SM_EDIT_REMOVE, .name = add_text(b, "x-b") },
        };

        return (struct sm_actions){
                .edits = add(b, edits, sizeof(edits)),
                .n_request_edits = 1,
                .n_response_edits = 1,
                .flags = SM_ACTION_REWRITE_HOST | SM_ACTION_REWRITE_PATH,
                .host = add_text(b, "h"),
                .prefix = { 0, 0 },
                .skip = 3,
        };
}

/* They outlive the policy. */
static void test_changes_are_copied(void **state) {
        struct sm_actions a;
        Changes *c;
        Bench b;

        bench_start(&b);
        a = add_changes(&b);
        assert_int_equal(changes_new(&b.tables, BASE, &a, &c), 0);
        memset(b.cells, 0xff, sizeof(b.cells));
        assert_text(c->host, "h");
        assert_text(c->prefix, "");
        assert_int_equal(c->skip, 3);
        assert_int_equal(c->request.n, 1);
        assert_int_equal(c->request.items[0].kind, SM_EDIT_SET);
        assert_text(c->request.items[0].name, "x-a");
        assert_text(c->request.items[0].value, "1");
        assert_int_equal(c->response.n, 1);
        assert_int_equal(c->response.items[0].kind, SM_EDIT_REMOVE);
        assert_text(c->response.items[0].name, "x-b");
        free(c);
}

static void test_no_changes(void **state) {
        struct sm_actions a = { .delay_ms = 1, .skip = 3 };
        Changes *c = (Changes *) &a;
        Bench b;

        bench_start(&b);
        assert_int_equal(changes_new(&b.tables, BASE, &a, &c), 0);
        assert_null(c);
}

static void test_changes_beyond_the_table(void **state) {
        struct sm_actions good, a;
        Changes *c = NULL;
        Bench b;

        bench_start(&b);
        good = add_changes(&b);
        a = good;
        a.edits = CELLS - BASE - 1; /* of two */
        assert_int_equal(changes_new(&b.tables, BASE, &a, &c), -EBADMSG);
        a = good;
        a.host.cell = CELLS;
        assert_int_equal(changes_new(&b.tables, BASE, &a, &c), -EBADMSG);
        a = good;
        a.prefix = (struct sm_text){ 1, UINT32_MAX };
        assert_int_equal(changes_new(&b.tables, BASE, &a, &c), -EBADMSG);
        ((struct sm_edit *) b.cells[BASE + good.edits].bytes)->kind = _SM_EDIT_MAX;
        assert_int_equal(changes_new(&b.tables, BASE, &good, &c), -EBADMSG);
        assert_null(c);
}

static void test_answers(void **state) {
        static const struct {
                const char *request, *location;
                unsigned flags, skip, options;
                const char *expected;
        } cases[] = {
                { "GET /a/b?c HTTP/1.1\r\nHost: h\r\n\r\n", "", 0, 0, 0, "S: 1\r\n\r\nbody" },
                { "GET /a/b?c HTTP/1.1\r\nHost: h\r\n\r\n", "", 0, 0, SM_REPLY_HEAD | SM_REPLY_CLOSE,
                  "S: 1\r\nConnection: close\r\n\r\n" },
                { "GET /a/b?c HTTP/1.1\r\nHost: h\r\n\r\n", "", 0, 0, SM_REPLY_KEEP_ALIVE,
                  "S: 1\r\nConnection: keep-alive\r\n\r\nbody" },
                { "GET /a/b?c HTTP/1.1\r\nHost: h\r\n\r\n", "//x/y", SM_ANSWER_REDIRECT, 2, 0,
                  "S: 1\r\nLocation: //x/y\r\n\r\nbody" },
                { "GET /a/b?c HTTP/1.1\r\nHost: h\r\n\r\n", "/n",
                  SM_ANSWER_REDIRECT | SM_ANSWER_HOST | SM_ANSWER_PATH | SM_ANSWER_QUERY, 2, 0,
                  "S: 1\r\nLocation: http://h/n/b?c\r\n\r\nbody" },
                { "GET /a//x HTTP/1.1\r\nHost: h\r\n\r\n", "/", SM_ANSWER_REDIRECT | SM_ANSWER_PATH, 2, 0,
                  "S: 1\r\nLocation: /x\r\n\r\nbody" },
                { "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n", "/n",
                  SM_ANSWER_REDIRECT | SM_ANSWER_PATH | SM_ANSWER_QUERY, 0, 0,
                  "S: 1\r\nLocation: /n\r\n\r\nbody" },
        };
        BufferPool pool;

        buffer_pool_init(&pool, 4096);
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                const uint8_t *bytes = (const uint8_t *) cases[i].request;
                Buffer *out = buffer_acquire(&pool);
                struct sm_head_parser p;
                struct sm_head head;
                struct sm_answer answer;
                Answer a;
                Bench b;

                bench_start(&b);
                answer = (struct sm_answer){
                        .head = add_text(&b, "S: 1\r\n"),
                        .body = add_text(&b, "body"),
                        .location = add_text(&b, cases[i].location),
                        .status = 302,
                        .flags = (__u16) cases[i].flags,
                        .skip = cases[i].skip,
                };
                sm_head_start(&p, &head, SM_HEAD_REQUEST, SM_HEAD_MAX);
                assert_true(sm_head_parse(&p, &head, bytes, (__u32) strlen(cases[i].request)) > 0);
                assert_int_equal(answer_read(&b.tables, BASE, add(&b, &answer, sizeof(answer)), &a), 0);
                assert_int_equal(a.status, 302);
                assert_int_equal(answer_write(out, &a, bytes, &head, cases[i].options), 0);
                assert_in_range(buffer_filled(out), 1, answer_size_max(&a, &head));
                assert_int_equal(buffer_append(out, "", 1), 0);
                assert_string_equal((const char *) buffer_at(out), cases[i].expected);
                buffer_release(&pool, out);
                assert_int_equal(answer_read(&b.tables, BASE, CELLS, &a), -EBADMSG);
        }
        buffer_pool_done(&pool);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_changes_are_copied),
                cmocka_unit_test(test_no_changes),
                cmocka_unit_test(test_changes_beyond_the_table),
                cmocka_unit_test(test_answers),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
