/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "../engine/engine-fields.h"
#include "../engine/engine-plain.h"
#include "relay-caller.h"
#include "relay-count.h"
#include "relay-downstream.h"
#include "relay-head-write.h"
#include "relay-mirror.h"
#include "relay-steps.h"
#include "relay-upstream.h"
#include "relay-worker.h"

static void count_request(Exchange *x) {
        const struct sm_tables *t = &x->tables->tables;
        struct sm_service_counters *c = sm_service_counters_at(t, x->service);

        x->routed = true;
        if (!c)
                return;
        count(&c->requests, 1);
        count(&c->active, 1);
        count_path(t, x->service, x->downstream->slice, fast_reason(&x->downstream->fast));
}

/* RFC 9113 has withdrawn the upgrade to HTTP/2 in clear text, and requests in such a tunnel would pass by
 * the policy. What we do not ask for is an ordinary request. */
static bool may_upgrade(const Exchange *x) {
        const uint8_t *bytes = buffer_at(x->downstream->in);
        struct sm_span list, protocol;
        __u32 position = 0;

        if (!(x->head.flags & SM_HEAD_UPGRADE))
                return false;
        list = x->head.fields[x->head.known[SM_FIELD_UPGRADE] - 1].value;
        while (sm_list_next(bytes, list, &position, &protocol))
                if (sm_span_is(bytes, protocol, "h2c", 3))
                        return false;
        return true;
}

/* What a server would have to answer itself. */
static enum sm_reason check(Exchange *x) {
        unsigned hops;

        if (x->head.method == SM_METHOD_CONNECT)
                return SM_REASON_CONNECT_METHOD;
        if (!sm_method_counts_hops((enum sm_method) x->head.method))
                return SM_REASON_NONE;
        hops = head_hop_count(buffer_at(x->downstream->in), &x->head);
        x->count_hops = hops != HOP_COUNT_NONE;
        return hops == 0 ? SM_REASON_NO_HOPS : SM_REASON_NONE;
}

Progress request_begin(Exchange *x) {
        Downstream *d = x->downstream;
        enum sm_reason reason;

        body_start(&x->request.body, sm_request_framing(&x->head), x->head.content_length);
        x->request.forwarded = x->request.checked = x->head.length;
        x->close = d->refused || !sm_head_persistent(&x->head);
        x->upgrade = may_upgrade(x);
        if (d->refused)
                return reply_begin(x, SM_REASON_OVERLOADED);
        count_request(x);
        reason = check(x);
        return reason == SM_REASON_NONE ? route_begin(x) : reply_begin(x, reason);
}

int request_write_head(Exchange *x) {
        Downstream *d = x->downstream;
        char source[ADDRESS_TEXT_MAX], destination[ADDRESS_TEXT_MAX];
        RequestEdit edit = {
                .upgrade = x->upgrade,
                .count_hops = x->count_hops,
                .via = x->policy_flags & SM_POLICY_VIA,
                .host = destination,
        };

        if (x->changes) {
                edit.changes = x->changes->request;
                edit.new_host = x->changes->host;
                edit.new_prefix = x->changes->prefix;
                edit.skip = x->changes->skip;
        }
        if (x->policy_flags & SM_POLICY_FORWARDED_FOR) {
                address_print(d->source, 0, source);
                edit.forwarded_for = source;
        }
        if (!x->head.known[SM_FIELD_HOST])
                address_print(d->destination, d->destination_port, destination);

        x->request.out = buffer_acquire(&x->worker->buffers);
        if (!x->request.out)
                return -ENOMEM;
        return head_write_request(x->request.out, buffer_at(d->in), &x->head, &edit);
}

/* More of the body. What was forwarded is kept as long as there is room behind it, in case that the
 * request has to be sent once more. */
static ssize_t read_body(Exchange *x) {
        Downstream *d = x->downstream;
        Buffer **in = &d->in;

        if (*in && buffer_room(*in) == 0)
                x->request_kept = false;
        if (!x->request_kept)
                flow_trim(&x->request, in, &x->worker->buffers);
        if (!*in) {
                *in = buffer_acquire(&x->worker->buffers);
                if (!*in)
                        return -ENOMEM;
        }
        return socket_receive(&d->socket, *in);
}

static Progress caller_gone(Exchange *x) {
        count_reason(&x->tables->tables, x->service, SM_REASON_CLIENT_ABORTED);
        return EXCHANGE_IS_BROKEN;
}

/* The endpoint takes no more. Its answer may be there all the same: an early one. */
static Progress stop_request(Exchange *x) {
        x->request_broken = true;
        x->upstream->socket.readable = true;
        return EXCHANGE_WAITS;
}

static Progress send_to_endpoint(Exchange *x) {
        Upstream *u = x->upstream;
        ssize_t n;

        if (!u->socket.writable)
                return EXCHANGE_WAITS;
        n = flow_send(&x->request, x->downstream->in, &u->socket, &x->worker->buffers);
        if (n < 0)
                return stop_request(x);
        u->written += (uint64_t) n;
        x->moved = x->worker->now;
        return n > 0 ? EXCHANGE_GOES_ON : EXCHANGE_WAITS;
}

static Progress receive(Exchange *x) {
        ssize_t n;

        if (!x->downstream->socket.readable)
                return EXCHANGE_WAITS;
        n = read_body(x);
        if (n == -EAGAIN)
                return EXCHANGE_WAITS;
        if (n == -ENOMEM)
                return reply_begin(x, SM_REASON_OVERLOADED);
        if (n <= 0)
                return caller_gone(x);
        x->moved = x->worker->now;
        return EXCHANGE_GOES_ON;
}

Progress request_run(Exchange *x) {
        Flow *f = &x->request;
        uint32_t before = f->checked;

        if (x->request_broken || flow_is_done(f)) {
                mirror_end(x);
                return EXCHANGE_WAITS;
        }
        if (flow_advance(f, x->downstream->in, &x->worker->buffers) < 0) {
                x->close = true; /* nobody knows where the next request begins */
                return reply_begin(x, SM_REASON_BAD_CHUNK);
        }
        mirror_take_body(x, before);
        if (flow_is_pending(f))
                return send_to_endpoint(x);
        return f->body.done ? EXCHANGE_WAITS : receive(x);
}
