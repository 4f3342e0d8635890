/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../basic/cleanup.h"
#include "../basic/log.h"
#include "relay-caller.h"
#include "relay-count.h"
#include "relay-downstream.h"
#include "relay-listener.h"
#include "relay-worker.h"

#define ACCEPTS_AT_ONCE 64 /* then the connections that are there have their turn */
#define RETRY_INTERVAL (100 * NSEC_PER_MSEC)
#define UPSTREAMS_TO_SPARE 16 /* closed when descriptors have run out */

/* Connections beyond the limit are still taken to be told so, but not without end. */
static bool is_beyond_refusing(unsigned n, unsigned limit) {
        return n > limit + limit / 16 + 16;
}

static void admit(Worker *w, int fd, const struct sockaddr_storage *peer) {
        const struct sm_tables *t = worker_tables(w);
        unsigned n, limit = worker_settings(w)->max_connections;
        struct sm_service_counters *c;
        struct sm_caller caller;
        __u8 source[16];
        __be16 port;

        if (caller_take(w->tables->callers, peer, &caller) < 0) {
                count_reason(t, 0, SM_REASON_CALLER_UNKNOWN);
                close(fd);
                return;
        }
        c = sm_service_counters_at(t, caller.socket.service);
        if (c)
                count(&c->connections, 1);

        n = atomic_load_explicit(&w->shared->connections, memory_order_relaxed);
        if (is_beyond_refusing(n, limit)) {
                count_reason(t, caller.socket.service, SM_REASON_OVERLOADED);
                close(fd);
                return;
        }
        address_store(peer, source, &port);
        if (downstream_new(w, fd, source, &caller, n >= limit) < 0) {
                count_reason(t, caller.socket.service, SM_REASON_OVERLOADED);
                close(fd);
        }
}

static bool is_shortage(int error) {
        return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

static void listener_accept(Listener *l) {
        Worker *w = l->worker;

        for (unsigned i = 0; i < ACCEPTS_AT_ONCE; i++) {
                struct sockaddr_storage peer;
                int fd;

                fd = accept4(l->socket.fd, (struct sockaddr *) &peer, &(socklen_t){ sizeof(peer) },
                             SOCK_CLOEXEC | SOCK_NONBLOCK);
                if (fd < 0 && is_shortage(errno)) {
                        if (!l->starved)
                                (void) log_warning_errno(-errno, "Cannot accept connections for now: %m.");
                        l->starved = true;
                        pool_shrink(&w->pool, UPSTREAMS_TO_SPARE);
                        timer_set(&w->timers, &l->retry, w->now + RETRY_INTERVAL);
                        return;
                }
                if (fd < 0 && errno == EAGAIN)
                        return;
                if (fd < 0)
                        continue; /* it was gone before we came */
                l->starved = false;
                admit(w, fd, &peer);
        }
        timer_set(&w->timers, &l->retry, w->now); /* there may be more: the edge is used up */
}

static void on_listener(Socket *s) {
        listener_accept(CONTAINER_OF(s, Listener, socket));
}

static void on_retry(Timer *t, nsec_t now) {
        listener_accept(CONTAINER_OF(t, Listener, retry));
}

int socket_inode(int fd, uint64_t *ret) {
        struct stat st;

        if (fstat(fd, &st) < 0)
                return -errno;
        if (!S_ISSOCK(st.st_mode))
                return -ENOTSOCK;
        *ret = st.st_ino;
        return 0;
}

int listener_new(Worker *w, int fd) {
        _cleanup_free_ Listener *l = NULL;
        int r;

        l = calloc(1, sizeof(Listener));
        if (!l)
                return -ENOMEM;
        l->worker = w;
        socket_init(&l->socket, fd, on_listener);
        timer_init(&l->retry, on_retry);
        r = socket_inode(fd, &l->inode);
        if (r < 0)
                return r;
        /* What is accepted inherits it. */
        if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int)) < 0)
                return -errno;
        r = socket_register(&l->socket, w->epoll);
        if (r < 0)
                return r;
        list_append(&w->listeners, &l->link);
        TAKE_PTR(l);
        return 0;
}

void listener_free(Listener *l) {
        list_remove(&l->link);
        timer_clear(&l->retry);
        /* Closing is not enough: slicemeshd has the socket open as well. */
        (void) epoll_ctl(l->worker->epoll, EPOLL_CTL_DEL, l->socket.fd, NULL);
        socket_close(&l->socket);
        free(l);
}
