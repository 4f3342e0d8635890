/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "../basic/macro.h"
#include "relay-flow.h"

static void drop_empty(Flow *f, BufferPool *buffers) {
        if (f->out && buffer_filled(f->out) == 0) {
                buffer_release(buffers, f->out);
                f->out = NULL;
        }
}

/* Re-codes into `out`, as much as it has room for. */
static int recode(Flow *f, Buffer *in, BufferPool *buffers) {
        uint8_t *bytes = in ? buffer_at(in) + f->checked : NULL;
        size_t n_bytes = in ? buffer_filled(in) - f->checked : 0;
        ssize_t n;

        if (!f->out)
                f->out = buffer_acquire(buffers);
        if (!f->out)
                return -ENOMEM;
        if (f->coding == BODY_UNCHUNK)
                n = body_decode(&f->body, bytes, n_bytes, f->out);
        else {
                n = (ssize_t) body_encode_chunk(f->out, bytes, n_bytes);
                f->body.data += (size_t) n;
        }
        drop_empty(f, buffers);
        if (n < 0)
                return (int) n;
        f->checked += (uint32_t) n;
        f->forwarded = f->checked;
        return 0;
}

int flow_end(Flow *f, BufferPool *buffers) {
        body_end(&f->body);
        if (f->coding != BODY_CHUNK)
                return 0;
        if (!f->out)
                f->out = buffer_acquire(buffers);
        return f->out ? body_encode_end(f->out) : -ENOMEM;
}

int flow_advance(Flow *f, Buffer *in, BufferPool *buffers) {
        ssize_t n;

        if (!in || f->body.done || f->checked == buffer_filled(in))
                return 0;
        if (f->coding != BODY_VERBATIM)
                return recode(f, in, buffers);
        n = body_scan(&f->body, buffer_at(in) + f->checked, buffer_filled(in) - f->checked);
        if (n < 0)
                return (int) n;
        f->checked += (uint32_t) n;
        return 0;
}

size_t flow_pending(const Flow *f) {
        return (f->out ? buffer_filled(f->out) : 0) + f->checked - f->forwarded;
}

bool flow_is_pending(const Flow *f) {
        return flow_pending(f) > 0;
}

bool flow_is_done(const Flow *f) {
        return f->body.done && !flow_is_pending(f);
}

ssize_t flow_send(Flow *f, Buffer *in, Socket *to, BufferPool *buffers) {
        struct iovec iov[2];
        size_t n_iov = 0, of_out = 0;
        ssize_t n;

        if (f->out) {
                of_out = buffer_filled(f->out);
                iov[n_iov++] = (struct iovec){ buffer_at(f->out), of_out };
        }
        if (f->forwarded < f->checked)
                iov[n_iov++] = (struct iovec){ buffer_at(in) + f->forwarded, f->checked - f->forwarded };
        n = socket_send(to, iov, n_iov);
        if (n <= 0)
                return n;

        of_out = MIN(of_out, (size_t) n);
        f->forwarded += (uint32_t) ((size_t) n - of_out);
        if (f->out) {
                buffer_consume(f->out, (uint32_t) of_out);
                drop_empty(f, buffers);
        }
        return n;
}

void flow_trim(Flow *f, Buffer **in, BufferPool *buffers) {
        if (!*in)
                return;
        buffer_consume(*in, f->forwarded);
        f->checked -= f->forwarded;
        f->forwarded = 0;
        if (buffer_filled(*in) == 0) {
                buffer_release(buffers, *in);
                *in = NULL;
        }
}

void flow_done(Flow *f, BufferPool *buffers) {
        buffer_release(buffers, f->out);
        f->out = NULL;
}
