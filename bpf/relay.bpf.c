/* SPDX-License-Identifier: GPL-2.0-only */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "../src/engine/engine-slot.h"
#include "socket-maps.h"

/*
 * The relay's own connections: a pooled one that ends is of no use any more, which the relay may learn late.
 */

static __always_inline void connection_ends(struct bpf_sock *sk) {
        const struct sm_relay_context *context = bpf_sk_storage_get(&relay_contexts, sk, NULL, 0);
        struct sm_slot *slot = context ? sm_slot_entry(NULL, context->slot) : NULL;

        if (slot)
                (void) sm_slot_kill(slot, (__u16) context->connection);
}

SEC("sockops")
int sm_relay_sock_ops(struct bpf_sock_ops *ops) {
        if (ops->op == BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB)
                bpf_sock_ops_cb_flags_set(ops, ops->bpf_sock_ops_cb_flags | BPF_SOCK_OPS_STATE_CB_FLAG);
        /* FIN, RST, or the relay's own close(2) */
        else if (ops->op == BPF_SOCK_OPS_STATE_CB && ops->args[0] == BPF_TCP_ESTABLISHED && ops->sk)
                connection_ends(ops->sk);
        return 1;
}

char LICENSE[] SEC("license") = "GPL";
