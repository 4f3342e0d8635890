/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "../basic/macro.h"
#include "relay-count.h"
#include "relay-downstream.h"
#include "relay-health.h"
#include "relay-mirror.h"
#include "relay-steps.h"
#include "relay-upstream.h"
#include "relay-worker.h"

/* Limits of one worker, so that mirrors cannot take from requests what these need. */
#define MIRRORS_MAX 256
#define MIRROR_BYTES_MAX (8u << 20)

#define MIRROR_TIME (15 * NSEC_PER_SEC) /* from when it is sent until its response is through */
#define STEPS_AT_ONCE 16                /* each reads up to a buffer of bytes; then it waits for a tick */

struct Mirror {
        Worker *worker;
        SharedTables *tables;
        List link;
        Timer timer;
        nsec_t deadline;
        uint32_t route;                /* id of struct sm_route_state */
        uint32_t endpoint, generation; /* as when it was chosen */
        uint32_t connect_timeout_ms, pool_idle_ms;
        uint32_t body_max;
        enum sm_method method;
        bool complete;
        bool counted; /* as in flight */
        Buffer *request; /* what is still to be sent; NULL: all is */
        size_t charged;  /* of it, in Mirrors.bytes */

        Upstream *upstream;
        Buffer *in;
        Body body;
        bool headed; /* the final head is parsed */
        bool persists;
        struct sm_head_parser parser;
        struct sm_head head;
};

static void on_mirror_timer(Timer *t, nsec_t now);

void mirrors_init(Mirrors *m) {
        *m = (Mirrors){};
        slab_init(&m->slab, sizeof(Mirror));
        list_init(&m->sent);
}

void mirrors_done(Mirrors *m) {
        slab_done(&m->slab);
}

static void drop_request(Mirror *m) {
        m->worker->mirrors.bytes -= m->charged;
        m->charged = 0;
        buffer_release(&m->worker->buffers, m->request);
        m->request = NULL;
}

static void mirror_free(Mirror *m) {
        struct sm_endpoint_state *s = sm_endpoint_state_at(&m->tables->tables, m->endpoint);
        Worker *w = m->worker;

        if (s && m->counted)
                __atomic_fetch_sub(&s->in_flight, 1, __ATOMIC_RELAXED);
        upstream_free(m->upstream);
        drop_request(m);
        buffer_release(&w->buffers, m->in);
        timer_clear(&m->timer);
        list_remove(&m->link);
        shared_tables_unref(m->tables);
        w->mirrors.n--;
        slab_free(&w->mirrors.slab, m);
}

/* One that was not sent. */
static void count_dropped(const SharedTables *t, uint32_t route) {
        struct sm_route_state *s = sm_route_state_at(&t->tables, route);

        if (s)
                count(&s->mirrors_dropped, 1);
}

static void drop(Mirror *m) {
        count_dropped(m->tables, m->route);
        mirror_free(m);
}

/* The endpoint did not do its part. */
static void lose(Mirror *m) {
        struct sm_endpoint_state *s = sm_endpoint_state_at(&m->tables->tables, m->endpoint);

        if (m->request) {
                drop(m);
                return;
        }
        count(&s->failures, 1);
        mirror_free(m);
}

void mirrors_clear(Mirrors *m) {
        while (!list_is_empty(&m->sent)) {
                Mirror *first = LIST_FIRST(&m->sent, Mirror, link);

                if (first->request)
                        drop(first);
                else
                        mirror_free(first);
        }
}

/* 0: none, or none that is not to be avoided. */
static uint32_t choose_endpoint(const Exchange *x, uint32_t subset) {
        const struct sm_tables *t = &x->tables->tables;
        struct sm_choice c = x->choice;
        struct sm_request q;

        if (subset >= c.policy->n_subsets)
                return 0;
        c.subset = sm_cell_of(t, c.base + c.policy->subsets + subset);
        exchange_fill_request(x, &q);
        if (!c.subset || sm_choose_endpoint(t, &c, &q, x->worker->now, NULL, 0) != SM_REASON_NONE || c.panic)
                return 0;
        return c.endpoint;
}

static bool may_mirror(const Exchange *x, const struct sm_actions *a) {
        if (x->upgrade || x->worker->stop_deadline > 0 || x->worker->mirrors.n >= MIRRORS_MAX)
                return false;
        return x->request.body.framing != SM_BODY_LENGTH || x->head.content_length <= a->mirror_max;
}

