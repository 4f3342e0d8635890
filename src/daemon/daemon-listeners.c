/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <systemd/sd-daemon.h>

#include "../basic/cleanup.h"
#include "../basic/macro.h"
#include "../basic/string-util.h"
#include "daemon-listeners.h"

DEFINE_TRIVIAL_CLEANUP(Listeners *, listeners_free)

#define NAME_SIZE sizeof("relay6-4294967295")

static void listener_name(int family, unsigned worker, char ret[static NAME_SIZE]) {
        (void) snprintf(ret, NAME_SIZE, "relay%c-%u", family == AF_INET ? '4' : '6', worker);
}

static int *listener_slot(Listeners *l, int family, unsigned worker) {
        return family == AF_INET ? &l->ipv4[worker] : &l->ipv6[worker];
}

static socklen_t listener_address(int family, uint16_t port, struct sockaddr_storage *ret) {
        struct sockaddr_in *v4 = (struct sockaddr_in *) ret;
        struct sockaddr_in6 *v6 = (struct sockaddr_in6 *) ret;

        *ret = (struct sockaddr_storage) {};
        if (family == AF_INET) {
                *v4 = (struct sockaddr_in) {
                        .sin_family = AF_INET,
                        .sin_port = htons(port),
                        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                };
                return sizeof(*v4);
        }
        *v6 = (struct sockaddr_in6) {
                .sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = IN6ADDR_LOOPBACK_INIT,
        };
        return sizeof(*v6);
}

static int listener_bind(int family, uint16_t port) {
        _cleanup_close_ int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        static const int on = 1;
        struct sockaddr_storage address;
        socklen_t size = listener_address(family, port, &address);

        if (fd < 0)
                return -errno;
        /* After a restart connections to the relay may still be in TIME_WAIT. */
        if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
            setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) < 0)
                return -errno;
        if (family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) < 0)
                return -errno;
        if (bind(fd, (struct sockaddr *) &address, size) < 0)
                return -errno;
        if (listen(fd, SOMAXCONN) < 0)
                return -errno;
        return TAKE_FD(fd);
}

static void store_forget(const char *name) {
        char message[64];

        (void) snprintf(message, sizeof(message), "FDSTOREREMOVE=1\nFDNAME=%s", name);
        (void) sd_notify(false, message);
}

static void store_keep(const char *name, int fd) {
        char message[64];

        /* Without FDPOLL=0 systemd would drop it on the first hang-up. */
        (void) snprintf(message, sizeof(message), "FDSTORE=1\nFDPOLL=0\nFDNAME=%s", name);
        (void) sd_pid_notify_with_fds(0, false, message, &fd, 1);
}

/* Whether the socket is what we would bind now. */
static bool is_listener(int fd, int family, uint16_t port) {
        struct sockaddr_storage address, wanted;
        socklen_t size = sizeof(address), wanted_size = listener_address(family, port, &wanted);

        return sd_is_socket(fd, family, SOCK_STREAM, true) > 0 &&
               getsockname(fd, (struct sockaddr *) &address, &size) == 0 && size == wanted_size &&
               memcmp(&address, &wanted, size) == 0;
}

/* Takes a descriptor that systemd kept for us, or has it forgotten if it is of no use any more. */
static void listeners_take(Listeners *l, uint16_t port, int fd, const char *name) {
        static const int families[] = { AF_INET, AF_INET6 };

        for (size_t i = 0; i < ELEMENTSOF(families); i++)
                for (unsigned worker = 0; worker < l->n_workers; worker++) {
                        int *slot = listener_slot(l, families[i], worker);
                        char wanted[NAME_SIZE];

                        listener_name(families[i], worker, wanted);
                        if (!streq(name, wanted) || *slot >= 0 || !is_listener(fd, families[i], port))
                                continue;
                        *slot = fd;
                        return;
                }
        close(fd);
        store_forget(name);
}

static int listeners_take_stored(Listeners *l, uint16_t port) {
        _cleanup_strv_free_ char **names = NULL;
        int n;

        n = sd_listen_fds_with_names(true, &names);
        for (int i = 0; i < n; i++)
                listeners_take(l, port, SD_LISTEN_FDS_START + i, names[i]);
        return n < 0 ? n : 0;
}

static int listeners_bind(Listeners *l, int family, uint16_t port) {
        for (unsigned worker = 0; worker < l->n_workers; worker++) {
                int *slot = listener_slot(l, family, worker), fd;
                char name[NAME_SIZE];

                if (*slot >= 0)
                        continue;
                fd = listener_bind(family, port);
                if (fd < 0)
                        return fd;
                *slot = fd;
                listener_name(family, worker, name);
                store_keep(name, fd);
        }
        return 0;
}

int listeners_open(uint16_t port, unsigned n_workers, Listeners **ret) {
        _cleanup_(listeners_freep) Listeners *l = calloc(1, sizeof(*l));
        int r;

        if (!l)
                return -ENOMEM;
        l->n_workers = MIN(n_workers, (unsigned) SM_WORKERS_MAX);
        for (unsigned i = 0; i < SM_WORKERS_MAX; i++)
                l->ipv4[i] = l->ipv6[i] = -EBADF;

        r = listeners_take_stored(l, port);
        if (r < 0)
                return r;
        r = listeners_bind(l, AF_INET, port);
        if (r < 0)
                return r;
        r = listeners_bind(l, AF_INET6, port);
        if (r < 0 && r != -EAFNOSUPPORT && r != -EADDRNOTAVAIL) /* no IPv6 here, or not on loopback */
                return r;
        *ret = TAKE_PTR(l);
        return 0;
}

Listeners *listeners_free(Listeners *l) {
        if (!l)
                return NULL;
        for (unsigned i = 0; i < l->n_workers; i++) {
                closep(&l->ipv4[i]);
                closep(&l->ipv6[i]);
        }
        free(l);
        return NULL;
}

void listeners_forget(Listeners *l) {
        static const int families[] = { AF_INET, AF_INET6 };
        char name[NAME_SIZE];

        for (size_t i = 0; i < ELEMENTSOF(families); i++)
                for (unsigned worker = 0; worker < l->n_workers; worker++) {
                        listener_name(families[i], worker, name);
                        store_forget(name);
                }
}
