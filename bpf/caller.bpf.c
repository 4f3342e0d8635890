/* SPDX-License-Identifier: GPL-2.0-only */
#include <linux/bpf.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "../src/engine/engine-downstream.h"
#include "../src/engine/engine-path.h"
#include "../src/engine/engine-plain.h"
#include "../src/engine/engine-plan.h"
#include "answer.h"
#include "choose.h"
#include "count.h"
#include "message.h"
#include "reply.h"
#include "socket-maps.h"
#include "stream.h"

/*
 * send(2) of a caller, D: a request that is all there and needs nothing that only the relay can do goes
 * straight to a server. Whatever is not certain goes on to the relay, with the reason left for it to count.
 */

struct send {
        struct sm_socket_context *socket;
        struct sm_downstream *downstream;
        struct sm_request_copy *copy;
        struct caller_scratch *scratch;
        const struct sm_policy *policy;
        __u64 sent; /* sm_stream.sent */
        __u32 head_max;
        __u32 size;
        __u32 features; /* enum sm_fast_feature */
        int traced;     /* the relay is to tell what becomes of it */
        int verdict;
};

static __always_inline enum sm_slow check_connection(struct sk_msg_md *msg, struct send *s) {
        struct tcp_sock *tcp = bpf_skc_to_tcp_sock(msg->sk);
        const struct sm_fast_control *control;
        const struct sm_service *service;
        struct sm_stream stream;
        __u32 zero = 0;

        control = bpf_map_lookup_elem(&fast_control, &zero);
        if (!control || !tcp)
                return SM_SLOW_UNAVAILABLE;
        s->features = SM_READ_ONCE(control->features);
        if (!(s->features & SM_FAST_REQUESTS))
                return SM_READ_ONCE(control->slow) ?: SM_SLOW_OFF;
        s->head_max = control->head_max;
        stream_read(tcp, &stream);
        s->sent = stream.sent;
        if (!sm_downstream_may_take(s->downstream, &stream) || stream_has_ingress(tcp))
                return SM_SLOW_NOT_IN_STEP;

        service = sm_service_at(NULL, s->socket->service);
        s->scratch->root = service ? SM_READ_ONCE(service->root) : 0;
        if (s->scratch->root == 0 || service->generation != s->socket->generation)
                return SM_SLOW_REFUSED;
        s->traced = SM_READ_ONCE(service->trace) > 0;
        s->policy = sm_cell_of(NULL, s->scratch->root);
        if (!s->policy)
                return SM_SLOW_REFUSED;
        if (s->policy->flags & SM_POLICY_FAST_NEVER)
                return SM_SLOW_NEVER;
        if (!(s->policy->flags & SM_POLICY_FAST_ALWAYS) && stream_is_blocking(tcp))
                return SM_SLOW_BLOCKING;
        return SM_SLOW_NONE;
}

/* The whole request is in this message, and would leave the relay as it is. */
static __always_inline enum sm_slow check_request(struct sk_msg_md *msg, struct send *s) {
        struct sm_request_copy *copy = s->copy;
        const struct sm_head *head = &s->scratch->parsing.head;
        __u32 n = s->size < SM_REQUEST_KEPT_MAX ? s->size : SM_REQUEST_KEPT_MAX;
        __s64 body;
        int r;

        if (s->size > SM_FAST_MAX)
                return SM_SLOW_TOO_LARGE;
        if (message_copy(msg, copy->bytes, n, SM_REQUEST_KEPT_MAX) < 0)
                return SM_SLOW_SPLIT;
        copy->length = n;
        copy->size = s->size;
        r = parse(&s->scratch->parsing, copy->bytes, SM_HEAD_REQUEST,
                  n < SM_HEAD_KERNEL_MAX ? n : SM_HEAD_KERNEL_MAX);
        if (r == -SM_REASON_HEAD_TOO_LARGE) /* or not all there */
                return n >= SM_HEAD_KERNEL_MAX ? SM_SLOW_TOO_LARGE : SM_SLOW_SPLIT;
        if (r <= 0)
                return SM_SLOW_REFUSED;
        if (head->length > s->head_max)
                return SM_SLOW_REFUSED;
        body = sm_request_size(head);
        if (body < 0)
                return SM_SLOW_CODED;
        if (body != (__s64) s->size - head->length)
                return SM_SLOW_SPLIT;
        return sm_request_is_plain(head, s->policy->flags) ? SM_SLOW_NONE : SM_SLOW_REWRITTEN;
}