void mirror_begin(Exchange *x, const struct sm_actions *a) {
        uint32_t endpoint = may_mirror(x, a) ? choose_endpoint(x, a->mirror_subset) : 0;
        Worker *w = x->worker;
        Mirror *m = NULL;

        if (endpoint > 0)
                m = slab_alloc(&w->mirrors.slab);
        if (!m) {
                count_dropped(x->tables, x->choice.route->state);
                return;
        }
        memset(m, 0, offsetof(Mirror, parser)); /* what follows is set by sm_head_start() */
        m->worker = w;
        m->tables = shared_tables_ref(x->tables);
        list_init(&m->link);
        timer_init(&m->timer, on_mirror_timer);
        m->route = x->choice.route->state;
        m->endpoint = endpoint;
        m->generation = sm_endpoint_at(&x->tables->tables, endpoint)->generation;
        m->connect_timeout_ms = x->connect_timeout_ms;
        m->pool_idle_ms = x->pool_idle_ms;
        m->body_max = a->mirror_max;
        m->method = (enum sm_method) x->head.method;
        w->mirrors.n++;
        x->mirror = m;
}

/* Makes room for so many bytes more. */
static int reserve(Mirror *m, size_t n) {
        size_t filled = m->request ? buffer_filled(m->request) : 0;
        Mirrors *all = &m->worker->mirrors;
        Buffer *b;

        if (m->request && buffer_room(m->request) >= n)
                return 0;
        b = buffer_acquire_size(&m->worker->buffers, MAX(filled + n, 2 * filled));
        if (!b)
                return -ENOMEM;
        if (all->bytes - m->charged + b->capacity > MIRROR_BYTES_MAX) {
                buffer_release(&m->worker->buffers, b);
                return -ENOBUFS;
        }
        if (m->request)
                (void) buffer_append(b, buffer_at(m->request), filled);
        drop_request(m);
        m->request = b;
        m->charged = b->capacity;
        all->bytes += m->charged;
        return 0;
}

/* So many bytes, after which so many are to be expected. */
static void take(Exchange *x, const uint8_t *bytes, size_t n, size_t more) {
        Mirror *m = x->mirror;

        if (reserve(m, n + more) >= 0 && buffer_append(m->request, bytes, n) >= 0)
                return;
        x->mirror = NULL;
        drop(m);
}

void mirror_take_body(Exchange *x, uint32_t from) {
        uint32_t n = x->request.checked - from;
        Mirror *m = x->mirror;

        if (!m || m->complete)
                return;
        m->complete = x->request.body.done;
        if (n == 0)
                return;
        if (n > m->body_max) {
                x->mirror = NULL;
                drop(m);
                return;
        }
        m->body_max -= n;
        take(x, buffer_at(x->downstream->in) + from, n, 0);
}

void mirror_take_head(Exchange *x) {
        size_t body = x->request.body.framing == SM_BODY_LENGTH ? x->head.content_length : 0;

        if (!x->mirror || x->mirror->request)
                return;
        take(x, buffer_at(x->request.out), buffer_filled(x->request.out), body);
        mirror_take_body(x, x->head.length); /* which a route may have looked at before */
}

typedef enum Step {
        MIRROR_WAITS,
        MIRROR_GOES_ON,
        MIRROR_IS_DONE,
        MIRROR_IS_LOST,
} Step;

static void start_head(Mirror *m) {
        sm_head_start(&m->parser, &m->head, SM_HEAD_RESPONSE, worker_settings(m->worker)->head_bytes);
}

static Step connect_step(Mirror *m) {
        int r = upstream_finish_connect(m->upstream);

        if (r == 0)
                return MIRROR_WAITS;
        if (r < 0) {
                endpoint_failed(m->worker, m->tables, m->endpoint, r);
                return MIRROR_IS_LOST;
        }
        endpoint_succeeded(m->worker, m->tables, m->endpoint);
        return MIRROR_GOES_ON;
}

static Step send_step(Mirror *m) {
        struct iovec rest = { buffer_at(m->request), buffer_filled(m->request) };
        Upstream *u = m->upstream;
        ssize_t n;

        if (!u->socket.writable)
                return MIRROR_WAITS;
        n = socket_send(&u->socket, &rest, 1);
        if (n < 0)
                return MIRROR_IS_LOST;
        u->written += (uint64_t) n;
        buffer_consume(m->request, (uint32_t) n);
        if (buffer_filled(m->request) > 0)
                return n > 0 ? MIRROR_GOES_ON : MIRROR_WAITS;
        drop_request(m);
        count(&sm_endpoint_state_at(&m->tables->tables, m->endpoint)->requests, 1);
        if (sm_route_state_at(&m->tables->tables, m->route))
                count(&sm_route_state_at(&m->tables->tables, m->route)->mirrored, 1);
        start_head(m);
        return MIRROR_GOES_ON;
}

