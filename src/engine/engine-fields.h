/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "engine-head.h"
#include "engine-text.h"

/*
 * Looking into a parsed head; `bytes` are those that were parsed. Plain loops: for programs in user space.
 */

/* Whether two texts are equal but for the case of letters. */
static inline int sm_text_equal(const __u8 *a, __u32 a_length, const __u8 *b, __u32 b_length) {
        if (a_length != b_length)
                return 0;
        for (__u32 i = 0; i < a_length; i++)
                if (sm_lower(a[i]) != sm_lower(b[i]))
                        return 0;
        return 1;
}

static inline int sm_span_is(const __u8 *bytes, struct sm_span s, const char *text, __u32 length) {
        return sm_text_equal(bytes + s.offset, s.length, (const __u8 *) text, length);
}

/* Index of the first field of that name, from index `start` on; -1 if there is none. */
static inline int sm_head_find(const struct sm_head *head, const __u8 *bytes, const char *name, __u32 length,
                               __u32 start) {
        for (__u32 i = start; i < head->n_fields; i++)
                if (sm_span_is(bytes, head->fields[i].name, name, length))
                        return (int) i;
        return -1;
}

/* Which known field that is: enum sm_known_field, or _SM_FIELD_KNOWN_MAX. */
static inline int sm_field_known(const struct sm_head *head, const __u8 *bytes, __u32 i) {
        static const struct {
                const char *name;
                __u8 length;
        } table[_SM_FIELD_KNOWN_MAX] = {
#define SM_FIELD_NAME(id, text) [SM_FIELD_##id] = { text, sizeof(text) - 1 },
                SM_KNOWN_FIELDS(SM_FIELD_NAME)
#undef SM_FIELD_NAME
        };

        for (int k = 0; k < _SM_FIELD_KNOWN_MAX; k++)
                if (head->known[k] &&
                    sm_span_is(bytes, head->fields[i].name, table[k].name, table[k].length))
                        return k;
        return _SM_FIELD_KNOWN_MAX;
}

/* The next element of a comma-separated list (RFC 9110, section 5.6.1), empty ones passed over. *position
 * starts at 0 and is kept between calls. 0 at the end. */
static inline int sm_list_next(const __u8 *bytes, struct sm_span list, __u32 *position,
                               struct sm_span *ret) {
        __u32 i = *position, start, end;

        while (i < list.length && (bytes[list.offset + i] == ',' || sm_is_space(bytes[list.offset + i])))
                i++;
        start = end = i;
        for (; i < list.length && bytes[list.offset + i] != ','; i++)
                if (!sm_is_space(bytes[list.offset + i]))
                        end = i + 1;
        *position = i;
        if (end == start)
                return 0;
        ret->offset = (__u16) (list.offset + start);
        ret->length = (__u16) (end - start);
        return 1;
}

/* Whether any Connection field names this one. */
static inline int sm_head_connection_names(const struct sm_head *head, const __u8 *bytes,
                                           struct sm_span name) {
        int i;

        if (!(head->flags & SM_HEAD_MORE_CONNECTION))
                return 0;
        for (i = head->known[SM_FIELD_CONNECTION] - 1; i >= 0;
             i = sm_head_find(head, bytes, "connection", 10, (__u32) i + 1)) {
                struct sm_span element;
                __u32 position = 0;

                while (sm_list_next(bytes, head->fields[i].value, &position, &element))
                        if (sm_text_equal(bytes + element.offset, element.length, bytes + name.offset,
                                          name.length))
                                return 1;
        }
        return 0;
}

/*
 * Whether field `i` concerns this connection only and is not forwarded (RFC 9110, section 7.6.1). The
 * forwarder writes those of its own connection instead: Connection, Transfer-Encoding, Upgrade, TE. Host,
 * Content-Length and Trailer are not dropped even if Connection names them: that would change what the
 * message is.
 */
static inline int sm_field_is_hop_by_hop(const struct sm_head *head, const __u8 *bytes, __u32 i) {
        switch (sm_field_known(head, bytes, i)) {

        case SM_FIELD_CONNECTION:
        case SM_FIELD_KEEP_ALIVE:
        case SM_FIELD_PROXY_CONNECTION:
        case SM_FIELD_TE:
        case SM_FIELD_TRANSFER_ENCODING:
        case SM_FIELD_UPGRADE:
                return 1;

        case SM_FIELD_CONTENT_LENGTH:
                /* Must not stand in these (RFC 9110, section 8.6), and llhttp would wait for the body. */
                return head->status != 0 && (head->status < 200 || head->status == 204);

        case SM_FIELD_HOST:
        case SM_FIELD_TRAILER:
                return 0;

        default:
                return sm_head_connection_names(head, bytes, head->fields[i].name);
        }
}