/* Matched and sent as it is: the relay brings others into normal form, or refuses them. */
static __always_inline enum sm_slow check_path(struct send *s) {
        struct caller_scratch *scratch = s->scratch;
        enum sm_path_kind kind;

        if (!(s->policy->flags & SM_POLICY_NORMAL_PATHS))
                return SM_SLOW_NONE;
        kind = sm_path_judge(s->copy->bytes, scratch->parsing.head.path, s->policy->flags, &scratch->work);
        if (kind == SM_PATH_NORMAL)
                return SM_SLOW_NONE;
        return kind == SM_PATH_AMBIGUOUS ? SM_SLOW_REFUSED : SM_SLOW_REWRITTEN;
}

/* An idle connection to the endpoint, TAKEN; 0 if there is none. */
static __noinline __u32 take_slot(__u32 endpoint, __u32 worker, __u32 downstream, __u64 *ret_word) {
        const struct sm_fast_control *control;
        struct sm_stack *stack;
        __u32 zero = 0;

        control = bpf_map_lookup_elem(&fast_control, &zero);
        stack = control ? sm_idle_entry(NULL, sm_idle_index(endpoint, worker, control->workers)) : NULL;
        if (!stack)
                return 0;
        for (int n = 0; n < SM_SLOT_TRIES; n++) {
                __u32 i = sm_stack_pop(NULL, stack, SM_STACK_SLOTS, ret_word);
                struct sm_slot *slot = i > 0 ? sm_slot_entry(NULL, i) : NULL;

                if (!slot)
                        return 0;
                if (sm_slot_take(slot, ret_word, SM_SLOT_TAKEN, downstream))
                        return i;
        }
        return 0;
}

static __always_inline void describe(const struct send *s, struct sm_slot *slot) {
        const struct sm_head *head = &s->scratch->parsing.head;
        __u64 now = bpf_ktime_get_ns();

        slot->since = now;
        slot->service = s->socket->service;
        slot->slice = s->socket->slice;
        slot->size = s->size;
        slot->body = s->size - head->length;
        slot->method = head->method;
        slot->slow = SM_SLOW_NONE;
        s->downstream->used = now;
        s->copy->route = s->scratch->route_state;
        s->copy->timeout_ms = s->scratch->timeout_ms;
}

static __always_inline void count_route(const struct caller_scratch *scratch) {
        struct sm_route_state *route = sm_route_state_at(NULL, scratch->route_state);

        if (route)
                __sync_fetch_and_add(&route->requests, 1);
}

static __always_inline void count_choice(const struct caller_scratch *scratch) {
        struct sm_subset_state *subset = sm_subset_state_at(NULL, scratch->subset_state);

        if (subset)
                __sync_fetch_and_add(&subset->requests, 1);
        count_route(scratch);
}

/* What the relay counts when it sends a request; the end is counted by who sees it. */
static __always_inline void count(const struct send *s, const struct sm_slot *slot) {
        struct sm_service_counters *service = sm_service_counters_at(NULL, s->socket->service);
        struct sm_endpoint_state *endpoint = sm_endpoint_state_at(NULL, s->scratch->endpoint);

        count_choice(s->scratch);
        if (service) {
                __sync_fetch_and_add(&service->requests, 1);
                __sync_fetch_and_add(&service->active, 1);
                __sync_fetch_and_add(&service->request_bytes, slot->body);
        }
        if (endpoint) {
                __sync_fetch_and_add(&endpoint->requests, 1);
                __sync_fetch_and_add(&endpoint->in_flight, 1);
        }
}

/* The relay is to take the same endpoint: choosing has moved cursors. */
static __always_inline enum sm_slow leave_choice(const struct send *s, enum sm_slow slow) {
        struct sm_downstream *d = s->downstream;

        d->chosen_root = s->scratch->root;
        d->chosen_revision = s->policy->revision;
        d->chosen_endpoint = s->scratch->endpoint;
        d->chosen_route = s->scratch->route_index;
        d->chosen_subset = s->scratch->subset_index;
        d->chosen_effects = s->scratch->effects;
        sm_store(&d->chosen_at, s->sent);
        return slow;
}

/* The slot is TAKEN: it is to answer. */
static __always_inline enum sm_slow make_ready(const struct send *s, struct sm_slot *slot, __u32 i,
                                               __u64 word) {
        /* It must fit the socket's buffer, or the caller waits for room without being told of any. */
        if (!slot->local && s->size > SM_REQUEST_KEPT_MAX)
                return SM_SLOW_TOO_LARGE;
        describe(s, slot);
        return sm_downstream_begin(s->downstream, i, word) ? SM_SLOW_NONE : SM_SLOW_NOT_IN_STEP;
}

