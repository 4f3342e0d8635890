/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "../src/engine/engine-access.h"

/* Copies `n` bytes from msg->data on, at most `max`. 0, or negative if they are not there. */
static __always_inline int message_copy_data(struct sk_msg_md *msg, void *to, __u32 n, __u32 max) {
        if (msg->data + n > msg->data_end)
                return -1;
        /* For the verifier of Linux 6.1, which does not follow how both bounds are tested at once. */
        asm volatile("" : "+r"(n));
        if (n > max)
                return -1;
        return bpf_probe_read_kernel(to, n, msg->data);
}

/* Copies the first `n` bytes of a message, at most `max`, a power of two or not. Its first piece need not
 * have all of them: that is seen to. 0, or negative if they are not to be had. */
static __always_inline int message_copy(struct sk_msg_md *msg, void *to, __u32 n, __u32 max) {
        if (n == 0 || n > max)
                return -1;
        if (msg->data + n > msg->data_end && bpf_msg_pull_data(msg, 0, n, 0) < 0)
                return -1;
        return message_copy_data(msg, to, n, max);
}

#define MESSAGE_JOINED_MAX 16384 /* bytes; what is larger fills segments anyway */

/* A message that goes on by TCP after all. It may lie in pieces, which become segments of their own: the
 * last one would wait for the acknowledgement of those before (Nagle), or be lost if the socket is reset at
 * once, as does not happen to one send() without us. */
static __always_inline void message_join(struct sk_msg_md *msg) {
        if (msg->size <= MESSAGE_JOINED_MAX && msg->data + msg->size > msg->data_end)
                (void) bpf_msg_pull_data(msg, 0, msg->size, 0);
}

/* As engine-access.h says. Afterwards msg->data is at `position`. */
static inline int sm_message_read(void *message, __u32 position, __u32 size, __u8 *ret) {
        struct sk_msg_md *msg = message;
        __u32 n = size - position < SM_WINDOW ? size - position : SM_WINDOW;

        if (bpf_msg_pull_data(msg, position, position + n, 0) < 0)
                return -1;
        return message_copy_data(msg, ret, n, SM_WINDOW);
}
