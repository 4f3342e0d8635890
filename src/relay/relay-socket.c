/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "relay-socket.h"

void socket_init(Socket *s, int fd, void (*ready)(Socket *s)) {
        *s = (Socket){ .fd = fd, .ready = ready };
}

int socket_register(Socket *s, int epoll) {
        struct epoll_event e = { .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = s };

        return epoll_ctl(epoll, EPOLL_CTL_ADD, s->fd, &e) < 0 ? -errno : 0;
}

void socket_close(Socket *s) {
        if (s->fd >= 0)
                close(s->fd);
        s->fd = -EBADF;
}

void socket_abort(Socket *s) {
        struct linger none = { .l_onoff = 1 };

        if (s->fd >= 0)
                (void) setsockopt(s->fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none));
        socket_close(s);
}

int socket_error(const Socket *s) {
        int error = 0;

        if (getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &(socklen_t){ sizeof(error) }) < 0)
                return -errno;
        return -error;
}

void socket_event(Socket *s, uint32_t events) {
        if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
                s->readable = true;
        if (events & (EPOLLRDHUP | EPOLLHUP))
                s->ended = true;
        if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR))
                s->writable = true;
        if (events & EPOLLERR)
                s->error = socket_error(s);
        s->ready(s);
}

static int fail(Socket *s, int error) {
        s->readable = s->writable = false;
        s->error = error;
        return error;
}

ssize_t socket_receive(Socket *s, Buffer *b) {
        uint32_t room = buffer_room(b);
        ssize_t n;

        do
                n = recv(s->fd, b->data + b->end, room, MSG_DONTWAIT);
        while (n < 0 && errno == EINTR);
        if (n < 0 && errno == EAGAIN) {
                s->readable = false;
                return -EAGAIN;
        }
        if (n < 0)
                return fail(s, -errno);
        if (n == 0 && s->error < 0)
                return fail(s, s->error); /* SO_ERROR took it away from recv(2), which only sees the end */
        if (n == 0) {
                s->eof = true;
                s->readable = false;
                return 0;
        }
        if ((uint32_t) n < room && !s->ended)
                s->readable = false;
        b->end += (uint32_t) n;
        s->received += (uint64_t) n;
        return n;
}

ssize_t socket_send(Socket *s, const struct iovec *iov, size_t n_iov) {
        struct msghdr message = { .msg_iov = (struct iovec *) iov, .msg_iovlen = n_iov };
        size_t size = 0;
        ssize_t n;

        for (size_t i = 0; i < n_iov; i++)
                size += iov[i].iov_len;
        do
                n = n_iov == 1 ? send(s->fd, iov->iov_base, size, MSG_DONTWAIT | MSG_NOSIGNAL)
                               : sendmsg(s->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
        while (n < 0 && errno == EINTR);
        if (n < 0 && errno == EAGAIN) {
                s->writable = false;
                return 0;
        }
        if (n < 0) {
                s->writable = false;
                s->error = -errno;
                return s->error;
        }
        if ((size_t) n < size)
                s->writable = false;
        s->sent += (uint64_t) n;
        return n;
}

void socket_shutdown(Socket *s) {
        if (s->shut)
                return;
        s->shut = true;
        (void) shutdown(s->fd, SHUT_WR); /* fails only if the connection is lost, which reading will tell */
}
