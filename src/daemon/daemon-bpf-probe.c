/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "../abi/abi-reply.h"
#include "../abi/abi-slot.h"
#include "../basic/cleanup.h"
#include "../basic/macro.h"
#include "../basic/time-util.h"
#include "daemon-bpf-probe.h"
#include "probe.skel.h"

#define PATIENCE (100 * NSEC_PER_MSEC) /* with all probes: time spent waiting */
#define WAIT_MAX (25 * NSEC_PER_MSEC)  /* for what should be there already */
#define TRIES 2                        /* as a machine that starts is busy */

/* Two connections, as there are with a local server. D and S are in the map that has programs, under these
 * keys; U in the one that has none. */
#define KEY_D 0
#define KEY_S 1
#define KEY_U 0

/* Messages, by what the program does to them. */
#define BY_TCP "-tcp"
#define TO_D "0redirected"
#define OUT_OF_U "aegress"

typedef struct Probing {
        struct probe_bpf *bpf;
        nsec_t *patience; /* what is left */
        int d, a, u, s;
} Probing;

static void probing_done(Probing *p) {
        closep(&p->d);
        closep(&p->a);
        closep(&p->u);
        closep(&p->s);
}

static int same_port(int fd, int peer) {
        struct sockaddr_in here, there;
        socklen_t size = sizeof(here);

        if (getsockname(fd, (struct sockaddr *) &here, &size) < 0 ||
            getpeername(peer, (struct sockaddr *) &there, &size) < 0)
                return -errno;
        return here.sin_port == there.sin_port ? 0 : -EAGAIN; /* somebody else has connected to us */
}

static bool await_readable(const Probing *p, int fd) {
        struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
        struct timespec limit = { .tv_nsec = (long) MIN(*p->patience, WAIT_MAX) };
        nsec_t start = now_nsec();
        int n = ppoll(&poll_fd, 1, &limit, NULL);

        *p->patience -= MIN(*p->patience, now_nsec() - start);
        return n == 1;
}

static int connect_pair(const Probing *p, int *ret_near, int *ret_far) {
        struct sockaddr_in name = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        _cleanup_close_ int listener = -EBADF, near = -EBADF, far = -EBADF;
        int r;

        listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        near = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (listener < 0 || near < 0)
                return -errno;
        if (bind(listener, (struct sockaddr *) &name, sizeof(name)) < 0 || listen(listener, 1) < 0 ||
            getsockname(listener, (struct sockaddr *) &name, &(socklen_t) { sizeof(name) }) < 0)
                return -errno;
        if (connect(near, (struct sockaddr *) &name, sizeof(name)) < 0 && errno != EINPROGRESS)
                return -errno;
        if (!await_readable(p, listener))
                return -ETIMEDOUT;
        far = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (far < 0)
                return -errno;
        r = same_port(near, far);
        if (r < 0)
                return r;
        *ret_near = TAKE_FD(near);
        *ret_far = TAKE_FD(far);
        return 0;
}

static int put(const struct bpf_map *map, uint32_t key, int fd) {
        uint64_t value = (uint64_t) fd;

        return bpf_map_update_elem(bpf_map__fd(map), &key, &value, BPF_ANY);
}

static int probing_start(Probing *p) {
        int r;

        r = connect_pair(p, &p->d, &p->a);
        if (r < 0)
                return r;
        r = connect_pair(p, &p->u, &p->s);
        if (r < 0)
                return r;
        r = put(p->bpf->maps.probe_sockets, KEY_D, p->d);
        if (r < 0)
                return r;
        r = put(p->bpf->maps.probe_sockets, KEY_S, p->s);
        if (r < 0)
                return r;
        return put(p->bpf->maps.probe_upstreams, KEY_U, p->u);
}

static bool send_text(int fd, const char *text) {
        return send(fd, text, strlen(text), MSG_NOSIGNAL) == (ssize_t) strlen(text);
}

static bool reads(const Probing *p, int fd, const char *text, int flags) {
        char buffer[64];
        size_t n = 0;

        while (n < strlen(text)) {
                ssize_t k = await_readable(p, fd) ? recv(fd, buffer + n, strlen(text) - n, flags) : -1;

                if (k <= 0)
                        return false;
                n += (size_t) k;
        }
        return memcmp(buffer, text, n) == 0;
}

