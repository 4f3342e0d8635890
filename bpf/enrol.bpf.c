/* SPDX-License-Identifier: GPL-2.0-only */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "engine-maps.h"
#include "socket-maps.h"

SEC("tc")
int sm_enrol(struct __sk_buff *skb) {
        return SM_ENROLLED_NOT_HERE;
}

char LICENSE[] SEC("license") = "GPL";
