/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "engine-access.h"
#include "engine-head.h"
#include "engine-text.h"

/*
 * Whether the predicates of a route hold. Hosts are compared without their port and regardless of case.
 * Paths are compared byte by byte as they were sent, without decoding or removing dot segments: what a
 * route sees is what the endpoint gets.
 */

/* What is known of a request when a route is chosen. */
struct sm_request {
        const __u8 *bytes;          /* of the head */
        const struct sm_head *head; /* NULL for a connection of a tcp service: no predicate holds then */
        const __u8 *source;         /* caller's address, 16 bytes; NULL if it is not known */
        const __u8 *body;           /* what is there of it, without its transfer coding */
        __u32 body_length;
        __u32 body_complete; /* there will be no more */
        __u64 cgroup;        /* of the caller's unit, mixed into a hash by source */
        __u64 unit;          /* sm_unit_hash() of its name, 0 = none */
        __u32 uid;
        __u32 slice;
        __u32 random; /* fresh for each request */
        __u32 _pad;
};

/* Whether a predicate holds. */
enum sm_verdict {
        SM_VERDICT_NO,
        SM_VERDICT_YES,
        SM_VERDICT_UNDECIDED, /* by who asks, or not with what there is of the body */
};

/* Where a predicate's or subset's text stands: inline, or in cells of its own. */
struct sm_text_place {
        __u32 cell;  /* absolute */
        __u32 start; /* byte in there */
        __u32 length;
};

struct sm_compare {
        const struct sm_tables *t;
        const __u8 *bytes;
        struct sm_text_place text;
        __u32 offset; /* in bytes */
        __u32 fold;   /* regardless of case; the text is in lower case */
        __u32 differ; /* result */
};

static inline long sm_compare_byte(__u32 i, void *context) {
        struct sm_compare *c = context;
        __u8 byte = sm_byte_at(c->bytes, c->offset + i);

        if (sm_text_at(c->t, c->text.cell, c->text.start + i) == (c->fold ? sm_lower(byte) : byte))
                return 0;
        c->differ = 1;
        return 1;
}

/* Whether the text stands at that offset of the head. */
static inline int sm_text_stands(const struct sm_tables *t, const struct sm_text_place *text,
                                 const __u8 *bytes, __u32 offset, int fold) {
        struct sm_compare c = {
                .t = t,
                .bytes = bytes,
                .text = *text,
                .offset = offset,
                .fold = (__u32) fold,
        };

        if (text->length > 0)
                sm_loop(text->length, sm_compare_byte, &c);
        return !c.differ;
}

/* Length of the host in an authority: without ":port". At most five digits can follow the colon. */
static inline __u32 sm_host_length(const __u8 *bytes, struct sm_span authority) {
        for (__u32 i = 0; i < 6 && i < authority.length; i++) {
                __u8 c = sm_byte_at(bytes, authority.offset + authority.length - 1U - i);

                if (c == ':')
                        return authority.length - 1U - i;
                if (!sm_is_digit(c))
                        break;
        }
        return authority.length;
}

static inline int sm_match_host(const struct sm_tables *t, const struct sm_request *q, __u32 op,
                                const struct sm_text_place *text) {
        struct sm_span authority = q->head->authority;
        __u32 length = sm_host_length(q->bytes, authority), skip;

        if (op == SM_OP_EXACT ? length != text->length : length <= text->length)
                return 0;
        skip = op == SM_OP_SUFFIX ? length - text->length : 0;
        return sm_text_stands(t, text, q->bytes, authority.offset + skip, 1);
}

static inline int sm_match_path(const struct sm_tables *t, const struct sm_request *q, __u32 op,
                                const struct sm_text_place *text) {
        struct sm_span path = q->head->path;

        if (op == SM_OP_EXACT ? path.length != text->length : path.length < text->length)
                return 0;
        if (!sm_text_stands(t, text, q->bytes, path.offset, 0))
                return 0;
        if (path.length == text->length || text->length == 0)
                return 1;
        /* On a segment boundary: the text ends with one, or the path goes on with one. */
        return sm_byte_at(q->bytes, path.offset + text->length - 1U) == '/' ||
               sm_byte_at(q->bytes, path.offset + text->length) == '/';
}

/* `cell` is where the predicate is, absolute. */
static inline enum sm_verdict sm_predicate_judge(const struct sm_tables *t, __u32 base, __u32 cell,
                                                 const struct sm_request *q) {
        const struct sm_cell *c = sm_cell_at(t, cell);
        const struct sm_predicate *p;
        struct sm_text_place text;
        int r;

        if (!c)
                return SM_VERDICT_NO;
        p = (const struct sm_predicate *) c->bytes;
        text.length = p->text.length;
        text.cell = p->text.cell ? base + p->text.cell : cell;
        text.start = p->text.cell ? 0 : __builtin_offsetof(struct sm_predicate, inline_bytes);

        if (p->kind == SM_MATCH_HOST)
                r = sm_match_host(t, q, p->op, &text);
        else if (p->kind == SM_MATCH_PATH)
                r = sm_match_path(t, q, p->op, &text);
        else
                return SM_VERDICT_NO;
        return r ? SM_VERDICT_YES : SM_VERDICT_NO;
}
