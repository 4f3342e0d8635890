/* SPDX-License-Identifier: GPL-2.0-only */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "../src/engine/engine-chunk-loop.h"
#include "../src/engine/engine-downstream.h"
#include "../src/engine/engine-plain.h"
#include "message.h"
#include "parsing.h"
#include "socket-maps.h"

/*
 * send(2) of a local server, S: a response whose head says how long it is, or of which all chunks are
 * there, goes straight to the caller. Whatever is not certain goes to the relay, over the connection that it
 * expects it on.
 */

#define RESPONSE_HEAD_MAX 4096

/* By slot; S's lock guards it. */
struct server_scratch {
        struct parsing parsing;
        struct sm_chunk_walk chunks;
        __u8 bytes[SM_HEAD_KERNEL_MAX]; /* as sm_byte_at() wants; RESPONSE_HEAD_MAX of them are used */
};

struct {
        __uint(type, BPF_MAP_TYPE_ARRAY);
        __uint(max_entries, 1);
        __type(key, __u32);
        __type(value, struct server_scratch);
} server_scratches SEC(".maps");

struct answer {
        struct sm_server_context *context;
        struct sm_slot *slot;
        struct server_scratch *scratch;
        __u64 word;
        __u32 size;         /* of this message */
        __u32 remaining;    /* of the response, after it */
        __u32 moves;        /* it does, to the caller */
        struct sm_span cut; /* of the head: what the caller is not to get */
};

/* The request's service may rewrite heads. */
static __always_inline __u16 policy_flags(const struct sm_slot *slot) {
        const struct sm_service *service = sm_service_at(NULL, slot->service);
        const struct sm_policy *policy;

        policy = service ? sm_cell_of(NULL, SM_READ_ONCE(service->root)) : NULL;
        return policy ? policy->flags : 0;
}

/* What the relay takes of a head. */
static __always_inline __u32 head_max(void) {
        const struct sm_fast_control *control;
        __u32 zero = 0;

        control = bpf_map_lookup_elem(&fast_control, &zero);
        return control ? control->head_max : 0;
}

/* The body is chunked: whether all of it is there, and nothing else. */
static __noinline enum sm_slow check_chunks(struct sk_msg_md *msg, struct sm_chunk_walk *w, __u32 position) {
        struct sm_chunk_loop loop = { .walk = w, .message = msg };

        if (msg->size > SM_FAST_MAX)
                return SM_SLOW_RESPONSE_TOO_LARGE;
        sm_chunk_walk_start(w, position, msg->size);
        sm_loop(SM_CHUNK_WALK_MAX, sm_chunk_walk_steps, &loop);
        if (w->result <= 0)
                return SM_SLOW_RESPONSE_FRAMING;
        return w->position == w->size ? SM_SLOW_NONE : SM_SLOW_RESPONSE_BROKEN;
}

/* The body's size is known. */
static __always_inline enum sm_slow check_size(struct answer *a, __u32 head, __s64 body) {
        if (body < 0)
                return SM_SLOW_RESPONSE_FRAMING;
        if (body > SM_FAST_MAX || head + body > SM_FAST_MAX)
                return SM_SLOW_RESPONSE_TOO_LARGE;
        if (a->size > head + body)
                return SM_SLOW_RESPONSE_BROKEN;
        a->slot->body = (__u32) body;
        a->remaining = (__u32) (head + body) - a->size;
        return SM_SLOW_NONE;
}

/* Whether the kernel can answer with this, of which the message is the beginning. */
static __always_inline enum sm_slow check_response(struct sk_msg_md *msg, struct answer *a) {
        const struct sm_head *head = &a->scratch->parsing.head;
        __u32 n = a->size < RESPONSE_HEAD_MAX ? a->size : RESPONSE_HEAD_MAX;
        enum sm_slow slow;
        int r;

        if (message_copy(msg, a->scratch->bytes, n, RESPONSE_HEAD_MAX) < 0)
                return SM_SLOW_RESPONSE_MALFORMED;
        r = parse(&a->scratch->parsing, a->scratch->bytes, SM_HEAD_RESPONSE, n);
        if (r <= 0)
                return n == RESPONSE_HEAD_MAX ? SM_SLOW_RESPONSE_TOO_LARGE : SM_SLOW_RESPONSE_MALFORMED;
        if (head->status < 200 || head->status == 408)
                return SM_SLOW_INTERIM;
        if (!sm_response_cut(head, policy_flags(a->slot), &a->cut))
                return SM_SLOW_RESPONSE_REWRITTEN;
        if (head->length > head_max())
                return SM_SLOW_RESPONSE_TOO_LARGE;
        a->slot->status = (__u8) (head->status / 100);
        if (sm_response_framing(head, a->slot->method) != SM_BODY_CHUNKED)
                return check_size(a, head->length, sm_response_size(head, a->slot->method));
        slow = check_chunks(msg, &a->scratch->chunks, head->length);
        a->slot->body = (__u32) a->scratch->chunks.data;
        return slow;
}

