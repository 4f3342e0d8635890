/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <string.h>

#include "../basic/macro.h"
#include "../engine/engine-coded.h"
#include "relay-count.h"
#include "relay-downstream.h"
#include "relay-steps.h"
#include "relay-worker.h"

/* What is read ahead of a body for routes to look at, transfer coding included: enough for the most that
 * they can ask for in chunks of a byte. What is coded more wastefully counts as far as it is here. */
#define LOOK_BYTES_MAX (8U * SM_BODY_LOOK_MAX)

/* The data of a chunked body that was checked before, as much as routes can look at. */
static uint32_t decode(const uint8_t *bytes, size_t n, uint8_t ret[static SM_BODY_LOOK_MAX]) {
        __u64 consumed, data;
        struct sm_chunk chunk;
        uint32_t filled = 0, fits;
        int r = 0;

        sm_chunk_start(&chunk, LOOK_BYTES_MAX);
        for (size_t i = 0; i < n && r == 0 && filled < SM_BODY_LOOK_MAX; i += consumed) {
                r = sm_chunk_next(&chunk, bytes + i, n - i, &consumed, &data);
                if (r < 0)
                        break;
                fits = MIN((uint32_t) data, SM_BODY_LOOK_MAX - filled);
                memcpy(ret + filled, bytes + i + consumed - data, fits);
                filled += fits;
        }
        return filled;
}

static void fill_body(const Exchange *x, struct sm_request *q) {
        const uint8_t *bytes = buffer_at(x->downstream->in) + x->head.length;
        uint32_t n = x->request.checked - x->head.length;

        q->body_complete = x->request.body.done || x->looked;
        if (n == 0)
                return;
        if (sm_body_is_coded(buffer_at(x->downstream->in), &x->head)) {
                q->body_complete = 1;
                return;
        }
        if (x->request.body.framing == SM_BODY_CHUNKED) {
                n = decode(bytes, n, x->worker->body);
                bytes = x->worker->body;
        }
        q->body = bytes;
        q->body_length = n;
}

enum sm_reason look_choose_route(Exchange *x, __u32 base, struct sm_request *q) {
        struct sm_tables tables = x->tables->tables;
        RegexContext regexes = { .cache = &x->worker->regexes, .tables = &x->tables->tables, .base = base };
        enum sm_reason reason;

        tables.regex = regex_context_judge;
        tables.regex_context = &regexes;
        q->random = x->random;
        fill_body(x, q);
        reason = sm_choose_route(&tables, base, q, &x->choice);
        if (reason == SM_REASON_NONE && x->choice.undecided && q->body_complete)
                return SM_REASON_INTERNAL; /* there is nothing that could be waited for */
        return reason;
}

/* Who waits for 100 before he sends the body (RFC 9110, section 10.1.1) has it from us: the endpoint, whose
 * part it would be, is not known yet. */
static Progress invite(Exchange *x) {
        static const char text[] = "HTTP/1.1 100 Continue\r\n\r\n";
        Flow *f = &x->response;

        if (!(x->head.flags & SM_HEAD_EXPECT_CONTINUE) || (x->head.flags & SM_HEAD_HTTP_1_0) ||
            buffer_filled(x->downstream->in) > x->head.length)
                return EXCHANGE_GOES_ON;
        f->out = buffer_acquire(&x->worker->buffers);
        if (!f->out)
                return reply_begin(x, SM_REASON_OVERLOADED);
        (void) buffer_append(f->out, text, sizeof(text) - 1);
        x->continued = true;
        count_status(&x->tables->tables, x->service, 100);
        return EXCHANGE_GOES_ON;
}

Progress look_begin(Exchange *x) {
        const struct sm_tables *t = &x->tables->tables;
        const struct sm_predicate *p = sm_cell_of(t, x->worker->matching.search.cell);

        x->look_wanted = p ? p->first : SM_BODY_LOOK_MAX;
        x->look_asked = x->request.body.data;
        exchange_release_choice(x); /* the caller may take a while */
        memset(&x->choice, 0, sizeof(x->choice));
        if (x->state == EXCHANGE_LOOKING)
                return EXCHANGE_GOES_ON;
        x->state = EXCHANGE_LOOKING;
        x->moved = x->worker->now;
        return invite(x);
}

static Progress caller_gone(Exchange *x) {
        count_reason(&x->tables->tables, x->service, SM_REASON_CLIENT_ABORTED);
        return EXCHANGE_IS_BROKEN;
}

/* A larger buffer, with what is in the old one. */
static int grow(Exchange *x, size_t capacity) {
        BufferPool *buffers = &x->worker->buffers;
        Buffer **in = &x->downstream->in;
        Buffer *b = buffer_acquire_size(buffers, capacity);

        if (!b)
                return -ENOMEM;
        (void) buffer_append(b, buffer_at(*in), buffer_filled(*in)); /* it is larger */
        buffer_release(buffers, *in);
        *in = b;
        return 0;
}

static Progress receive(Exchange *x) {
        size_t most = x->head.length + LOOK_BYTES_MAX;
        Downstream *d = x->downstream;
        ssize_t n;

        if (!d->socket.readable)
                return EXCHANGE_WAITS;
        if (buffer_room(d->in) == 0)
                buffer_compact(d->in);
        if (buffer_room(d->in) == 0 && grow(x, MIN(2 * (size_t) buffer_filled(d->in), most)) < 0)
                return reply_begin(x, SM_REASON_OVERLOADED);
        n = socket_receive(&d->socket, d->in);
        if (n == -EAGAIN)
                return EXCHANGE_WAITS;
        if (n <= 0)
                return caller_gone(x);
        x->moved = x->worker->now;
        return EXCHANGE_GOES_ON;
}

/* Whether to ask for the route again. Not for each byte that comes, as all routes are tried anew: what was
 * undecided may be certain when there is twice as much, and is when there is what it looks at. */
static bool is_time(Exchange *x) {
        uint64_t data = x->request.body.data;

        if (x->request.body.done || x->request.checked >= x->head.length + LOOK_BYTES_MAX)
                x->looked = true;
        return x->looked || data >= x->look_wanted || (data > x->look_asked && data >= 2 * x->look_asked);
}

Progress look_run(Exchange *x) {
        Downstream *d = x->downstream;

        if (flow_is_pending(&x->response) && d->socket.writable &&
            flow_send(&x->response, NULL, &d->socket, &x->worker->buffers) < 0)
                return caller_gone(x);
        if (flow_advance(&x->request, d->in, &x->worker->buffers) < 0) {
                x->close = true; /* nobody knows where the next request begins */
                return reply_begin(x, SM_REASON_BAD_CHUNK);
        }
        return is_time(x) ? route_begin(x) : receive(x);
}
