/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <linux/types.h>

#include "../abi/abi-limits.h"
#include "../abi/abi-reason.h"

/*
 * What is known of an HTTP/1 head once it is parsed (engine-parse.h). Positions are offsets from the first
 * byte that was given to the parser.
 */

struct sm_span {
        __u16 offset;
        __u16 length;
};

struct sm_field {
        struct sm_span name;
        struct sm_span value; /* without the white space around it */
};

/* X(identifier, text); methods are case-sensitive. */
#define SM_METHODS(X)         \
        X(GET, "GET")         \
        X(HEAD, "HEAD")       \
        X(POST, "POST")       \
        X(PUT, "PUT")         \
        X(DELETE, "DELETE")   \
        X(OPTIONS, "OPTIONS") \
        X(PATCH, "PATCH")     \
        X(TRACE, "TRACE")     \
        X(CONNECT, "CONNECT")

enum sm_method {
        SM_METHOD_OTHER,
#define SM_METHOD_ENUM(id, text) SM_METHOD_##id,
        SM_METHODS(SM_METHOD_ENUM)
#undef SM_METHOD_ENUM
};

enum sm_target_form {
        SM_TARGET_ORIGIN,    /* /path?query */
        SM_TARGET_ABSOLUTE,  /* http://host/path?query; overrides Host (RFC 9112, section 3.2.2) */
        SM_TARGET_AUTHORITY, /* host:port, of CONNECT only */
        SM_TARGET_ASTERISK,  /* *, of OPTIONS only */
};

/* Fields whose presence or content the parser itself understands; the index of each one's first
 * occurrence is in sm_head.known, as index + 1, 0 = absent. X(identifier, name in lower case, of at most
 * SM_WORD_MAX bytes) */
#define SM_KNOWN_FIELDS(X)                           \
        X(HOST, "host")                              \
        X(CONNECTION, "connection")                  \
        X(CONTENT_LENGTH, "content-length")          \
        X(TRANSFER_ENCODING, "transfer-encoding")    \
        X(EXPECT, "expect")                          \
        X(UPGRADE, "upgrade")                        \
        X(TE, "te")                                  \
        X(TRAILER, "trailer")                        \
        X(KEEP_ALIVE, "keep-alive")                  \
        X(PROXY_CONNECTION, "proxy-connection")      \
        X(VIA, "via")                                \
        X(X_FORWARDED_FOR, "x-forwarded-for")        \
        X(COOKIE, "cookie")

enum sm_known_field {
#define SM_FIELD_ENUM(id, name) SM_FIELD_##id,
        SM_KNOWN_FIELDS(SM_FIELD_ENUM)
#undef SM_FIELD_ENUM
        _SM_FIELD_KNOWN_MAX,
};

enum sm_head_flags {
        SM_HEAD_HTTP_1_0 = 1 << 0,
        SM_HEAD_CLOSE = 1 << 1,           /* Connection: close, in any of its fields */
        SM_HEAD_KEEP_ALIVE = 1 << 2,      /* Connection: keep-alive */
        SM_HEAD_UPGRADE = 1 << 3,         /* Connection: upgrade, and Upgrade is not empty, in HTTP/1.1 */
        SM_HEAD_CHUNKED = 1 << 4,         /* Transfer-Encoding: chunked */
        SM_HEAD_LENGTH = 1 << 5,          /* Content-Length is in content_length */
        SM_HEAD_EXPECT_CONTINUE = 1 << 6, /* in HTTP/1.1 */
        SM_HEAD_TE_TRAILERS = 1 << 7,
        SM_HEAD_MORE_CONNECTION = 1 << 8, /* Connection names other fields as well: those are hop-by-hop.
                                           * An upgrade that is none is among them */
        SM_HEAD_REPEATED = 1 << 9,        /* Connection or Keep-Alive is there more than once */
};

enum sm_head_kind {
        SM_HEAD_REQUEST,
        SM_HEAD_RESPONSE,
};

struct sm_head {
        __u16 length; /* of the whole head, empty lines before and after included; set when complete */
        __u16 flags;  /* enum sm_head_flags */
        __u16 n_fields;
        __u16 status;       /* response */
        __u8 method;        /* request; enum sm_method */
        __u8 target_form;   /* request; enum sm_target_form */
        __u8 _pad0[2];
        struct sm_span method_text;
        struct sm_span target;
        struct sm_span authority; /* of an absolute target, else the value of Host */
        struct sm_span path;      /* without query; "/" where an absolute target has none; of OPTIONS *: "*".
                                   * Empty for CONNECT, and for OPTIONS http://host, which means "*" */
        struct sm_span query;     /* without '?' */
        struct sm_span reason;    /* response: reason phrase */
        __u32 _pad1;
        __u64 content_length; /* at most SM_CONTENT_LENGTH_MAX */
        __u16 known[_SM_FIELD_KNOWN_MAX];
        struct sm_field fields[SM_HEAD_FIELDS_MAX];
};

/* Lengths fit a signed 64-bit file offset, everywhere behind us. */
#define SM_CONTENT_LENGTH_MAX 0x7fffffffffffffffULL