static __always_inline int redirect(struct sk_msg_md *msg, struct sm_slot *slot, __u32 i) {
        if (slot->local)
                return bpf_msg_redirect_hash(msg, &server_sockets, &slot->key, BPF_F_INGRESS);
        return bpf_msg_redirect_hash(msg, &upstream_sockets, &i, 0);
}

static __always_inline enum sm_slow take(struct sk_msg_md *msg, struct send *s) {
        struct sm_downstream *d = s->downstream;
        struct sm_slot *slot;
        enum sm_slow slow;
        __u64 word = 0;
        __u32 i;

        i = take_slot(s->scratch->endpoint, d->worker, s->socket->downstream, &word);
        slot = i > 0 ? sm_slot_entry(NULL, i) : NULL;
        if (!slot)
                return leave_choice(s, SM_SLOW_NO_UPSTREAM);
        slow = make_ready(s, slot, i, word);
        if (slow != SM_SLOW_NONE) {
                (void) sm_slot_put_back(NULL, i, slot, &word);
                return leave_choice(s, slow);
        }
        if (redirect(msg, slot, i) != SK_PASS) {
                (void) sm_downstream_end(d, i, word, SM_DOWNSTREAM_IDLE);
                (void) sm_slot_drop(slot, &word);
                return leave_choice(s, SM_SLOW_NO_UPSTREAM);
        }
        count(s, slot);
        (void) sm_slot_wait(slot, &word);
        return SM_SLOW_NONE;
}

/* What the relay counts of a request that it answers itself. */
static __always_inline void count_answered(const struct send *s, enum sm_reason reason, __u32 status) {
        struct sm_service_counters *service = sm_service_counters_at(NULL, s->socket->service);

        count_fast(s->socket->service, s->socket->slice);
        if (!service)
                return;
        __sync_fetch_and_add(&service->requests, 1);
        __sync_fetch_and_add(&service->request_bytes, s->size - s->scratch->parsing.head.length);
        count_status(service, status);
        __sync_fetch_and_add(&service->reasons[reason], 1);
}

/* Instead of an endpoint. The downstream's state stays IDLE: nobody else has a part in it. */
static __always_inline enum sm_slow give(struct sk_msg_md *msg, struct send *s, enum sm_reason reason,
                                         const __u8 *bytes, __u32 length, __u32 status) {
        switch (reply_give(msg, &caller_sockets, &s->downstream->cookie, bytes, length)) {

        case REPLY_GIVEN:
                s->downstream->used = bpf_ktime_get_ns();
                count_answered(s, reason, status);
                return SM_SLOW_NONE;

        case REPLY_SPOILT:
                s->verdict = SK_DROP;
                return SM_SLOW_NONE;

        default:
                return SM_SLOW_REFUSED;
        }
}

/* The request can go nowhere. */
static __always_inline enum sm_slow refuse(struct sk_msg_md *msg, struct send *s, enum sm_reason reason) {
        __u32 index = SM_REPLY_INDEX(reason, s->scratch->parsing.head.method == SM_METHOD_HEAD);
        const struct sm_reply *reply = bpf_map_lookup_elem(&replies, &index);

        if (s->traced)
                return SM_SLOW_TRACED;
        if (!(s->features & SM_FAST_ANSWERS) || !sm_reason_is_plain(reason) || !reply)
                return SM_SLOW_REFUSED;
        return give(msg, s, reason, reply->bytes, reply->length, reply->status);
}

/* The answer that the plan names. The copy of the request is of no use any more, and has room. */
static __always_inline enum sm_slow answer(struct sk_msg_md *msg, struct send *s, enum sm_plan plan,
                                           const struct sm_actions *a) {
        int is_head = s->scratch->parsing.head.method == SM_METHOD_HEAD, abort = plan == SM_PLAN_ABORT;
        __u32 cell = s->scratch->root + (abort ? a->abort : a->answer), length;
        const struct sm_answer *text = sm_cell_of(NULL, cell);
        struct sm_route_state *state;
        enum sm_reason reason;

        if (!text || !(s->features & SM_FAST_ANSWERS))
                return SM_SLOW_ACTION;
        length = answer_write(s->copy->bytes, s->scratch->root, text, is_head);
        if (length == 0)
                return SM_SLOW_ACTION;
        reason = abort ? SM_REASON_FAULT_INJECTED
               : text->flags & SM_ANSWER_REDIRECT ? SM_REASON_REDIRECTED : SM_REASON_ANSWERED;
        if (give(msg, s, reason, s->copy->bytes, length, text->status / 100) != SM_SLOW_NONE)
                return SM_SLOW_ACTION;
        state = sm_route_state_at(NULL, s->scratch->route_state);
        if (abort && state)
                __sync_fetch_and_add(&state->aborted, 1);
        count_route(s->scratch);
        return SM_SLOW_NONE;
}