/* What D is to read next, either way. */
static bool send_tcp(const Probing *p) {
        return send_text(p->a, BY_TCP);
}

static bool send_redirected(const Probing *p) {
        return send_text(p->s, TO_D);
}

static bool tells_size(const Probing *p, const char *text) {
        int n;

        return await_readable(p, p->d) && ioctl(p->d, FIONREAD, &n) == 0 && n == (int) strlen(text) &&
               reads(p, p->d, text, 0) && ioctl(p->d, FIONREAD, &n) == 0 && n == 0;
}

static bool can_peek(const Probing *p, const char *text) {
        return reads(p, p->d, text, MSG_PEEK) && reads(p, p->d, text, 0);
}

/* Twice, as the second edge is the one that can be missed. */
static bool has_edges(const Probing *p, bool (*send)(const Probing *p), const char *text) {
        _cleanup_close_ int epoll = epoll_create1(EPOLL_CLOEXEC);
        struct epoll_event event = { .events = EPOLLIN | EPOLLET };

        if (epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, p->d, &event) < 0)
                return false;
        for (int i = 0; i < 2; i++)
                if (!send(p) || !await_readable(p, epoll) || epoll_wait(epoll, &event, 1, 0) != 1 ||
                    !reads(p, p->d, text, 0) || epoll_wait(epoll, &event, 1, 0) != 0)
                        return false;
        return true;
}

static bool has_end(const Probing *p, const char *text) {
        char byte;

        return shutdown(p->a, SHUT_WR) == 0 && reads(p, p->d, text, 0) && await_readable(p, p->d) &&
               recv(p->d, &byte, 1, 0) == 0;
}

static bool probe_fionread(const Probing *p) {
        return send_tcp(p) && tells_size(p, BY_TCP);
}

static bool probe_fionread_redirected(const Probing *p) {
        return send_redirected(p) && tells_size(p, TO_D);
}

static bool probe_peek(const Probing *p) {
        return send_tcp(p) && can_peek(p, BY_TCP);
}

static bool probe_peek_redirected(const Probing *p) {
        return send_redirected(p) && can_peek(p, TO_D);
}

static bool probe_epoll_edge(const Probing *p) {
        return has_edges(p, send_tcp, BY_TCP);
}

static bool probe_epoll_edge_redirected(const Probing *p) {
        return has_edges(p, send_redirected, TO_D);
}

static bool probe_end(const Probing *p) {
        return send_tcp(p) && has_end(p, BY_TCP);
}

static bool probe_end_redirected(const Probing *p) {
        return send_redirected(p) && has_end(p, TO_D);
}

static bool probe_egress(const Probing *p) {
        return send_text(p->d, OUT_OF_U) && reads(p, p->s, OUT_OF_U, 0);
}

static bool probe_order(const Probing *p) {
        return send_tcp(p) && await_readable(p, p->d) && send_redirected(p) &&
               reads(p, p->d, BY_TCP TO_D, 0) &&
               send_redirected(p) && send_tcp(p) && reads(p, p->d, TO_D BY_TCP, 0);
}

static bool probe_send_hook(const Probing *p) {
        const uint64_t nobody = 0;

        return bpf_map_update_elem(bpf_map__fd(p->bpf->maps.probe_senders), &p->s, &nobody, BPF_ANY) == 0 &&
               send_redirected(p) && p->bpf->bss->probe_sent_result == (int) strlen(TO_D);
}

/* And that what is sent next goes its own way. */
static bool probe_self_redirect(const Probing *p) {
        static const char *const requests[] = { "?", "?a request that is longer than its answer" };
        const char *answer = (const char *) p->bpf->rodata->probe_answer.bytes;

        for (size_t i = 0; i < ELEMENTSOF(requests); i++)
                if (!send_text(p->d, requests[i]) || !reads(p, p->d, answer, 0))
                        return false;
        return send_text(p->d, BY_TCP) && reads(p, p->a, BY_TCP, 0);
}

