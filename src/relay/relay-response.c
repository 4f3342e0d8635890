/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "../engine/engine-framing.h"
#include "relay-count.h"
#include "relay-downstream.h"
#include "relay-head-write.h"
#include "relay-steps.h"
#include "relay-trace.h"
#include "relay-upstream.h"
#include "relay-worker.h"

/* RFC 9110, section 9.2.2: to do it twice is the same as to do it once. */
static bool is_idempotent(enum sm_method method) {
        switch (method) {

        case SM_METHOD_GET:
        case SM_METHOD_HEAD:
        case SM_METHOD_PUT:
        case SM_METHOD_DELETE:
        case SM_METHOD_OPTIONS:
        case SM_METHOD_TRACE:
                return true;

        default:
                return false;
        }
}

/* The endpoint may close a connection that waited in the pool in the very moment that we use it again. */
static bool may_send_again(const Exchange *x, bool orderly) {
        if (!x->upstream->reused || x->response_begun || !x->request_kept || !x->request.body.done)
                return false;
        return is_idempotent(x->head.method) || (orderly && upstream_received_nothing(x->upstream));
}

static Progress upstream_gone(Exchange *x, bool orderly) {
        struct sm_endpoint_state *s = sm_endpoint_state_at(&x->tables->tables, x->upstream->endpoint);

        if (may_send_again(x, orderly))
                return attempt_again(x);
        count(&s->failures, 1);
        return reply_begin(x, orderly ? SM_REASON_UPSTREAM_CLOSED : SM_REASON_UPSTREAM_RESET);
}

static void start_head(Exchange *x) {
        uint32_t limit = worker_settings(x->worker)->head_bytes;

        sm_head_start(&x->parser, &x->response_head, SM_HEAD_RESPONSE, limit);
}

/* Reads what the endpoint sends; what follows the end of the response is its mistake and is not read. */
static ssize_t read_upstream(Exchange *x) {
        ssize_t n;

        if (!x->in)
                x->in = buffer_acquire(&x->worker->buffers);
        if (!x->in)
                return -ENOMEM;
        if (buffer_room(x->in) == 0)
                buffer_compact(x->in);
        n = socket_receive(&x->upstream->socket, x->in);
        if (n > 0) {
                x->moved = x->worker->now;
                if (!x->response_begun) {
                        x->response_begun = true;
                        x->request_kept = false;
                        flow_trim(&x->request, &x->downstream->in, &x->worker->buffers);
                        start_head(x);
                }
        } else if (buffer_filled(x->in) == 0) {
                buffer_release(&x->worker->buffers, x->in);
                x->in = NULL;
        }
        return n;
}

/* How the body goes to this caller, and whether its connection can take another request afterwards. */
static void choose_coding(Exchange *x, enum sm_body framing) {
        bool old_caller = x->head.flags & SM_HEAD_HTTP_1_0;
        bool endless = framing == SM_BODY_UNTIL_CLOSE || framing == SM_BODY_CHUNKED; /* for HTTP/1.0 */

        if (framing == SM_BODY_UNTIL_CLOSE && !old_caller)
                x->response.coding = BODY_CHUNK;
        else if (framing == SM_BODY_CHUNKED && old_caller)
                x->response.coding = BODY_UNCHUNK;

        /* A request that is not through when its answer comes will not be read to its end. */
        if ((old_caller && endless) || !flow_is_done(&x->request) || x->worker->stop_deadline > 0)
                x->close = true;
}

static ResponseConnection response_connection(const Exchange *x) {
        const struct sm_head *h = &x->response_head;

        if (h->status == 101 || (h->status == 426 && h->known[SM_FIELD_UPGRADE] && !x->close))
                return RESPONSE_UPGRADE;
        if (h->status < 200)
                return RESPONSE_DEFAULT;
        if (x->close)
                return RESPONSE_CLOSE;
        return x->head.flags & SM_HEAD_HTTP_1_0 ? RESPONSE_KEEP_ALIVE : RESPONSE_DEFAULT;
}

