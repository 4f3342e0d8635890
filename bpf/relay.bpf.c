/* SPDX-License-Identifier: GPL-2.0-only */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "engine-maps.h"
#include "socket-maps.h"

SEC("sockops")
int sm_relay_sock_ops(struct bpf_sock_ops *ops) {
        return 1;
}

char LICENSE[] SEC("license") = "GPL";
