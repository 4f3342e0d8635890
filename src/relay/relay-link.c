/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/sockios.h>

#include "../basic/cleanup.h"
#include "../basic/log.h"
#include "relay-link.h"

typedef enum LinkState {
        LINK_CLOSED = 1 << 0,
        LINK_CONNECTED = 1 << 1,  /* HELLO is due */
        LINK_GREETED = 1 << 2,    /* TABLES are due */
        LINK_PREPARING = 1 << 3,  /* LISTENERs and START are due */
        LINK_RUNNING = 1 << 4,
} LinkState;

typedef union LinkBody {
        struct sm_link_hello hello;
        struct sm_link_tables tables;
        struct sm_link_listener listener;
        struct sm_link_ping ping;
        struct sm_link_stop stop;
} LinkBody;

typedef struct LinkPacket {
        struct sm_link_header header;
        LinkBody body;
} LinkPacket;

struct Link {
        sd_event *event;
        const LinkHandlers *handlers;
        void *userdata;
        int listening, fd;
        sd_event_source *accept_source, *read_source;
        LinkState state;
};

static int on_hello(Link *l, const LinkBody *b, int *fds) {
        struct sm_link_hello answer = { .abi_version = SM_ABI_VERSION, .pid = (__u32) getpid() };
        int r;

        l->state = LINK_GREETED;
        /* The answer tells slicemeshd which version it has met, so it is sent in any case. */
        r = link_send(l, SM_LINK_HELLO, &answer);
        return b->hello.abi_version == SM_ABI_VERSION ? r : -EPROTONOSUPPORT;
}

static int on_tables(Link *l, const LinkBody *b, int *fds) {
        l->state = LINK_PREPARING;
        return l->handlers->tables(l->userdata, &b->tables, fds);
}

static int on_listener(Link *l, const LinkBody *b, int *fds) {
        return l->handlers->listener(l->userdata, &b->listener, fds);
}

static int on_start(Link *l, const LinkBody *b, int *fds) {
        l->state = LINK_RUNNING;
        return l->handlers->start(l->userdata);
}

static int on_ping(Link *l, const LinkBody *b, int *fds) {
        return l->handlers->ping(l->userdata, &b->ping);
}

static int on_stop(Link *l, const LinkBody *b, int *fds) {
        return l->handlers->stop(l->userdata, &b->stop);
}

/* What slicemeshd may send: everything about a message that can be checked before it is looked at. */
static const struct {
        enum sm_link_type type;
        LinkState states;
        size_t size;
        size_t n_fds;
        int (*handler)(Link *l, const LinkBody *b, int *fds);
} receivable[] = {
        { SM_LINK_HELLO, LINK_CONNECTED, sizeof(struct sm_link_hello), 0, on_hello },
        { SM_LINK_TABLES, LINK_GREETED, sizeof(struct sm_link_tables), _SM_TABLE_MAX, on_tables },
        { SM_LINK_LISTENER, LINK_PREPARING | LINK_RUNNING, sizeof(struct sm_link_listener), 1, on_listener },
        { SM_LINK_START, LINK_PREPARING, 0, 0, on_start },
        { SM_LINK_PING, LINK_RUNNING, sizeof(struct sm_link_ping), 0, on_ping },
        { SM_LINK_STOP, LINK_RUNNING, sizeof(struct sm_link_stop), 0, on_stop },
};

static const struct {
        enum sm_link_type type;
        size_t size;
} sendable[] = {
        { SM_LINK_HELLO, sizeof(struct sm_link_hello) },
        { SM_LINK_STARTED, 0 },
        { SM_LINK_PONG, sizeof(struct sm_link_pong) },
        { SM_LINK_EVENT, sizeof(struct sm_link_event) },
        { SM_LINK_TRACE, sizeof(struct sm_link_trace) },
};

#define LINK_FDS_MAX _SM_TABLE_MAX

static void hang_up(Link *l) {
        l->read_source = sd_event_source_disable_unref(l->read_source);
        closep(&l->fd);
        l->fd = -EBADF;
        l->state = LINK_CLOSED;
}

/* Takes the descriptors out of the control data, into fds[]. */
static size_t collect_fds(struct msghdr *m, int fds[static LINK_FDS_MAX]) {
        size_t n = 0;

        for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
                size_t n_here = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

                if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
                        continue;
                memcpy(fds + n, CMSG_DATA(c), n_here * sizeof(int)); /* there is room for no more */
                n += n_here;
        }
        return n;
}

static int dispatch(Link *l, const LinkPacket *p, size_t n, int *fds, size_t n_fds) {
        if (n < sizeof(p->header) || n - sizeof(p->header) != p->header.size)
                return -EBADMSG;
        for (size_t i = 0; i < ELEMENTSOF(receivable); i++) {
                if (receivable[i].type != p->header.type)
                        continue;
                if (!(receivable[i].states & l->state))
                        return -EPROTO;
                if (receivable[i].size != p->header.size || receivable[i].n_fds != n_fds)
                        return -EBADMSG;
                return receivable[i].handler(l, &p->body, fds);
        }
        return -EBADMSG;
}