static bool is_chunked_onwards(const Exchange *x) {
        if (x->response_head.flags & SM_HEAD_CHUNKED)
                return !(x->head.flags & SM_HEAD_HTTP_1_0);
        return x->response.coding == BODY_CHUNK;
}

/* Puts the head on its way. */
static int write_head(Exchange *x) {
        const struct sm_head *h = &x->response_head;
        bool final = h->status >= 200 || h->status == 101;
        ResponseEdit edit = {
                .bodiless = h->status < 200 || h->status == 204,
                .connection = response_connection(x),
                .chunked = is_chunked_onwards(x),
                .via = x->policy_flags & SM_POLICY_VIA,
        };

        if (final && x->changes)
                edit.changes = x->changes->response;
        x->response.out = buffer_acquire(&x->worker->buffers); /* nothing is pending, so there was none */
        if (!x->response.out)
                return -ENOMEM;
        return head_write_response(x->response.out, buffer_at(x->in), h, &edit);
}

/* 1xx: the response is still to come (RFC 9110, section 15.2). HTTP/1.0 knows none of these. */
static Progress interim_head(Exchange *x) {
        int r = 0;

        if (!(x->head.flags & SM_HEAD_HTTP_1_0) && !(x->continued && x->response_head.status == 100)) {
                r = write_head(x);
                count_status(&x->tables->tables, x->service, x->response_head.status);
        }
        if (r < 0)
                return reply_begin(x, SM_REASON_OVERLOADED);
        x->response.forwarded = x->response.checked = x->response_head.length;
        flow_trim(&x->response, &x->in, &x->worker->buffers);
        start_head(x);
        return EXCHANGE_GOES_ON;
}

static Progress final_head(Exchange *x) {
        const struct sm_head *h = &x->response_head;
        enum sm_body framing = sm_response_framing(h, x->head.method);
        int r;

        if (framing == SM_BODY_TUNNEL && (!x->upgrade || !flow_is_done(&x->request)))
                return reply_begin(x, SM_REASON_UPSTREAM_BAD_HEAD); /* not asked for, or too early */
        x->endpoint_persists = sm_head_persistent(h) && framing != SM_BODY_UNTIL_CLOSE;
        choose_coding(x, framing);
        r = write_head(x);
        if (r == -ENOMEM)
                return reply_begin(x, SM_REASON_OVERLOADED);
        if (r < 0)
                return reply_begin(x, SM_REASON_UPSTREAM_HEAD_TOO_LARGE);

        x->response_headed = true;
        trace_response(x);
        if (framing == SM_BODY_NONE || framing == SM_BODY_LENGTH)
                fast_begin_answer(x->downstream, buffer_filled(x->response.out) +
                                  (framing == SM_BODY_LENGTH ? h->content_length : 0));
        body_start(&x->response.body, framing == SM_BODY_TUNNEL ? SM_BODY_NONE : framing, h->content_length);
        x->response.forwarded = x->response.checked = h->length;
        return EXCHANGE_GOES_ON;
}

static Progress parse_head(Exchange *x) {
        int r;

        r = x->in ? sm_head_parse(&x->parser, &x->response_head, buffer_at(x->in), buffer_filled(x->in)) : 0;
        if (r == 0)
                return EXCHANGE_WAITS;
        if (r == -SM_REASON_UPSTREAM_HEAD_TOO_LARGE)
                return reply_begin(x, SM_REASON_UPSTREAM_HEAD_TOO_LARGE);
        if (r < 0)
                return reply_begin(x, SM_REASON_UPSTREAM_BAD_HEAD);
        if (x->response_head.status < 200 && x->response_head.status != 101)
                return interim_head(x);
        return final_head(x);
}

static bool is_request_done(const Exchange *x) {
        return flow_is_done(&x->request) && !x->request_broken;
}

/* Whether nothing is open on the connection, of which all of the response was received. */
static bool is_reusable(const Exchange *x) {
        const Upstream *u = x->upstream;
        bool all_read = !x->in || x->response.checked == buffer_filled(x->in);

        return is_request_done(x) && x->endpoint_persists && x->response_head.status != 101 && all_read &&
                !u->socket.readable && !u->socket.ended && u->socket.error == 0 &&
                u->tables == x->worker->tables && x->worker->stop_deadline == 0;
}