/* Until nothing is left for the relay to choose. */
static __always_inline enum sm_slow forward(struct sk_msg_md *msg, struct send *s) {
        enum sm_reason reason;
        enum sm_slow slow;

        find_key(s->scratch, s->copy, s->socket);
        reason = choose_endpoint(s->scratch, s->copy, s->socket);
        if (s->traced)
                return leave_choice(s, SM_SLOW_TRACED);
        if (reason == SM_REASON_NONE)
                return take(msg, s);
        slow = refuse(msg, s, reason);
        if (slow == SM_SLOW_NONE)
                count_choice(s->scratch);
        return slow;
}

/* The route is chosen, and whoever goes on keeps to that. */
static __always_inline enum sm_slow follow(struct sk_msg_md *msg, struct send *s) {
        const struct sm_actions *a = NULL;
        enum sm_plan plan = SM_PLAN_FORWARD;

        if (s->scratch->actions > 0) {
                a = sm_cell_of(NULL, s->scratch->actions);
                plan = a ? sm_plan_make(a, s->scratch->effects) : SM_PLAN_RELAY;
                if (plan == SM_PLAN_RELAY)
                        return SM_SLOW_ACTION;
        }
        if (s->scratch->work.search.shadows)
                count_shadows(s->scratch);
        if (a && !s->traced && (plan == SM_PLAN_ANSWER || plan == SM_PLAN_ABORT) &&
            answer(msg, s, plan, a) == SM_SLOW_NONE)
                return SM_SLOW_NONE;
        if (s->verdict != SK_PASS)
                return SM_SLOW_NONE;
        if (plan == SM_PLAN_FORWARD || s->scratch->splits > 0) {
                enum sm_reason reason = choose_subset(s->scratch, s->copy, s->socket);

                if (reason != SM_REASON_NONE)
                        return refuse(msg, s, reason);
        }
        if (plan != SM_PLAN_FORWARD)
                return leave_choice(s, s->traced && plan != SM_PLAN_EFFECT ? SM_SLOW_TRACED :
                                                                             SM_SLOW_ACTION);
        return forward(msg, s);
}

static __always_inline enum sm_slow serve(struct sk_msg_md *msg, struct send *s) {
        enum sm_reason reason;
        enum sm_slow slow;

        slow = check_connection(msg, s);
        if (slow != SM_SLOW_NONE)
                return slow;
        slow = check_request(msg, s);
        if (slow == SM_SLOW_NONE)
                slow = check_path(s);
        if (slow != SM_SLOW_NONE)
                return slow;
        search_route(msg, s->scratch, s->copy, s->socket);
        reason = choose_route(s->scratch);
        if (reason != SM_REASON_NONE) {
                slow = refuse(msg, s, reason);
                if (slow == SM_SLOW_NONE && s->scratch->work.search.shadows)
                        count_shadows(s->scratch);
                return slow;
        }
        return s->scratch->undecided ? s->scratch->undecided : follow(msg, s);
}

SEC("sk_msg")
int sm_msg_caller(struct sk_msg_md *msg) {
        struct send s = { .size = msg->size, .verdict = SK_PASS };
        enum sm_slow slow;

        if (!msg->sk)
                return SK_PASS;
        s.socket = bpf_sk_storage_get(&socket_contexts, msg->sk, NULL, 0);
        if (!s.socket)
                return SK_PASS;
        s.downstream = sm_downstream_entry(NULL, s.socket->downstream);
        s.copy = bpf_map_lookup_elem(&requests, &s.socket->downstream);
        s.scratch = bpf_map_lookup_elem(&caller_scratches, &s.socket->downstream);
        if (s.socket->downstream == 0 || !s.downstream || !s.copy || !s.scratch)
                return SK_PASS;
        slow = serve(msg, &s);
        if (slow != SM_SLOW_NONE) {
                s.downstream->slow = slow;
                message_join(msg);
        }
        return s.verdict; /* SK_PASS: to where it was redirected, or to the relay */
}

char LICENSE[] SEC("license") = "GPL";
