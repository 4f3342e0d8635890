/* SPDX-License-Identifier: GPL-2.0-only */
#include <linux/bpf.h>
#include <linux/errno.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "../src/abi/abi-link.h"
#include "../src/engine/engine-downstream.h"
#include "../src/engine/engine-endpoint.h"
#include "address.h"
#include "maps.h"
#include "socket-maps.h"
#include "stream.h"

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

/* Why no request of this connection can take the fast path, as far as that is known now. */
static __always_inline enum sm_slow check_fast_path(struct bpf_sock_ops *ops,
                                                    const struct sm_socket_context *socket) {
        const struct sm_service *service = sm_service_at(NULL, socket->service);
        const struct sm_fast_control *control;
        const struct sm_policy *policy;
        struct bpf_sock *sk = ops->sk;
        struct tcp_sock *tcp;
        __u32 zero = 0;

        control = bpf_map_lookup_elem(&fast_control, &zero);
        policy = service ? sm_cell_of(NULL, SM_READ_ONCE(service->root)) : NULL;
        if (!control || !policy)
                return SM_SLOW_UNAVAILABLE;
        if (!(SM_READ_ONCE(control->features) & SM_FAST_REQUESTS) && control->slow == SM_SLOW_UNAVAILABLE)
                return SM_SLOW_UNAVAILABLE;
        if (policy->flags & SM_POLICY_FAST_NEVER)
                return SM_SLOW_NEVER;
        tcp = sk ? bpf_skc_to_tcp_sock(sk) : NULL;
        if (!(policy->flags & SM_POLICY_FAST_ALWAYS) && (!tcp || stream_is_blocking(tcp)))
                return SM_SLOW_BLOCKING;
        return SM_SLOW_NONE;
}

static __always_inline struct sm_stack *unused_downstreams(void) {
        __u32 zero = 0;

        return bpf_map_lookup_elem(&free_downstreams, &zero);
}

/* A downstream for D, and the word that the relay adopts it by; 0 if there is none. */
static __noinline __u64 join_fast_path(struct bpf_sock_ops *ops, struct sm_socket_context *socket,
                                       __u64 cookie) {
        struct sm_stack *unused = unused_downstreams();
        struct sm_downstream *d;
        __u64 word = 0;

        socket->downstream = 0;
        socket->slow = check_fast_path(ops, socket);
        if (socket->slow != SM_SLOW_NONE || !unused)
                return 0;
        socket->downstream = sm_downstream_new(NULL, unused, &word);
        d = socket->downstream > 0 ? sm_downstream_entry(NULL, socket->downstream) : NULL;
        if (!d) {
                socket->slow = SM_SLOW_FULL;
                return 0;
        }
        d->cookie = cookie;
        d->service = socket->service;
        d->slice = socket->slice;
        d->slow = SM_SLOW_NOT_IN_STEP;
        d->used = 0;
        return word;
}

static __noinline void leave_fast_path(struct sm_socket_context *socket) {
        struct sm_stack *unused = unused_downstreams();
        struct sm_downstream *d = sm_downstream_entry(NULL, socket->downstream);

        if (socket->downstream == 0 || !d || !unused)
                return;
        sm_downstream_release(NULL, unused, socket->downstream, d, SM_OWNER_SOCKET);
        socket->downstream = 0;
}

/* ACTIVE_ESTABLISHED_CB: from here on D's program sees what it sends. */
static __always_inline void connection_stands(struct bpf_sock_ops *ops,
                                              const struct sm_socket_context *socket) {
        struct sm_downstream *d = sm_downstream_entry(NULL, socket->downstream);
        __u64 cookie;
        long r;

        if (socket->downstream == 0 || !d)
                return;
        cookie = d->cookie;
        r = bpf_sock_hash_update(ops, &caller_sockets, &cookie, BPF_NOEXIST);
        if (r < 0 && r != -EEXIST)
                d->slow = r == -E2BIG || r == -ENOMEM ? SM_SLOW_FULL : SM_SLOW_BUSY;
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
                        .cookie = bpf_get_socket_cookie(ops),
                        .since = bpf_ktime_get_ns(),
                };

                caller.downstream_word = join_fast_path(ops, socket, caller.cookie);
                caller.socket = *socket;
                if (bpf_map_update_elem(&callers, &key, &caller, BPF_ANY) < 0) {
                        __sync_fetch_and_add(&slice->failed, 1);
                        leave_fast_path(socket);
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
                leave_fast_path(socket);
        }
        if (to == BPF_TCP_CLOSE)
                socket->recorded = 0;
}

SEC("sockops")
int sm_sock_ops(struct bpf_sock_ops *ops) {
        struct sm_socket_context *socket;

        if (ops->op != BPF_SOCK_OPS_TCP_CONNECT_CB && ops->op != BPF_SOCK_OPS_STATE_CB &&
            ops->op != BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB)
                return 1;
        if (!ops->sk)
                return 1;
        socket = bpf_sk_storage_get(&socket_contexts, ops->sk, NULL, 0);
        if (!socket)
                return 1;
        if (ops->op == BPF_SOCK_OPS_TCP_CONNECT_CB)
                connection_starts(ops, socket);
        else if (ops->op == BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB)
                connection_stands(ops, socket);
        else
                connection_changes(ops, socket);
        return 1;
}

char LICENSE[] SEC("license") = "GPL";
