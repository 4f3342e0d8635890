/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>

#include "../abi/abi-policy.h"
#include "engine-access.h"
#include "engine-framing.h"

/*
 * Which heads are sent on byte for byte, or but for one piece: the rule that the relay rewrites by, and by
 * which the kernel moves without rewriting. No byte is looked at, only what the parser left in the head.
 */

/* Whether no field concerns this connection alone, but those that say that it is kept: a Connection with
 * nothing else in it, and Keep-Alive. Transfer-Encoding is for the framing to judge. */
static inline bool sm_fields_say_keep_alive(const struct sm_head *head) {
        const __u16 says = SM_HEAD_CLOSE | SM_HEAD_KEEP_ALIVE | SM_HEAD_UPGRADE | SM_HEAD_MORE_CONNECTION;

        if (head->known[SM_FIELD_PROXY_CONNECTION] || head->known[SM_FIELD_TE] ||
            head->known[SM_FIELD_UPGRADE])
                return false;
        if (!head->known[SM_FIELD_CONNECTION])
                return true;
        return !(head->flags & SM_HEAD_HTTP_1_0) && (head->flags & says) == SM_HEAD_KEEP_ALIVE;
}

/* Whether no field concerns this connection alone. A Connection that says keep-alive and nothing else is as
 * true of the next connection, so it stays; not with Keep-Alive, which is about this one. */
static inline bool sm_fields_are_plain(const struct sm_head *head) {
        return sm_fields_say_keep_alive(head) && !head->known[SM_FIELD_KEEP_ALIVE];
}

/* Where the line of field `i` begins, or behind the last one if there is none. */
static inline __u32 sm_field_line(const struct sm_head *head, __u32 i) {
        if (i >= head->n_fields)
                return head->length - 2U;
        sm_forget(i);
        return i < SM_HEAD_FIELDS_MAX ? head->fields[i].name.offset : 0;
}

/* The lines without which the fields are plain, of length 0 if they are; false if they are not one piece.
 * Keep-Alive it is, and next to it the Connection that goes with it. */
static inline bool sm_fields_cut(const struct sm_head *head, struct sm_span *ret) {
        __u32 connection = head->known[SM_FIELD_CONNECTION]; /* these count from 1 */
        __u32 first = head->known[SM_FIELD_KEEP_ALIVE], last = first;

        if (!sm_fields_say_keep_alive(head))
                return false;
        if (first == 0) {
                ret->offset = ret->length = 0;
                return true;
        }
        if (head->flags & SM_HEAD_REPEATED)
                return false;
        if (connection > 0 && connection + 1 == first)
                first = connection;
        else if (connection == last + 1)
                last = connection;
        else if (connection > 0)
                return false;
        ret->offset = (__u16) sm_field_line(head, first - 1);
        ret->length = (__u16) (sm_field_line(head, last) - ret->offset);
        return true;
}

/* Whether Max-Forwards means something in a request of this method (RFC 9110, section 7.6.2). */
static inline bool sm_method_counts_hops(enum sm_method method) {
        return method == SM_METHOD_OPTIONS || method == SM_METHOD_TRACE;
}

/* Whether the request is sent on as it is, its caller waits for nothing before the final response, and both
 * connections stay open; `flags` are enum sm_policy_flags. Its body is Content-Length bytes or none. */
static inline bool sm_request_is_plain(const struct sm_head *head, __u16 flags) {
        if (head->flags & (SM_HEAD_HTTP_1_0 | SM_HEAD_CHUNKED | SM_HEAD_CLOSE))
                return false;
        if (head->method_text.offset != 0) /* an empty line before it is not sent on */
                return false;
        if (head->target_form != SM_TARGET_ORIGIN || head->method == SM_METHOD_CONNECT ||
            sm_method_counts_hops((enum sm_method) head->method))
                return false;
        if ((flags & (SM_POLICY_VIA | SM_POLICY_FORWARDED_FOR)) || head->known[SM_FIELD_EXPECT])
                return false;
        return sm_fields_are_plain(head);
}

/* Whether a plain request that goes to no endpoint for this reason is answered, and its connection stays
 * open: then the kernel may do that too. */
static inline bool sm_reason_is_plain(enum sm_reason reason) {
        return reason == SM_REASON_NO_ROUTE || reason == SM_REASON_NO_ENDPOINT;
}

/* Whether the response is the final one and sent on to a caller of HTTP/1.1 as it is, but for the piece of
 * its head that is left in *ret_cut, and both connections stay open, provided that its end is known: by
 * sm_response_size() or by the end of its chunks. */
static inline bool sm_response_cut(const struct sm_head *head, __u16 flags, struct sm_span *ret_cut) {
        if (head->flags & (SM_HEAD_HTTP_1_0 | SM_HEAD_CLOSE))
                return false;
        /* A server that is tired of waiting says 408: it need not be the answer to the request. */
        if (head->status < 200 || head->status == 408)
                return false;
        /* Nothing is said about a body that must not be there (RFC 9110, section 8.6). */
        if (head->status == 204 && (head->flags & (SM_HEAD_LENGTH | SM_HEAD_CHUNKED)))
                return false;
        return !(flags & SM_POLICY_VIA) && sm_fields_cut(head, ret_cut);
}

/* The same for what has no such piece. */
static inline bool sm_response_is_plain(const struct sm_head *head, __u16 flags) {
        struct sm_span cut;

        return sm_response_cut(head, flags, &cut) && cut.length == 0;
}

/* Bytes of the body, or -1 if the head does not tell. */
static inline __s64 sm_body_size(const struct sm_head *head, enum sm_body framing) {
        if (framing == SM_BODY_NONE)
                return 0;
        return framing == SM_BODY_LENGTH ? (__s64) head->content_length : -1;
}

static inline __s64 sm_request_size(const struct sm_head *head) {
        return sm_body_size(head, sm_request_framing(head));
}

static inline __s64 sm_response_size(const struct sm_head *head, enum sm_method request_method) {
        return sm_body_size(head, sm_response_framing(head, request_method));
}