/* All of the response is here. The connection to the endpoint goes back to the pool before the last of it is
 * sent: the caller, who may be asking for more before that send() returns, is to find it there. */
static void give_back(Exchange *x) {
        Upstream *u = x->upstream;
        Worker *w = x->worker;

        u->exchange = NULL;
        x->upstream = NULL;
        pool_put(&w->pool, u, w->now + x->pool_idle_ms * NSEC_PER_MSEC);
        exchange_release_endpoint(x);
}

/* The response is through. */
static Progress finish(Exchange *x) {
        BufferPool *buffers = &x->worker->buffers;

        flow_trim(&x->response, &x->in, buffers);
        flow_trim(&x->request, &x->downstream->in, buffers);
        if (x->response_head.status == 101) {
                x->state = EXCHANGE_TUNNELLING;
                return EXCHANGE_GOES_ON;
        }
        return x->close || !is_request_done(x) ? EXCHANGE_IS_LAST : EXCHANGE_IS_DONE;
}

static Progress end_of_stream(Exchange *x) {
        if (!x->response_headed || x->response.body.framing != SM_BODY_UNTIL_CLOSE)
                return upstream_gone(x, true);
        return flow_end(&x->response, &x->worker->buffers) < 0 ? EXCHANGE_IS_BROKEN : EXCHANGE_GOES_ON;
}

static Progress receive(Exchange *x) {
        ssize_t n;

        if (!x->upstream->socket.readable)
                return EXCHANGE_WAITS;
        n = read_upstream(x);
        if (n == -EAGAIN)
                return EXCHANGE_WAITS;
        if (n == -ENOMEM)
                return reply_begin(x, SM_REASON_OVERLOADED);
        if (n == 0)
                return end_of_stream(x);
        return n < 0 ? upstream_gone(x, n == -EPIPE) : EXCHANGE_GOES_ON;
}

/* What is sent now ends the exchange: the caller may be asking for more before this send() returns. */
static bool ends_exchange(const Exchange *x) {
        return x->response_headed && x->response.body.done && !x->close && flow_is_done(&x->request) &&
                x->response_head.status != 101;
}

static Progress send_to_caller(Exchange *x) {
        Downstream *d = x->downstream;
        ssize_t n;

        if (!d->socket.writable)
                return EXCHANGE_WAITS;
        if (ends_exchange(x))
                fast_promise(d, flow_pending(&x->response));
        n = flow_send(&x->response, x->in, &d->socket, &x->worker->buffers);
        if (n < 0) {
                count_reason(&x->tables->tables, x->service, SM_REASON_CLIENT_ABORTED);
                return EXCHANGE_IS_BROKEN;
        }
        if (n == 0)
                return EXCHANGE_WAITS;
        if (x->response_headed && !x->response_sent) {
                x->response_sent = true;
                count_status(&x->tables->tables, x->service, x->response_head.status);
        }
        x->moved = x->worker->now;
        return EXCHANGE_GOES_ON;
}

Progress response_run(Exchange *x) {
        Flow *f = &x->response;
        Progress p;

        if (x->response_headed && flow_advance(f, x->in, &x->worker->buffers) < 0) {
                count(&sm_endpoint_state_at(&x->tables->tables, x->upstream->endpoint)->failures, 1);
                return reply_begin(x, SM_REASON_UPSTREAM_BAD_BODY);
        }
        if (x->response_headed && f->body.done && x->upstream && is_reusable(x))
                give_back(x);
        if (flow_is_pending(f)) {
                p = send_to_caller(x);
                /* With the last of it the kernel may have the next request: nothing comes in between. */
                if (p != EXCHANGE_GOES_ON || !flow_is_done(f))
                        return p;
        }
        if (!x->response_headed && x->response_begun) {
                p = parse_head(x);
                if (p != EXCHANGE_WAITS)
                        return p;
        }
        if (x->response_headed && f->body.done)
                return finish(x);
        if (x->response_headed)
                flow_trim(f, &x->in, &x->worker->buffers);
        return receive(x);
}
