/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "relay-count.h"
#include "relay-downstream.h"
#include "relay-steps.h"
#include "relay-upstream.h"
#include "relay-worker.h"

/* One side is lost: so is the tunnel. */
#define TUNNEL_LOST EXCHANGE_IS_BROKEN

/* Moves a buffer of bytes one way. `data` counts them. */
static Progress move(Exchange *x, Socket *from, Buffer **in, Socket *to, uint64_t *data) {
        BufferPool *buffers = &x->worker->buffers;
        ssize_t n;

        if (!*in && from->readable) {
                *in = buffer_acquire(buffers);
                if (!*in)
                        return TUNNEL_LOST;
                n = socket_receive(from, *in);
                if (n <= 0) {
                        buffer_release(buffers, *in);
                        *in = NULL;
                }
                if (n < 0 && n != -EAGAIN)
                        return TUNNEL_LOST;
        }
        if (!*in) {
                if (from->eof)
                        socket_shutdown(to); /* half-closed: the other way stays open */
                return EXCHANGE_WAITS;
        }
        if (!to->writable)
                return EXCHANGE_WAITS;
        n = socket_send(to, &(struct iovec){ buffer_at(*in), buffer_filled(*in) }, 1);
        if (n < 0)
                return TUNNEL_LOST;
        x->moved = x->worker->now;
        *data += (uint64_t) n;
        buffer_consume(*in, (uint32_t) n);
        if (buffer_filled(*in) == 0) {
                buffer_release(buffers, *in);
                *in = NULL;
        }
        return n > 0 ? EXCHANGE_GOES_ON : EXCHANGE_WAITS;
}

Progress tunnel_run(Exchange *x) {
        Socket *caller = &x->downstream->socket, *endpoint = &x->upstream->socket;
        Progress there, back;

        there = move(x, caller, &x->downstream->in, endpoint, &x->request.body.data);
        back = move(x, endpoint, &x->in, caller, &x->response.body.data);
        if (there == TUNNEL_LOST || back == TUNNEL_LOST)
                return TUNNEL_LOST;
        if (caller->shut && endpoint->shut)
                return EXCHANGE_IS_LAST;
        return there == EXCHANGE_GOES_ON || back == EXCHANGE_GOES_ON ? EXCHANGE_GOES_ON : EXCHANGE_WAITS;
}
