/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <netinet/in.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <linux/sockios.h>
#include <linux/tcp.h>

#include "../basic/cleanup.h"
#include "relay-caller.h"
#include "relay-exchange.h"
#include "relay-mirror.h"
#include "relay-slot.h"
#include "relay-upstream.h"
#include "relay-worker.h"

/* tcpi_state, of include/net/tcp_states.h: what libc has of it contradicts <linux/tcp.h>. */
enum {
        STATE_SYN_SENT = 2,
        STATE_SYN_RECV = 3,
        STATE_CLOSE = 7,
};

/* Who uses it that something has happened. */
static void tell(Upstream *u) {
        if (u->exchange)
                exchange_upstream_ready(u->exchange);
        else
                mirror_run(u->mirror);
}

static void on_upstream(Socket *s) {
        Upstream *u = CONTAINER_OF(s, Upstream, socket);

        if (upstream_is_used(u))
                tell(u);
        else if (u->slot > 0)
                slot_ready(u);
        else if (s->readable || s->error < 0)
                upstream_free(u); /* whatever an idle one has to say, it cannot be used for more */
}

static void on_upstream_timer(Timer *t, nsec_t now) {
        Upstream *u = CONTAINER_OF(t, Upstream, timer);

        if (!upstream_is_used(u) && u->slot > 0)
                slot_expired(u, now);
        else if (!upstream_is_used(u))
                upstream_free(u);
        else if (!u->connected) {
                u->socket.error = -ETIMEDOUT;
                tell(u);
        }
        /* Else the timer of who uses it decides. */
}

static void count_connection(const Upstream *u, int by) {
        struct sm_endpoint_state *state = sm_endpoint_state_at(&u->tables->tables, u->endpoint);

        __atomic_fetch_add(&state->connections, (__u32) by, __ATOMIC_RELAXED);
        atomic_fetch_add_explicit(&u->worker->shared->upstreams, (unsigned) by, memory_order_relaxed);
}

static Upstream *upstream_new(Worker *w, SharedTables *t, uint32_t endpoint, uint32_t generation, int fd) {
        Upstream *u = slab_alloc(&w->upstream_slab);

        if (!u)
                return NULL;
        *u = (Upstream){
                .worker = w,
                .endpoint = endpoint,
                .generation = generation,
        };
        socket_init(&u->socket, fd, on_upstream);
        timer_init(&u->timer, on_upstream_timer);
        list_init(&u->pool_link);
        list_init(&u->age_link);
        list_init(&u->slot_link);
        u->tables = shared_tables_ref(t);
        count_connection(u, 1);
        return u;
}

int upstream_connect(Worker *w, SharedTables *t, uint32_t endpoint, nsec_t deadline, Upstream **ret) {
        const struct sm_endpoint *e = sm_endpoint_at(&t->tables, endpoint);
        struct sockaddr_storage address;
        _cleanup_close_ int fd = -EBADF;
        socklen_t size;
        Upstream *u;
        int r;

        if (!e)
                return -ENXIO;
        size = address_load(e->address, e->port, &address);
        fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
                return -errno;
        if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int)) < 0)
                return -errno;
        if (connect(fd, (struct sockaddr *) &address, size) < 0 && errno != EINPROGRESS)
                return -errno;

        u = upstream_new(w, t, endpoint, e->generation, fd);
        if (!u)
                return -ENOMEM;
        TAKE_FD(fd);
        r = socket_register(&u->socket, w->epoll);
        if (r < 0) {
                upstream_free(u);
                return r;
        }
        timer_set(&w->timers, &u->timer, deadline);
        *ret = u;
        return 0;
}

/* Over loopback it is connected already when connect(2) returns. */
int upstream_finish_connect(Upstream *u) {
        struct tcp_info info = {};
        int r;

        if (u->socket.error < 0)
                return u->socket.error;
        if (getsockopt(u->socket.fd, IPPROTO_TCP, TCP_INFO, &info, &(socklen_t){ sizeof(info) }) < 0)
                return -errno;
        if (info.tcpi_state == STATE_SYN_SENT || info.tcpi_state == STATE_SYN_RECV)
                return 0;
        if (info.tcpi_state == STATE_CLOSE) {
                r = socket_error(&u->socket);
                return r < 0 ? r : -ECONNRESET;
        }
        u->connected = u->socket.writable = true;
        return 1;
}

/*
 * The peer acknowledges a byte when its kernel has it, and the FIN that it sends acknowledges all that came
 * before. So after an orderly close, bytes that still wait to be acknowledged, as many as the request has,
 * prove that the application can not have seen it. After an RST they prove nothing: the acknowledgment may
 * have been under way. And of what did not go by TCP, TCP knows nothing.
 */
bool upstream_received_nothing(const Upstream *u) {
        int waiting;

        return !u->bypassed && ioctl(u->socket.fd, SIOCOUTQ, &waiting) >= 0 &&
                (uint64_t) waiting >= u->written - u->written_before;
}

Upstream *upstream_free(Upstream *u) {
        Worker *w;

        if (!u)
                return NULL;
        w = u->worker;
        pool_remove(&w->pool, u);
        timer_clear(&u->timer);
        socket_close(&u->socket);
        slot_release(u);
        count_connection(u, -1);
        shared_tables_unref(u->tables);
        slab_free(&w->upstream_slab, u);
        return NULL;
}
