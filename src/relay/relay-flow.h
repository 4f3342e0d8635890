/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "relay-body.h"
#include "relay-socket.h"

/*
 * One direction of an exchange: from the input buffer of the connection that it comes from, by way of what
 * is rewritten in between, to the other connection.
 *
 *      in:   [start ... forwarded | ... checked | ... not looked at yet, or of the next message ... end]
 *      out:  rewritten head, or re-coded body; goes before anything of `in`
 */
typedef struct Flow {
        Body body;
        BodyCoding coding;
        Buffer *out;        /* NULL when there is nothing in it */
        uint32_t forwarded; /* both count from in->start, and include the head that came in */
        uint32_t checked;
} Flow;

/* Takes what has come in for body, as far as it is. -EBADMSG: it is malformed; -ENOMEM. */
int flow_advance(Flow *f, Buffer *in, BufferPool *buffers);

/* The body ended with the connection that it came from. Nothing may be pending. */
int flow_end(Flow *f, BufferPool *buffers);

/* How many bytes are there to be sent, and whether there are any. */
size_t flow_pending(const Flow *f);
bool flow_is_pending(const Flow *f);

/* The whole message is through. */
bool flow_is_done(const Flow *f);

/* One write of all that is pending. The number of bytes taken, 0 if there is no room now; else the
 * connection is lost. */
ssize_t flow_send(Flow *f, Buffer *in, Socket *to, BufferPool *buffers);

/* Drops what was forwarded from the input, and gives the buffer back if nothing is left in it. */
void flow_trim(Flow *f, Buffer **in, BufferPool *buffers);

void flow_done(Flow *f, BufferPool *buffers);
