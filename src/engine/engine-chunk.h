/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "engine-extension.h"
#include "engine-parser.h"

/*
 * The chunked coding (RFC 9112, section 7.1). It finds where a body ends and checks every byte that
 * frames it, and changes nothing: what was consumed can be forwarded as it came. Strict as the head
 * parser is.
 */

#define SM_CHUNK_LINE_MAX 256 /* bytes of a chunk's size and extensions: nobody has use for more */

enum sm_chunk_state {
        SM_CHUNK_SIZE_START,
        SM_CHUNK_SIZE,
        SM_CHUNK_EXTENSION,
        SM_CHUNK_SIZE_LF,
        SM_CHUNK_DATA,
        SM_CHUNK_DATA_CR,
        SM_CHUNK_DATA_LF,
        SM_CHUNK_TRAILERS,
        SM_CHUNK_DONE,
};

struct sm_chunk {
        struct sm_lexer lexer; /* of the trailer section */
        __u64 size;            /* of the chunk; of its data what is left */
        __u32 line;            /* bytes of size and extensions so far */
        __u32 trailer;         /* bytes so far */
        __u32 trailer_limit;   /* bytes */
        __u8 state;            /* enum sm_chunk_state */
        __u8 extension;        /* enum sm_extension_state */
        __u8 _pad[2];
};

/* `trailer_limit`: bytes of the trailer section, its last CRLF included. */
static inline void sm_chunk_start(struct sm_chunk *c, __u32 trailer_limit) {
        __builtin_memset(c, 0, sizeof(*c));
        c->trailer_limit = trailer_limit;
}

/* In a trailer section stands no field that frames, routes or controls (RFC 9110, section 6.5.1): a
 * recipient that merged it into the head would read another message. */
static inline int sm_chunk_trailer_step(struct sm_chunk *c, __u8 byte) {
        int token;

        if (++c->trailer > c->trailer_limit)
                return -SM_REASON_BAD_CHUNK;
        token = sm_lexer_step(&c->lexer, byte);
        if (token < 0 || (token == SM_TOKEN_NAME_END && sm_word_field(&c->lexer.word) < _SM_FIELD_KNOWN_MAX))
                return -SM_REASON_BAD_CHUNK;
        if (token == SM_TOKEN_END)
                c->state = SM_CHUNK_DONE;
        return 0;
}

static inline int sm_chunk_size_step(struct sm_chunk *c, __u8 byte) {
        if (sm_is_hex(byte)) {
                __u8 digit = sm_is_digit(byte) ? byte - '0' : (byte | 0x20) - 'a' + 10;

                if (c->size > SM_CONTENT_LENGTH_MAX >> 4)
                        return -SM_REASON_BAD_CHUNK;
                c->size = c->size << 4 | digit;
                c->state = SM_CHUNK_SIZE;
        } else if (byte == '\r' && c->state == SM_CHUNK_SIZE)
                c->state = SM_CHUNK_SIZE_LF;
        else if (byte == ';' && c->state == SM_CHUNK_SIZE)
                c->state = SM_CHUNK_EXTENSION;
        else
                return -SM_REASON_BAD_CHUNK;
        return 0;
}

static inline int sm_chunk_extension_step(struct sm_chunk *c, __u8 byte) {
        int state;

        if (byte == '\r' && sm_extension_complete(c->extension)) {
                c->extension = SM_EXTENSION_START;
                c->state = SM_CHUNK_SIZE_LF;
                return 0;
        }
        state = sm_extension_step(c->extension, byte);
        if (state < 0)
                return -SM_REASON_BAD_CHUNK;
        c->extension = (__u8) state;
        return 0;
}

static inline int sm_chunk_step(struct sm_chunk *c, __u8 byte) {
        if (c->state <= SM_CHUNK_EXTENSION && ++c->line > SM_CHUNK_LINE_MAX)
                return -SM_REASON_BAD_CHUNK;

        switch (c->state) {

        case SM_CHUNK_EXTENSION:
                return sm_chunk_extension_step(c, byte);

        case SM_CHUNK_SIZE_LF:
                c->state = c->size > 0 ? SM_CHUNK_DATA : SM_CHUNK_TRAILERS;
                return byte == '\n' ? 0 : -SM_REASON_BAD_CHUNK;

        case SM_CHUNK_DATA_CR:
                c->state = SM_CHUNK_DATA_LF;
                return byte == '\r' ? 0 : -SM_REASON_BAD_CHUNK;

        case SM_CHUNK_DATA_LF:
                c->line = 0;
                c->state = SM_CHUNK_SIZE_START;
                return byte == '\n' ? 0 : -SM_REASON_BAD_CHUNK;

        case SM_CHUNK_TRAILERS:
                return sm_chunk_trailer_step(c, byte);

        default:
                return sm_chunk_size_step(c, byte);
        }
}
