/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "../basic/cleanup.h"
#include "../basic/macro.h"
#include "daemon-resolve.h"

/*
 * A name server on a port of 127.0.0.1, in the same event loop as the resolver: what it answers next is set
 * by the test, and every step is waited for by what happened, not by time.
 */
#define WAIT_USEC (30 * USEC_PER_SEC)
#define TYPE_A 1
#define TYPE_AAAA 28

typedef struct Fixture {
        sd_event *event;
        Resolver *resolver;
        int fd;
        sd_event_source *source;
        char hosts[32];

        /* the server */
        unsigned rcode;
        bool silent;
        uint32_t ttl;
        const char *a[4], *aaaa[4];
        unsigned n_questions;

        /* the last call of the handler */
        unsigned n_calls;
        char addresses[256]; /* with a space after each */
        const char *error;
        bool unwatch; /* from within the handler */
} Fixture;

static void put16(uint8_t **p, unsigned v) {
        *(*p)++ = (uint8_t) (v >> 8);
        *(*p)++ = (uint8_t) v;
}

static void put_record(uint8_t **p, unsigned type, uint32_t ttl, const char *address) {
        size_t size = type == TYPE_A ? 4 : 16;

        put16(p, 0xc00c); /* the name of the question */
        put16(p, type);
        put16(p, 1);
        put16(p, ttl >> 16);
        put16(p, ttl & 0xffff);
        put16(p, (unsigned) size);
        assert_int_equal(inet_pton(type == TYPE_A ? AF_INET : AF_INET6, address, *p), 1);
        *p += size;
}

static int on_question(sd_event_source *s, int fd, uint32_t revents, void *userdata) {
        Fixture *f = userdata;
        struct sockaddr_in peer;
        socklen_t peer_size = sizeof(peer);
        uint8_t packet[1024], *p = packet + 12;
        const char *const *answers;
        unsigned type, n = 0;
        ssize_t size;

        size = recvfrom(fd, packet, 512, 0, (struct sockaddr *) &peer, &peer_size);
        assert_true(size > 12 + 4);
        f->n_questions++;
        if (f->silent)
                return 0;

        while (*p != 0)
                p += *p + 1;
        type = (unsigned) p[1] << 8 | p[2];
        p += 5;
        answers = type == TYPE_A ? f->a : f->aaaa;
        for (n = 0; f->rcode == 0 && n < ELEMENTSOF(f->a) && answers[n]; n++)
                put_record(&p, type, f->ttl, answers[n]);

        packet[2] |= 0x80; /* a response */
        packet[3] = (uint8_t) (0x80 | f->rcode);
        packet[7] = (uint8_t) n;
        memset(packet + 8, 0, 4);
        assert_int_equal(sendto(fd, packet, (size_t) (p - packet), 0, (struct sockaddr *) &peer, peer_size),
                         p - packet);
        return 0;
}

static void on_change(const char *host, const struct in6_addr *addresses, size_t n, const char *error,
                      void *userdata) {
        Fixture *f = userdata;
        char text[INET6_ADDRSTRLEN];

        f->n_calls++;
        f->error = error;
        f->addresses[0] = '\0';
        for (size_t i = 0; i < n; i++) {
                assert_non_null(inet_ntop(AF_INET6, &addresses[i], text, sizeof(text)));
                strcat(strcat(f->addresses, text), " ");
        }
        if (f->unwatch)
                resolver_unwatch(f->resolver, host);
}

