/* SPDX-License-Identifier: GPL-2.0-only */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "address.h"
#include "maps.h"

/*
 * getpeername(2) of a captured socket: the address that the application asked for, not that of the relay or
 * endpoint that it was connected to.
 */

SEC("cgroup/getpeername4")
int sm_getpeername4(struct bpf_sock_addr *ctx) {
        const struct sm_socket_context *socket;

        if (!ctx->sk)
                return 1;
        socket = bpf_sk_storage_get(&socket_contexts, ctx->sk, NULL, 0);
        if (!socket)
                return 1;
        ctx->user_ip4 = address_word(socket->address, 3);
        ctx->user_port = socket->port;
        return 1;
}

SEC("cgroup/getpeername6")
int sm_getpeername6(struct bpf_sock_addr *ctx) {
        const struct sm_socket_context *socket;

        if (!ctx->sk)
                return 1;
        socket = bpf_sk_storage_get(&socket_contexts, ctx->sk, NULL, 0);
        if (!socket)
                return 1;
        ctx->user_ip6[0] = address_word(socket->address, 0);
        ctx->user_ip6[1] = address_word(socket->address, 1);
        ctx->user_ip6[2] = address_word(socket->address, 2);
        ctx->user_ip6[3] = address_word(socket->address, 3);
        ctx->user_port = socket->port;
        return 1;
}

char LICENSE[] SEC("license") = "GPL";
