/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * usage: soak-client ADDRESS PORT CONNECTIONS REQUESTS [GET-PERCENT [LARGEST [ABANDON-PERMILLE]]]
 *
 * Sends what soak.h says over so many non-blocking connections, sizes and methods at random, and closes some
 * of them while it waits. Prints what became of the requests as JSON:
 *
 *      ok         answered, all as it should be
 *      abandoned  it closed the connection itself, half of them with a reset
 *      status     answers that are not 200, by status
 *      broken     the connection ended before the answer did
 *      wrong      another request's answer, other bytes, or more of them than announced
 *      lost       no answer for 30 s
 *
 * Exits with 1 if anything was wrong or lost, and says on standard error what. SIGTERM ends it early.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../src/basic/macro.h"
#include "../../src/basic/time-util.h"
#include "soak.h"

#define PATIENCE (30 * NSEC_PER_SEC)

typedef struct Connection {
        int fd; /* -EBADF: to be opened anew, at `since` */
        uint64_t nonce; /* of the request under way, else 0 */
        nsec_t since;
        size_t answer; /* bytes in the body that was asked for */
        size_t size;   /* of the request */
        size_t sent;
        size_t have; /* bytes received of the answer */
        char out[SOAK_BUFFER];
        char in[SOAK_BUFFER];
} Connection;

typedef struct Soak {
        struct sockaddr_in service;
        unsigned n_connections;
        uint64_t requests;
        unsigned get_percent;
        unsigned largest;
        unsigned abandon_permille;
        int epoll;
        Connection *connections;
        uint64_t issued, ok, abandoned, broken, wrong, lost, status[10];
        nsec_t slowest;
} Soak;

static volatile sig_atomic_t ended;
static uint64_t chance;

static void end(int number) {
        (void) number;
        ended = 1;
}

/* xorshift64* */
static uint64_t next_random(void) {
        chance ^= chance >> 12;
        chance ^= chance << 25;
        chance ^= chance >> 27;
        return chance * UINT64_C(0x2545f4914f6cdd1d);
}

/* Small ones mostly, and some at each of the orders of magnitude at which the way may change. */
static size_t random_size(const Soak *s) {
        static const unsigned up_to[] = { 200, 200, 200, 2000, 2000, 2000, 2000, 12000, 30000, 70000 };
        unsigned most = up_to[next_random() % ELEMENTSOF(up_to)];

        if (next_random() % 100 == 0)
                most = SOAK_SIZE_MAX;
        return next_random() % (MIN(most, s->largest) + 1);
}

static void report(Soak *s, const Connection *c, const char *what) {
        fprintf(stderr, "soak-client: %s: %016" PRIx64 ", %zu of %zu bytes sent, %zu of %zu had: %.*s\n",
                what, c->nonce, c->sent, c->size, c->have, c->answer,
                (int) MIN(c->have, (size_t) 200), c->in);
}

/* Closes it; it is opened again at once, or after a moment if that is what has failed. */
static void drop(Soak *s, Connection *c, bool reset, nsec_t rest) {
        struct linger now = { .l_onoff = 1 };

        if (reset)
                (void) setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
        close(c->fd);
        c->fd = -EBADF;
        c->nonce = 0;
        c->have = 0;
        c->since = now_nsec() + rest;
}

static void compose(Soak *s, Connection *c) {
        bool get = next_random() % 100 < s->get_percent;
        size_t body = get ? 0 : random_size(s);

        c->nonce = next_random() | 1;
        c->answer = random_size(s);
        c->size = (size_t) sprintf(c->out, "%s /%016" PRIx64 "/%zu HTTP/1.1\r\nHost: soak.example\r\n",
                                   get ? "GET" : "POST", c->nonce, c->answer);
        if (!get)
                c->size += (size_t) sprintf(c->out + c->size, "Content-Length: %zu\r\n", body);
        c->size += (size_t) sprintf(c->out + c->size, "\r\n");
        soak_fill(c->out + c->size, body, ~c->nonce);
        c->size += body;
        c->sent = c->have = 0;
        c->since = now_nsec();
        s->issued++;
}

static int send_rest(Connection *c) {
        while (c->sent < c->size) {
                ssize_t n = send(c->fd, c->out + c->sent, c->size - c->sent, MSG_NOSIGNAL);

                if (n < 0)
                        return errno == EAGAIN ? 0 : -errno;
                c->sent += (size_t) n;
        }
        return 0;
}

/* Begins the next request, if there is one; else the connection is left as it is. */
static int next(Soak *s, Connection *c) {
        int r;

        if (s->issued == s->requests || ended)
                return 0;
        compose(s, c);
        r = send_rest(c);
        if (r == 0 && next_random() % 1000 < s->abandon_permille) {
                s->abandoned++;
                drop(s, c, next_random() % 2, 0);
        }
        return r;
}

static int receive(Connection *c) {
        while (c->have < sizeof(c->in)) {
                ssize_t n = recv(c->fd, c->in + c->have, sizeof(c->in) - c->have, 0);

                if (n < 0)
                        return errno == EAGAIN ? 0 : -errno;
                if (n == 0)
                        return -EPIPE;
                c->have += (size_t) n;
        }
        return 0;
}

