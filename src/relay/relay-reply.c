/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdio.h>
#include <string.h>

#include "relay-count.h"
#include "relay-downstream.h"
#include "relay-exchange.h"
#include "relay-reply.h"
#include "relay-upstream.h"
#include "relay-worker.h"

static const struct {
        const char *text;
        unsigned status;
        const char *sentence;
} reasons[] = {
#define REASON(id, text, status, sentence) [SM_REASON_##id] = { text, status, sentence },
        SM_REASONS(REASON)
#undef REASON
};

static const struct {
        unsigned status;
        const char *phrase;
} phrases[] = {
        { 200, "OK" },
        { 400, "Bad Request" },
        { 404, "Not Found" },
        { 405, "Method Not Allowed" },
        { 408, "Request Timeout" },
        { 417, "Expectation Failed" },
        { 431, "Request Header Fields Too Large" },
        { 500, "Internal Server Error" },
        { 502, "Bad Gateway" },
        { 503, "Service Unavailable" },
        { 504, "Gateway Timeout" },
        { 505, "HTTP Version Not Supported" },
};

static const char *phrase_of(unsigned status) {
        for (size_t i = 0; i < ELEMENTSOF(phrases); i++)
                if (phrases[i].status == status)
                        return phrases[i].phrase;
        return ""; /* RFC 9112, section 4: may be empty */
}

int reply_write(Buffer *out, enum sm_reason reason, ReplyOptions options) {
        const char *sentence = reasons[reason].sentence;
        const char *connection = options & REPLY_CLOSE ? "Connection: close\r\n" :
                options & REPLY_KEEP_ALIVE ? "Connection: keep-alive\r\n" : "";
        unsigned status = reasons[reason].status;
        char text[1024];
        int n;

        n = snprintf(text, sizeof(text),
                     "HTTP/1.1 %u %s\r\n"
                     "Content-Type: text/plain; charset=utf-8\r\n"
                     "Content-Length: %zu\r\n"
                     "X-Slicemesh: %s\r\n"
                     "%s%s\r\n"
                     "%s%s",
                     status, phrase_of(status), strlen(sentence) + 1, reasons[reason].text,
                     status == 405 ? "Allow: GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH, TRACE\r\n" : "",
                     connection, options & REPLY_HEAD ? "" : sentence, options & REPLY_HEAD ? "" : "\n");
        return buffer_append(out, text, (size_t) n);
}

unsigned reply_status(enum sm_reason reason) {
        return reasons[reason].status;
}

/* A request whose body is here to its end can be followed by another one. */
static void finish_request(Exchange *x) {
        Downstream *d = x->downstream;
        Flow *f = &x->request;

        flow_done(f, &x->worker->buffers);
        if (x->head.length == 0 || x->worker->stop_deadline > 0)
                x->close = true;
        if (!x->close && (flow_advance(f, d->in, &x->worker->buffers) < 0 || !f->body.done))
                x->close = true;
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

Progress reply_begin(Exchange *x, enum sm_reason reason) {
        const struct sm_tables *t = &x->tables->tables;
        ReplyOptions options = 0;
        Buffer *out;

        count_reason(t, x->service, reason);
        takeover_note(x, reason);
        if (x->response_sent)
                return EXCHANGE_IS_BROKEN;

        finish_request(x);
        drop_upstream(x);
        if (!x->response.out)
                x->response.out = buffer_acquire(&x->worker->buffers);
        out = x->response.out;
        if (!out)
                return EXCHANGE_IS_BROKEN;
        buffer_compact(out); /* it may hold the rest of a 100 */

        if (x->close)
                options |= REPLY_CLOSE;
        else if (x->head.flags & SM_HEAD_HTTP_1_0)
                options |= REPLY_KEEP_ALIVE;
        if (x->head.method == SM_METHOD_HEAD)
                options |= REPLY_HEAD;
        if (reply_write(out, reason, options) < 0)
                return EXCHANGE_IS_BROKEN;
        fast_begin_answer(x->downstream, buffer_filled(out));
        count_status(t, x->service, reply_status(reason));
        x->response_sent = true;
        x->state = EXCHANGE_REPLYING;
        return EXCHANGE_GOES_ON;
}

Progress reply_run(Exchange *x) {
        Downstream *d = x->downstream;
        ssize_t n;

        if (!flow_is_pending(&x->response))
                return x->close ? EXCHANGE_IS_LAST : EXCHANGE_IS_DONE;
        if (!d->socket.writable)
                return EXCHANGE_WAITS;
        n = flow_send(&x->response, NULL, &d->socket, &x->worker->buffers);
        if (n < 0) {
                count_reason(&x->tables->tables, x->service, SM_REASON_CLIENT_ABORTED);
                return EXCHANGE_IS_BROKEN;
        }
        return n > 0 ? EXCHANGE_GOES_ON : EXCHANGE_WAITS;
}
