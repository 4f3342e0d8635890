/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "relay-count.h"
#include "relay-downstream.h"
#include "relay-mirror.h"
#include "relay-steps.h"
#include "relay-trace.h"
#include "relay-upstream.h"
#include "relay-worker.h"

/* For a head, and between two parts of a body that is waited for; or the idle time, if that is less. */
#define HEAD_TIME (30 * NSEC_PER_SEC)
#define STEPS_AT_ONCE 32              /* each moves up to a buffer of bytes; then others have their turn */

Exchange *exchange_new(Downstream *d) {
        Worker *w = d->worker;
        Exchange *x = slab_alloc(&w->exchange_slab);

        if (!x)
                return NULL;
        memset(x, 0, offsetof(Exchange, parser)); /* what follows is set by sm_head_start() */
        x->worker = w;
        x->downstream = d;
        x->tables = shared_tables_ref(w->tables);
        x->service = downstream_service(d);
        x->started = x->moved = w->now;
        x->request_kept = true;
        x->random = worker_random(w);
        list_init(&x->reader_link);
        sm_head_start(&x->parser, &x->head, SM_HEAD_REQUEST, worker_settings(w)->head_bytes);
        return x;
}

void exchange_fill_request(const Exchange *x, struct sm_request *ret) {
        const Downstream *d = x->downstream;

        *ret = (struct sm_request){
                .bytes = buffer_at(d->in),
                .head = &x->head,
                .source = d->source,
                .work = &x->worker->matching,
                .cgroup = d->cgroup,
                .unit = d->unit,
                .uid = d->uid,
                .slice = d->slice,
                .random = worker_random(x->worker),
        };
}

void exchange_release_choice(Exchange *x) {
        list_remove(&x->reader_link);
        x->choice.policy = NULL;
        x->choice.route = NULL;
        x->choice.subset = NULL;
}

void exchange_release_endpoint(Exchange *x) {
        struct sm_endpoint_state *s = sm_endpoint_state_at(&x->tables->tables, x->in_flight);

        if (x->in_flight == 0)
                return;
        __atomic_fetch_sub(&s->in_flight, 1, __ATOMIC_RELAXED);
        x->in_flight = 0;
}

void exchange_free(Exchange *x) {
        struct sm_service_counters *c = sm_service_counters_at(&x->tables->tables, x->service);
        Worker *w = x->worker;

        trace_end(x);
        if (c && x->routed)
                __atomic_fetch_sub(&c->active, 1, __ATOMIC_RELAXED);
        if (c && x->routed && !x->response_sent)
                count(&c->status[0], 1);
        if (x->adopted)
                takeover_count(x);
        if (c) {
                count(&c->request_bytes, x->request.body.data);
                count(&c->response_bytes, x->response.body.data);
        }
        exchange_release_choice(x);
        exchange_release_endpoint(x);
        mirror_end(x);
        free(x->changes);
        upstream_free(x->upstream); /* one that can be used again was taken out before */
        flow_done(&x->request, &w->buffers);
        flow_done(&x->response, &w->buffers);
        buffer_release(&w->buffers, x->in);
        shared_tables_unref(x->tables);
        slab_free(&w->exchange_slab, x);
}

static Progress read_head(Exchange *x) {
        Downstream *d = x->downstream;
        int r;

        for (;;) {
                r = sm_head_parse(&x->parser, &x->head, buffer_at(d->in), buffer_filled(d->in));
                if (r < 0) {
                        count_path(&x->tables->tables, x->service, d->slice, fast_reason(&d->fast));
                        return reply_begin(x, (enum sm_reason) -r);
                }
                if (r > 0)
                        return request_begin(x);
                if (!d->socket.readable)
                        return EXCHANGE_WAITS;
                if (buffer_room(d->in) == 0)
                        buffer_compact(d->in); /* it has room: a buffer holds more than the longest head */
                if (socket_receive(&d->socket, d->in) <= 0 && !d->socket.readable)
                        break;
        }
        if (d->socket.error < 0 || d->socket.eof) {
                count_reason(&x->tables->tables, x->service, SM_REASON_CLIENT_ABORTED);
                return EXCHANGE_IS_BROKEN;
        }
        return EXCHANGE_WAITS;
}

/* One step in each direction. */
static Progress forward(Exchange *x) {
        Progress request, response;

        request = request_run(x);
        if (request != EXCHANGE_WAITS && request != EXCHANGE_GOES_ON)
                return request;
        if (x->state != EXCHANGE_FORWARDING)
                return request; /* the answer became our own */
        response = response_run(x);
        return response == EXCHANGE_WAITS ? request : response;
}

