/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <linux/types.h>

#include "../abi/abi-limits.h"
#include "../abi/abi-reason.h"

/*
 * The parser for HTTP/1 heads (RFC 9112): one byte at a time, no look-ahead, no allocation, no libc, so
 * that the same text runs in the relay, in BPF (inside bpf_loop) and under the fuzzers. It is strict: what
 * RFC 9112 lets a recipient tolerate but smuggling builds on (bare LF, obs-fold, space before the colon,
 * several lengths) is refused with the reason that names it.
 *
 * Positions are offsets from the first byte of the head.
 */

struct sm_span {
        __u16 offset;
        __u16 length;
};

struct sm_field {
        struct sm_span name;
        struct sm_span value; /* without the white space around it */
};

enum sm_method {
        SM_METHOD_OTHER,
        SM_METHOD_GET,
        SM_METHOD_HEAD,
        SM_METHOD_POST,
        SM_METHOD_PUT,
        SM_METHOD_DELETE,
        SM_METHOD_OPTIONS,
        SM_METHOD_PATCH,
        SM_METHOD_TRACE,
        SM_METHOD_CONNECT,
};

enum sm_target_form {
        SM_TARGET_ORIGIN,    /* /path?query */
        SM_TARGET_ABSOLUTE,  /* http://host/path?query */
        SM_TARGET_AUTHORITY, /* host:port, of CONNECT only */
        SM_TARGET_ASTERISK,  /* *, of OPTIONS only */
};

/* Fields whose presence or content the parser itself understands; the index of each one's first
 * occurrence is in sm_head.known, as index + 1, 0 = absent. */
enum sm_known_field {
        SM_FIELD_HOST,
        SM_FIELD_CONNECTION,
        SM_FIELD_CONTENT_LENGTH,
        SM_FIELD_TRANSFER_ENCODING,
        SM_FIELD_EXPECT,
        SM_FIELD_UPGRADE,
        SM_FIELD_TE,
        SM_FIELD_TRAILER,
        SM_FIELD_KEEP_ALIVE,
        SM_FIELD_PROXY_CONNECTION,
        SM_FIELD_VIA,
        SM_FIELD_X_FORWARDED_FOR,
        SM_FIELD_COOKIE,
        _SM_FIELD_KNOWN_MAX,
};

enum sm_head_flags {
        SM_HEAD_HTTP_1_0 = 1 << 0,
        SM_HEAD_CLOSE = 1 << 1,          /* Connection: close, in any of its fields */
        SM_HEAD_KEEP_ALIVE = 1 << 2,     /* Connection: keep-alive */
        SM_HEAD_UPGRADE = 1 << 3,        /* Connection: upgrade and an Upgrade field */
        SM_HEAD_CHUNKED = 1 << 4,        /* Transfer-Encoding: chunked */
        SM_HEAD_LENGTH = 1 << 5,         /* Content-Length is in content_length */
        SM_HEAD_EXPECT_CONTINUE = 1 << 6,
        SM_HEAD_TE_TRAILERS = 1 << 7,
        SM_HEAD_MORE_CONNECTION = 1 << 8, /* Connection names other fields as well: those are hop-by-hop */
};

enum sm_head_kind {
        SM_HEAD_REQUEST,
        SM_HEAD_RESPONSE,
};

struct sm_head {
        __u16 length;        /* of the whole head, final CRLF included; set when complete */
        __u16 flags;         /* enum sm_head_flags */
        __u16 n_fields;
        __u16 status;        /* response */
        __u8 method;         /* request; enum sm_method */
        __u8 target_form;    /* request; enum sm_target_form */
        struct sm_span method_text;
        struct sm_span target;
        struct sm_span authority; /* of an absolute target, else the value of Host */
        struct sm_span path;      /* without query; of OPTIONS * : "*" */
        struct sm_span query;     /* without '?' */
        struct sm_span reason;    /* response: reason phrase */
        __u64 content_length;
        __u16 known[_SM_FIELD_KNOWN_MAX];
        struct sm_field fields[SM_HEAD_FIELDS_MAX];
};