/* Whether the answer is there; <0 if it is not the right one. */
static int judge(Soak *s, Connection *c) {
        size_t head = soak_head_size(c->in, c->have), body;
        char nonce[40];
        char *found;

        if (head == 0)
                return 0;
        body = soak_content_length(c->in, head);
        if (c->have < head + body)
                return 0;
        if (c->have > head + body || strncmp(c->in, "HTTP/1.1 ", 9) != 0)
                return -EBADMSG;
        if (strncmp(c->in + 9, "200", 3) != 0) {
                s->status[(unsigned) (c->in[9] - '0') % ELEMENTSOF(s->status)]++;
                return streq("400", strndupa(c->in + 9, 3)) ? -EBADMSG : 1;
        }
        (void) snprintf(nonce, sizeof(nonce), "\r\nX-Nonce: %016" PRIx64 "\r\n", c->nonce);
        found = memmem(c->in, head, nonce, strlen(nonce));
        if (!found || body != c->answer || !soak_matches(c->in + head, body, c->nonce))
                return -EBADMSG;
        s->ok++;
        return 1;
}

static void on_event(Soak *s, Connection *c) {
        int r, end;

        if (c->fd < 0)
                return;
        end = receive(c);
        if (c->nonce) {
                r = judge(s, c);
                if (r < 0) {
                        s->wrong++;
                        report(s, c, "not its answer");
                        drop(s, c, false, 0);
                        return;
                }
                if (r > 0) {
                        s->slowest = MAX(s->slowest, now_nsec() - c->since);
                        c->nonce = 0;
                        c->have = 0;
                }
        } else if (c->have > 0) {
                s->wrong++;
                report(s, c, "an answer that nobody asked for");
                end = -EBADMSG;
        }
        if (end == 0)
                end = c->nonce ? send_rest(c) : next(s, c);
        if (end < 0 && c->fd >= 0) {
                s->broken += c->nonce != 0;
                drop(s, c, false, c->nonce ? NSEC_PER_MSEC : 0);
        }
}

static void open_anew(Soak *s, Connection *c) {
        struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = c };
        const struct sockaddr *service = (const struct sockaddr *) &s->service;

        c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (c->fd < 0 || (connect(c->fd, service, sizeof(s->service)) < 0 && errno != EINPROGRESS) ||
            epoll_ctl(s->epoll, EPOLL_CTL_ADD, c->fd, &event) < 0)
                drop(s, c, false, NSEC_PER_MSEC);
}

/* Opens what is closed, and gives up what has waited for too long. Returns how many are under way. */
static unsigned look_after(Soak *s) {
        nsec_t now = now_nsec();
        unsigned busy = 0;

        for (unsigned i = 0; i < s->n_connections; i++) {
                Connection *c = s->connections + i;

                if (c->fd < 0 && c->since <= now && s->issued < s->requests && !ended)
                        open_anew(s, c);
                if (c->nonce && c->since + PATIENCE < now) {
                        s->lost++;
                        report(s, c, "no answer");
                        drop(s, c, true, 0);
                }
                busy += c->nonce != 0;
        }
        return busy;
}

static void run(Soak *s) {
        struct epoll_event events[64];
        nsec_t looked = 0;

        for (;;) {
                int n = epoll_wait(s->epoll, events, ELEMENTSOF(events), 1);

                for (int i = 0; i < n; i++)
                        on_event(s, events[i].data.ptr);
                if (now_nsec() - looked < NSEC_PER_MSEC)
                        continue;
                looked = now_nsec();
                if (look_after(s) == 0 && (s->issued == s->requests || ended))
                        return;
        }
}

static void print(const Soak *s, nsec_t started) {
        printf("{\"ok\": %" PRIu64 ", \"abandoned\": %" PRIu64 ", \"broken\": %" PRIu64
               ", \"wrong\": %" PRIu64 ", \"lost\": %" PRIu64
               ", \"status\": {\"4xx\": %" PRIu64 ", \"5xx\": %" PRIu64
               "}, \"slowest_ms\": %" PRIu64 ", \"seconds\": %.2f}\n",
               s->ok, s->abandoned, s->broken, s->wrong, s->lost, s->status[4], s->status[5],
               s->slowest / NSEC_PER_MSEC, (double) (now_nsec() - started) / (double) NSEC_PER_SEC);
}

int main(int argc, char **argv) {
        Soak s = { .service.sin_family = AF_INET, .get_percent = 70, .largest = SOAK_SIZE_MAX };
        nsec_t started = now_nsec();

        if (argc < 5 || argc > 8 || inet_pton(AF_INET, argv[1], &s.service.sin_addr) != 1) {
                fprintf(stderr, "usage: soak-client ADDRESS PORT CONNECTIONS REQUESTS "
                                "[GET-PERCENT [LARGEST [ABANDON-PERMILLE]]]\n");
                return 2;
        }
        s.service.sin_port = htons((uint16_t) atoi(argv[2]));
        s.n_connections = (unsigned) atoi(argv[3]);
        s.requests = strtoull(argv[4], NULL, 10);
        if (argc > 5)
                s.get_percent = (unsigned) atoi(argv[5]);
        if (argc > 6)
                s.largest = MIN((unsigned) atoi(argv[6]), (unsigned) SOAK_SIZE_MAX);
        if (argc > 7)
                s.abandon_permille = (unsigned) atoi(argv[7]);

        chance = (started ^ (uint64_t) getpid() << 40) | 1;
        s.epoll = epoll_create1(EPOLL_CLOEXEC);
        s.connections = calloc(s.n_connections, sizeof(*s.connections));
        if (s.epoll < 0 || !s.connections) {
                perror("soak-client");
                return 1;
        }
        for (unsigned i = 0; i < s.n_connections; i++)
                s.connections[i].fd = -EBADF;
        (void) signal(SIGTERM, end);
        run(&s);
        print(&s, started);
        return s.wrong > 0 || s.lost > 0;
}
