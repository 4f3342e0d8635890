/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "relay-count.h"
#include "relay-downstream.h"
#include "relay-health.h"
#include "relay-mirror.h"
#include "relay-steps.h"
#include "relay-upstream.h"
#include "relay-worker.h"

static void take_endpoint(Exchange *x, uint32_t endpoint) {
        struct sm_endpoint_state *s = sm_endpoint_state_at(&x->tables->tables, endpoint);

        exchange_release_endpoint(x);
        x->in_flight = endpoint;
        __atomic_fetch_add(&s->in_flight, 1, __ATOMIC_RELAXED);
        if (x->n_tried < ELEMENTSOF(x->tried))
                x->tried[x->n_tried++] = endpoint;
}

static Progress begin_forwarding(Exchange *x, Upstream *u) {
        struct sm_endpoint_state *s = sm_endpoint_state_at(&x->tables->tables, u->endpoint);
        int r;

        exchange_release_choice(x);
        u->exchange = x;
        u->written_before = u->written;
        count(&s->requests, 1);
        r = request_write_head(x);
        if (r < 0)
                return reply_begin(x, r == -ENOMEM ? SM_REASON_OVERLOADED : SM_REASON_INTERNAL);
        mirror_take_head(x);
        x->state = EXCHANGE_FORWARDING;
        return EXCHANGE_GOES_ON;
}

/* What is wrong here is no fault of the endpoint's, and would be the same with the next one. */
static bool is_our_own(int error) {
        return error == -EMFILE || error == -ENFILE || error == -ENOMEM || error == -ENOBUFS ||
                error == -EADDRNOTAVAIL || error == -ENOSPC;
}

static enum sm_reason connect_reason(int error) {
        return error == -ETIMEDOUT ? SM_REASON_CONNECT_TIMEOUT : SM_REASON_CONNECT_FAILED;
}

static Progress connect_failed(Exchange *x, int error) {
        x->upstream = upstream_free(x->upstream);
        x->connect_error = error;
        if (is_our_own(error))
                return reply_begin(x, SM_REASON_OVERLOADED);
        endpoint_failed(x->worker, x->tables, x->in_flight, error);
        if (x->attempts_left == 0)
                return reply_begin(x, connect_reason(error));
        return attempt_begin(x);
}

static Progress connect_endpoint(Exchange *x, uint32_t endpoint) {
        nsec_t deadline = x->worker->now + x->connect_timeout_ms * NSEC_PER_MSEC;
        int r;

        r = upstream_connect(x->worker, x->tables, endpoint, deadline, &x->upstream);
        if (r < 0)
                return connect_failed(x, r);
        x->upstream->exchange = x;
        x->state = EXCHANGE_CONNECTING;
        return EXCHANGE_GOES_ON;
}

Progress attempt_begin(Exchange *x) {
        const struct sm_tables *t = &x->tables->tables;
        const struct sm_endpoint *e;
        struct sm_request q;
        enum sm_reason reason = SM_REASON_NONE;

        if (list_is_empty(&x->reader_link)) {
                reason = route_choose(x); /* a pooled connection closed on us: begin anew */
                if (reason != SM_REASON_NONE)
                        return reply_begin(x, reason);
                if (!x->choice.subset)
                        return route_follow(x);
        }
        exchange_fill_request(x, &q);
        if (x->n_tried > 0 || x->choice.endpoint == 0) /* else the kernel has chosen it */
                reason = sm_choose_endpoint(t, &x->choice, &q, x->worker->now, x->tried, x->n_tried);
        if (reason == SM_REASON_NO_ENDPOINT && x->connect_error < 0)
                reason = connect_reason(x->connect_error);
        if (reason != SM_REASON_NONE)
                return reply_begin(x, reason);
        e = sm_endpoint_at(t, x->choice.endpoint);
        if (!e)
                return reply_begin(x, SM_REASON_INTERNAL);

        if (x->connect_error < 0)
                count_reason(t, x->service, SM_REASON_RETRIED);
        if (x->attempts_left > 0)
                x->attempts_left--;
        take_endpoint(x, x->choice.endpoint);
        if (x->tables == x->worker->tables) /* the pool knows endpoints by the ids of these */
                x->upstream = pool_take(&x->worker->pool, x->choice.endpoint, e->generation);
        if (x->upstream) {
                x->upstream->reused = true;
                return begin_forwarding(x, x->upstream);
        }
        return connect_endpoint(x, x->choice.endpoint);
}

Progress attempt_run(Exchange *x) {
        int r;

        r = upstream_finish_connect(x->upstream);
        if (r < 0)
                return connect_failed(x, r);
        if (r == 0)
                return EXCHANGE_WAITS;
        endpoint_succeeded(x->worker, x->tables, x->in_flight);
        return begin_forwarding(x, x->upstream);
}

Progress attempt_again(Exchange *x) {
        uint32_t endpoint = x->upstream->endpoint;

        takeover_note(x, SM_REASON_UPSTREAM_CLOSED);
        x->upstream = upstream_free(x->upstream);
        flow_done(&x->request, &x->worker->buffers);
        x->request.forwarded = x->head.length;
        x->request_broken = false;
        return connect_endpoint(x, endpoint);
}
