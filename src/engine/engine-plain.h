/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "engine-framing.h"
#include "../abi/abi-policy.h"

/* provisional, replaced by the real one */
static inline bool sm_request_is_plain(const struct sm_head *h, __u16 flags) {
        return !(h->flags & (SM_HEAD_HTTP_1_0 | SM_HEAD_CLOSE | SM_HEAD_UPGRADE | SM_HEAD_CHUNKED | SM_HEAD_MORE_CONNECTION | SM_HEAD_EXPECT_CONTINUE)) &&
                h->target_form == SM_TARGET_ORIGIN && !h->known[SM_FIELD_TE] && !h->known[SM_FIELD_UPGRADE] && !(flags & 3);
}
static inline bool sm_response_is_plain(const struct sm_head *h, __u16 flags) {
        return !(h->flags & (SM_HEAD_HTTP_1_0 | SM_HEAD_CLOSE | SM_HEAD_UPGRADE | SM_HEAD_MORE_CONNECTION)) && !h->known[SM_FIELD_KEEP_ALIVE] && !(flags & 3);
}
static inline __s64 sm_response_size(const struct sm_head *h, enum sm_method m) {
        enum sm_body f = sm_response_framing(h, m);
        return f == SM_BODY_NONE ? 0 : f == SM_BODY_LENGTH ? (__s64) h->content_length : -1;
}
