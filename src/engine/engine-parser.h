/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "engine-head.h"
#include "engine-host.h"
#include "engine-lexer.h"

/*
 * State of the head parser: between bytes, that is; nothing else is remembered. Under BPF it lives in a map:
 * before Linux 6.7 the verifier takes what starts as a known constant for one (a bpf_loop callback is walked
 * once), but knows nothing of a map's content.
 */

/* Where in the head we are. The start line's states come first. */
enum sm_parser_state {
        SM_PARSE_START,    /* of a request: one empty line may come before it (RFC 9112, section 2.2) */
        SM_PARSE_EMPTY_LF, /* CR of that line was seen */
        SM_PARSE_METHOD,
        SM_PARSE_TARGET,
        SM_PARSE_TARGET_END, /* after "*" */
        SM_PARSE_SCHEME,
        SM_PARSE_AUTHORITY,
        SM_PARSE_PATH,
        SM_PARSE_QUERY,
        SM_PARSE_VERSION,
        SM_PARSE_STATUS,
        SM_PARSE_REASON,
        SM_PARSE_LINE_CR,
        SM_PARSE_LINE_LF,
        SM_PARSE_FIELDS, /* the lexer knows where */
        SM_PARSE_DONE,
};

/* How the bytes of the current field's value are understood. */
enum sm_value_kind {
        SM_VALUE_PLAIN,  /* not at all */
        SM_VALUE_HOST,   /* by `host` */
        SM_VALUE_NUMBER, /* digits */
        SM_VALUE_WORD,   /* one token */
        SM_VALUE_LIST,   /* tokens and commas */
};

enum sm_value_state {
        SM_VALUE_EMPTY, /* nothing yet; of a list: of this element */
        SM_VALUE_INSIDE,
        SM_VALUE_AFTER,      /* white space was seen */
        SM_VALUE_PARAMETERS, /* of a list: up to the next comma */
};

/* Bytes in all Connection and TE fields together. Whoever forwards the head compares every field with
 * every option of Connection; this keeps it cheap. */
#define SM_LISTS_MAX 1024

struct sm_head_parser {
        struct sm_lexer lexer;
        struct sm_host host;
        __u32 position;    /* bytes read */
        __u32 limit;       /* longest head, in bytes */
        __u32 value_end;   /* behind the last byte of the value that is no white space */
        __u16 list_bytes;  /* in lists so far, all fields together */
        __u8 kind;         /* enum sm_head_kind */
        __u8 state;        /* enum sm_parser_state */
        __u8 field;        /* enum sm_known_field, or _SM_FIELD_KNOWN_MAX */
        __u8 value_kind;   /* enum sm_value_kind */
        __u8 value_state;  /* enum sm_value_state */
        __u8 empty_lines;  /* before the request */
        __u8 _pad[4];
};

/* Makes ready for a head of at most `limit` bytes, 1 ... 65535. */
static inline void sm_head_start(struct sm_head_parser *p, struct sm_head *head, enum sm_head_kind kind,
                                 __u32 limit) {
        __builtin_memset(p, 0, sizeof(*p));
        __builtin_memset(head, 0, __builtin_offsetof(struct sm_head, fields));
        p->kind = (__u8) kind;
        p->limit = limit;
        if (kind == SM_HEAD_RESPONSE)
                p->state = SM_PARSE_VERSION;
}

/* A span from where it was opened to the current byte, that one excluded. */
static inline void sm_span_open(struct sm_span *s, const struct sm_head_parser *p) {
        s->offset = (__u16) p->position;
}

static inline void sm_span_close(struct sm_span *s, const struct sm_head_parser *p) {
        s->length = (__u16) (p->position - s->offset);
}

/* Which known field the word names, or _SM_FIELD_KNOWN_MAX. */
static inline __u8 sm_word_field(const struct sm_word *w) {
#define SM_FIELD_IF(id, name)   \
        if (sm_word_is(w, name)) \
                return SM_FIELD_##id;
        SM_KNOWN_FIELDS(SM_FIELD_IF)
#undef SM_FIELD_IF
        return _SM_FIELD_KNOWN_MAX;
}
