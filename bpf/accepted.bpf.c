/* SPDX-License-Identifier: GPL-2.0-only */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "engine-maps.h"
#include "socket-maps.h"

SEC("sk_msg")
int sm_msg_accepted(struct sk_msg_md *msg) {
        return SK_PASS;
}

char LICENSE[] SEC("license") = "GPL";