static int setup(void **state) {
        struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        socklen_t size = sizeof(address);
        char servers[32];
        Fixture *f;
        int fd;

        f = calloc(1, sizeof(*f));
        assert_non_null(f);
        f->ttl = 3600;
        f->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        assert_true(f->fd >= 0);
        assert_return_code(bind(f->fd, (struct sockaddr *) &address, size), errno);
        assert_return_code(getsockname(f->fd, (struct sockaddr *) &address, &size), errno);

        strcpy(f->hosts, "/tmp/test-hosts-XXXXXX");
        fd = mkstemp(f->hosts);
        assert_true(fd >= 0);
        assert_int_equal(write(fd, "10.9.9.9 listed.test\n", 21), 21);
        close(fd);

        snprintf(servers, sizeof(servers), "127.0.0.1:%u", ntohs(address.sin_port));
        setenv("SLICEMESH_DNS_SERVERS", servers, true);
        setenv("CARES_HOSTS", f->hosts, true);
        setenv("RES_OPTIONS", "ndots:1 retrans:50 retry:1", true);
        setenv("LOCALDOMAIN", "test", true);

        assert_return_code(sd_event_new(&f->event), errno);
        assert_return_code(sd_event_add_io(f->event, &f->source, f->fd, EPOLLIN, on_question, f), errno);
        assert_return_code(resolver_new(f->event, on_change, f, &f->resolver), errno);
        *state = f;
        return 0;
}

static int teardown(void **state) {
        Fixture *f = *state;

        resolver_free(f->resolver);
        sd_event_source_disable_unref(f->source);
        sd_event_unref(f->event);
        close(f->fd);
        unlink(f->hosts);
        free(f);
        return 0;
}

/* Lets the loop run until a counter has reached `n`. */
static void run_until(Fixture *f, const unsigned *counter, unsigned n) {
        while (*counter < n)
                assert_true(sd_event_run(f->event, WAIT_USEC) > 0);
}

static void test_sorted_without_repeats(void **state) {
        Fixture *f = *state;
        const struct in6_addr *addresses;

        f->a[0] = "10.0.0.2";
        f->a[1] = "10.0.0.1";
        f->a[2] = "10.0.0.2";
        f->aaaa[0] = "2001:db8::1";
        assert_return_code(resolver_watch(f->resolver, "db.test"), errno);
        assert_int_equal(resolver_lookup(f->resolver, "db.test", &addresses), 0);

        run_until(f, &f->n_calls, 1);
        assert_string_equal(f->addresses, "::ffff:10.0.0.1 ::ffff:10.0.0.2 2001:db8::1 ");
        assert_null(f->error);
        assert_int_equal(f->n_questions, 2);
        assert_int_equal(resolver_lookup(f->resolver, "db.test", &addresses), 3);
        assert_int_equal(resolver_lookup(f->resolver, "other.test", &addresses), 0);
        assert_null(addresses);
}

static void test_asks_again_and_tells_changes_only(void **state) {
        Fixture *f = *state;

        f->ttl = 1;
        f->a[0] = "10.0.0.1";
        assert_return_code(resolver_watch(f->resolver, "db.test"), errno);
        run_until(f, &f->n_calls, 1);

        run_until(f, &f->n_questions, 4); /* the TTL ran out, the answer is the same */
        f->a[1] = "10.0.0.2";
        run_until(f, &f->n_questions, 6);
        run_until(f, &f->n_calls, 2);
        assert_string_equal(f->addresses, "::ffff:10.0.0.1 ::ffff:10.0.0.2 ");
        assert_int_equal(f->n_calls, 2);
}

static void test_failure_keeps_addresses(void **state) {
        Fixture *f = *state;

        f->ttl = 1;
        f->a[0] = "10.0.0.1";
        assert_return_code(resolver_watch(f->resolver, "db.test"), errno);
        run_until(f, &f->n_calls, 1);

        f->rcode = 2; /* SERVFAIL */
        run_until(f, &f->n_calls, 2);
        assert_string_equal(f->addresses, "::ffff:10.0.0.1 ");
        assert_non_null(f->error);

        f->rcode = 0;
        run_until(f, &f->n_calls, 3);
        assert_string_equal(f->addresses, "::ffff:10.0.0.1 ");
        assert_null(f->error);
}

