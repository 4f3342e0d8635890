/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "../basic/macro.h"
#include "relay-body.h"

#define TRAILER_BYTES_MAX 8192

void body_start(Body *b, enum sm_body framing, uint64_t length) {
        b->framing = framing;
        b->done = framing == SM_BODY_NONE;
        b->left = length;
        b->data = 0;
        if (framing == SM_BODY_CHUNKED)
                sm_chunk_start(&b->chunk, TRAILER_BYTES_MAX);
}

static ssize_t scan_chunked(Body *b, const uint8_t *bytes, size_t n) {
        __u64 consumed, data;
        int r;

        r = sm_chunk_parse(&b->chunk, bytes, n, &consumed, &data);
        if (r < 0)
                return -EBADMSG;
        b->done = r > 0;
        b->data += data;
        return (ssize_t) consumed;
}

ssize_t body_scan(Body *b, const uint8_t *bytes, size_t n) {
        if (b->done || n == 0)
                return 0;
        switch (b->framing) {

        case SM_BODY_CHUNKED:
                return scan_chunked(b, bytes, n);

        case SM_BODY_LENGTH:
                n = MIN(n, b->left);
                b->left -= n;
                b->done = b->left == 0;
                break;

        default:
                break;
        }
        b->data += n;
        return (ssize_t) n;
}

void body_end(Body *b) {
        b->done = true;
}

/* Longest size line: 8 digits, as a buffer holds less than 4 GiB. */
#define CHUNK_OVERHEAD (8 + 2 + 2)

size_t body_encode_chunk(Buffer *out, const uint8_t *bytes, size_t n) {
        char line[CHUNK_OVERHEAD + 1];

        if (n == 0 || buffer_room(out) <= CHUNK_OVERHEAD)
                return 0;
        n = MIN(n, (size_t) buffer_room(out) - CHUNK_OVERHEAD);
        (void) buffer_append(out, line, (size_t) snprintf(line, sizeof(line), "%zx\r\n", n));
        (void) buffer_append(out, bytes, n);
        (void) buffer_append(out, "\r\n", 2); /* room for all three was checked */
        return n;
}

int body_encode_end(Buffer *out) {
        return buffer_append(out, "0\r\n\r\n", 5);
}

ssize_t body_decode(Body *b, const uint8_t *bytes, size_t n, Buffer *out) {
        size_t i = 0;

        while (i < n && !b->done && buffer_room(out) > 0) {
                size_t fits = MIN(n - i, (size_t) buffer_room(out)); /* if it were all data */
                __u64 consumed, data;
                int r;

                r = sm_chunk_next(&b->chunk, bytes + i, fits, &consumed, &data);
                if (r < 0)
                        return -EBADMSG;
                i += consumed;
                (void) buffer_append(out, bytes + i - data, data);
                b->data += data;
                b->done = r > 0;
        }
        return (ssize_t) i;
}
