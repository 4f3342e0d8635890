/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../engine/engine-access.h"

typedef struct Text {
        const uint8_t *bytes; /* NULL: there is none, which is not the same as an empty one */
        size_t length;
} Text;

/* A text of the policy at cell `base`: as long as that is there. False: the table does not reach so far. */
static inline bool text_read(const struct sm_tables *t, __u32 base, const struct sm_text *text, Text *ret) {
        __u64 first = (__u64) base + text->cell;

        if (first + ((__u64) text->length + SM_CELL_SIZE - 1) / SM_CELL_SIZE > t->n_cells)
                return false;
        *ret = (Text){ t->cells[text->length > 0 ? first : 0].bytes, text->length };
        return true;
}
