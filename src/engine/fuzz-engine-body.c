/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine-body.h"
#include "engine-chunk-loop.h"

/*
 * Any bytes as a chunked body: in one portion, in two and byte by byte it must come to the same end and
 * the same data, as must the walk through a message, and the data must survive being coded anew.
 */

#define TRAILER_LIMIT 1024
#define CHECK(condition)         \
        do {                     \
                if (!(condition)) \
                        abort(); \
        } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct Result {
        uint8_t *data;
        size_t n_data, consumed;
        int r;
} Result;

/* Decodes in portions: the first of `first` bytes, all others of `portion`. */
static void decode(const uint8_t *bytes, size_t size, size_t first, size_t portion, Result *ret) {
        size_t end = first < size ? first : size;
        struct sm_chunk c;

        *ret = (Result) { .data = malloc(size + 1) };
        CHECK(ret->data);
        sm_chunk_start(&c, TRAILER_LIMIT);
        while (ret->r == 0 && ret->consumed < size) {
                __u64 consumed, n;

                ret->r = sm_chunk_next(&c, bytes + ret->consumed, end - ret->consumed, &consumed, &n);
                if (ret->r < 0)
                        break;
                CHECK(n <= consumed && consumed <= end - ret->consumed);
                ret->consumed += consumed;
                memcpy(ret->data + ret->n_data, bytes + ret->consumed - n, n);
                ret->n_data += n;
                if (ret->r == 0 && ret->consumed == end)
                        end = size - end > portion ? end + portion : size;
        }
        CHECK(ret->r == 1 || ret->r == -SM_REASON_BAD_CHUNK || ret->consumed == size);
}

static void check_equal(const Result *a, const Result *b) {
        CHECK(a->r == b->r);
        if (a->r < 0)
                return;
        CHECK(a->consumed == b->consumed && a->n_data == b->n_data);
        CHECK(memcmp(a->data, b->data, a->n_data) == 0);
}

/* Behind a head of `before` bytes, with as many steps as it takes. */
static void check_walk(const uint8_t *bytes, size_t size, size_t before, const Result *whole) {
        uint8_t *message = malloc(before + size);
        struct sm_chunk_walk w;
        struct sm_chunk_loop loop = { .walk = &w, .message = message };

        CHECK(message);
        memset(message, 'h', before);
        memcpy(message + before, bytes, size);
        sm_chunk_walk_start(&w, (__u32) before, (__u32) (before + size));
        CHECK(w.chunk.trailer_limit == TRAILER_LIMIT);
        sm_loop((__u32) size + 1, sm_chunk_walk_steps, &loop);
        free(message);
        CHECK(w.result == whole->r);
        if (w.result > 0)
                CHECK(w.position == before + whole->consumed && w.data == whole->n_data);
}

/* The same data in one chunk. */
static void check_recoded(const Result *whole) {
        size_t room = whole->n_data + 64, n = 0;
        char *text = malloc(room);
        Result again;

        CHECK(text);
        if (whole->n_data > 0) {
                n = (size_t) snprintf(text, room, "%zx\r\n", whole->n_data);
                memcpy(text + n, whole->data, whole->n_data);
                n += whole->n_data;
                n += (size_t) snprintf(text + n, room - n, "\r\n");
        }
        n += (size_t) snprintf(text + n, room - n, "0\r\n\r\n");
        decode((const uint8_t *) text, n, n, n, &again);
        CHECK(again.r == 1 && again.consumed == n && again.n_data == whole->n_data);
        CHECK(memcmp(again.data, whole->data, whole->n_data) == 0);
        free(again.data);
        free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        Result whole, stepwise, split;
        size_t first = 0;

        for (size_t i = 0; i < size; i++)
                first = first * 31 + data[i];
        decode(data, size, size, size, &whole);
        decode(data, size, 1, 1, &stepwise);
        decode(data, size, 1 + first % (size + 1), size, &split);
        check_equal(&whole, &stepwise);
        check_equal(&whole, &split);
        check_walk(data, size, 1 + first % 100, &whole);
        if (whole.r == 1)
                check_recoded(&whole);
        free(whole.data);
        free(stepwise.data);
        free(split.data);
        return 0;
}
