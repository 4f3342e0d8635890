/* SPDX-License-Identifier: GPL-2.0-only */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "../src/engine/engine-slot.h"
#include "engine-maps.h"
#include "socket-maps.h"

/*
 * close(2) of a local server, S, before it begins. From the verdict on D's send() until the bytes are with S the
 * kernel holds S, but not what makes it a target: if that is gone in between, D's send() fails with EPIPE. So
 * nobody is to choose S any more, and who just has gets time to finish. What S then leaves unread, the
 * relay sends elsewhere, as ever when a server closes.
 */

#define MOVES_WITHIN_NS 50000 /* from the choice until the bytes are with S; they take about 1000 */
#define LOOKS_MAX 3000        /* some 100 us, should D's program have been interrupted */

/* Until a request cannot be on its way any more. */
static long look(__u32 i, void *context) {
        struct sm_slot *const *slot = context;

        switch (sm_slot_state(sm_load(&(*slot)->node.word))) {

        case SM_SLOT_TAKEN:
                return 0;

        case SM_SLOT_WAITING:
                return bpf_ktime_get_ns() > SM_READ_ONCE((*slot)->since) + MOVES_WITHIN_NS;

        default:
                return 1;
        }
}

SEC("cgroup/sock_release")
int sm_sock_release(struct bpf_sock *sk) {
        const struct sm_server_context *context = bpf_sk_storage_get(&server_contexts, sk, NULL, 0);
        struct sm_slot *slot = context ? sm_slot_entry(NULL, context->slot) : NULL;

        if (!slot || sm_slot_kill(slot, (__u16) context->connection))
                return 1;
        if (sm_slot_connection(sm_load(&slot->node.word)) == (__u16) context->connection)
                bpf_loop(LOOKS_MAX, look, &slot, 0);
        return 1;
}

char LICENSE[] SEC("license") = "GPL";
