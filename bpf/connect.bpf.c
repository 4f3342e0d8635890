/* SPDX-License-Identifier: GPL-2.0-only */
#include <linux/bpf.h>
#include <linux/errno.h>
#include <linux/in.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "../src/engine/engine-route.h"
#include "address.h"
#include "config.h"
#include "maps.h"
#include "unit.h"

/*
 * connect(2) in a managed slice: a service's address becomes that of the relay or, of a tcp service, of an
 * endpoint. Everything else is let through as it is.
 */

enum verdict {
        REFUSE = 0, /* what the kernel takes for EPERM, or the error set before */
        PASS = 1,
        REWRITE,
};

#define FAMILY_TRIES 4 /* endpoints of the other family that are passed over */

struct target {
        __u8 address[16] __attribute__((aligned(4)));
        __be16 port;
};

static __always_inline enum verdict refuse(int error) {
        bpf_set_retval(-error); /* in these hooks since Linux 6.1 */
        return REFUSE;
}

static __always_inline void count_reason(__u32 service, enum sm_reason reason) {
        struct sm_service_counters *counters = sm_service_counters_at(NULL, service);

        if (counters)
                __sync_fetch_and_add(&counters->reasons[reason], 1);
}

static __always_inline const struct sm_vip *find_vip(const struct target *asked, __u32 slice) {
        struct sm_vip_key key = { .port = asked->port, .slice = slice };
        const struct sm_vip *vip;

        __builtin_memcpy(key.address, asked->address, sizeof(key.address));
        vip = bpf_map_lookup_elem(&vips, &key);
        if (vip)
                return vip;
        key.slice = 0;
        return bpf_map_lookup_elem(&vips, &key);
}

static __always_inline void to_relay(struct target *t) {
        if (address_is_ipv4(t->address))
                address_set_ipv4(t->address, bpf_htonl(INADDR_LOOPBACK));
        else
                address_set(t->address, 0, 0, 0, bpf_htonl(1));
        t->port = relay_port;
}

static __always_inline int is_target(const struct sm_socket_context *socket, const struct target *asked) {
        const struct sm_endpoint *endpoint;
        struct target relay = *asked;

        if (socket->protocol == SM_PROTOCOL_TCP) {
                endpoint = sm_endpoint_at(NULL, socket->endpoint);
                return endpoint && endpoint->port == asked->port &&
                       address_equal(endpoint->address, asked->address);
        }
        to_relay(&relay);
        return relay.port == asked->port && address_equal(relay.address, asked->address);
}

/* Not for us. A socket that was captured before and is connected anew must not keep its old name; but where
 * a slice lies within a slice, the inner one's program has just captured this one. */
static __always_inline enum verdict pass(struct bpf_sock_addr *ctx, const struct target *asked) {
        const struct sm_socket_context *socket = bpf_sk_storage_get(&socket_contexts, ctx->sk, NULL, 0);

        if (socket && !is_target(socket, asked))
                bpf_sk_storage_delete(&socket_contexts, ctx->sk);
        return PASS;
}

/* An IPv4 socket cannot reach an IPv6 endpoint; the other way round a mapped address does. */
static __noinline enum sm_reason pick(const struct sm_request *request, int only_ipv4,
                                      struct sm_choice *choice, struct target *t) {
        __u32 unreachable[SM_PICK_EXCLUDED_MAX] = {};
        const struct sm_endpoint *endpoint;
        enum sm_reason reason;
        __u64 now = bpf_ktime_get_ns();

        for (__u32 n = 0; n < FAMILY_TRIES; n++) {
                reason = sm_take_endpoint(NULL, choice, request, now, unreachable, n);
                if (reason != SM_REASON_NONE)
                        return reason;
                endpoint = sm_endpoint_at(NULL, choice->endpoint);
                if (!endpoint)
                        return SM_REASON_INTERNAL;
                if (!only_ipv4 || address_is_ipv4(endpoint->address)) {
                        __builtin_memcpy(t->address, endpoint->address, sizeof(t->address));
                        t->port = endpoint->port;
                        return SM_REASON_NONE;
                }
                unreachable[n] = choice->endpoint;
        }
        return SM_REASON_NO_ENDPOINT;
}

/* A frame of its own, gone when the pick needs the room. */
static __noinline enum sm_reason choose_subset(__u32 root, const struct sm_request *request,
                                               struct sm_choice *choice) {
        enum sm_reason reason;

        reason = sm_choose_route_for_connection(NULL, root, request, choice);
        return reason != SM_REASON_NONE ? reason : sm_choose_subset(NULL, choice, request);
}

const __u8 not_known_yet[16] = {}; /* the same for all units of this host anyway */

/* Picks the endpoint of a tcp service. Its connection is counted in sock_ops, once it is on its way. */
static __always_inline enum sm_reason to_endpoint(struct sm_socket_context *socket, int only_ipv4,
                                                  struct target *t) {
        const struct sm_service *service = sm_service_at(NULL, socket->service);
        const struct sm_request request = {
                .source = not_known_yet,
                .cgroup = socket->cgroup,
                .slice = socket->slice,
                .unit = socket->unit,
                .uid = socket->uid,
                .random = bpf_get_prandom_u32(),
        };
        struct sm_choice choice = {};
        enum sm_reason reason;
        __u32 root;

        root = service ? SM_READ_ONCE(service->root) : 0;
        if (root == 0)
                return SM_REASON_NO_SERVICE;
        reason = choose_subset(root, &request, &choice);
        if (reason != SM_REASON_NONE)
                return reason;
        reason = pick(&request, only_ipv4, &choice, t);
        socket->endpoint = choice.endpoint;
        return reason;
}

