/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once

/*
 * The fields of kernel structs that the programs read, and no others: libbpf finds the offsets in the BTF of
 * the running kernel when it loads the programs.
 */
#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct file {
        unsigned int f_flags;
};

struct socket {
        struct file *file;
};

struct kernfs_node {
        const char *name;
        __u64 id;
};

struct cgroup;

struct cgroup_subsys_state {
        struct cgroup *cgroup;
        struct cgroup_subsys_state *parent;
};

struct cgroup {
        struct cgroup_subsys_state self;
        struct kernfs_node *kn;
};

struct css_set {
        struct cgroup *dfl_cgrp;
};

struct task_struct {
        struct css_set *cgroups;
};

struct sock_cgroup_data {
        struct cgroup *cgroup;
};

struct in6_addr {
        union {
                __be32 u6_addr32[4];
        } in6_u;
};

struct sock_common {
        __be32 skc_daddr;
        __be16 skc_dport;
        unsigned short skc_family;
        volatile unsigned char skc_state;
        struct in6_addr skc_v6_daddr;
};

struct sock {
        struct sock_common __sk_common;
        int sk_err;
        struct socket *sk_socket;
        struct sock_cgroup_data sk_cgrp_data;
        void *sk_user_data;
};

struct tcp_sock { /* a struct sock stands at its start */
        __u32 copied_seq;
        __u32 write_seq;
        __u32 rcv_nxt;
        __u32 snd_una;
        __u64 bytes_received;
        __u64 bytes_acked;
};

struct seq_file;

struct bpf_iter_meta {
        struct seq_file *seq;
};

struct bpf_iter__tcp { /* the context of iter/tcp */
        struct bpf_iter_meta *meta;
        struct sock_common *sk_common;
};

struct list_head {
        struct list_head *next;
};

struct sk_psock {
        struct list_head ingress_msg;
};

#pragma clang attribute pop
