/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/stat.h>

#include <ares.h>

#include "../basic/cleanup.h"
#include "../basic/hashmap.h"
#include "../basic/log.h"
#include "../basic/macro.h"
#include "daemon-resolve.h"

#define TTL_MIN_USEC USEC_PER_SEC
#define TTL_MAX_USEC USEC_PER_HOUR
/* Answers without a lifetime: those of the hosts file, which c-ares does not tell apart from a TTL of 0. */
#define TTL_NONE_USEC (5 * USEC_PER_SEC)
#define RETRY_MIN_USEC USEC_PER_SEC
#define RETRY_MAX_USEC USEC_PER_MINUTE

/* One server that does not answer costs 2 + 4 + 8 s before a question has failed. */
#define QUERY_TIMEOUT_MSEC 2000
#define QUERY_TRIES 3

#define RESOLV_CONF "/etc/resolv.conf"

struct ResolverName {
        Resolver *resolver;
        char *host;
        unsigned n_watches; /* 0: forgotten, kept only until the question under way has been answered */
        bool asking;
        sd_event_source *timer; /* the next question */
        usec_t pause;           /* before the next question after a failure, 0 = the last one succeeded */
        struct in6_addr *addresses;
        size_t n_addresses;
        const char *error; /* static text, NULL = none */
};

/* A descriptor that c-ares wants to be watched. */
typedef struct Socket {
        int fd;
        sd_event_source *source;
        struct Socket *next;
} Socket;

struct Resolver {
        sd_event *event;
        resolver_handler_t handler;
        void *userdata;
        ares_channel channel;
        sd_event_source *timer; /* the next timeout within c-ares */
        Socket *sockets;
        Hashmap *names; /* host -> ResolverName with n_watches > 0 */
        unsigned n_asking;
        struct stat resolv_conf; /* as it was when the channel was made */
};

static ResolverName *resolver_name_free(ResolverName *n) {
        sd_event_source_disable_unref(n->timer);
        free(n->addresses);
        free(n->host);
        free(n);
        return NULL;
}

DEFINE_TRIVIAL_CLEANUP(ResolverName *, resolver_name_free);
DEFINE_TRIVIAL_CLEANUP(Resolver *, resolver_free);

/* Up to a tenth later, so that names that were first asked for together drift apart. */
static usec_t with_jitter(usec_t t) {
        return t + (usec_t) random() % (t / 10 + 1);
}

static void resolver_name_schedule(ResolverName *n, usec_t pause) {
        int r;

        r = sd_event_source_set_time_relative(n->timer, pause);
        if (r >= 0)
                r = sd_event_source_set_enabled(n->timer, SD_EVENT_ONESHOT);
        if (r < 0)
                log_error_errno(r, "Failed to schedule the next question for %s, its addresses stay: %m",
                                n->host);
}

static void resolver_arm_timer(Resolver *r) {
        struct timeval tv;

        if (!ares_timeout(r->channel, NULL, &tv)) {
                (void) sd_event_source_set_enabled(r->timer, SD_EVENT_OFF);
                return;
        }
        (void) sd_event_source_set_time_relative(r->timer,
                                                 (usec_t) tv.tv_sec * USEC_PER_SEC + (usec_t) tv.tv_usec);
        (void) sd_event_source_set_enabled(r->timer, SD_EVENT_ONESHOT);
}

