/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "engine-match.h"

/*
 * Any bytes as a JSON document, a form and a text: the first line says what is looked for, as pointer, name
 * and value. What is decided with a part of the body is decided the same with all of it.
 */

#define CHECK(condition)         \
        do {                     \
                if (!(condition)) \
                        abort(); \
        } while (0)

#define BASE 1U
#define NAME_MAX_CELLS 4
#define PARTS 16

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct Case {
        struct sm_cell cells[BASE + 2 + 2 * NAME_MAX_CELLS];
        struct sm_tables tables;
        struct sm_head head;
        struct sm_work work;
        const uint8_t *body;
        size_t length;
} Case;

static enum sm_verdict judge(Case *c, size_t n, int complete) {
        uint8_t *body = malloc(n + 1); /* of its size, so that the sanitizer sees a look ahead */
        const struct sm_request q = {
                .bytes = body, .head = &c->head, .body = body, .work = &c->work,
                .body_length = (__u32) n, .body_complete = (__u16) complete,
        };
        struct sm_match m = { .t = &c->tables, .q = &q, .w = &c->work };
        enum sm_verdict verdict;

        CHECK(body);
        memcpy(body, c->body, n);
        memset(&c->work, 0xa5, sizeof(c->work));
        c->work.search.base = BASE;
        c->work.search.cell = BASE + 1;
        m.p = (const struct sm_predicate *) c->cells[BASE + 1].bytes;
        if (m.p->kind == SM_MATCH_FORM) { /* without the head that says so */
                const struct sm_text_place name = { BASE + m.p->name.cell, 0, m.p->name.length };

                sm_find_start(&m, &name);
                m.bytes = body;
                c->work.find.open = n < m.p->first && !complete;
                verdict = sm_find_parameter(&m, 0, (__u32) (n < m.p->first ? n : m.p->first));
                if (verdict == SM_VERDICT_NO && c->work.find.open)
                        verdict = SM_VERDICT_UNDECIDED;
        } else {
                verdict = sm_predicate_judge(&m);
        }
        free(body);
        return verdict;
}

static void check(Case *c) {
        enum sm_verdict all = judge(c, c->length, 1), part;

        CHECK(all != SM_VERDICT_UNDECIDED);
        for (size_t i = 0; i <= PARTS; i++) {
                part = judge(c, c->length * i / PARTS, 0);
                CHECK(part == SM_VERDICT_UNDECIDED || part == all);
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        static const uint8_t kinds[] = { SM_MATCH_JSON, SM_MATCH_FORM, SM_MATCH_CONTENT };
        const uint8_t *end = size > 0 ? memchr(data, '\n', size) : NULL;
        size_t n = end ? (size_t) (end - data) : 0;
        struct sm_predicate *p;
        Case c = {};

        if (!end || n > NAME_MAX_CELLS * SM_CELL_SIZE || size > UINT16_MAX)
                return 0;
        c.body = end + 1;
        c.length = size - n - 1;
        c.tables = (struct sm_tables) { .cells = c.cells, .n_cells = sizeof(c.cells) / sizeof(c.cells[0]) };
        p = (struct sm_predicate *) c.cells[BASE + 1].bytes;
        p->name = p->text = (struct sm_text) { 2, (__u32) n };
        p->low = -1000;
        p->high = 1000;
        memcpy(c.cells[BASE + 2].bytes, data, n);
        for (size_t k = 0; k < sizeof(kinds); k++)
                for (uint32_t op = 0; op < SM_OP_REGEX; op++) {
                        p->kind = kinds[k];
                        p->op = (__u8) op;
                        p->first = SM_BODY_LOOK_MAX;
                        check(&c);
                        p->first = (__u16) (c.length / 2 + 1);
                        if (c.length > p->first)
                                CHECK(judge(&c, c.length, 0) == judge(&c, p->first, 1));
                }
        return 0;
}
