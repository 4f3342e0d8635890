/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "../abi/abi-link.h"
#include "../basic/cleanup.h"
#include "../basic/log.h"
#include "../basic/macro.h"
#include "../basic/time-util.h"
#include "daemon-bpf.h"
#include "daemon-bus.h"
#include "daemon-fast.h"
#include "daemon-relay-cgroup.h"
#include "daemon-relay-link.h"
#include "daemon-tables.h"
#include "daemon-trace.h"

#define RECONNECT_FIRST_USEC (100 * USEC_PER_MSEC)
#define RECONNECT_LONGEST_USEC (5 * USEC_PER_SEC)
#define PING_BUSY_USEC (1 * USEC_PER_SEC) /* also the grace period of the programs, which run for far less */
#define PING_IDLE_USEC (10 * USEC_PER_SEC)
#define HANDSHAKE_USEC (3 * USEC_PER_SEC) /* after which the relay is said to be down */
#define SILENCE_USEC (30 * USEC_PER_SEC) /* without an answer: connects anew */

typedef union LinkBody {
        struct sm_link_hello hello;
        struct sm_link_pong pong;
        struct sm_link_event event;
        struct sm_link_trace trace;
} LinkBody;

typedef struct LinkPacket {
        struct sm_link_header header;
        LinkBody body;
} LinkPacket;

struct RelayLink {
        Manager *manager;
        char *path;
        Listeners *listeners;
        int fd;
        sd_event_source *io, *connect_timer, *ping_timer;
        usec_t pause; /* before the next attempt to connect */
        RelayState state;
        bool greeted;
        RelayCgroup *where; /* asked between its HELLO and our TABLES */
        bool nobody; /* at the last attempt there was nobody to connect to: nobody reads the tables */

        struct sm_link_pong pong; /* the last one */
        usec_t heard;
        pid_t pid;
        uint64_t passed, passing; /* epochs: passed by all workers; likewise, a grace period ago */
};

static usec_t now_usec(void) {
        return now_nsec() / NSEC_PER_USEC;
}

DEFINE_TRIVIAL_CLEANUP(RelayLink *, relay_link_free)

static void complain(RelayLink *l) {
        manager_set_problem(l->manager, "relay-down",
                            "The relay is not running. Connections to http services wait until it is back; "
                            "those to tcp services are not concerned.");
}

static void set_state(RelayLink *l, RelayState state) {
        if (l->state == state)
                return;
        l->state = state;
        if (state == RELAY_RUNNING)
                manager_set_problem(l->manager, "relay-down", NULL);
        if (state != RELAY_STARTING)
                fast_relay_runs(l->manager, state == RELAY_RUNNING);
        if (state == RELAY_DOWN) {
                l->pid = 0;
                l->pong.connections = 0;
                complain(l);
        }
        manager_bus_changed(l->manager, "RelayState");
        manager_bus_changed(l->manager, "RelayPID");
}

static int connect_later(RelayLink *l) {
        usec_t pause = l->pause;

        l->pause = MIN(l->pause * 2, RECONNECT_LONGEST_USEC);
        (void) sd_event_source_set_time_relative(l->connect_timer, pause);
        return sd_event_source_set_enabled(l->connect_timer, SD_EVENT_ONESHOT);
}

static void hang_up(RelayLink *l) {
        l->io = sd_event_source_disable_unref(l->io);
        l->where = relay_cgroup_free(l->where);
        closep(&l->fd);
        l->fd = -EBADF;
        l->greeted = false;
        set_state(l, RELAY_DOWN);
        (void) connect_later(l);
}

