/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>

#include "../basic/macro.h"
#include "../engine/engine-downstream.h"
#include "relay-count.h"
#include "relay-downstream.h"
#include "relay-exchange.h"
#include "relay-slot.h"
#include "relay-worker.h"

#define RECHECK_FIRST NSEC_PER_MSEC /* the timer wheel makes a tick of it */
#define RECHECK_LAST (50 * NSEC_PER_MSEC)
#define LINGER_TIME (2 * NSEC_PER_SEC)
#define IDLE_TIME_DEFAULT (60 * NSEC_PER_SEC) /* of a service that is not in force */

/*
 * The kernel answers: nothing may be sent, and what the caller sends meanwhile is left alone. It does not
 * tell when it is through.
 */
static void wait_for_kernel(Downstream *d) {
        d->recheck = MAX(RECHECK_FIRST, MIN(2 * d->recheck, RECHECK_LAST));
        timer_set(&d->worker->timers, &d->timer, d->worker->now + d->recheck);
}

static void downstream_free(Downstream *d) {
        Worker *w = d->worker;

        if (!fast_close(&d->fast)) {
                wait_for_kernel(d);
                return;
        }
        if (d->exchange)
                exchange_free(d->exchange);
        timer_clear(&d->timer);
        list_remove(&d->link);
        list_remove(&d->ready_link);
        socket_close(&d->socket);
        fast_release(&d->fast);
        buffer_release(&w->buffers, d->in);
        atomic_fetch_sub_explicit(&w->shared->connections, 1, memory_order_relaxed);
        slab_free(&w->downstream_slab, d);
}

uint32_t downstream_service(const Downstream *d) {
        return shared_tables_is_current(d->worker->tables, d->service, d->generation) ? d->service : 0;
}

static void on_downstream(Socket *s) {
        downstream_run(CONTAINER_OF(s, Downstream, socket));
}

/* The relay does not see what the kernel serves, so it may not be idle at all. */
static void close_idle(Downstream *d, nsec_t now) {
        nsec_t used = fast_close(&d->fast) ? fast_used(&d->fast) : now;

        if (used == 0 || used + d->idle_time <= now) {
                count_reason(worker_tables(d->worker), downstream_service(d), SM_REASON_IDLE_CLOSED);
                downstream_free(d);
                return;
        }
        fast_open(&d->fast);
        timer_set(&d->worker->timers, &d->timer, used + d->idle_time);
}

static void finish(Downstream *d, Progress p);

static void on_downstream_timer(Timer *t, nsec_t now) {
        Downstream *d = CONTAINER_OF(t, Downstream, timer);

        switch (d->state) {

        case DOWNSTREAM_IDLE:
                if (d->recheck > 0)
                        downstream_run(d);
                else
                        close_idle(d, now);
                break;

        case DOWNSTREAM_EXCHANGE:
                finish(d, exchange_expired(d->exchange, now));
                break;

        case DOWNSTREAM_LINGERING:
                downstream_free(d);
                break;
        }
}

int downstream_new(Worker *w, int fd, const __u8 source[static 16], const struct sm_caller *caller,
                   bool refused) {
        Downstream *d = slab_alloc(&w->downstream_slab);
        const struct sm_policy *policy;
        int r;

        if (!d)
                return -ENOMEM;
        *d = (Downstream){
                .worker = w,
                .service = caller->socket.service,
                .generation = caller->socket.generation,
                .slice = caller->socket.slice,
                .uid = caller->socket.uid,
                .cgroup = caller->socket.cgroup,
                .unit = caller->socket.unit,
                .destination_port = caller->socket.port,
                .refused = refused,
        };
        memcpy(d->source, source, sizeof(d->source));
        memcpy(d->destination, caller->socket.address, sizeof(d->destination));
        policy = shared_tables_policy(w->tables, downstream_service(d), &(__u32){ 0 });
        d->idle_time = policy ? policy->idle_timeout_ms * NSEC_PER_MSEC : IDLE_TIME_DEFAULT;
        socket_init(&d->socket, fd, on_downstream);
        d->socket.readable = d->socket.writable = true; /* the request is there already, as a rule */
        list_init(&d->ready_link);
        timer_init(&d->timer, on_downstream_timer);

        r = socket_register(&d->socket, w->epoll);
        if (r < 0) {
                slab_free(&w->downstream_slab, d);
                return r;
        }
        fast_adopt(d, caller);
        list_append(&w->downstreams, &d->link);
        atomic_fetch_add_explicit(&w->shared->connections, 1, memory_order_relaxed);
        downstream_run(d);
        return 0;
}

uint64_t downstream_consumed(const Downstream *d) {
        return d->socket.received - (d->in ? buffer_filled(d->in) : 0);
}

