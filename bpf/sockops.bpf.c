/* SPDX-License-Identifier: GPL-2.0-only */
#include <linux/bpf.h>
#include <linux/errno.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "../src/abi/abi-link.h"
#include "../src/engine/engine-endpoint.h"
#include "address.h"
#include "kernel-types.h"
#include "maps.h"

/*
 * The life of a captured connection after the connect hook: who it is, told to the relay before the
 * first SYN leaves; of a tcp service, what is in flight and which endpoints fail.
 */

/* Volatile, as the verifier allows no wider reads of a context than the field is. */
static __always_inline struct sm_caller_key caller_key(const volatile struct bpf_sock_ops *ops) {
        struct sm_caller_key key = {};

        /* The kernel keeps the mapped form in the IPv6 fields of an IPv4 socket. */
        address_set(key.address, ops->local_ip6[0], ops->local_ip6[1], ops->local_ip6[2], ops->local_ip6[3]);
        key.port = bpf_htons((__u16) ops->local_port);
        return key;
}

/* TCP_CONNECT_CB: the local port is chosen, nothing was sent yet. */
static __always_inline void connection_starts(struct bpf_sock_ops *ops, struct sm_socket_context *socket) {
        struct sm_slice_state *slice = bpf_map_lookup_elem(&slice_states, &socket->slice);
        struct sm_endpoint_state *state;

        /* The programs of a slice within a slice both run for its sockets. */
        if (socket->recorded || !slice)
                return;

        if (socket->protocol == SM_PROTOCOL_TCP) {
                state = bpf_map_lookup_elem(&endpoint_states, &socket->endpoint);
                if (!state)
                        return;
                __sync_fetch_and_add(&slice->open, 1);
                __sync_fetch_and_add(&state->in_flight, 1);
                __sync_fetch_and_add(&state->connections, 1);
                __sync_fetch_and_add(&state->requests, 1);
        } else {
                struct sm_caller_key key = caller_key(ops);
                struct sm_caller caller = {
                        .socket = *socket,
                        .cookie = bpf_get_socket_cookie(ops),
                        .since = bpf_ktime_get_ns(),
                };

                if (bpf_map_update_elem(&callers, &key, &caller, BPF_ANY) < 0) {
                        __sync_fetch_and_add(&slice->failed, 1);
                        return;
                }
        }
        socket->recorded = 1;
        bpf_sock_ops_cb_flags_set(ops, ops->bpf_sock_ops_cb_flags | BPF_SOCK_OPS_STATE_CB_FLAG);
}

static __always_inline void tell(const struct sm_socket_context *socket, __u32 what, __s32 detail) {
        struct sm_link_event event = {
                .event = what,
                .service = socket->service,
                .endpoint = socket->endpoint,
                .detail = detail,
        };

        bpf_ringbuf_output(&events, &event, sizeof(event), 0);
}

/* Why a connection attempt ended without a connection: an errno; 0 if the caller merely changed its
 * mind, which after the first SYN was lost it is not believed to have done for no reason. */
static __always_inline __s32 connect_error(struct bpf_sock_ops *ops) {
        const struct sock *sk;
        __s32 error = 0;

        if (!ops->sk)
                return 0;
        sk = (const struct sock *) bpf_skc_to_tcp_sock(ops->sk);
        if (sk)
                error = sk->sk_err;
        return error ?: ops->total_retrans > 0 ? ETIMEDOUT : 0;
}

static __always_inline void tcp_changes(struct bpf_sock_ops *ops, const struct sm_socket_context *socket,
                                        __u32 from, __u32 to) {
        struct sm_endpoint_state *state = bpf_map_lookup_elem(&endpoint_states, &socket->endpoint);
        struct sm_slice_state *slice = bpf_map_lookup_elem(&slice_states, &socket->slice);
        struct sm_service_counters *counters;
        __s32 error;

        if (!state || !slice)
                return;
        if (to == BPF_TCP_ESTABLISHED) {
                if (sm_endpoint_succeeded(state))
                        tell(socket, SM_EVENT_ENDPOINT_BACK, 0);
                return;
        }
        if (to != BPF_TCP_CLOSE)
                return;

        __sync_fetch_and_sub(&slice->open, 1);
        __sync_fetch_and_sub(&state->in_flight, 1);
        __sync_fetch_and_sub(&state->connections, 1);
        if (from != BPF_TCP_SYN_SENT)
                return;
        error = connect_error(ops);
        if (error == 0)
                return;
        counters = bpf_map_lookup_elem(&service_counters, &socket->service);
        if (counters)
                __sync_fetch_and_add(&counters->reasons[error == ETIMEDOUT ? SM_REASON_CONNECT_TIMEOUT :
                                                                             SM_REASON_CONNECT_FAILED], 1);
        if (sm_endpoint_failed(state, bpf_ktime_get_ns()))
                tell(socket, SM_EVENT_ENDPOINT_AVOIDED, error);
}

static __always_inline void connection_changes(struct bpf_sock_ops *ops, struct sm_socket_context *socket) {
        __u32 from = ops->args[0], to = ops->args[1];

        if (!socket->recorded)
                return;
        if (socket->protocol == SM_PROTOCOL_TCP)
                tcp_changes(ops, socket, from, to);
        else if (to == BPF_TCP_CLOSE) {
                struct sm_caller_key key = caller_key(ops);

                bpf_map_delete_elem(&callers, &key);
        }
        if (to == BPF_TCP_CLOSE)
                socket->recorded = 0;
}

SEC("sockops")
int sm_sock_ops(struct bpf_sock_ops *ops) {
        struct sm_socket_context *socket;

        if (ops->op != BPF_SOCK_OPS_TCP_CONNECT_CB && ops->op != BPF_SOCK_OPS_STATE_CB)
                return 1;
        if (!ops->sk)
                return 1;
        socket = bpf_sk_storage_get(&socket_contexts, ops->sk, NULL, 0);
        if (!socket)
                return 1;
        if (ops->op == BPF_SOCK_OPS_TCP_CONNECT_CB)
                connection_starts(ops, socket);
        else
                connection_changes(ops, socket);
        return 1;
}

char LICENSE[] SEC("license") = "GPL";