static void test_unknown_name(void **state) {
        Fixture *f = *state;
        const struct in6_addr *addresses;

        f->rcode = 3; /* NXDOMAIN */
        assert_return_code(resolver_watch(f->resolver, "nowhere.test"), errno);
        run_until(f, &f->n_calls, 1);
        assert_string_equal(f->addresses, "");
        assert_string_equal(f->error, "Domain name not found");
        assert_int_equal(resolver_lookup(f->resolver, "nowhere.test", &addresses), 0);
}

static void test_silent_server(void **state) {
        Fixture *f = *state;

        f->silent = true;
        f->a[0] = "10.0.0.1";
        assert_return_code(resolver_watch(f->resolver, "db.test"), errno);
        run_until(f, &f->n_calls, 1);
        assert_string_equal(f->error, "Timeout while contacting DNS servers");

        f->silent = false;
        run_until(f, &f->n_calls, 2);
        assert_null(f->error);
        assert_string_equal(f->addresses, "::ffff:10.0.0.1 ");
}

static void test_hosts_file_goes_first(void **state) {
        Fixture *f = *state;

        assert_return_code(resolver_watch(f->resolver, "listed.test"), errno);
        run_until(f, &f->n_calls, 1);
        assert_string_equal(f->addresses, "::ffff:10.9.9.9 ");
        assert_int_equal(f->n_questions, 0);
}

static void test_watches_are_counted(void **state) {
        Fixture *f = *state;
        const struct in6_addr *addresses;

        f->a[0] = "10.0.0.1";
        assert_return_code(resolver_watch(f->resolver, "db.test"), errno);
        assert_return_code(resolver_watch(f->resolver, "db.test"), errno);
        run_until(f, &f->n_calls, 1);
        resolver_unwatch(f->resolver, "db.test");
        assert_int_equal(resolver_lookup(f->resolver, "db.test", &addresses), 1);
        resolver_unwatch(f->resolver, "db.test");
        assert_int_equal(resolver_lookup(f->resolver, "db.test", &addresses), 0);
}

/* The answer to a question that nobody waits for any more must not reach anybody. */
static void test_unwatch_while_asking(void **state) {
        Fixture *f = *state;

        f->silent = true;
        assert_return_code(resolver_watch(f->resolver, "gone.test"), errno);
        run_until(f, &f->n_questions, 1);
        resolver_unwatch(f->resolver, "gone.test");

        f->silent = false;
        f->a[0] = "10.0.0.1";
        assert_return_code(resolver_watch(f->resolver, "gone.test"), errno);
        run_until(f, &f->n_calls, 1);
        assert_string_equal(f->addresses, "::ffff:10.0.0.1 ");
        assert_null(f->error);
}

static void test_unwatch_from_handler(void **state) {
        Fixture *f = *state;
        const struct in6_addr *addresses;

        f->unwatch = true;
        f->a[0] = "10.0.0.1";
        assert_return_code(resolver_watch(f->resolver, "db.test"), errno);
        assert_return_code(resolver_watch(f->resolver, "listed.test"), errno);
        run_until(f, &f->n_calls, 2);
        assert_int_equal(resolver_lookup(f->resolver, "db.test", &addresses), 0);
        assert_int_equal(resolver_lookup(f->resolver, "listed.test", &addresses), 0);
}

static void test_free_while_asking(void **state) {
        Fixture *f = *state;

        f->silent = true;
        assert_return_code(resolver_watch(f->resolver, "kept.test"), errno);
        assert_return_code(resolver_watch(f->resolver, "gone.test"), errno);
        run_until(f, &f->n_questions, 4);
        resolver_unwatch(f->resolver, "gone.test");
        f->resolver = resolver_free(f->resolver);
        assert_int_equal(f->n_calls, 0);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)
        const struct CMUnitTest tests[] = {
                TEST(sorted_without_repeats),
                TEST(asks_again_and_tells_changes_only),
                TEST(failure_keeps_addresses),
                TEST(unknown_name),
                TEST(silent_server),
                TEST(hosts_file_goes_first),
                TEST(watches_are_counted),
                TEST(unwatch_while_asking),
                TEST(unwatch_from_handler),
                TEST(free_while_asking),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
