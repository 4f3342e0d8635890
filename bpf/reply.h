/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "../src/abi/abi-reply.h"

/*
 * An answer from within the sender's own send(2): what was sent becomes the answer and goes into what the
 * sender has to read, and send(2) returns as if all had gone its way.
 */

enum reply_result {
        REPLY_GIVEN,
        REPLY_NOT_GIVEN, /* the message is as it was */
        REPLY_SPOILT,    /* it is not, and must be dropped: send(2) then fails with EACCES */
};

/*
 * `sockets` is a SOCKHASH that has the sender under `key`; the reply, of `length` bytes, is short of
 * SM_REPLY_MAX, which `bytes` has room for.
 *
 * What can fail comes first. A page in front of the message takes the reply: nothing is written into memory
 * that may be somebody else's (sendfile(2) lends the page cache), and the page can be taken away again. The
 * redirect fails if the socket is not there; it cannot be taken back. What is left is to cut off the request
 * and the rest of the page: whole pieces and the end of one, for which the kernel needs no memory.
 */
static __always_inline enum reply_result reply_give(struct sk_msg_md *msg, void *sockets, const void *key,
                                                    const __u8 *bytes, __u32 length) {
        __u32 size = msg->size;
        __u64 *page;

        if (length == 0 || length >= SM_REPLY_MAX || bpf_msg_push_data(msg, 0, SM_REPLY_MAX, 0) < 0)
                return REPLY_NOT_GIVEN;
        page = msg->data;
        if ((void *) page + SM_REPLY_MAX <= msg->data_end) {
                __builtin_memcpy(page, bytes, SM_REPLY_MAX);
                if (bpf_msg_redirect_hash(msg, sockets, (void *) key, BPF_F_INGRESS) == SK_PASS)
                        return bpf_msg_pop_data(msg, length, SM_REPLY_MAX - length + size, 0) < 0
                                       ? REPLY_SPOILT
                                       : REPLY_GIVEN;
        }
        return bpf_msg_pop_data(msg, 0, SM_REPLY_MAX, 0) < 0 ? REPLY_SPOILT : REPLY_NOT_GIVEN;
}
