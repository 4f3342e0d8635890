/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "relay-buffer.h"

/*
 * A TCP socket in a worker's epoll set: registered once, for everything, edge-triggered. What epoll said
 * is remembered in flags, so that bytes are read and written without asking again: a read that returns less
 * than there was room for has emptied the socket, and the next bytes make a new edge (epoll(7), Q9).
 */
typedef struct Socket Socket;
struct Socket {
        int fd;
        bool readable; /* a read may return something */
        bool writable; /* a write may take something */
        bool ended;    /* the peer's FIN is in the queue (EPOLLRDHUP): read until it comes */
        bool eof;      /* it was read */
        bool shut;     /* our FIN is sent */
        int error;     /* negative errno of the connection, once it is lost */
        uint64_t received, sent; /* bytes in all */
        void (*ready)(Socket *s); /* flags have changed */
};

/* Takes over the descriptor. */
void socket_init(Socket *s, int fd, void (*ready)(Socket *s));
int socket_register(Socket *s, int epoll);
void socket_close(Socket *s);

/* Closes such that the peer cannot take what it got for complete: by RST. */
void socket_abort(Socket *s);

/* Notes what epoll_wait(2) reported, and calls `ready`. */
void socket_event(Socket *s, uint32_t events);

/* Reads into the room of the buffer, which must have some. The number of bytes; 0 at the end of the stream
 * (`eof` is set); -EAGAIN if there is nothing now; else the connection is lost (`error` is set). */
ssize_t socket_receive(Socket *s, Buffer *b);

/* The number of bytes that were taken, 0 if there is no room now; else the connection is lost (`error` is
 * set). */
ssize_t socket_send(Socket *s, const struct iovec *iov, size_t n_iov);

/* What the kernel has to report, and forgets then: 0 or a negative errno. */
int socket_error(const Socket *s);

/* Sends FIN after all that was written. */
void socket_shutdown(Socket *s);
