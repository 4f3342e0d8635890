/* SPDX-License-Identifier: GPL-2.0-only */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "address.h"
#include "managed.h"
#include "maps.h"

/*
 * Connections to a service that were opened before anybody would have captured them: they go past the mesh
 * until they end. Run by reading an iterator (Linux 5.9), which calls this for every TCP socket of
 * slicemeshd's network namespace, listening and dying ones too. The socket is locked meanwhile.
 */

static __always_inline void peer_of(const struct sock_common *sk, struct sm_vip_key *ret) {
        const __u32 *ipv6 = sk->skc_v6_daddr.in6_u.u6_addr32;

        if (sk->skc_family == AF_INET)
                address_set_ipv4(ret->address, sk->skc_daddr);
        else
                address_set(ret->address, ipv6[0], ipv6[1], ipv6[2], ipv6[3]);
        ret->port = sk->skc_dport;
}

/* The slice whose connection this is; 0 if it is captured, or would not be if it were opened now. Every
 * service has an entry for all slices, which most sockets are told from with one look. */
static __always_inline __u32 ungoverned_by(struct sock_common *sk) {
        struct sm_vip_key key = {};
        const struct sm_vip *vip;
        struct tcp_sock *tcp;
        __u32 slice;

        if (sk->skc_state != BPF_TCP_ESTABLISHED)
                return 0;
        peer_of(sk, &key);
        vip = bpf_map_lookup_elem(&vips, &key);
        if (!vip)
                return 0;
        tcp = bpf_skc_to_tcp_sock(sk);
        if (!tcp || bpf_sk_storage_get(&socket_contexts, sk, NULL, 0))
                return 0;
        slice = managed_slice((const struct sock *) tcp);
        if (slice == 0 || !(vip->flags & SM_VIP_REFUSE))
                return slice;
        key.slice = slice;
        return bpf_map_lookup_elem(&vips, &key) ? slice : 0;
}

/* Writes a word for each socket, so that whoever reads can stop after a number of them. */
SEC("iter/tcp")
int sm_ungoverned(struct bpf_iter__tcp *ctx) {
        struct sock_common *sk = ctx->sk_common;
        __u32 slice;

        if (!sk) /* the end */
                return 0;
        slice = ungoverned_by(sk);
        bpf_seq_write(ctx->meta->seq, &slice, sizeof(slice));
        return 0;
}

char LICENSE[] SEC("license") = "GPL";