static int on_ares_timer(sd_event_source *s, uint64_t usec, void *userdata) {
        Resolver *r = userdata;

        ares_process_fd(r->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
        resolver_arm_timer(r);
        return 0;
}

static int on_ares_io(sd_event_source *s, int fd, uint32_t revents, void *userdata) {
        Resolver *r = userdata;

        ares_process_fd(r->channel, revents & ~EPOLLOUT ? fd : ARES_SOCKET_BAD,
                        revents & EPOLLOUT ? fd : ARES_SOCKET_BAD);
        resolver_arm_timer(r);
        return 0;
}

static int resolver_socket_watch(Resolver *r, int fd, uint32_t events) {
        _cleanup_free_ Socket *new = NULL;
        Socket *s;
        int k;

        for (s = r->sockets; s; s = s->next)
                if (s->fd == fd)
                        return sd_event_source_set_io_events(s->source, events);

        new = calloc(1, sizeof(*new));
        if (!new)
                return -ENOMEM;
        k = sd_event_add_io(r->event, &new->source, fd, events, on_ares_io, r);
        if (k < 0)
                return k;
        new->fd = fd;
        new->next = r->sockets;
        r->sockets = TAKE_PTR(new);
        return 0;
}

static void resolver_socket_forget(Resolver *r, int fd) {
        for (Socket **p = &r->sockets; *p; p = &(*p)->next)
                if ((*p)->fd == fd) {
                        _cleanup_free_ Socket *s = *p;

                        *p = s->next;
                        sd_event_source_disable_unref(s->source);
                        return;
                }
}

static void on_ares_socket(void *userdata, ares_socket_t fd, int readable, int writable) {
        Resolver *r = userdata;
        int k;

        if (!readable && !writable) {
                resolver_socket_forget(r, fd);
                return;
        }
        k = resolver_socket_watch(r, fd, (readable ? EPOLLIN : 0) | (writable ? EPOLLOUT : 0));
        if (k < 0)
                log_error_errno(k, "Failed to watch a socket, questions to its name server time out: %m");
}

static int ares_to_errno(int status) {
        switch (status) {
        case ARES_SUCCESS:
                return 0;
        case ARES_ENOMEM:
                return -ENOMEM;
        case ARES_EFILE:
                return -EIO;
        default:
                return -EINVAL;
        }
}

static int resolver_open_channel(Resolver *r, ares_channel *ret) {
        struct ares_options options = {
                .timeout = QUERY_TIMEOUT_MSEC,
                .tries = QUERY_TRIES,
                .sock_state_cb = on_ares_socket,
                .sock_state_cb_data = r,
        };
        const char *servers = getenv("SLICEMESH_DNS_SERVERS");
        int k, mask = ARES_OPT_SOCK_STATE_CB;
        ares_channel channel;

        /* What this variable asks for would lose against what is set here. */
        if (!getenv("RES_OPTIONS"))
                mask |= ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES;

        if (stat(RESOLV_CONF, &r->resolv_conf) < 0)
                r->resolv_conf = (struct stat){};
        k = ares_to_errno(ares_init_options(&channel, &options, mask));
        if (k < 0)
                return k;
        k = servers ? ares_to_errno(ares_set_servers_ports_csv(channel, servers)) : 0;
        if (k < 0) {
                ares_destroy(channel);
                return k;
        }
        *ret = channel;
        return 0;
}

/* c-ares 1.18 reads resolv.conf once for each channel, and slicemeshd may be older than the network. */
static void resolver_follow_resolv_conf(Resolver *r) {
        struct stat st = {};
        ares_channel new;
        int k;

        (void) stat(RESOLV_CONF, &st);
        if (r->n_asking > 0 ||
            (st.st_ino == r->resolv_conf.st_ino && st.st_mtim.tv_sec == r->resolv_conf.st_mtim.tv_sec &&
             st.st_mtim.tv_nsec == r->resolv_conf.st_mtim.tv_nsec && st.st_size == r->resolv_conf.st_size))
                return;

        k = resolver_open_channel(r, &new);
        if (k < 0) {
                log_warning_errno(k, "Failed to read %s again, keeping the former servers, ignoring: %m",
                                  RESOLV_CONF);
                return;
        }
        ares_destroy(r->channel);
        r->channel = new;
}

static int address_compare(const void *a, const void *b) {
        return memcmp(a, b, sizeof(struct in6_addr));
}

static struct in6_addr address_of(const struct ares_addrinfo_node *node) {
        const struct sockaddr_in *in = (const void *) node->ai_addr;
        const struct sockaddr_in6 *in6 = (const void *) node->ai_addr;
        struct in6_addr mapped = { .s6_addr = { [10] = 0xff, [11] = 0xff } };

        if (node->ai_family == AF_INET6)
                return in6->sin6_addr;
        memcpy(mapped.s6_addr + 12, &in->sin_addr, sizeof(in->sin_addr));
        return mapped;
}

/* Sorted and without repeats. */
static int addresses_take(const struct ares_addrinfo *info, struct in6_addr **ret, size_t *ret_n) {
        _cleanup_free_ struct in6_addr *addresses = NULL;
        size_t n = 0, kept = 0;

        for (const struct ares_addrinfo_node *node = info->nodes; node; node = node->ai_next)
                n++;
        addresses = calloc(n ?: 1, sizeof(*addresses));
        if (!addresses)
                return -ENOMEM;
        n = 0;
        for (const struct ares_addrinfo_node *node = info->nodes; node; node = node->ai_next)
                addresses[n++] = address_of(node);

        qsort(addresses, n, sizeof(*addresses), address_compare);
        for (size_t i = 0; i < n; i++)
                if (kept == 0 || address_compare(&addresses[i], &addresses[kept - 1]) != 0)
                        addresses[kept++] = addresses[i];

        *ret = TAKE_PTR(addresses);
        *ret_n = kept;
        return 0;
}

static usec_t lifetime_of(const struct ares_addrinfo *info) {
        usec_t ttl = TTL_MAX_USEC;

        for (const struct ares_addrinfo_node *node = info->nodes; node; node = node->ai_next)
                ttl = MIN(ttl, (usec_t) MAX(node->ai_ttl, 0) * USEC_PER_SEC);
        for (const struct ares_addrinfo_cname *cname = info->cnames; cname; cname = cname->next)
                ttl = MIN(ttl, (usec_t) MAX(cname->ttl, 0) * USEC_PER_SEC);
        return ttl == 0 ? TTL_NONE_USEC : MAX(ttl, TTL_MIN_USEC);
}

/* Takes an answer over; true if that changed anything. */
static bool resolver_name_succeeded(ResolverName *n, const struct ares_addrinfo *info) {
        _cleanup_free_ struct in6_addr *addresses = NULL;
        size_t n_addresses;
        bool changed;

        if (addresses_take(info, &addresses, &n_addresses) < 0) {
                (void) log_oom();
                resolver_name_schedule(n, RETRY_MIN_USEC);
                return false;
        }
        n->pause = 0;
        resolver_name_schedule(n, with_jitter(lifetime_of(info)));

        changed = n->error || n_addresses != n->n_addresses ||
                  memcmp(addresses, n->addresses, n_addresses * sizeof(*addresses)) != 0;
        n->error = NULL;
        free(n->addresses);
        n->addresses = TAKE_PTR(addresses);
        n->n_addresses = n_addresses;
        return changed;
}

static bool resolver_name_failed(ResolverName *n, const char *error) {
        bool changed = !n->error || !streq(n->error, error);

        n->error = error;
        n->pause = n->pause == 0 ? RETRY_MIN_USEC : MIN(2 * n->pause, RETRY_MAX_USEC);
        resolver_name_schedule(n, with_jitter(n->pause));
        return changed;
}

/* Runs inside c-ares. The handler may watch and unwatch, this name too: nothing is touched after it. */
static void on_answer(void *userdata, int status, int timeouts, struct ares_addrinfo *info) {
        ResolverName *n = userdata;
        Resolver *r = n->resolver;
        bool changed;

        n->asking = false;
        r->n_asking--;
        if (n->n_watches == 0 || status == ARES_EDESTRUCTION) {
                if (info)
                        ares_freeaddrinfo(info);
                if (n->n_watches == 0)
                        (void) resolver_name_free(n);
                return;
        }

        if (status == ARES_SUCCESS && info && info->nodes)
                changed = resolver_name_succeeded(n, info);
        else
                changed = resolver_name_failed(
                        n, ares_strerror(status == ARES_SUCCESS ? ARES_ENODATA : status));
        if (info)
                ares_freeaddrinfo(info);
        if (changed)
                r->handler(n->host, n->addresses, n->n_addresses, n->error, r->userdata);
}

/* Questions are asked from here only, never from within an answer. */
static int on_name_timer(sd_event_source *s, uint64_t usec, void *userdata) {
        /* The order is ours (sorted), so c-ares need not find out which address would be preferred. */
        static const struct ares_addrinfo_hints hints = {
                .ai_family = AF_UNSPEC,
                .ai_flags = ARES_AI_NOSORT | ARES_AI_ENVHOSTS,
        };
        ResolverName *n = userdata;
        Resolver *r = n->resolver;

        resolver_follow_resolv_conf(r);
        n->asking = true;
        r->n_asking++;
        ares_getaddrinfo(r->channel, n->host, NULL, &hints, on_answer, n);
        resolver_arm_timer(r);
        return 0;
}

int resolver_new(sd_event *event, resolver_handler_t handler, void *userdata, Resolver **ret) {
        _cleanup_(resolver_freep) Resolver *r = NULL;
        int k;

        k = ares_to_errno(ares_library_init(ARES_LIB_INIT_ALL));
        if (k < 0)
                return k;
        r = calloc(1, sizeof(*r));
        if (!r) {
                ares_library_cleanup();
                return -ENOMEM;
        }
        r->event = sd_event_ref(event);
        r->handler = handler;
        r->userdata = userdata;
        r->names = hashmap_new();
        if (!r->names)
                return -ENOMEM;

        k = sd_event_add_time(event, &r->timer, CLOCK_MONOTONIC, 0, 0, on_ares_timer, r);
        if (k < 0)
                return k;
        k = sd_event_source_set_enabled(r->timer, SD_EVENT_OFF);
        if (k < 0)
                return k;
        k = resolver_open_channel(r, &r->channel);
        if (k < 0)
                return k;
        *ret = TAKE_PTR(r);
        return 0;
}

Resolver *resolver_free(Resolver *r) {
        ResolverName *n;
        size_t i = 0;

        if (!r)
                return NULL;
        /* This answers what is being asked, which frees the names that are forgotten. */
        if (r->channel)
                ares_destroy(r->channel);
        while (r->names && (n = hashmap_next(r->names, &i)))
                (void) resolver_name_free(n);
        (void) hashmap_free(r->names);
        sd_event_source_disable_unref(r->timer);
        sd_event_unref(r->event);
        free(r);
        ares_library_cleanup();
        return NULL;
}

int resolver_watch(Resolver *r, const char *host) {
        _cleanup_(resolver_name_freep) ResolverName *n = NULL;
        ResolverName *known;
        int k;

        known = hashmap_get(r->names, host);
        if (known) {
                known->n_watches++;
                return 0;
        }

        n = calloc(1, sizeof(*n));
        if (!n)
                return -ENOMEM;
        n->resolver = r;
        n->n_watches = 1;
        n->host = strdup(host);
        if (!n->host)
                return -ENOMEM;
        k = sd_event_add_time_relative(r->event, &n->timer, CLOCK_MONOTONIC, 0, 0, on_name_timer, n);
        if (k < 0)
                return k;
        k = hashmap_put(r->names, n->host, n);
        if (k < 0)
                return k;
        TAKE_PTR(n);
        return 0;
}

void resolver_unwatch(Resolver *r, const char *host) {
        ResolverName *n = hashmap_get(r->names, host);

        if (!n || --n->n_watches > 0)
                return;
        (void) hashmap_remove(r->names, host);
        if (n->asking)
                (void) sd_event_source_set_enabled(n->timer, SD_EVENT_OFF);
        else
                (void) resolver_name_free(n);
}

size_t resolver_lookup(const Resolver *r, const char *host, const struct in6_addr **ret) {
        const ResolverName *n = hashmap_get(r->names, host);

        *ret = n ? n->addresses : NULL;
        return n ? n->n_addresses : 0;
}
