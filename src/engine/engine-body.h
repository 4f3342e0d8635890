/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "engine-chunk.h"

/* A chunked body in memory, for user space: its data in runs, and where it ends. */

/*
 * Reads up to the end of the next run of data, of the body or of the input. *ret_consumed is how far; the
 * last *ret_data bytes of that are data. 0 = the body goes on, 1 = it is complete, < 0 =
 * -SM_REASON_BAD_CHUNK, and then not even what was consumed can be trusted.
 */
static inline int sm_chunk_next(struct sm_chunk *c, const __u8 *bytes, __u64 length, __u64 *ret_consumed,
                                __u64 *ret_data) {
        __u64 i = 0, n = 0;
        int r;

        while (i < length && n == 0 && c->state != SM_CHUNK_DONE) {
                if (c->state == SM_CHUNK_DATA) {
                        n = length - i < c->size ? length - i : c->size;
                        i += n;
                        c->size -= n;
                        if (c->size == 0)
                                c->state = SM_CHUNK_DATA_CR;
                        continue;
                }
                r = sm_chunk_step(c, bytes[i++]);
                if (r < 0)
                        return r;
        }
        *ret_consumed = i;
        *ret_data = n;
        return c->state == SM_CHUNK_DONE;
}

/* The same up to the end of the body or of the input, for whoever forwards the coding as it is. *ret_data
 * is the number of bytes of data in what was consumed. */
static inline int sm_chunk_parse(struct sm_chunk *c, const __u8 *bytes, __u64 length, __u64 *ret_consumed,
                                 __u64 *ret_data) {
        __u64 consumed, data, i = 0, n = 0;
        int r;

        do {
                r = sm_chunk_next(c, bytes + i, length - i, &consumed, &data);
                if (r < 0)
                        return r;
                i += consumed;
                n += data;
        } while (r == 0 && i < length);
        *ret_consumed = i;
        *ret_data = n;
        return r;
}
