/* SPDX-License-Identifier: GPL-2.0-only */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "../src/engine/engine-downstream.h"
#include "count.h"
#include "kernel-types.h"
#include "socket-maps.h"

/*
 * The end of a send(2): what a program has redirected has moved by now, and if that was all of a response,
 * the request is over. Of a server's, and of the relay's to a caller, who may be asking for more before the
 * relay itself gets to say so. In three places, of which slicemeshd loads those that the kernel has.
 */

static __always_inline void count(const struct sm_slot *answered) {
        struct sm_service_counters *counters = sm_service_counters_at(NULL, answered->service);
        struct sm_endpoint_state *endpoint = sm_endpoint_state_at(NULL, answered->endpoint);

        count_fast(answered->service, answered->slice);
        if (endpoint)
                __sync_fetch_and_sub(&endpoint->in_flight, 1);
        if (!counters)
                return;
        __sync_fetch_and_sub(&counters->active, 1);
        __sync_fetch_and_add(&counters->response_bytes, answered->body);
        count_status(counters, answered->status);
}

/* `result` is what send(2) returns. Nothing of the answer went by TCP, so that `written` is as it was. */
static __always_inline void relay_sent(struct sm_relay_context *context, int result) {
        struct sm_downstream *d = sm_downstream_entry(NULL, context->downstream);
        __u32 injected = context->injected;

        context->injected = 0;
        if (d && result == (int) injected && sm_load(&d->injected) == SM_READ_ONCE(d->inject_until))
                (void) sm_downstream_move(d, SM_DOWNSTREAM_RELAY, SM_DOWNSTREAM_IDLE);
}

/* `word` is the slot's as S's program has left it. */
static __always_inline int sent(struct sock *sk, int result) {
        struct sm_server_context *context = bpf_sk_storage_get(&server_contexts, sk, NULL, 0);
        struct sm_relay_context *relay;
        struct sm_slot answered;
        struct sm_slot *slot;
        __u64 word;

        relay = context ? NULL : bpf_sk_storage_get(&relay_contexts, sk, NULL, 0);
        if (relay && relay->injected > 0)
                relay_sent(relay, result);
        if (!context || context->sender != bpf_get_current_pid_tgid())
                return 0;
        context->sender = 0;
        word = context->word;
        slot = sm_slot_entry(NULL, context->slot);
        if (!slot)
                return 0;
        if (result != (int) context->let_through) {
                (void) sm_slot_hand_over(slot, &word, SM_REMAINING_UNKNOWN);
                return 0;
        }
        answered = *slot; /* afterwards it may be another request's */
        if (sm_slot_finish(NULL, context->slot, slot, &word))
                count(&answered);
        return 0;
}

/* Linux 6.3 and later. Every send(2) of the host comes by here. */
SEC("?tp_btf/sock_send_length")
int BPF_PROG(sm_sent, struct sock *sk, int result) {
        return sent(sk, result);
}

SEC("?fexit/tcp_bpf_sendmsg")
int BPF_PROG(sm_sent_message, struct sock *sk, void *message, size_t size, int result) {
        return sent(sk, result);
}

/* sendfile(2) and splice(2), before Linux 6.5. */
SEC("?fexit/tcp_bpf_sendpage")
int BPF_PROG(sm_sent_page, struct sock *sk, void *page, int offset, size_t size, int flags, int result) {
        return sent(sk, result);
}

char LICENSE[] SEC("license") = "GPL";