static __always_inline void hand_over(struct answer *a, enum sm_slow slow, __u32 owed) {
        a->slot->slow = slow;
        (void) sm_slot_hand_over(a->slot, &a->word, owed);
}

/* What sm_sent is to know at the end of this call. A send that is cut in several messages adds up. */
static __always_inline void note(struct answer *a) {
        struct sm_server_context *c = a->context;
        __u64 sender = bpf_get_current_pid_tgid();

        c->let_through = (c->sender == sender ? c->let_through : 0) + a->size;
        c->sender = sender;
        c->word = a->word;
        a->moves = 1;
}

static __always_inline void let_through(struct sk_msg_md *msg, struct answer *a, __u32 downstream,
                                        __u32 owed) {
        struct sm_downstream *d = sm_downstream_entry(NULL, downstream);

        if (!d || bpf_msg_redirect_hash(msg, &caller_sockets, &d->cookie, BPF_F_INGRESS) != SK_PASS) {
                hand_over(a, SM_SLOW_CALLER_GONE, owed);
                return;
        }
        note(a);
}

static __always_inline void begin(struct sk_msg_md *msg, struct answer *a) {
        enum sm_slow slow = check_response(msg, a);
        __u32 downstream;

        if (slow != SM_SLOW_NONE)
                hand_over(a, slow, SM_REMAINING_ALL);
        else if (!sm_slot_respond(a->slot, &a->word, a->remaining, &downstream))
                return;
        /* What is handed over after this lacks what the relay would cut out itself. */
        else if (a->cut.length > 0 && bpf_msg_pop_data(msg, a->cut.offset, a->cut.length, 0) < 0)
                hand_over(a, SM_SLOW_RESPONSE_REWRITTEN, SM_REMAINING_ALL);
        else
                let_through(msg, a, downstream, SM_REMAINING_ALL);
}

static __always_inline void go_on(struct sk_msg_md *msg, struct answer *a) {
        __u32 owed = sm_slot_remaining(a->word), downstream;

        if (sm_slot_proceed(a->slot, &a->word, a->size, &downstream))
                let_through(msg, a, downstream, owed);
        else
                hand_over(a, SM_SLOW_RESPONSE_BROKEN, owed);
}

SEC("sk_msg")
int sm_msg_server(struct sk_msg_md *msg) {
        struct answer a = { .size = msg->size };

        if (!msg->sk)
                return SK_PASS;
        a.context = bpf_sk_storage_get(&server_contexts, msg->sk, NULL, 0);
        if (!a.context)
                return SK_PASS;
        a.slot = sm_slot_entry(NULL, a.context->slot);
        a.scratch = bpf_map_lookup_elem(&server_scratches, &a.context->slot);
        if (!a.slot || !a.scratch)
                return SK_PASS;
        a.word = sm_load(&a.slot->node.word);
        if (sm_slot_connection(a.word) != (__u16) a.context->connection)
                return SK_PASS;

        switch (sm_slot_state(a.word)) {

        case SM_SLOT_WAITING:
                begin(msg, &a);
                break;

        case SM_SLOT_RESPONDING:
                go_on(msg, &a);
                break;

        case SM_SLOT_FREE: /* it speaks unasked */
                (void) sm_slot_kill(a.slot, (__u16) a.context->connection);
                break;

        default:
                break;
        }
        if (!a.moves)
                message_join(msg);
        return SK_PASS;
}

char LICENSE[] SEC("license") = "GPL";