static int link_send(RelayLink *l, enum sm_link_type type, const void *body, size_t size, const int *fds,
                     size_t n_fds) {
        union {
                struct cmsghdr align;
                char space[CMSG_SPACE(sizeof(int) * _SM_TABLE_MAX)];
        } control = {};
        struct sm_link_header header = { .type = type, .size = (__u32) size };
        struct iovec iov[] = { { &header, sizeof(header) }, { (void *) body, size } };
        struct msghdr m = { .msg_iov = iov, .msg_iovlen = ELEMENTSOF(iov) };

        if (n_fds > 0) {
                m.msg_control = &control;
                m.msg_controllen = CMSG_SPACE(sizeof(int) * n_fds);
                *CMSG_FIRSTHDR(&m) = (struct cmsghdr) {
                        .cmsg_level = SOL_SOCKET,
                        .cmsg_type = SCM_RIGHTS,
                        .cmsg_len = CMSG_LEN(sizeof(int) * n_fds),
                };
                memcpy(CMSG_DATA(CMSG_FIRSTHDR(&m)), fds, sizeof(int) * n_fds);
        }
        return sendmsg(l->fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -errno : 0;
}

static int send_tables(RelayLink *l) {
        const PolicyMesh *mesh = l->manager->mesh;
        struct sm_link_tables tables = {
                .max_connections = mesh->max_connections,
                .buffer_bytes = (__u32) mesh->max_buffer,
                .head_bytes = (__u32) mesh->max_head,
                .drain_ms = (__u32) (mesh->drain_usec / USEC_PER_MSEC),
        };
        int fds[_SM_TABLE_MAX];

        bpf_programs_tables(l->manager->bpf, fds, tables.entries);
        return link_send(l, SM_LINK_TABLES, &tables, sizeof(tables), fds, _SM_TABLE_MAX);
}

static int send_listener(RelayLink *l, unsigned worker, __u32 family, int fd) {
        const struct sm_link_listener listener = { .worker = worker, .family = family };

        return fd < 0 ? 0 : link_send(l, SM_LINK_LISTENER, &listener, sizeof(listener), &fd, 1);
}

static int send_start(RelayLink *l) {
        int r;

        r = send_tables(l);
        if (r < 0)
                return r;
        for (unsigned worker = 0; worker < l->listeners->n_workers; worker++) {
                r = send_listener(l, worker, AF_INET, l->listeners->ipv4[worker]);
                if (r < 0)
                        return r;
                r = send_listener(l, worker, AF_INET6, l->listeners->ipv6[worker]);
                if (r < 0)
                        return r;
        }
        l->greeted = true;
        return link_send(l, SM_LINK_START, NULL, 0, NULL, 0);
}

/* The end of upstream connections is watched before there is one. */
static void on_where(const char *cgroup, void *userdata) {
        RelayLink *l = userdata;
        int r;

        fast_relay_came(l->manager, cgroup);
        l->where = relay_cgroup_free(l->where);
        r = send_start(l);
        if (r < 0) {
                log_warning_errno(r, "Failed to set the relay going, connecting anew: %m");
                hang_up(l);
        }
}

static int on_hello(RelayLink *l, const LinkBody *b) {
        l->pid = (pid_t) b->hello.pid;
        if (b->hello.abi_version != SM_ABI_VERSION)
                return log_error_errno(-EPROTONOSUPPORT, "The relay is of another version (%u, not %u).",
                                       b->hello.abi_version, SM_ABI_VERSION);
        if (l->where)
                return -EPROTO;
        return relay_cgroup_ask(l->manager, l->pid, on_where, l, &l->where);
}

static int send_ping(RelayLink *l) {
        const struct sm_link_ping ping = { .cookie = now_usec(), .epoch = tables_epoch(l->manager->tables) };

        return link_send(l, SM_LINK_PING, &ping, sizeof(ping), NULL, 0);
}

static int on_started(RelayLink *l, const LinkBody *b) {
        l->pause = RECONNECT_FIRST_USEC;
        log_info("The relay is running (PID %i).", (int) l->pid);
        set_state(l, RELAY_RUNNING);
        return send_ping(l);
}

static int on_pong(RelayLink *l, const LinkBody *b) {
        l->pong = b->pong;
        l->passed = b->pong.epoch;
        return 0;
}

static int on_event(RelayLink *l, const LinkBody *b) {
        manager_endpoint_event(l->manager, &b->event);
        return 0;
}

static int on_trace(RelayLink *l, const LinkBody *b) {
        Service *s = manager_find_service(l->manager, b->trace.service);

        if (s)
                trace_take(s, &b->trace);
        return 0;
}

/* What the relay may send. */
static const struct {
        enum sm_link_type type;
        bool greeted; /* when */
        size_t size;
        int (*handler)(RelayLink *l, const LinkBody *b);
} receivable[] = {
        { SM_LINK_HELLO, false, sizeof(struct sm_link_hello), on_hello },
        { SM_LINK_STARTED, true, 0, on_started },
        { SM_LINK_PONG, true, sizeof(struct sm_link_pong), on_pong },
        { SM_LINK_EVENT, true, sizeof(struct sm_link_event), on_event },
        { SM_LINK_TRACE, true, sizeof(struct sm_link_trace), on_trace },
};

static int dispatch(RelayLink *l, const LinkPacket *p, size_t n) {
        if (n < sizeof(p->header) || n - sizeof(p->header) != p->header.size)
                return -EBADMSG;
        for (size_t i = 0; i < ELEMENTSOF(receivable); i++) {
                if (receivable[i].type != p->header.type)
                        continue;
                if (receivable[i].greeted != l->greeted || receivable[i].size != p->header.size)
                        return -EPROTO;
                return receivable[i].handler(l, &p->body);
        }
        return -EBADMSG;
}

static int on_readable(sd_event_source *s, int fd, uint32_t revents, void *userdata) {
        RelayLink *l = userdata;
        LinkPacket packet;
        ssize_t n;
        int r;

        n = recv(fd, &packet, sizeof(packet), MSG_DONTWAIT);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return 0;
        r = n < 0 ? -errno : n == 0 ? -ECONNRESET : dispatch(l, &packet, (size_t) n);
        if (r >= 0) {
                l->heard = now_usec();
                return 0;
        }
        if (r == -ECONNRESET)
                log_notice("The relay has gone.");
        else
                log_warning_errno(r, "Lost the relay, connecting anew: %m.");
        hang_up(l);
        return 0;
}

static int link_connect(RelayLink *l) {
        const struct sm_link_hello hello = { .abi_version = SM_ABI_VERSION, .pid = (__u32) getpid() };
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int r;

        if (strlen(l->path) >= sizeof(address.sun_path))
                return -ENAMETOOLONG;
        strcpy(address.sun_path, l->path);
        l->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (l->fd < 0)
                return -errno;
        r = RET_NERRNO(connect(l->fd, (struct sockaddr *) &address, sizeof(address)));
        l->nobody = r == -ENOENT || r == -ECONNREFUSED;
        if (r < 0)
                return r;
        r = sd_event_add_io(l->manager->event, &l->io, l->fd, EPOLLIN, on_readable, l);
        if (r < 0)
                return r;
        l->heard = now_usec();
        set_state(l, RELAY_STARTING);
        (void) sd_event_source_set_time_relative(l->connect_timer, HANDSHAKE_USEC);
        (void) sd_event_source_set_enabled(l->connect_timer, SD_EVENT_ONESHOT);
        return link_send(l, SM_LINK_HELLO, &hello, sizeof(hello), NULL, 0);
}

static int on_connect_timer(sd_event_source *s, uint64_t usec, void *userdata) {
        RelayLink *l = userdata;
        int r;

        if (l->state == RELAY_RUNNING)
                return 0;
        if (l->fd >= 0) {
                /* systemd holds the socket and we are in its queue, but no relay comes up to answer. */
                complain(l);
                fast_relay_runs(l->manager, false);
                return 0;
        }
        r = link_connect(l);
        if (r >= 0)
                return 0;
        log_debug_errno(r, "Failed to connect to the relay, trying again: %m");
        hang_up(l);
        return 0;
}

static void ping_after(RelayLink *l, usec_t usec) {
        (void) sd_event_source_set_time_relative(l->ping_timer, usec);
        (void) sd_event_source_set_enabled(l->ping_timer, SD_EVENT_ONESHOT);
}

/* What every worker had passed a grace period ago, no program reads any more either. */
static void pass_epoch(RelayLink *l) {
        Tables *t = l->manager->tables;

        if (l->nobody && l->state == RELAY_DOWN)
                l->passed = tables_epoch(t);
        if (l->passing != 0) {
                tables_epoch_passed(t, l->passing);
                manager_epoch_passed(l->manager);
        }
        l->passing = l->passed;
}

static int on_ping_timer(sd_event_source *s, uint64_t usec, void *userdata) {
        RelayLink *l = userdata;
        int r = 0;

        if (l->fd >= 0 && now_usec() - l->heard > SILENCE_USEC) {
                log_warning("The relay does not answer, connecting anew.");
                hang_up(l);
        }
        pass_epoch(l);
        if (l->state == RELAY_RUNNING)
                r = send_ping(l);
        if (r < 0) {
                log_warning_errno(r, "Failed to speak to the relay, connecting anew: %m");
                hang_up(l);
        }
        ping_after(l, tables_has_retired(l->manager->tables) ? PING_BUSY_USEC : PING_IDLE_USEC);
        return 0;
}

int relay_link_new(Manager *m, const char *path, Listeners *listeners, RelayLink **ret) {
        _cleanup_(relay_link_freep) RelayLink *l = calloc(1, sizeof(*l));
        int r;

        if (!l)
                return -ENOMEM;
        l->manager = m;
        l->fd = -EBADF;
        l->pause = RECONNECT_FIRST_USEC;
        l->state = listeners ? RELAY_STARTING : RELAY_DOWN;
        l->nobody = !listeners;
        l->path = strdup(path);
        if (!l->path)
                return -ENOMEM;
        if (listeners) {
                r = sd_event_add_time_relative(m->event, &l->connect_timer, CLOCK_MONOTONIC, 0, 0,
                                               on_connect_timer, l);
                if (r < 0)
                        return r;
        }
        r = sd_event_add_time_relative(m->event, &l->ping_timer, CLOCK_MONOTONIC, PING_BUSY_USEC, 0,
                                       on_ping_timer, l);
        if (r < 0)
                return r;
        l->listeners = listeners;
        *ret = TAKE_PTR(l);
        return 0;
}

RelayLink *relay_link_free(RelayLink *l) {
        if (!l)
                return NULL;
        sd_event_source_disable_unref(l->io);
        relay_cgroup_free(l->where);
        sd_event_source_disable_unref(l->connect_timer);
        sd_event_source_disable_unref(l->ping_timer);
        closep(&l->fd);
        listeners_free(l->listeners);
        free(l->path);
        free(l);
        return NULL;
}

bool relay_link_has_listeners(const RelayLink *l) {
        return l->listeners;
}

RelayState relay_link_state(const RelayLink *l) {
        return l->state;
}

pid_t relay_link_pid(const RelayLink *l) {
        return l->pid;
}

uint32_t relay_link_connections(const RelayLink *l) {
        return l->pong.connections;
}

void relay_link_epoch_grew(RelayLink *l) {
        uint64_t due;

        if (l->state == RELAY_RUNNING && send_ping(l) < 0)
                log_debug("Failed to tell the relay of the epoch, doing so later.");
        /* Never later than it already was, however often the epoch grows. */
        if (sd_event_source_get_time(l->ping_timer, &due) < 0 || due > now_usec() + PING_BUSY_USEC)
                ping_after(l, PING_BUSY_USEC);
}

void relay_link_stop(RelayLink *l) {
        const struct sm_link_stop stop = {
                .drain_ms = (__u32) (l->manager->mesh->drain_usec / USEC_PER_MSEC),
        };

        if (l->state == RELAY_RUNNING)
                (void) link_send(l, SM_LINK_STOP, &stop, sizeof(stop), NULL, 0);
        if (l->listeners)
                listeners_forget(l->listeners);
}
