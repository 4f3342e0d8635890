/* SPDX-License-Identifier: GPL-2.0-only */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "../src/engine/engine-downstream.h"
#include "engine-maps.h"
#include "socket-maps.h"

/*
 * close(2) of a socket of the fast path, before it begins. From the verdict on a send() until the bytes are
 * with the other socket the kernel holds that socket, but not what makes it a target: if that is gone in
 * between, the sender gets EPIPE, of which it would have known nothing without us. So nobody is to choose
 * the socket any more, and who just has gets time to finish.
 */

#define MOVES_WITHIN_NS 50000 /* from the choice until the bytes have moved; they take about 1000 */
#define LOOKS_MAX 3000        /* some 100 us, should a program have been interrupted */

struct wait {
        struct sm_slot *slot;
        __u64 since; /* 0: since when the slot says */
        __u32 state; /* in which bytes may be on their way */
};

static long look(__u32 i, void *context) {
        const struct wait *w = context;
        __u32 state = sm_slot_state(sm_load(&w->slot->node.word));

        if (state == SM_SLOT_TAKEN && w->state == SM_SLOT_WAITING)
                return 0;
        return state != w->state ||
               bpf_ktime_get_ns() > (w->since ?: SM_READ_ONCE(w->slot->since)) + MOVES_WITHIN_NS;
}

/* What S then leaves unread, the relay sends elsewhere, as ever when a server closes. */
static __always_inline void server_closes(const struct sm_server_context *context) {
        struct wait w = { .slot = sm_slot_entry(NULL, context->slot), .state = SM_SLOT_WAITING };

        if (!w.slot || sm_slot_kill(w.slot, (__u16) context->connection))
                return;
        if (sm_slot_connection(sm_load(&w.slot->node.word)) == (__u16) context->connection)
                bpf_loop(LOOKS_MAX, look, &w, 0);
}

/* S's program reads the cookie after it has made the slot RESPONDING. */
static __always_inline void caller_closes(const struct sm_socket_context *socket) {
        struct wait w = { .since = bpf_ktime_get_ns(), .state = SM_SLOT_RESPONDING };
        struct sm_downstream *d = sm_downstream_entry(NULL, socket->downstream);
        __u64 state;

        if (socket->downstream == 0 || !d)
                return;
        sm_store(&d->cookie, 0);
        state = sm_load(&d->state);
        if (sm_downstream_state(state) != SM_DOWNSTREAM_KERNEL)
                return;
        w.slot = sm_slot_entry(NULL, sm_downstream_slot(state));
        if (w.slot)
                bpf_loop(LOOKS_MAX, look, &w, 0);
}

SEC("cgroup/sock_release")
int sm_sock_release(struct bpf_sock *sk) {
        const struct sm_server_context *server = bpf_sk_storage_get(&server_contexts, sk, NULL, 0);
        const struct sm_socket_context *caller = bpf_sk_storage_get(&socket_contexts, sk, NULL, 0);

        if (server)
                server_closes(server);
        if (caller)
                caller_closes(caller);
        return 1;
}

char LICENSE[] SEC("license") = "GPL";
