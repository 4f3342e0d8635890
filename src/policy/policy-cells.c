/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../basic/macro.h"
#include "../basic/time-util.h"
#include "../engine/engine-hash.h"
#include "policy-cells.h"

void builder_done(Builder *b) {
        free(b->cells);
}

int builder_add(Builder *b, uint32_t n, uint32_t *ret) {
        struct sm_cell *grown;
        uint32_t size = b->size;

        if (n > UINT32_MAX / 4 - b->n_cells)
                return -E2BIG;
        if (b->n_cells + n > size) {
                size = MAX(2 * size, b->n_cells + n);
                grown = aligned_alloc(SM_CELL_SIZE, (size_t) size * SM_CELL_SIZE);
                if (!grown)
                        return -ENOMEM;
                if (b->n_cells > 0)
                        memcpy(grown, b->cells, (size_t) b->n_cells * SM_CELL_SIZE);
                free(b->cells);
                b->cells = grown;
                b->size = size;
        }
        memset(b->cells + b->n_cells, 0, (size_t) n * SM_CELL_SIZE);
        *ret = b->n_cells;
        b->n_cells += n;
        return 0;
}

void *builder_at(Builder *b, uint32_t cell) {
        return b->cells[cell].bytes;
}

int builder_add_bytes(Builder *b, const void *bytes, size_t size, uint32_t *ret) {
        uint32_t cell = 0;
        int r;

        if (size > 0) {
                r = builder_add(b, (uint32_t) ((size + SM_CELL_SIZE - 1) / SM_CELL_SIZE), &cell);
                if (r < 0)
                        return r;
                memcpy(builder_at(b, cell), bytes, size);
        }
        *ret = cell;
        return 0;
}

int builder_add_text(Builder *b, const char *text, struct sm_text *ret) {
        struct sm_text t = { .length = text ? (__u32) strlen(text) : 0 };
        int r;

        r = builder_add_bytes(b, text, t.length, &t.cell);
        if (r >= 0)
                *ret = t;
        return r;
}

uint64_t builder_hash(const char *text) {
        uint64_t h = sm_hash_start(strlen(text));

        for (; *text; text++)
                h = sm_hash_add(h, (__u8) *text);
        return sm_hash_finish(h);
}

uint32_t usec_to_ms(uint64_t usec) {
        return (uint32_t) MIN((usec + USEC_PER_MSEC - 1) / USEC_PER_MSEC, (uint64_t) UINT32_MAX);
}
