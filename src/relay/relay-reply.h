/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "../engine/engine-reply.h"
#include "relay-buffer.h"

/* As sm_reply_make(), behind what is in `out`; -ENOBUFS. */
int reply_write(Buffer *out, enum sm_reason reason, unsigned options);

unsigned reply_status(enum sm_reason reason);
