/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "engine-value.h"

/*
 * What known fields mean for the head as a whole. Everything that decides where a message ends (RFC 9112,
 * section 6) or to whom it goes is in here and in engine-value.h.
 */

/* How a known field is understood, or -(enum sm_reason) if it may not stand here. */
static inline int sm_meaning_kind(const struct sm_head_parser *p, const struct sm_head *head, int again) {
        int request = p->kind == SM_HEAD_REQUEST;

        switch (p->field) {

        case SM_FIELD_HOST:
                if (!request)
                        return SM_VALUE_PLAIN;
                return again ? -SM_REASON_BAD_HOST : SM_VALUE_HOST;

        case SM_FIELD_CONTENT_LENGTH:
                return again ? -SM_REASON_DUPLICATE_LENGTH : SM_VALUE_NUMBER;

        case SM_FIELD_TRANSFER_ENCODING:
                /* HTTP/1.0 has none: whoever sends it there is wrong about the framing (section 6.1). */
                if (again || (head->flags & SM_HEAD_HTTP_1_0))
                        return -SM_REASON_BAD_TRANSFER_ENCODING;
                return SM_VALUE_WORD;

        case SM_FIELD_EXPECT:
                return request ? SM_VALUE_WORD : SM_VALUE_PLAIN;

        case SM_FIELD_TE:
                return request ? SM_VALUE_LIST : SM_VALUE_PLAIN;

        case SM_FIELD_CONNECTION:
                return SM_VALUE_LIST;

        default:
                return SM_VALUE_PLAIN;
        }
}

/* A name was read: field number head->n_fields. */
static inline int sm_meaning_start(struct sm_head_parser *p, struct sm_head *head) {
        int again = 0, r;

        p->value_kind = SM_VALUE_PLAIN;
        p->value_state = SM_VALUE_EMPTY;
        p->field = sm_word_field(&p->lexer.word);
        if (p->field < _SM_FIELD_KNOWN_MAX) {
                again = head->known[p->field] != 0;
                if (!again)
                        head->known[p->field] = (__u16) (head->n_fields + 1);
                else if (p->field == SM_FIELD_CONNECTION || p->field == SM_FIELD_KEEP_ALIVE)
                        head->flags |= SM_HEAD_REPEATED;
        }
        r = sm_meaning_kind(p, head, again);
        if (r < 0)
                return r;
        p->value_kind = (__u8) r;
        sm_word_start(&p->lexer.word);
        sm_host_start(&p->host);
        return 0;
}

/* The head is complete: what only shows in the whole. */
static inline int sm_meaning_whole(const struct sm_head_parser *p, struct sm_head *head) {
        __u32 upgrade = head->known[SM_FIELD_UPGRADE] - 1U;
        int old = head->flags & SM_HEAD_HTTP_1_0;

        if ((head->flags & SM_HEAD_CHUNKED) && (head->flags & SM_HEAD_LENGTH))
                return -SM_REASON_LENGTH_AND_CHUNKED;
        if (p->kind == SM_HEAD_REQUEST && !old && !head->known[SM_FIELD_HOST])
                return -SM_REASON_BAD_HOST;
        if (old)
                head->flags &= (__u16) ~SM_HEAD_EXPECT_CONTINUE; /* RFC 9110, section 10.1.1 */
        if ((head->flags & SM_HEAD_UPGRADE) && /* RFC 9110, section 7.8 */
            (old || upgrade >= SM_HEAD_FIELDS_MAX || head->fields[upgrade].value.length == 0))
                head->flags = (__u16) ((head->flags & ~SM_HEAD_UPGRADE) | SM_HEAD_MORE_CONNECTION);
        return 0;
}
