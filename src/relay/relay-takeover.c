/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "../engine/engine-downstream.h"
#include "relay-count.h"
#include "relay-downstream.h"
#include "relay-slot.h"
#include "relay-steps.h"
#include "relay-upstream.h"
#include "relay-worker.h"

/*
 * What the kernel had begun and does not end becomes an exchange like any other: its request is through,
 * and what is left of the response comes from the connection that the kernel had chosen. So what follows,
 * sending the request again included, is the same code.
 *
 * The kernel's program has counted the request, its body, its route, subset and endpoint; what is counted at
 * the end is left.
 */

/* Of reasons why the relay answers itself. */
static const enum sm_slow slow_reasons[_SM_REASON_MAX] = {
        [SM_REASON_UPSTREAM_CLOSED] = SM_SLOW_UPSTREAM_DIED,
        [SM_REASON_UPSTREAM_RESET] = SM_SLOW_UPSTREAM_DIED,
        [SM_REASON_UPSTREAM_TIMEOUT] = SM_SLOW_PATIENCE,
        [SM_REASON_UPSTREAM_BAD_HEAD] = SM_SLOW_RESPONSE_MALFORMED,
        [SM_REASON_UPSTREAM_HEAD_TOO_LARGE] = SM_SLOW_RESPONSE_TOO_LARGE,
};

void takeover_note(Exchange *x, enum sm_reason reason) {
        if (x->slow == SM_SLOW_NONE)
                x->slow = slow_reasons[reason] ?: SM_SLOW_RESPONSE_BROKEN;
}

void takeover_count(const Exchange *x) {
        enum sm_slow why = x->slow;

        if (why == SM_SLOW_NONE && !(x->response_headed && flow_is_done(&x->response)))
                why = SM_SLOW_CALLER_GONE;
        count_path(&x->tables->tables, x->service, x->downstream->slice, why);
}

/* Into the place of what is received, before anything that the caller sent after it. */
static bool keep_request(Exchange *x, const struct sm_request_copy *copy) {
        BufferPool *buffers = &x->worker->buffers;
        Buffer *b, *behind = x->downstream->in;

        if (copy->length < copy->size)
                return false;
        b = buffer_acquire(buffers);
        if (!b)
                return false;
        if (buffer_append(b, copy->bytes, copy->length) < 0 ||
            (behind && buffer_append(b, buffer_at(behind), buffer_filled(behind)) < 0)) {
                buffer_release(buffers, b);
                return false;
        }
        buffer_release(buffers, behind);
        x->downstream->in = b;
        x->request.forwarded = x->request.checked = copy->length;
        return true;
}

static void adopt_request(Exchange *x, const struct sm_slot *slot, const struct sm_request_copy *copy) {
        const struct sm_policy *policy = shared_tables_policy(x->tables, x->service, &(__u32){ 0 });

        sm_head_start(&x->parser, &x->head, SM_HEAD_REQUEST, SM_HEAD_KERNEL_MAX);
        x->close = sm_head_parse(&x->parser, &x->head, copy->bytes, copy->length) <= 0 ||
                !sm_head_persistent(&x->head);
        x->request.body = (Body){ .framing = SM_BODY_NONE, .done = true };
        x->request_kept = keep_request(x, copy);
        x->started = slot->since;
        if (copy->timeout_ms > 0)
                x->deadline = slot->since + copy->timeout_ms * NSEC_PER_MSEC;
        if (policy) {
                route_read_policy(x, policy);
                x->attempts_left = policy->attempts - 1;
        }
}

static void adopt_upstream(Exchange *x, Upstream *u, const struct sm_slot *slot) {
        x->upstream = u;
        u->exchange = x;
        u->socket.readable = true; /* its events went elsewhere until now */
        x->in_flight = slot->endpoint;
        x->tried[x->n_tried++] = slot->endpoint;
        x->state = EXCHANGE_FORWARDING;
}

/* The caller has the beginning, and so many bytes are still to be passed on as they are. */
static void continue_response(Exchange *x, const struct sm_slot *slot, uint32_t owed) {
        Body *b = &x->response.body;

        x->response_begun = x->response_headed = x->response_sent = true;
        x->response_head.status = slot->status * 100;
        count_status(&x->tables->tables, x->service, x->response_head.status);
        body_start(b, owed > 0 ? SM_BODY_LENGTH : SM_BODY_NONE, owed);
        if (slot->body > owed)
                b->data = slot->body - owed;
}

static Exchange *adopt(Downstream *d, Upstream *u, uint32_t owed, enum sm_slow why) {
        const struct sm_slot *slot = sm_slot_entry(&u->tables->tables, u->slot);
        Exchange *x = exchange_new(d);

        if (!x)
                return NULL;
        if (why == SM_SLOW_NONE && (slot->local || owed != SM_REMAINING_ALL))
                why = SM_SLOW_RESPONSE_BROKEN;
        shared_tables_unref(x->tables);
        x->tables = shared_tables_ref(u->tables);
        x->adopted = true;
        x->slow = why;
        x->routed = x->service > 0; /* else its counters are another's by now */
        adopt_request(x, slot, &u->tables->requests[d->fast.index]);
        adopt_upstream(x, u, slot);
        if (owed != SM_REMAINING_ALL)
                continue_response(x, slot, owed);
        return x;
}

/* The caller has a part of the response, and nobody knows which. */
static void break_off(Downstream *d, Exchange *x) {
        const struct sm_tables *t = &x->tables->tables;

        if (x->slow == SM_SLOW_CALLER_GONE)
                count_reason(t, x->service, SM_REASON_CLIENT_ABORTED);
        else {
                count_reason(t, x->service, SM_REASON_UPSTREAM_CLOSED);
                count(&sm_endpoint_state_at(t, x->upstream->endpoint)->failures, 1);
        }
        d->exchange = x;
        downstream_abort(d);
}

/* There is no memory: an end to what D's program has counted. */
static void give_up(Downstream *d, Upstream *u) {
        const struct sm_tables *t = &u->tables->tables;
        uint32_t service = downstream_service(d);
        struct sm_service_counters *c = sm_service_counters_at(t, service);

        if (c && service > 0) {
                __atomic_fetch_sub(&c->active, 1, __ATOMIC_RELAXED);
                count(&c->status[0], 1);
        }
        __atomic_fetch_sub(&sm_endpoint_state_at(t, u->endpoint)->in_flight, 1, __ATOMIC_RELAXED);
        count_path(t, service, d->slice, SM_SLOW_RESPONSE_BROKEN);
        upstream_free(u);
        downstream_abort(d);
}

void downstream_take_over(Worker *w, uint32_t downstream, Upstream *u, uint32_t owed, enum sm_slow why) {
        struct sm_slot *slot = sm_slot_entry(&u->tables->tables, u->slot);
        Downstream *d = fast_find(w, u->tables, downstream);
        Exchange *x;

        if (!d || d->state != DOWNSTREAM_IDLE ||
            !fast_take_over(&d->fast, u->slot, sm_load(&slot->node.word))) {
                upstream_free(u); /* what it answers is over */
                return;
        }
        x = adopt(d, u, owed, why);
        if (!x) {
                give_up(d, u);
                return;
        }
        if (owed == SM_REMAINING_UNKNOWN)
                break_off(d, x);
        else {
                exchange_arm(x);
                downstream_begin(d, x);
        }
}
