/* SPDX-License-Identifier: GPL-2.0-only */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "reply.h"

/*
 * What slicemeshd tries out on sockets of its own before it trusts the kernel with those of others
 * (daemon-bpf-probe.c). In an object by itself, which is dropped afterwards.
 */

struct {
        __uint(type, BPF_MAP_TYPE_SOCKHASH);
        __uint(max_entries, 4);
        __type(key, __u32);
        __type(value, __u64);
} probe_sockets SEC(".maps");

/* Without programs, as U. */
struct {
        __uint(type, BPF_MAP_TYPE_SOCKHASH);
        __uint(max_entries, 4);
        __type(key, __u32);
        __type(value, __u64);
} probe_upstreams SEC(".maps");

/* The thread that is sending, as the kernel names it: slicemeshd may be in a PID namespace. */
struct {
        __uint(type, BPF_MAP_TYPE_SK_STORAGE);
        __uint(map_flags, BPF_F_NO_PREALLOC);
        __type(key, int);
        __type(value, __u64);
} probe_senders SEC(".maps");

int probe_sent_result = 0; /* of that thread's last send() */

const struct sm_reply probe_answer = { .length = 6, .bytes = "answer" };

/* A message's first byte says where it goes: a digit, into what that socket has to read; a letter, out of
 * that upstream; a question mark, nowhere: the first socket is answered; anything else, by TCP. */
SEC("sk_msg")
int probe_move(struct sk_msg_md *msg) {
        __u64 *sender = msg->sk ? bpf_sk_storage_get(&probe_senders, msg->sk, NULL, 0) : NULL;
        const __u8 *to = msg->data;
        __u32 key;

        if (sender)
                *sender = bpf_get_current_pid_tgid();
        if ((void *) (to + 1) > msg->data_end)
                return SK_PASS;
        if (*to == '?') {
                key = 0;
                (void) reply_give(msg, &probe_sockets, &key, probe_answer.bytes, probe_answer.length);
                return SK_PASS;
        }
        key = *to - '0';
        if (key < 10)
                return bpf_msg_redirect_hash(msg, &probe_sockets, &key, BPF_F_INGRESS);
        key = *to - 'a';
        if (key < 26)
                return bpf_msg_redirect_hash(msg, &probe_upstreams, &key, 0);
        return SK_PASS;
}

SEC("sk_skb/stream_verdict")
int probe_pass(struct __sk_buff *skb) {
        return SK_PASS;
}

static __always_inline int sent(void *sk, int result) {
        const __u64 *thread = bpf_sk_storage_get(&probe_senders, sk, NULL, 0);

        if (thread && *thread == bpf_get_current_pid_tgid())
                probe_sent_result = result;
        return 0;
}

SEC("tp_btf/sock_send_length")
int BPF_PROG(probe_sent, void *sk, int result) {
        return sent(sk, result);
}

SEC("fexit/tcp_bpf_sendmsg")
int BPF_PROG(probe_sent_message, void *sk, void *message, __u64 size, int result) {
        return sent(sk, result);
}

char LICENSE[] SEC("license") = "GPL";
