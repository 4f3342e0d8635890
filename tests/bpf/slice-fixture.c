/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/magic.h>

#include "basic/cleanup.h"
#include "basic/macro.h"
#include "slice-fixture.h"

static void die(const char *what) {
        perror(what);
        abort();
}

static const char *find_cgroup2(void) {
        static const char *const places[] = { "/sys/fs/cgroup", "/sys/fs/cgroup/unified" };
        struct statfs fs;

        for (size_t i = 0; i < ELEMENTSOF(places); i++)
                if (statfs(places[i], &fs) == 0 && fs.f_type == CGROUP2_SUPER_MAGIC)
                        return places[i];
        return NULL;
}

static void loopback_up(void) {
        _cleanup_close_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        struct ifreq request = { .ifr_name = "lo", .ifr_flags = IFF_UP };

        if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &request) < 0)
                die("lo");
}

int slice_cgroup_make(const char *path, uint64_t *ret_id) {
        struct stat st;

        if (mkdir(path, 0755) < 0 || stat(path, &st) < 0)
                return -errno;
        *ret_id = st.st_ino;
        return 0;
}

int slice_fixture_enter(SliceFixture *f, const char **ret_why) {
        const char *root = find_cgroup2();

        alarm(600); /* a hung test is a failed one */
        *ret_why = geteuid() != 0 ? "not root" : !root ? "no cgroup2" : NULL;
        if (*ret_why)
                return 0;
        if (unshare(CLONE_NEWNS | CLONE_NEWNET) < 0) {
                *ret_why = "no new namespaces";
                return 0;
        }
        if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
                die("mount");
        loopback_up();

        strcpy(f->bpffs, "/tmp/bpf-attach-XXXXXX");
        if (!mkdtemp(f->bpffs) || mount("bpf", f->bpffs, "bpf", 0, NULL) < 0)
                die("bpffs");
        (void) snprintf(f->cgroup, sizeof(f->cgroup), "%s/slicemesh-test-%d.slice", root, getpid());
        if (slice_cgroup_make(f->cgroup, &f->cgroup_id) < 0)
                die(f->cgroup);
        return 1;
}

void slice_fixture_leave(SliceFixture *f) {
        (void) rmdir(f->cgroup);
        (void) umount(f->bpffs);
        (void) rmdir(f->bpffs);
}

void parse_address(const char *text, uint8_t ret[static 16]) {
        char mapped[INET6_ADDRSTRLEN + 8];

        (void) snprintf(mapped, sizeof(mapped), "%s%s", strchr(text, ':') ? "" : "::ffff:", text);
        if (inet_pton(AF_INET6, mapped, ret) != 1)
                die(text);
}

static socklen_t make_name(int family, const char *address, uint16_t port, struct sockaddr_storage *ret) {
        struct sockaddr_in *v4 = (struct sockaddr_in *) ret;
        struct sockaddr_in6 *v6 = (struct sockaddr_in6 *) ret;

        *ret = (struct sockaddr_storage) { .ss_family = (sa_family_t) family };
        if (family == AF_INET6) {
                v6->sin6_port = htons(port);
                parse_address(address, v6->sin6_addr.s6_addr);
                return sizeof(*v6);
        }
        v4->sin_port = htons(port);
        if (inet_pton(AF_INET, address, &v4->sin_addr) != 1)
                die(address);
        return sizeof(*v4);
}

int listen_on(const char *address, uint16_t port) {
        int family = strchr(address, ':') ? AF_INET6 : AF_INET;
        int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        struct sockaddr_storage name;
        socklen_t size = make_name(family, address, port, &name);

        if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int) { 1 }, sizeof(int)) < 0 ||
            bind(fd, (struct sockaddr *) &name, size) < 0 || listen(fd, 128) < 0)
                die("listen");
        return fd;
}

static int do_connect(int fd, const Client *c, const char *address, bool nonblock) {
        struct sockaddr_storage name;
        socklen_t size = make_name(c->family, address, c->port, &name);
        int error = connect(fd, (struct sockaddr *) &name, size) < 0 ? errno : 0;

        if (nonblock && error == EINPROGRESS) {
                struct pollfd p = { .fd = fd, .events = POLLOUT };

                if (poll(&p, 1, 5000) != 1 ||
                    getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &(socklen_t) { sizeof(error) }) < 0)
                        die("poll");
        }
        return error;
}

static void tell_peer(int fd, ClientResult *r) {
        struct sockaddr_storage name;

        if (getpeername(fd, (struct sockaddr *) &name, &(socklen_t) { sizeof(name) }) < 0 ||
            getsockname(fd, (struct sockaddr *) &r->local, &(socklen_t) { sizeof(r->local) }) < 0)
                return;
        if (name.ss_family == AF_INET) {
                inet_ntop(AF_INET, &((struct sockaddr_in *) &name)->sin_addr, r->peer, sizeof(r->peer));
                r->peer_port = ntohs(((struct sockaddr_in *) &name)->sin_port);
        } else {
                inet_ntop(AF_INET6, &((struct sockaddr_in6 *) &name)->sin6_addr, r->peer, sizeof(r->peer));
                r->peer_port = ntohs(((struct sockaddr_in6 *) &name)->sin6_port);
        }
}

static void client_main(const SliceFixture *f, const Client *c, int pipe_fd) {
        bool nonblock = c->twist == TWIST_NONBLOCK;
        int type = c->twist == TWIST_DATAGRAM ? SOCK_DGRAM : SOCK_STREAM, fd;
        ClientResult r = { .pid = getpid() };

        (void) prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that fails ends no client */
        if (!c->outside) {
                _cleanup_close_ int procs = -EBADF;
                char path[160];

                (void) snprintf(path, sizeof(path), "%s/cgroup.procs", c->cgroup ?: f->cgroup);
                procs = open(path, O_WRONLY | O_CLOEXEC);
                if (procs < 0 || write(procs, "0", 1) != 1)
                        die(path);
        }
        if (c->twist == TWIST_FOREIGN_NETNS) {
                if (unshare(CLONE_NEWNET) < 0)
                        die("unshare");
                loopback_up();
        }
        fd = socket(c->family, type | SOCK_CLOEXEC | (nonblock ? SOCK_NONBLOCK : 0), 0);
        if (fd < 0)
                die("socket");
        if (c->twist == TWIST_DISCONNECT_FIRST) {
                struct sockaddr nobody = { .sa_family = AF_UNSPEC };

                if (do_connect(fd, c, c->first, false) != 0 || connect(fd, &nobody, sizeof(nobody)) < 0)
                        die("disconnect");
        }
        r.error = do_connect(fd, c, c->address, nonblock);
        tell_peer(fd, &r);
        if (write(pipe_fd, &r, sizeof(r)) != sizeof(r))
                die("pipe");
        for (;;)
                pause(); /* until client_end() */
}

void client_run(const SliceFixture *f, const Client *c, ClientResult *ret) {
        int fds[2];
        pid_t pid;

        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
                die("socketpair");
        pid = fork();
        if (pid < 0)
                die("fork");
        if (pid == 0) {
                close(fds[0]);
                client_main(f, c, fds[1]);
        }
        close(fds[1]);
        if (read(fds[0], ret, sizeof(*ret)) != sizeof(*ret))
                die("client");
        close(fds[0]);
}

void client_end(ClientResult *r) {
        (void) kill(r->pid, SIGKILL);
        if (waitpid(r->pid, NULL, 0) != r->pid)
                die("waitpid");
}
