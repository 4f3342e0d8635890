/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "relay-answer.h"
#include "relay-count.h"
#include "relay-downstream.h"
#include "relay-reply.h"
#include "relay-steps.h"
#include "relay-trace.h"
#include "relay-upstream.h"
#include "relay-worker.h"

int reply_write(Buffer *out, enum sm_reason reason, unsigned options) {
        struct sm_reply reply;

        sm_reply_make(&reply, reason, options);
        return buffer_append(out, reply.bytes, reply.length);
}

unsigned reply_status(enum sm_reason reason) {
        return sm_reply_texts[reason].status;
}

/* A request whose body is here to its end can be followed by another one. */
static void finish_request(Exchange *x) {
        Flow *f = &x->request;

        flow_done(f, &x->worker->buffers);
        if (x->head.length == 0 || x->worker->stop_deadline > 0)
                x->close = true;
        if (!x->close && (flow_advance(f, x->downstream->in, &x->worker->buffers) < 0 || !f->body.done))
                x->close = true;
}

/* Nothing of it is looked at any more. */
static void drop_request(Exchange *x) {
        Downstream *d = x->downstream;
        Flow *f = &x->request;

        f->forwarded = f->checked;
        exchange_release_choice(x);
        x->request_kept = false;
        flow_trim(f, &d->in, &x->worker->buffers);
}

static void drop_upstream(Exchange *x) {
        x->upstream = upstream_free(x->upstream);
        exchange_release_endpoint(x);
        x->response.body.done = true;
        if (x->response_headed) {
                /* What broke off: nothing of it was sent, but it is not to depend on that whether the
                 * caller can go on. */
                flow_done(&x->response, &x->worker->buffers);
                x->close = true;
        }
        x->response.forwarded = x->response.checked = 0;
}

static unsigned reply_options(const Exchange *x) {
        unsigned options = 0;

        if (x->close)
                options |= SM_REPLY_CLOSE;
        else if (x->head.flags & SM_HEAD_HTTP_1_0)
                options |= SM_REPLY_KEEP_ALIVE;
        if (x->head.method == SM_METHOD_HEAD)
                options |= SM_REPLY_HEAD;
        return options;
}

/* For the reason, or with an answer of the route's. */
static int write_reply(Exchange *x, enum sm_reason reason, const Answer *own) {
        Flow *f = &x->response;

        if (!f->out)
                f->out = buffer_acquire_size(&x->worker->buffers, own ? answer_size_max(own, &x->head) : 0);
        if (!f->out)
                return -ENOMEM;
        buffer_compact(f->out); /* it may hold the rest of a 100 */
        if (!own)
                return reply_write(f->out, reason, reply_options(x));
        return answer_write(f->out, own, buffer_at(x->downstream->in), &x->head, reply_options(x));
}

static Progress begin(Exchange *x, enum sm_reason reason, const Answer *own) {
        const struct sm_tables *t = &x->tables->tables;
        unsigned status = own ? own->status : reply_status(reason);
        int r;

        count_reason(t, x->service, reason);
        takeover_note(x, reason);
        trace_reply(x, reason, status);
        if (x->response_sent)
                return EXCHANGE_IS_BROKEN;

        finish_request(x);
        drop_upstream(x);
        r = write_reply(x, reason, own);
        drop_request(x);
        if (r < 0)
                return EXCHANGE_IS_BROKEN;
        fast_begin_answer(x->downstream, buffer_filled(x->response.out));
        count_status(t, x->service, status);
        x->response_sent = true;
        x->state = EXCHANGE_REPLYING;
        return EXCHANGE_GOES_ON;
}

Progress reply_begin(Exchange *x, enum sm_reason reason) {
        return begin(x, reason, NULL);
}

Progress reply_begin_answer(Exchange *x, enum sm_reason reason, __u32 cell) {
        Answer own;

        if (answer_read(&x->tables->tables, x->choice.base, cell, &own) < 0)
                return reply_begin(x, SM_REASON_INTERNAL);
        if (reason == SM_REASON_ANSWERED && (own.flags & SM_ANSWER_REDIRECT))
                reason = SM_REASON_REDIRECTED;
        return begin(x, reason, &own);
}

Progress reply_run(Exchange *x) {
        Downstream *d = x->downstream;
        ssize_t n;

        if (!d->socket.writable)
                return EXCHANGE_WAITS;
        n = flow_send(&x->response, NULL, &d->socket, &x->worker->buffers);
        if (n < 0) {
                count_reason(&x->tables->tables, x->service, SM_REASON_CLIENT_ABORTED);
                return EXCHANGE_IS_BROKEN;
        }
        if (flow_is_pending(&x->response))
                return n > 0 ? EXCHANGE_GOES_ON : EXCHANGE_WAITS;
        return x->close ? EXCHANGE_IS_LAST : EXCHANGE_IS_DONE;
}
