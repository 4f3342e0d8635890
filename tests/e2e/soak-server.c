/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * usage: soak-server ADDRESS PORT [answer|reset|request EVERY]
 *
 * Answers what soak.h says, from one thread over non-blocking sockets; one in eight answers in two sends.
 * After each EVERY-th answer on a connection it closes that (answer), resets it (reset), or closes it
 * instead of answering the next request (request): the moment at which a client may be using it again.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../src/basic/macro.h"
#include "soak.h"

enum manner { NEVER, AFTER_ANSWER, RESET_AFTER_ANSWER, AT_REQUEST };

typedef struct Peer {
        int fd;
        unsigned answered;
        size_t have; /* bytes received of the next request */
        size_t size; /* of the answer */
        size_t sent; /* of these */
        char in[SOAK_BUFFER];
        char out[SOAK_BUFFER];
} Peer;

static enum manner manner;
static unsigned every;
static int epoll;

static void peer_free(Peer *p, bool reset) {
        struct linger now = { .l_onoff = 1 };

        if (reset)
                (void) setsockopt(p->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
        close(p->fd);
        free(p);
}

/* Whether all of the answer was sent; <0 if the peer is gone. */
static int peer_send(Peer *p, size_t until) {
        while (p->sent < until) {
                ssize_t n = send(p->fd, p->out + p->sent, until - p->sent, MSG_NOSIGNAL);

                if (n < 0)
                        return errno == EAGAIN ? 0 : -errno;
                p->sent += (size_t) n;
        }
        return 1;
}

/* Puts the answer to the request at the start of `in`, of so many bytes in head and body, into `out`. */
static void peer_answer(Peer *p, size_t head, size_t body) {
        uint64_t nonce = 0;
        unsigned size = 0;
        char target[64];

        (void) snprintf(target, sizeof(target), "%.*s", (int) MIN(head, sizeof(target) - 1), p->in);
        if (sscanf(target, "%*s /%" SCNx64 "/%u", &nonce, &size) != 2 || size > SOAK_SIZE_MAX ||
            !soak_matches(p->in + head, body, ~nonce)) {
                p->size = (size_t) sprintf(p->out, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
        } else {
                p->size = (size_t) sprintf(p->out,
                                           "HTTP/1.1 200 OK\r\n"
                                           "X-Nonce: %016" PRIx64 "\r\n"
                                           "Content-Length: %u\r\n\r\n",
                                           nonce, size);
                soak_fill(p->out + p->size, size, nonce);
                p->size += size;
        }
        p->sent = 0;
        p->have -= head + body;
        memmove(p->in, p->in + head + body, p->have);
}

/* Answers what is complete. Returns <0 when the connection is over, -ECONNRESET if it is to be reset. */
static int peer_serve(Peer *p) {
        size_t head, body;
        int r;

        for (;;) {
                if (p->sent < p->size) {
                        r = peer_send(p, p->size);
                        if (r <= 0)
                                return r;
                }
                if (p->size > 0) {
                        p->size = p->sent = 0;
                        p->answered++;
                        if (manner == AFTER_ANSWER && p->answered % every == 0)
                                return -EPIPE;
                        if (manner == RESET_AFTER_ANSWER && p->answered % every == 0)
                                return -ECONNRESET;
                }
                head = soak_head_size(p->in, p->have);
                body = head ? soak_content_length(p->in, head) : 0;
                if (head == 0 || p->have < head + body)
                        return p->have == sizeof(p->in) ? -EMSGSIZE : 0;
                if (manner == AT_REQUEST && p->answered > 0 && p->answered % every == 0)
                        return -EPIPE;
                peer_answer(p, head, body);
                if (p->answered % 8 == 0) {
                        r = peer_send(p, soak_head_size(p->out, p->size));
                        if (r < 0)
                                return r;
                }
        }
}

static int peer_receive(Peer *p) {
        while (p->have < sizeof(p->in)) {
                ssize_t n = recv(p->fd, p->in + p->have, sizeof(p->in) - p->have, 0);

                if (n < 0)
                        return errno == EAGAIN ? 0 : -errno;
                if (n == 0)
                        return -EPIPE;
                p->have += (size_t) n;
        }
        return 0;
}

static void peer_event(Peer *p) {
        int r;

        r = peer_receive(p);
        if (r == 0)
                r = peer_serve(p);
        if (r < 0)
                peer_free(p, r == -ECONNRESET);
}

static int peer_accept(int listener) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLET };
        Peer *p;

        if (fd < 0)
                return -errno;
        p = calloc(1, sizeof(*p));
        if (!p) {
                close(fd);
                return -ENOMEM;
        }
        p->fd = fd;
        event.data.ptr = p;
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0) {
                peer_free(p, false);
                return -errno;
        }
        return 0;
}

static int listen_at(const char *address, const char *port) {
        struct sockaddr_in here = { .sin_family = AF_INET, .sin_port = htons((uint16_t) atoi(port)) };
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;

        if (fd < 0 || inet_pton(AF_INET, address, &here.sin_addr) != 1 ||
            setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
            bind(fd, (struct sockaddr *) &here, sizeof(here)) < 0 || listen(fd, 4096) < 0)
                return -EBADF;
        return fd;
}

int main(int argc, char **argv) {
        static const char *const manners[] = { "never", "answer", "reset", "request" };
        struct epoll_event events[64], listening = { .events = EPOLLIN };
        int listener;

        for (unsigned i = 1; argc == 5 && i < ELEMENTSOF(manners); i++)
                if (streq(argv[3], manners[i]))
                        manner = i;
        every = argc == 5 ? (unsigned) atoi(argv[4]) : 0;
        if ((argc != 3 && argc != 5) || (argc == 5 && (manner == NEVER || every == 0))) {
                fprintf(stderr, "usage: soak-server ADDRESS PORT [answer|reset|request EVERY]\n");
                return 2;
        }
        epoll = epoll_create1(EPOLL_CLOEXEC);
        listener = listen_at(argv[1], argv[2]);
        if (epoll < 0 || listener < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &listening) < 0) {
                perror("soak-server");
                return 1;
        }
        for (;;) {
                int n = epoll_wait(epoll, events, ELEMENTSOF(events), -1);

                for (int i = 0; i < n; i++)
                        if (events[i].data.ptr)
                                peer_event(events[i].data.ptr);
                        else
                                (void) peer_accept(listener);
        }
}
