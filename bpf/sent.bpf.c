/* SPDX-License-Identifier: GPL-2.0-only */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "engine-maps.h"
#include "socket-maps.h"

SEC("tp_btf/sock_send_length")
int BPF_PROG(sm_sent, void *sk, int ret, int flags) {
        return 0;
}

/* Before Linux 6.3, which has no such tracepoint. */
SEC("fexit/tcp_bpf_sendmsg")
int BPF_PROG(sm_sent_message, void *sk, void *msg, __u64 size, int ret) {
        return 0;
}

SEC("fexit/tcp_bpf_sendpage")
int BPF_PROG(sm_sent_page, void *sk, void *page, int offset, __u64 size, int flags, int ret) {
        return 0;
}

char LICENSE[] SEC("license") = "GPL";
