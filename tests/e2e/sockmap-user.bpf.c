/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

/* Puts every TCP connection of a cgroup into a map with a program on what it sends, which lets it pass. */

struct {
        __uint(type, BPF_MAP_TYPE_SOCKHASH);
        __uint(max_entries, 1024);
        __type(key, __u64);
        __type(value, __u64);
} sockets SEC(".maps");

SEC("sockops")
int put_socket(struct bpf_sock_ops *ops) {
        __u64 cookie = bpf_get_socket_cookie(ops);

        if (ops->op == BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB || ops->op == BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB)
                (void) bpf_sock_hash_update(ops, &sockets, &cookie, BPF_ANY);
        return 1;
}

SEC("sk_msg")
int let_pass(struct sk_msg_md *msg) {
        return SK_PASS;
}

char LICENSE[] SEC("license") = "GPL";
