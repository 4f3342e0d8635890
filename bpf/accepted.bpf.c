/* SPDX-License-Identifier: GPL-2.0-only */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "../src/engine/engine-downstream.h"
#include "kernel-types.h"
#include "socket-maps.h"

/*
 * send(2) of the relay to a caller, on A: a small answer goes straight into what D has to read, and so has
 * arrived when the call returns. If anything is in the way, it goes by TCP.
 */

/* Whatever was sent before, which D's stream verdict has put into the queue that this goes into. */
static __always_inline int all_arrived(const struct tcp_sock *tcp) {
        return tcp && tcp->snd_una == tcp->write_seq;
}

static __always_inline int may_inject(const struct sk_msg_md *msg, struct sm_downstream *d) {
        const struct sm_fast_control *control;
        __u32 zero = 0;

        control = bpf_map_lookup_elem(&fast_control, &zero);
        return control && (SM_READ_ONCE(control->features) & SM_FAST_REPLIES) &&
               sm_load(&d->injected) + msg->size <= SM_READ_ONCE(d->inject_until) &&
               (sm_downstream_owners(sm_load(&d->node.word)) & SM_OWNER_SOCKET) &&
               all_arrived(bpf_skc_to_tcp_sock(msg->sk));
}

SEC("sk_msg")
int sm_msg_accepted(struct sk_msg_md *msg) {
        struct sm_relay_context *context;
        struct sm_downstream *d;
        __u64 cookie;

        if (!msg->sk)
                return SK_PASS;
        context = bpf_sk_storage_get(&relay_contexts, msg->sk, NULL, 0);
        d = context ? sm_downstream_entry(NULL, context->downstream) : NULL;
        if (!d || !may_inject(msg, d))
                return SK_PASS;
        cookie = d->cookie;
        if (bpf_msg_redirect_hash(msg, &caller_sockets, &cookie, BPF_F_INGRESS) == SK_PASS) {
                __sync_fetch_and_add(&d->injected, msg->size);
                context->injected += msg->size;
        }
        return SK_PASS;
}

char LICENSE[] SEC("license") = "GPL";
