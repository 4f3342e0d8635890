/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>

#include "../abi/abi-policy.h"
#include "engine-framing.h"

/*
 * Which heads are sent on byte for byte: the rule that the relay rewrites by, and by which the kernel moves
 * without rewriting. No byte is looked at, only what the parser left in the head.
 */

/* Whether no field concerns this connection alone. A Connection that says keep-alive and nothing else is as
 * true of the next connection, so it stays. Transfer-Encoding is for the framing to judge. */
static inline bool sm_fields_are_plain(const struct sm_head *head) {
        const __u16 says = SM_HEAD_CLOSE | SM_HEAD_KEEP_ALIVE | SM_HEAD_UPGRADE | SM_HEAD_MORE_CONNECTION;

        if (head->known[SM_FIELD_KEEP_ALIVE] || head->known[SM_FIELD_PROXY_CONNECTION] ||
            head->known[SM_FIELD_TE] || head->known[SM_FIELD_UPGRADE])
                return false;
        if (!head->known[SM_FIELD_CONNECTION])
                return true;
        return !(head->flags & SM_HEAD_HTTP_1_0) && (head->flags & says) == SM_HEAD_KEEP_ALIVE;
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

/* Whether the response is the final one and sent on as it is to a caller of HTTP/1.1, and both connections
 * stay open, provided that sm_response_size() knows its end. */
static inline bool sm_response_is_plain(const struct sm_head *head, __u16 flags) {
        if (head->flags & (SM_HEAD_HTTP_1_0 | SM_HEAD_CLOSE))
                return false;
        /* A server that is tired of waiting says 408: it need not be the answer to the request. */
        if (head->status < 200 || head->status == 408)
                return false;
        /* Nothing is said about a body that must not be there (RFC 9110, section 8.6). */
        if (head->status == 204 && (head->flags & (SM_HEAD_LENGTH | SM_HEAD_CHUNKED)))
                return false;
        return !(flags & SM_POLICY_VIA) && sm_fields_are_plain(head);
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