#define REDIRECTED (SM_FAST_SERVERS | SM_FAST_REPLIES | SM_FAST_ANSWERS)

/* With what is not to be used if it fails. */
static const struct {
        const char *name;
        bool (*run)(const Probing *p);
        uint32_t features;
} probes[] = {
        { "fionread", probe_fionread, SM_FAST_ALL },
        { "peek", probe_peek, SM_FAST_ALL },
        { "epoll-edge", probe_epoll_edge, SM_FAST_ALL },
        { "end", probe_end, SM_FAST_ALL },
        { "egress", probe_egress, SM_FAST_REQUESTS },
        { "fionread-redirected", probe_fionread_redirected, REDIRECTED },
        { "peek-redirected", probe_peek_redirected, REDIRECTED },
        { "epoll-edge-redirected", probe_epoll_edge_redirected, REDIRECTED },
        { "end-redirected", probe_end_redirected, REDIRECTED },
        { "order", probe_order, REDIRECTED },
        { "send-hook", probe_send_hook, SM_FAST_SERVERS },
        { "self-redirect", probe_self_redirect, SM_FAST_ANSWERS },
};
_Static_assert(ELEMENTSOF(probes) <= BPF_PROBES_MAX, "raise BPF_PROBES_MAX");

static void destroyp(struct probe_bpf **bpf) {
        probe_bpf__destroy(*bpf);
}

/* Of the hooks at the end of send() one at most is there, which is for a probe to find out. */
static int load(struct probe_bpf **ret) {
        for (int hook = 0;; hook++) {
                struct probe_bpf *bpf = probe_bpf__open();
                int r;

                if (!bpf)
                        return -errno;
                (void) bpf_program__set_autoload(bpf->progs.probe_sent, hook == 0);
                (void) bpf_program__set_autoload(bpf->progs.probe_sent_message, hook == 1);
                r = probe_bpf__load(bpf);
                if (r == 0) {
                        *ret = bpf;
                        return 0;
                }
                probe_bpf__destroy(bpf);
                if (hook == 2)
                        return r;
        }
}

static int attach(struct probe_bpf *bpf) {
        int map = bpf_map__fd(bpf->maps.probe_sockets), r;

        r = bpf_prog_attach(bpf_program__fd(bpf->progs.probe_move), map, BPF_SK_MSG_VERDICT, 0);
        if (r < 0)
                return r;
        r = bpf_prog_attach(bpf_program__fd(bpf->progs.probe_pass), map, BPF_SK_SKB_STREAM_VERDICT, 0);
        if (r < 0)
                return r;
        if (bpf_program__autoload(bpf->progs.probe_sent))
                bpf->links.probe_sent = bpf_program__attach(bpf->progs.probe_sent);
        if (bpf_program__autoload(bpf->progs.probe_sent_message))
                bpf->links.probe_sent_message = bpf_program__attach(bpf->progs.probe_sent_message);
        return 0;
}

/* On fresh sockets. */
static bool probe_once(struct probe_bpf *bpf, bool (*run)(const Probing *p), nsec_t *patience) {
        _cleanup_(probing_done) Probing p = {
                .bpf = bpf, .patience = patience, .d = -EBADF, .a = -EBADF, .u = -EBADF, .s = -EBADF,
        };

        return probing_start(&p) >= 0 && run(&p);
}

int bpf_probe_run(BpfProbes *ret) {
        _cleanup_(destroyp) struct probe_bpf *bpf = NULL;
        BpfProbes result = { .features = SM_FAST_ALL };
        nsec_t patience = PATIENCE;
        int r;

        r = load(&bpf);
        if (r < 0)
                return r;
        r = attach(bpf);
        if (r < 0)
                return r;
        for (size_t i = 0; i < ELEMENTSOF(probes); i++) {
                bool holds = false;

                for (int n = 0; n < TRIES && !holds; n++)
                        holds = probe_once(bpf, probes[i].run, &patience);
                if (holds)
                        continue;
                result.features &= ~probes[i].features;
                result.failed[result.n_failed++] = probes[i].name;
        }
        *ret = result;
        return 0;
}
