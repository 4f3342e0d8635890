/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "../engine/engine-body.h"
#include "../engine/engine-framing.h"
#include "relay-buffer.h"

/* How a body is put on the wire for a recipient that does not take it as it came. */
typedef enum BodyCoding {
        BODY_VERBATIM, /* as it came */
        BODY_CHUNK,    /* its end was the end of the connection: chunked instead */
        BODY_UNCHUNK,  /* for HTTP/1.0: the data alone, its end is the end of the connection */
} BodyCoding;

/* Where the body of one message ends. */
typedef struct Body {
        enum sm_body framing;
        bool done;
        uint64_t left;      /* of SM_BODY_LENGTH */
        struct sm_chunk chunk;
        uint64_t data;      /* bytes of content so far, without framing */
} Body;

void body_start(Body *b, enum sm_body framing, uint64_t length);

/* How many of the `n` bytes belong to the body; sets `done` when its end is among them. -EBADMSG: they
 * cannot. */
ssize_t body_scan(Body *b, const uint8_t *bytes, size_t n);

/* For BODY_UNTIL_CLOSE, when the connection has ended. */
void body_end(Body *b);

/* BODY_CHUNK: appends a chunk with as many of the bytes as fit and returns how many; 0 if there is no
 * room. */
size_t body_encode_chunk(Buffer *out, const uint8_t *bytes, size_t n);

/* BODY_CHUNK: appends the last chunk. -ENOBUFS */
int body_encode_end(Buffer *out);

/* BODY_UNCHUNK, instead of body_scan(): appends the data that is in the `n` bytes as far as it fits, and
 * returns how many bytes were read for that. -EBADMSG */
ssize_t body_decode(Body *b, const uint8_t *bytes, size_t n, Buffer *out);
