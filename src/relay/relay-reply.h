/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "../abi/abi-reason.h"
#include "relay-buffer.h"

/* Answers of the relay's own: a small text for people, and the reason for programs in X-Slicemesh. */

typedef enum ReplyOptions {
        REPLY_CLOSE = 1 << 0,
        REPLY_KEEP_ALIVE = 1 << 1, /* said to HTTP/1.0 clients only */
        REPLY_HEAD = 1 << 2,       /* the request was HEAD: no body follows */
} ReplyOptions;

/* -ENOBUFS. The reason must have a status. */
int reply_write(Buffer *out, enum sm_reason reason, ReplyOptions options);

unsigned reply_status(enum sm_reason reason);