/* The caller is lost. Whether the kernel could be made to stop answering it; then it is closed. */
static bool take_back(Downstream *d) {
        uint64_t state = fast_kernel(&d->fast);
        Upstream *u = slot_hand_over(d->worker, sm_downstream_slot(state), state);

        if (u)
                downstream_take_over(d->worker, d->fast.index, u, SM_REMAINING_ALL, SM_SLOW_CALLER_GONE);
        return u;
}

void downstream_abort(Downstream *d) {
        if (!fast_close(&d->fast)) {
                d->socket.error = -ECONNABORTED;
                downstream_run(d);
                return;
        }
        socket_abort(&d->socket);
        downstream_free(d);
}

/* Whether a request begins. */
static bool read_request(Downstream *d) {
        Worker *w = d->worker;

        if (d->in)
                return true; /* pipelined */
        if (!d->socket.readable)
                return false;
        d->in = buffer_acquire(&w->buffers);
        if (!d->in) {
                d->socket.error = -ENOMEM;
                return false;
        }
        if (socket_receive(&d->socket, d->in) > 0)
                return true;
        buffer_release(&w->buffers, d->in);
        d->in = NULL;
        return false;
}

/* May free the downstream. */
static void wait_for_request(Downstream *d) {
        d->recheck = 0;
        if (d->socket.eof || d->socket.error < 0 || d->worker->stop_deadline > 0)
                downstream_free(d);
        else
                timer_set(&d->worker->timers, &d->timer, d->worker->now + d->idle_time);
}

/* An answer is lost if it is followed by RST, which the kernel sends for bytes that nobody read: so the
 * caller gets our FIN, and time to close. */
static void linger(Downstream *d) {
        Worker *w = d->worker;

        if (d->state != DOWNSTREAM_LINGERING) {
                d->state = DOWNSTREAM_LINGERING;
                socket_shutdown(&d->socket);
                timer_set(&w->timers, &d->timer, w->now + LINGER_TIME);
        }
        if (!d->in)
                d->in = buffer_acquire(&w->buffers);
        while (d->in && d->socket.readable) {
                d->in->start = d->in->end = 0;
                if (socket_receive(&d->socket, d->in) == 0)
                        break;
        }
        if (!d->in || d->socket.eof || d->socket.error < 0) {
                downstream_free(d);
                return;
        }
        buffer_release(&w->buffers, d->in);
        d->in = NULL;
}

static void finish(Downstream *d, Progress p) {
        Exchange *x = d->exchange;
        bool whole;

        if (p == EXCHANGE_YIELDS)
                worker_make_ready(d->worker, &d->ready_link);
        if (p == EXCHANGE_WAITS || p == EXCHANGE_YIELDS)
                return;

        whole = flow_is_done(&x->request) && !d->in && !d->socket.readable;
        d->exchange = NULL;
        exchange_free(x);
        switch (p) {

        case EXCHANGE_IS_DONE:
                fast_publish(d);
                d->state = DOWNSTREAM_IDLE;
                if (d->in || d->socket.readable)
                        worker_make_ready(d->worker, &d->ready_link); /* others first */
                else
                        wait_for_request(d);
                break;

        case EXCHANGE_IS_LAST:
                if (whole || d->socket.eof)
                        downstream_free(d);
                else
                        linger(d);
                break;

        default:
                downstream_abort(d);
        }
}

void downstream_begin(Downstream *d, Exchange *x) {
        d->recheck = 0;
        d->exchange = x;
        d->state = DOWNSTREAM_EXCHANGE;
        finish(d, exchange_run(x));
}

static void begin_exchange(Downstream *d) {
        Exchange *x = exchange_new(d);

        if (x) {
                downstream_begin(d, x);
                return;
        }
        count_reason(worker_tables(d->worker), downstream_service(d), SM_REASON_OVERLOADED);
        downstream_free(d);
}

/* What is read is looked at again: it may have been sent after something that the kernel then took. Once
 * there are bytes that are not answered, it takes nothing more. */
static void run_idle(Downstream *d) {
        if (fast_kernel(&d->fast)) {
                if (d->socket.error == 0 || !take_back(d))
                        wait_for_kernel(d);
        } else if (!read_request(d))
                wait_for_request(d);
        else if (fast_kernel(&d->fast))
                wait_for_kernel(d);
        else
                begin_exchange(d);
}

void downstream_run(Downstream *d) {
        switch (d->state) {

        case DOWNSTREAM_IDLE:
                run_idle(d);
                break;

        case DOWNSTREAM_EXCHANGE:
                finish(d, exchange_run(d->exchange));
                break;

        case DOWNSTREAM_LINGERING:
                linger(d);
                break;
        }
}

void downstream_stop(Downstream *d) {
        if (d->state == DOWNSTREAM_IDLE)
                downstream_run(d); /* a request that is there already is still served */
}