/* What the caller asked for and who it is. Filled in where it stays, as the stack is short: 512 bytes
 * for all frames together. */
static __always_inline struct sm_socket_context *
remember(struct bpf_sock_addr *ctx, const struct sm_vip *vip, __u32 slice, const struct target *t) {
        struct sm_socket_context *socket;

        socket = bpf_sk_storage_get(&socket_contexts, ctx->sk, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
        if (!socket)
                return NULL;
        __builtin_memcpy(socket->address, t->address, sizeof(socket->address));
        socket->port = t->port;
        socket->protocol = vip->protocol;
        socket->recorded = 0;
        socket->service = vip->service;
        socket->generation = vip->generation;
        socket->slice = slice;
        socket->endpoint = 0;
        socket->downstream = 0;
        socket->slow = SM_SLOW_NONE;
        socket->uid = (__u32) bpf_get_current_uid_gid();
        socket->pid = (__u32) (bpf_get_current_pid_tgid() >> 32);
        socket->cgroup = bpf_get_current_cgroup_id();
        socket->unit = unit_of_current();
        return socket;
}

static __always_inline enum verdict capture(struct bpf_sock_addr *ctx, const struct sm_vip *vip, __u32 slice,
                                            struct target *t) {
        struct sm_socket_context *socket = remember(ctx, vip, slice, t);
        struct sm_service_counters *counters;
        enum sm_reason reason;

        if (!socket)
                return refuse(ENOBUFS);
        if (socket->protocol != SM_PROTOCOL_TCP && relay_port != 0) {
                to_relay(t); /* which counts the connection when it has accepted it */
                return REWRITE;
        }

        reason = SM_REASON_NO_SERVICE;
        if (socket->protocol == SM_PROTOCOL_TCP)
                reason = to_endpoint(socket, ctx->family == AF_INET, t);
        if (reason != SM_REASON_NONE) {
                count_reason(socket->service, reason);
                bpf_sk_storage_delete(&socket_contexts, ctx->sk);
                return refuse(ECONNREFUSED);
        }
        counters = sm_service_counters_at(NULL, socket->service);
        if (counters)
                __sync_fetch_and_add(&counters->connections, 1);
        return REWRITE;
}

static __always_inline enum verdict decide(struct bpf_sock_addr *ctx, struct target *t) {
        const struct sm_slice_context *context = bpf_get_local_storage(&slice_contexts, 0);
        __u32 slice = context->slice;
        struct sm_slice_state *state;
        const struct sm_vip *vip;
        enum verdict verdict;

        if (slice == 0 || !ctx->sk)
                return PASS;
        state = bpf_map_lookup_elem(&slice_states, &slice);
        if (!state)
                return PASS;
        __sync_fetch_and_add(&state->connects, 1);

        vip = find_vip(t, slice);
        if (!vip)
                return pass(ctx, t);
        if (bpf_get_netns_cookie(ctx) != mesh_netns) {
                __sync_fetch_and_add(&state->foreign, 1);
                count_reason(vip->service, SM_REASON_FOREIGN_NETNS);
                return pass(ctx, t);
        }
        if (vip->flags & SM_VIP_REFUSE) {
                __sync_fetch_and_add(&state->refused, 1);
                count_reason(vip->service, SM_REASON_CALLER_REFUSED);
                return refuse(EPERM);
        }

        verdict = capture(ctx, vip, slice, t);
        __sync_fetch_and_add(verdict == REWRITE ? &state->captured : &state->failed, 1);
        return verdict;
}

SEC("cgroup/connect4")
int sm_connect4(struct bpf_sock_addr *ctx) {
        struct target t = { .port = (__be16) ctx->user_port };
        enum verdict verdict;

        if (ctx->protocol != IPPROTO_TCP)
                return PASS;
        address_set_ipv4(t.address, ctx->user_ip4);
        verdict = decide(ctx, &t);
        if (verdict != REWRITE)
                return verdict;
        ctx->user_ip4 = address_word(t.address, 3);
        ctx->user_port = t.port;
        return PASS;
}

SEC("cgroup/connect6")
int sm_connect6(struct bpf_sock_addr *ctx) {
        struct target t = { .port = (__be16) ctx->user_port };
        enum verdict verdict;

        if (ctx->protocol != IPPROTO_TCP)
                return PASS;
        address_set(t.address, ctx->user_ip6[0], ctx->user_ip6[1], ctx->user_ip6[2], ctx->user_ip6[3]);
        verdict = decide(ctx, &t);
        if (verdict != REWRITE)
                return verdict;
        ctx->user_ip6[0] = address_word(t.address, 0);
        ctx->user_ip6[1] = address_word(t.address, 1);
        ctx->user_ip6[2] = address_word(t.address, 2);
        ctx->user_ip6[3] = address_word(t.address, 3);
        ctx->user_port = t.port;
        return PASS;
}

char LICENSE[] SEC("license") = "GPL";
