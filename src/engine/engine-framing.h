/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "engine-head.h"

/* Where a message's body ends (RFC 9112, section 6.3). */

enum sm_body {
        SM_BODY_NONE,
        SM_BODY_LENGTH,      /* head->content_length bytes, not 0 */
        SM_BODY_CHUNKED,     /* engine-body.h */
        SM_BODY_UNTIL_CLOSE, /* of responses only */
        SM_BODY_TUNNEL,      /* no message follows: bytes of another protocol, both ways */
};

static inline enum sm_body sm_head_framing(const struct sm_head *head, enum sm_body otherwise) {
        if (head->flags & SM_HEAD_CHUNKED)
                return SM_BODY_CHUNKED;
        if (head->flags & SM_HEAD_LENGTH)
                return head->content_length > 0 ? SM_BODY_LENGTH : SM_BODY_NONE;
        return otherwise;
}

static inline enum sm_body sm_request_framing(const struct sm_head *head) {
        return sm_head_framing(head, SM_BODY_NONE);
}

/* `request_method` is the enum sm_method of the request that this answers. An interim response (1xx but
 * 101) has no body, and another response follows it. */
static inline enum sm_body sm_response_framing(const struct sm_head *head, enum sm_method request_method) {
        if (head->status == 101)
                return SM_BODY_TUNNEL;
        if (head->status < 200 || head->status == 204 || head->status == 304)
                return SM_BODY_NONE;
        if (request_method == SM_METHOD_HEAD)
                return SM_BODY_NONE;
        if (request_method == SM_METHOD_CONNECT && head->status < 300)
                return SM_BODY_TUNNEL;
        return sm_head_framing(head, SM_BODY_UNTIL_CLOSE);
}

/* Whether the sender of this head means to keep the connection (RFC 9112, section 9.3). A body that lasts
 * until the connection closes says otherwise and is not considered here. */
static inline int sm_head_persistent(const struct sm_head *head) {
        if (head->flags & SM_HEAD_CLOSE)
                return 0;
        return !(head->flags & SM_HEAD_HTTP_1_0) || (head->flags & SM_HEAD_KEEP_ALIVE);
}
