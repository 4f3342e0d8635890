/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once

#include <linux/bpf.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "../src/engine/engine-downstream.h"
#include "kernel-types.h"

/*
 * A TCP socket as the kernel has it, read by BTF.
 */

#define FILE_NONBLOCK 00004000   /* O_NONBLOCK, of include/uapi/asm-generic/fcntl.h */
#define USER_DATA_FLAGS 7UL      /* in the low bits of sk_user_data, include/linux/sock.h */
#define STATE_ESTABLISHED 1      /* include/net/tcp_states.h */

static __always_inline int stream_is_blocking(struct tcp_sock *tcp) {
        const struct sock *sk = (const struct sock *) tcp;
        const struct socket *socket = sk->sk_socket;
        const struct file *file = socket ? socket->file : NULL;

        return !file || !(file->f_flags & FILE_NONBLOCK);
}

static __always_inline void stream_read(struct tcp_sock *tcp, struct sm_stream *ret) {
        const struct sock *sk = (const struct sock *) tcp;

        ret->received = tcp->bytes_received;
        ret->sent = tcp->bytes_acked - 1 + (__u32) (tcp->write_seq - tcp->snd_una);
        ret->rcv_nxt = tcp->rcv_nxt;
        ret->copied_seq = tcp->copied_seq;
        ret->established = sk->__sk_common.skc_state == STATE_ESTABLISHED;
}

/* Whether messages that were redirected to the socket wait to be read. Its lock is held. */
static __always_inline int stream_has_ingress(struct tcp_sock *tcp) {
        const struct sock *sk = (const struct sock *) tcp;
        unsigned long psock = (unsigned long) sk->sk_user_data & ~USER_DATA_FLAGS, list;
        void *first = NULL;

        list = psock + bpf_core_field_offset(struct sk_psock, ingress_msg);
        if (!psock || bpf_probe_read_kernel(&first, sizeof(first), (void *) list) < 0)
                return 1;
        return first != (void *) list;
}