static Progress (*const steps[_EXCHANGE_STATE_MAX])(Exchange *x) = {
        [EXCHANGE_READING] = read_head,
        [EXCHANGE_LOOKING] = look_run,
        [EXCHANGE_DELAYED] = route_wait,
        [EXCHANGE_CONNECTING] = attempt_run,
        [EXCHANGE_FORWARDING] = forward,
        [EXCHANGE_REPLYING] = reply_run,
        [EXCHANGE_TUNNELLING] = tunnel_run,
};

void exchange_upstream_ready(Exchange *x) {
        downstream_run(x->downstream);
}

static nsec_t idle_limit(const Exchange *x) {
        return x->downstream->idle_time;
}

static bool waits_for_request(const Exchange *x) {
        if (x->state != EXCHANGE_FORWARDING || x->request_broken || x->request.body.done)
                return false;
        return !flow_is_pending(&x->request) && !flow_is_pending(&x->response);
}

/* What the route allows for all of it; UINT64_MAX if it does not say, or it is about something else by
 * now. */
static nsec_t route_deadline(const Exchange *x) {
        bool counts = x->state == EXCHANGE_DELAYED || x->state == EXCHANGE_CONNECTING ||
                x->state == EXCHANGE_FORWARDING;

        return counts && x->deadline > 0 ? x->deadline : UINT64_MAX;
}

/* The idle time is looked at in any case, as what we wait for changes without notice to the timer. */
void exchange_arm(Exchange *x) {
        nsec_t next = MIN(route_deadline(x), MAX(x->moved + idle_limit(x), x->worker->now));

        if (x->state == EXCHANGE_READING)
                next = x->started + MIN(HEAD_TIME, idle_limit(x));
        if (x->state == EXCHANGE_LOOKING)
                next = x->moved + MIN(HEAD_TIME, idle_limit(x));
        if (x->state == EXCHANGE_DELAYED)
                next = MIN(next, x->resume);
        timer_set(&x->worker->timers, &x->downstream->timer, next);
}

Progress exchange_run(Exchange *x) {
        ExchangeState before = x->state;
        Progress p = EXCHANGE_GOES_ON;

        if (x->downstream->socket.error < 0) {
                count_reason(&x->tables->tables, x->service, SM_REASON_CLIENT_ABORTED);
                return EXCHANGE_IS_BROKEN;
        }
        for (unsigned i = 0; p == EXCHANGE_GOES_ON && i < STEPS_AT_ONCE; i++)
                p = steps[x->state](x);
        if (p == EXCHANGE_GOES_ON)
                p = EXCHANGE_YIELDS;
        if (p > EXCHANGE_YIELDS)
                return p;
        if (x->state != before || before == EXCHANGE_READING)
                exchange_arm(x);
        return p;
}

static Progress expire(Exchange *x, nsec_t now) {
        if (x->state == EXCHANGE_LOOKING && now < x->moved + MIN(HEAD_TIME, idle_limit(x)))
                return EXCHANGE_WAITS;
        if (x->state == EXCHANGE_READING || x->state == EXCHANGE_LOOKING)
                return reply_begin(x, SM_REASON_REQUEST_TIMEOUT);
        if (now >= route_deadline(x))
                return reply_begin(x, SM_REASON_UPSTREAM_TIMEOUT);
        if (x->state == EXCHANGE_DELAYED)
                return EXCHANGE_GOES_ON;
        if (now < x->moved + idle_limit(x))
                return EXCHANGE_WAITS;
        if (waits_for_request(x))
                return reply_begin(x, SM_REASON_REQUEST_TIMEOUT);
        if (x->state == EXCHANGE_TUNNELLING || flow_is_pending(&x->response)) {
                count_reason(&x->tables->tables, x->service, SM_REASON_IDLE_CLOSED);
                return x->state == EXCHANGE_TUNNELLING ? EXCHANGE_IS_LAST : EXCHANGE_IS_BROKEN;
        }
        x->moved = now; /* the endpoint may take its time: only the route limits that */
        return EXCHANGE_WAITS;
}

Progress exchange_expired(Exchange *x, nsec_t now) {
        Progress p = expire(x, now);

        if (p <= EXCHANGE_YIELDS)
                exchange_arm(x);
        return p == EXCHANGE_GOES_ON ? exchange_run(x) : p;
}
