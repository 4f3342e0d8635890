/* SPDX-License-Identifier: GPL-2.0-only */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "../src/engine/engine-downstream.h"
#include "kernel-types.h"
#include "socket-maps.h"

/*
 * The end of a server's send(2): what S's program has let through has moved by now, and if that was all of
 * the response, the request is over. In three places, of which slicemeshd loads those that the kernel has.
 */

static __always_inline void count(const struct sm_slot *answered) {
        struct sm_service_counters *counters = sm_service_counters_at(NULL, answered->service);
        struct sm_endpoint_state *endpoint = sm_endpoint_state_at(NULL, answered->endpoint);
        struct sm_path_counters *service = bpf_map_lookup_elem(&service_paths, &answered->service);
        struct sm_path_counters *slice = bpf_map_lookup_elem(&slice_paths, &answered->slice);

        if (endpoint)
                __sync_fetch_and_sub(&endpoint->in_flight, 1);
        if (service)
                __sync_fetch_and_add(&service->fast, 1);
        if (slice)
                __sync_fetch_and_add(&slice->fast, 1);
        if (!counters)
                return;
        __sync_fetch_and_sub(&counters->active, 1);
        __sync_fetch_and_add(&counters->response_bytes, answered->body);
        if (answered->status < sizeof(counters->status) / sizeof(counters->status[0]))
                __sync_fetch_and_add(&counters->status[answered->status], 1);
}

/* `word` is the slot's as S's program has left it; `result` what send(2) returns. */
static __always_inline int sent(struct sock *sk, int result) {
        struct sm_server_context *context = bpf_sk_storage_get(&server_contexts, sk, NULL, 0);
        struct sm_slot answered;
        struct sm_slot *slot;
        __u64 word;

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
