/* SPDX-License-Identifier: GPL-2.0-only */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "../src/abi/abi-connection.h"
#include "address.h"
#include "managed.h"
#include "socket-maps.h"
#include "stream.h"

/*
 * Makes a local server's socket, S, one of the fast path. Run with BPF_PROG_TEST_RUN by the relay, which has
 * just put the other end into its pool and is silent meanwhile: accept(2) makes S, and no hook sees whether
 * and when its server then makes it non-blocking.
 */

static __always_inline struct bpf_sock *find(struct __sk_buff *skb, const struct sm_server_key *key) {
        struct bpf_sock_tuple tuple = {};

        if (address_is_ipv4(key->server)) {
                tuple.ipv4.saddr = address_word(key->peer, 3);
                tuple.ipv4.daddr = address_word(key->server, 3);
                tuple.ipv4.sport = key->peer_port;
                tuple.ipv4.dport = key->server_port;
                return bpf_sk_lookup_tcp(skb, &tuple, sizeof(tuple.ipv4), BPF_F_CURRENT_NETNS, 0);
        }
        __builtin_memcpy(tuple.ipv6.saddr, key->peer, sizeof(tuple.ipv6.saddr));
        __builtin_memcpy(tuple.ipv6.daddr, key->server, sizeof(tuple.ipv6.daddr));
        tuple.ipv6.sport = key->peer_port;
        tuple.ipv6.dport = key->server_port;
        return bpf_sk_lookup_tcp(skb, &tuple, sizeof(tuple.ipv6), BPF_F_CURRENT_NETNS, 0);
}

/* Its addresses are its key for as long as it lives, so one that was let in before stays where it is. */
static __always_inline enum sm_enrolled let_in(struct bpf_sock *sk, const struct sm_enrolment *e) {
        struct sm_server_context *context = bpf_sk_storage_get(&server_contexts, sk, NULL, 0);
        struct sm_server_context fresh = { .slot = e->slot, .connection = e->connection };

        if (context) {
                context->slot = e->slot;
                context->connection = e->connection;
                return SM_ENROLLED;
        }
        if (!bpf_sk_storage_get(&server_contexts, sk, &fresh, BPF_SK_STORAGE_GET_F_CREATE))
                return SM_ENROLLED_BUSY;
        if (bpf_map_update_elem(&server_sockets, &e->key, sk, BPF_ANY) == 0)
                return SM_ENROLLED;
        bpf_sk_storage_delete(&server_contexts, sk);
        return SM_ENROLLED_BUSY;
}

static __always_inline enum sm_enrolled judge(struct bpf_sock *sk, const struct sm_enrolment *e) {
        struct tcp_sock *tcp = bpf_skc_to_tcp_sock(sk);

        if (!tcp || sk->state != BPF_TCP_ESTABLISHED) /* of a listener too */
                return SM_ENROLLED_NOT_HERE;
        if (managed_slice((const struct sock *) tcp) == 0)
                return SM_ENROLLED_UNMANAGED;
        if (stream_is_blocking(tcp))
                return SM_ENROLLED_BLOCKING;
        /* What is half read when a verdict comes to a socket would be read twice. */
        if (tcp->rcv_nxt != tcp->copied_seq)
                return SM_ENROLLED_UNREAD;
        return let_in(sk, e);
}

SEC("tc")
int sm_enrol(struct __sk_buff *skb) {
        enum sm_enrolled result;
        struct sm_enrolment e;
        struct bpf_sock *sk;

        if (bpf_skb_load_bytes(skb, 0, &e, sizeof(e)) < 0)
                return SM_ENROLLED_NOT_HERE;
        sk = find(skb, &e.key);
        if (!sk)
                return SM_ENROLLED_NOT_HERE;
        result = judge(sk, &e);
        bpf_sk_release(sk);
        return result;
}

char LICENSE[] SEC("license") = "GPL";