/* 0: a message was handled or none was there; -ECONNRESET: the peer hung up. */
static int receive_one(Link *l) {
        union {
                struct cmsghdr align;
                char space[CMSG_SPACE(sizeof(int) * LINK_FDS_MAX)];
        } control;
        LinkPacket packet;
        struct iovec iov = { &packet, sizeof(packet) };
        struct msghdr m = {
                .msg_iov = &iov,
                .msg_iovlen = 1,
                .msg_control = &control,
                .msg_controllen = sizeof(control),
        };
        int fds[LINK_FDS_MAX + 1]; /* CMSG_SPACE rounds up: one more may fit */
        size_t n_fds;
        ssize_t n;
        int r;

        memset(fds, -1, sizeof(fds));
        n = recvmsg(l->fd, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
        if (n < 0)
                return errno == EAGAIN || errno == EINTR ? 0 : -errno;
        n_fds = collect_fds(&m, fds);
        if (m.msg_flags & (MSG_CTRUNC | MSG_TRUNC))
                r = -EBADMSG;
        else if (n == 0)
                r = -ECONNRESET; /* every message has a header */
        else
                r = dispatch(l, &packet, (size_t) n, fds, n_fds);
        for (size_t i = 0; i < n_fds; i++)
                closep(&fds[i]);
        return r;
}

static int on_readable(sd_event_source *s, int fd, uint32_t revents, void *userdata) {
        Link *l = userdata;
        int r;

        r = receive_one(l);
        if (r < 0 && l->fd >= 0) {
                if (r == -ECONNRESET)
                        log_info("slicemeshd has gone, serving on under the last policy.");
                else
                        log_warning_errno(r, "Hanging up on slicemeshd over its message: %m.");
                hang_up(l);
        }
        return 0;
}

/* The socket's mode keeps others out; this one does not depend on it. */
static int check_peer(int fd) {
        struct ucred c;

        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &c, &(socklen_t){ sizeof(c) }) < 0)
                return -errno;
        return c.uid == 0 || c.uid == geteuid() ? 0 : -EPERM;
}

static int on_connection(sd_event_source *s, int listening, uint32_t revents, void *userdata) {
        _cleanup_close_ int fd = -EBADF;
        Link *l = userdata;
        int r;

        fd = accept4(listening, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0) {
                if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
                        (void) log_warning_errno(-errno, "Cannot accept slicemeshd, ignoring: %m.");
                return 0;
        }
        r = check_peer(fd);
        if (r < 0) {
                (void) log_warning_errno(r, "Refusing a connection that is not slicemeshd's, ignoring: %m.");
                return 0;
        }
        hang_up(l);
        r = sd_event_add_io(l->event, &l->read_source, fd, EPOLLIN, on_readable, l);
        if (r < 0) {
                (void) log_warning_errno(r, "Cannot watch slicemeshd's connection, ignoring: %m.");
                return 0;
        }
        l->fd = TAKE_FD(fd);
        l->state = LINK_CONNECTED;
        return 0;
}

int link_new(sd_event *event, int listening, const LinkHandlers *handlers, void *userdata, Link **ret) {
        Link *l;
        int r;

        l = calloc(1, sizeof(Link));
        if (!l)
                return -ENOMEM;
        *l = (Link){ .event = event, .handlers = handlers, .userdata = userdata, .listening = listening,
                     .fd = -EBADF, .state = LINK_CLOSED };
        r = sd_event_add_io(event, &l->accept_source, listening, EPOLLIN, on_connection, l);
        if (r < 0) {
                free(l);
                return r;
        }
        *ret = l;
        return 0;
}

Link *link_free(Link *l) {
        if (!l)
                return NULL;
        hang_up(l);
        sd_event_source_disable_unref(l->accept_source);
        closep(&l->listening);
        free(l);
        return NULL;
}

int link_send(Link *l, enum sm_link_type type, const void *body) {
        struct sm_link_header header = { .type = type };
        struct iovec iov[] = { { &header, sizeof(header) }, { (void *) body, 0 } };
        struct msghdr m = { .msg_iov = iov, .msg_iovlen = ELEMENTSOF(iov) };
        int r;

        if (!(l->state & (LINK_GREETED | LINK_PREPARING | LINK_RUNNING)))
                return -ENOTCONN;
        for (size_t i = 0; i < ELEMENTSOF(sendable); i++)
                if (sendable[i].type == type)
                        header.size = (__u32) sendable[i].size;
        iov[1].iov_len = header.size;

        if (sendmsg(l->fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0)
                return 0;
        r = -errno;
        if (r == -EAGAIN) {
                log_warning("slicemeshd does not read what it is told, hanging up.");
                hang_up(l);
        }
        return r;
}

/* Half of the room is left for what must not be lost. */
int link_offer(Link *l, enum sm_link_type type, const void *body) {
        int room, used;

        if (l->fd < 0)
                return -ENOTCONN;
        if (getsockopt(l->fd, SOL_SOCKET, SO_SNDBUF, &room, &(socklen_t){ sizeof(room) }) < 0 ||
            ioctl(l->fd, SIOCOUTQ, &used) < 0)
                return -errno;
        return used < room / 2 ? link_send(l, type, body) : -EAGAIN;
}