/* Interim ones are passed over. */
static Step read_head(Mirror *m) {
        enum sm_body framing;
        int r;

        do {
                if (m->head.length > 0) {
                        buffer_consume(m->in, m->head.length);
                        start_head(m);
                }
                r = sm_head_parse(&m->parser, &m->head, buffer_at(m->in), buffer_filled(m->in));
                if (r <= 0)
                        return r < 0 ? MIRROR_IS_LOST : MIRROR_GOES_ON;
        } while (m->head.status < 200 && m->head.status != 101);

        framing = sm_response_framing(&m->head, m->method);
        if (framing == SM_BODY_TUNNEL)
                return MIRROR_IS_LOST;
        buffer_consume(m->in, m->head.length);
        m->headed = true;
        m->persists = sm_head_persistent(&m->head) && framing != SM_BODY_UNTIL_CLOSE;
        body_start(&m->body, framing, m->head.content_length);
        return MIRROR_GOES_ON;
}

static Step read_response(Mirror *m) {
        ssize_t n;

        if (!m->headed) {
                Step step = read_head(m);

                if (step != MIRROR_GOES_ON || !m->headed)
                        return step;
        }
        n = body_scan(&m->body, buffer_at(m->in), buffer_filled(m->in));
        if (n < 0)
                return MIRROR_IS_LOST;
        buffer_consume(m->in, (uint32_t) n);
        return m->body.done ? MIRROR_IS_DONE : MIRROR_GOES_ON;
}

static Step receive_step(Mirror *m) {
        Upstream *u = m->upstream;
        ssize_t n;

        if (!u->socket.readable)
                return MIRROR_WAITS;
        if (!m->in)
                m->in = buffer_acquire(&m->worker->buffers);
        if (!m->in)
                return MIRROR_IS_LOST;
        if (buffer_room(m->in) == 0)
                buffer_compact(m->in); /* it has room: a buffer holds more than the longest head */
        n = socket_receive(&u->socket, m->in);
        if (n > 0)
                return read_response(m);
        if (n == -EAGAIN)
                return MIRROR_WAITS;
        if (n == 0 && m->headed && m->body.framing == SM_BODY_UNTIL_CLOSE)
                return MIRROR_IS_DONE;
        return MIRROR_IS_LOST;
}

static Step step(Mirror *m) {
        if (!m->upstream->connected)
                return connect_step(m);
        if (m->upstream->socket.error < 0)
                return MIRROR_IS_LOST;
        return m->request ? send_step(m) : receive_step(m);
}

/* The connection can carry another request, unless something is open on it. */
static void finish(Mirror *m) {
        Upstream *u = m->upstream;
        Worker *w = m->worker;

        if (m->persists && buffer_filled(m->in) == 0 && !u->socket.readable && !u->socket.ended &&
            u->socket.error == 0 && u->tables == w->tables && w->stop_deadline == 0) {
                u->mirror = NULL;
                m->upstream = NULL;
                pool_put(&w->pool, u, w->now + m->pool_idle_ms * NSEC_PER_MSEC);
        }
        mirror_free(m);
}

void mirror_run(Mirror *m) {
        Step s = MIRROR_GOES_ON;

        for (unsigned i = 0; s == MIRROR_GOES_ON && i < STEPS_AT_ONCE; i++)
                s = step(m);
        if (s == MIRROR_IS_DONE)
                finish(m);
        else if (s == MIRROR_IS_LOST)
                lose(m);
        else
                timer_set(&m->worker->timers, &m->timer, s == MIRROR_GOES_ON ? m->worker->now : m->deadline);
}

static void on_mirror_timer(Timer *t, nsec_t now) {
        Mirror *m = CONTAINER_OF(t, Mirror, timer);

        if (now >= m->deadline)
                lose(m);
        else
                mirror_run(m);
}

/* A connection to the endpoint, unless it is another one by now. */
static int find_upstream(Mirror *m) {
        const struct sm_endpoint *e = sm_endpoint_at(&m->tables->tables, m->endpoint);
        Worker *w = m->worker;

        if (e->generation != m->generation)
                return -ESTALE;
        if (m->tables == w->tables) /* the pool knows endpoints by the ids of these */
                m->upstream = pool_take(&w->pool, m->endpoint, m->generation);
        if (m->upstream)
                return 0;
        return upstream_connect(w, m->tables, m->endpoint, w->now + m->connect_timeout_ms * NSEC_PER_MSEC,
                                &m->upstream);
}

static void start(Mirror *m) {
        struct sm_endpoint_state *s = sm_endpoint_state_at(&m->tables->tables, m->endpoint);

        if (find_upstream(m) < 0) {
                drop(m);
                return;
        }
        m->upstream->mirror = m;
        m->deadline = m->worker->now + MIRROR_TIME;
        list_append(&m->worker->mirrors.sent, &m->link);
        __atomic_fetch_add(&s->in_flight, 1, __ATOMIC_RELAXED);
        m->counted = true;
        mirror_run(m);
}

void mirror_end(Exchange *x) {
        Mirror *m = x->mirror;

        if (!m)
                return;
        x->mirror = NULL;
        if (m->complete && m->request && x->worker->stop_deadline == 0)
                start(m);
        else
                drop(m);
}
