/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <linux/types.h>

#include "abi-reason.h"

/*
 * Answers of the mesh's own, as the kernel gives them. Written by slicemeshd with
 * src/engine/engine-reply.h, of which the relay's are made too.
 */

#define SM_REPLY_MAX 320 /* bytes; a multiple of 8 */

struct sm_reply {
        __u32 length;
        __u32 status; /* its hundreds */
        __u8 bytes[SM_REPLY_MAX] __attribute__((aligned(8)));
};
_Static_assert(sizeof(struct sm_reply) == 8 + SM_REPLY_MAX, "ABI");

/* Map `replies`: by reason, and whether the request was HEAD. Empty where nothing is
 * answered. */
#define SM_REPLIES_MAX (2 * SM_REASON_SLOTS)
#define SM_REPLY_INDEX(reason, head) (2 * (reason) + !!(head))
