/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../../src/basic/cleanup.h"
#include "../../src/basic/macro.h"
#include "relay-lab.h"

#define ANSWER_TIMEOUT_MS 20000 /* a relay under a sanitizer on a busy machine still makes that */

typedef struct LinkMessage {
        struct sm_link_header header;
        union {
                struct sm_link_hello hello;
                struct sm_link_tables tables;
                struct sm_link_listener listener;
                struct sm_link_ping ping;
                struct sm_link_stop stop;
                struct sm_link_pong pong;
                struct sm_link_event event;
        };
} LinkMessage;

void lab_link_done(LabLink *l) {
        closep(&l->fd);
        for (unsigned w = 0; w < l->workers; w++)
                for (int v6 = 0; v6 <= 1; v6++)
                        closep(&l->listeners[w][v6]);
}

static int bind_loopback(int family, uint16_t *port) {
        _cleanup_close_ int fd = -EBADF;
        struct sockaddr_in6 v6 = { .sin6_family = AF_INET6,
                                   .sin6_addr = IN6ADDR_LOOPBACK_INIT,
                                   .sin6_port = htons(*port) };
        struct sockaddr_in v4 = { .sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                                  .sin_port = htons(*port) };
        struct sockaddr *address = family == AF_INET ? (struct sockaddr *) &v4 : (struct sockaddr *) &v6;
        socklen_t size = family == AF_INET ? sizeof(v4) : sizeof(v6);

        fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (fd < 0)
                return -errno;
        /* SO_REUSEPORT: every worker listens on the same port */
        if (setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &(int){ 1 }, sizeof(int)) < 0)
                return -errno;
        if (bind(fd, address, size) < 0 || listen(fd, SOMAXCONN) < 0 || getsockname(fd, address, &size) < 0)
                return -errno;
        *port = ntohs(family == AF_INET ? v4.sin_port : v6.sin6_port);
        return TAKE_FD(fd);
}

int lab_link_listen(LabLink *l) {
        for (unsigned w = 0; w < l->workers; w++)
                for (int v6 = 0; v6 <= 1; v6++) {
                        l->listeners[w][v6] = bind_loopback(v6 ? AF_INET6 : AF_INET, &l->ports[v6]);
                        if (l->listeners[w][v6] < 0)
                                return l->listeners[w][v6];
                }
        return 0;
}

static int link_send(LabLink *l, enum sm_link_type type, const void *body, size_t size, const int *fds,
                     size_t n_fds) {
        struct sm_link_header header = { .type = type, .size = (uint32_t) size };
        struct iovec iov[] = { { &header, sizeof(header) }, { (void *) body, size } };
        union {
                struct cmsghdr header;
                char space[CMSG_SPACE(sizeof(int) * _SM_TABLE_MAX)];
        } control = {};
        struct msghdr message = { .msg_iov = iov, .msg_iovlen = size > 0 ? 2 : 1 };

        if (n_fds > 0) {
                control.header = (struct cmsghdr){ .cmsg_level = SOL_SOCKET,
                                                   .cmsg_type = SCM_RIGHTS,
                                                   .cmsg_len = CMSG_LEN(n_fds * sizeof(int)) };
                memcpy(CMSG_DATA(&control.header), fds, n_fds * sizeof(int));
                message.msg_control = &control;
                message.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
        }
        return sendmsg(l->fd, &message, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/* Receives messages up to one of `type`; events that come before it are kept. */
static int link_expect(LabLink *l, enum sm_link_type type, size_t size, LinkMessage *ret) {
        for (;;) {
                struct pollfd p = { .fd = l->fd, .events = POLLIN };
                LinkMessage m;
                ssize_t n;
                int r;

                r = poll(&p, 1, ANSWER_TIMEOUT_MS);
                if (r < 0)
                        return -errno;
                if (r == 0)
                        return -ETIMEDOUT;
                n = recv(l->fd, &m, sizeof(m), 0);
                if (n < 0)
                        return -errno;
                if (n == 0)
                        return -ECONNRESET;
                if ((size_t) n < sizeof(m.header) || (size_t) n != sizeof(m.header) + m.header.size)
                        return -EBADMSG;
                if (m.header.type == SM_LINK_EVENT && m.header.size == sizeof(m.event)) {
                        if (l->n_events < LAB_EVENTS_MAX)
                                l->events[l->n_events++] = m.event;
                        continue;
                }
                if (m.header.type != type || m.header.size != size)
                        return -EPROTO;
                *ret = m;
                return 0;
        }
}

static int send_listeners(LabLink *l) {
        int r;

        for (unsigned w = 0; w < l->workers; w++)
                for (int v6 = 0; v6 <= 1; v6++) {
                        struct sm_link_listener m = { .worker = w, .family = v6 ? AF_INET6 : AF_INET };

                        r = link_send(l, SM_LINK_LISTENER, &m, sizeof(m), &l->listeners[w][v6], 1);
                        if (r < 0)
                                return r;
                }
        return 0;
}

int lab_link_connect(LabLink *l, const struct sm_link_tables *tables, const int fds[static _SM_TABLE_MAX]) {
        struct sm_link_hello hello = { .abi_version = SM_ABI_VERSION, .pid = (uint32_t) getpid() };
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        LinkMessage m;
        int r;

        if (strlen(l->path) >= sizeof(address.sun_path))
                return -ENAMETOOLONG;
        strcpy(address.sun_path, l->path);

        closep(&l->fd);
        l->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
        if (l->fd < 0)
                return -errno;
        if (connect(l->fd, (struct sockaddr *) &address, sizeof(address)) < 0)
                return -errno;

        r = link_send(l, SM_LINK_HELLO, &hello, sizeof(hello), NULL, 0);
        if (r < 0)
                return r;
        r = link_expect(l, SM_LINK_HELLO, sizeof(hello), &m);
        if (r < 0)
                return r;
        if (m.hello.abi_version != SM_ABI_VERSION)
                return -EPROTONOSUPPORT;
        l->relay_pid = m.hello.pid;

        r = link_send(l, SM_LINK_TABLES, tables, sizeof(*tables), fds, _SM_TABLE_MAX);
        if (r < 0)
                return r;
        r = send_listeners(l);
        if (r < 0)
                return r;
        r = link_send(l, SM_LINK_START, NULL, 0, NULL, 0);
        if (r < 0)
                return r;
        return link_expect(l, SM_LINK_STARTED, 0, &m);
}

int lab_link_ping(LabLink *l, uint64_t epoch, struct sm_link_pong *ret) {
        struct sm_link_ping ping = { .cookie = ++l->cookie, .epoch = epoch };
        LinkMessage m;
        int r;

        r = link_send(l, SM_LINK_PING, &ping, sizeof(ping), NULL, 0);
        if (r < 0)
                return r;
        r = link_expect(l, SM_LINK_PONG, sizeof(m.pong), &m);
        if (r < 0)
                return r;
        if (m.pong.cookie != ping.cookie)
                return -EPROTO;
        *ret = m.pong;
        return 0;
}

int lab_link_stop(LabLink *l, uint32_t drain_ms) {
        struct sm_link_stop stop = { .drain_ms = drain_ms };

        return link_send(l, SM_LINK_STOP, &stop, sizeof(stop), NULL, 0);
}
