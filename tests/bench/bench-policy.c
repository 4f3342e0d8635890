/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../src/basic/cleanup.h"
#include "../../src/basic/macro.h"
#include "../../src/basic/time-util.h"
#include "../../src/daemon/daemon-bpf.h"
#include "../../src/daemon/daemon-reload.h"
#include "../../src/daemon/daemon-service.h"
#include "../../src/daemon/daemon-tables.h"
#include "../../src/engine/engine-parse.h"
#include "../../src/engine/engine-route.h"
#include "../../src/policy/test-policy-bind.h"

/*
 * usage: bench-policy SERVICES ROUTES
 *
 * What a policy of that size costs: read from a file for each service, compiled, and put in force as
 * slicemeshd does it, but with tables in memory of its own, and without the bus and the programs' table of
 * addresses. One JSON object goes to standard output: seconds on the clock and of CPUs, for requests
 * nanoseconds.
 */

enum { PICKS = 200000 };

typedef struct Bench {
        char root[32];
        size_t n_services, n_routes;
        Manager *manager;
} Bench;

typedef struct Watch {
        double wall, cpu;
} Watch;

int bpf_vips_set(BpfPrograms *b, BpfVip *vips, size_t n) {
        return 0;
}

static void require(bool condition, const char *what) {
        if (condition)
                return;
        fprintf(stderr, "bench-policy: %s failed: %s\n", what, strerror(errno));
        exit(EXIT_FAILURE);
}

static Watch watch_start(void) {
        struct rusage u;

        require(getrusage(RUSAGE_SELF, &u) == 0, "getrusage()");
        return (Watch) {
                .wall = (double) now_nsec() / 1e9,
                .cpu = (double) (u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
                       (double) (u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6,
        };
}

static void watch_print(const char *name, const Watch *start) {
        const Watch end = watch_start();

        printf("\"%s\": {\"wall\": %.4f, \"cpu\": %.4f}, ", name, end.wall - start->wall,
               end.cpu - start->cpu);
}

static FILE *create(const Bench *b, const char *name) {
        _cleanup_free_ char *path = NULL;
        FILE *f;

        require(asprintf(&path, "%s/%s", b->root, name) >= 0, "asprintf()");
        f = fopen(path, "we");
        require(f, path);
        return f;
}

static void write_service(const Bench *b, size_t i, unsigned weight) {
        const size_t net = i / 200, host = i % 200 + 1;
        char name[64];
        FILE *f;

        (void) snprintf(name, sizeof(name), "etc/slicemesh/services/service-%05zu.yaml", i);
        f = create(b, name);
        fprintf(f, "service: service-%05zu\nport: 80\nsubsets:\n"
                "  stable: {endpoints: [\"10.1.%zu.%zu:80\", {address: \"10.2.%zu.%zu:80\", weight: %u}]}\n"
                "  canary: {endpoints: [\"10.3.%zu.%zu:8080\", \"10.4.%zu.%zu:8080\"]}\nroutes:\n", i, net,
                host, net, host, weight, net, host, net, host);
        for (size_t j = 0; j + 1 < b->n_routes; j++)
                fprintf(f, "  - name: route-%zu\n    match: {path: {prefix: /api/v%zu}}\n    to: %s\n", j, j,
                        j % 10 == 9 ? "canary" : "stable");
        fprintf(f, "  - name: default\n    split: {stable: 95, canary: 5}\n");
        require(fclose(f) == 0, name);
}

static void write_policy(Bench *b) {
        static const char *const directories[] = {
                "etc", "etc/slicemesh", "etc/slicemesh/services", "var", "var/lib", "var/lib/slicemesh",
        };
        FILE *f;

        strcpy(b->root, "/tmp/bench-policy-XXXXXX");
        require(mkdtemp(b->root), "mkdtemp()");
        for (size_t i = 0; i < ELEMENTSOF(directories); i++) {
                char path[96];

                (void) snprintf(path, sizeof(path), "%s/%s", b->root, directories[i]);
                require(mkdir(path, 0755) == 0, path);
        }
        f = create(b, "etc/slicemesh/mesh.yaml");
        fprintf(f, "caps: {services: 100000, endpoints: 1000000, subsets: 1000000, routes: 4000000}\n");
        require(fclose(f) == 0, "mesh.yaml");
        for (size_t i = 0; i < b->n_services; i++)
                write_service(b, i, 1);
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw) {
        return remove(path);
}

/* Room for the policy, and while some of it changes. */
static void make_manager(Bench *b) {
        const uint32_t n = (uint32_t) b->n_services, routes = (uint32_t) b->n_routes;
        uint32_t entries[_SM_TABLE_MAX];
        int fds[_SM_TABLE_MAX];
        sd_event *event;
        char path[96];

        for (size_t i = 0; i < _SM_TABLE_MAX; i++) {
                entries[i] = n * MAX(routes, 8u) + 64;
                if (i == SM_TABLE_CELLS)
                        entries[i] = (n + n / 8 + 1) * (8 * routes + 64);
                fds[i] = memfd_create("table", MFD_CLOEXEC);
                require(fds[i] >= 0 && ftruncate(fds[i], (off_t) entries[i] * 1024) == 0, "memfd_create()");
        }
        require(sd_event_new(&event) >= 0 && manager_new(event, b->root, &b->manager) >= 0, "manager_new()");
        require(tables_new(fds, entries, &b->manager->tables) >= 0, "tables_new()");
        (void) snprintf(path, sizeof(path), "%s/addresses", b->manager->state_directory);
        require(vip_register_load(path, &b->manager->vips, NULL) >= 0, "vip_register_load()");
}

static void measure_compile(const Policy *p) {
        const Watch start = watch_start();

        for (size_t i = 0; i < p->n_services; i++) {
                TestBinding binding = test_bind(p->services[i]);
                PolicyExtent extent = {};

                require(policy_compile(p->services[i], &binding.binding, &extent) >= 0, "policy_compile()");
                policy_extent_done(&extent);
                test_binding_done(&binding);
        }
        watch_print("compile", &start);
}

static void measure_policy(Bench *b) {
        Watch start = watch_start();

        require(manager_load_policy(b->manager) >= 0, "manager_load_policy()");
        watch_print("load", &start);
        require(b->manager->policy->n_errors == 0, "the policy");
        measure_compile(b->manager->policy);
        start = watch_start();
        require(manager_apply(b->manager) >= 0, "manager_apply()");
        watch_print("apply", &start);
        require(hashmap_size(b->manager->services) == b->n_services, "applying all services");
        b->manager->started = *b->manager->mesh;
}

/* One of them gets another weight. */
static void measure_reload(Bench *b) {
        size_t position = 0, n = 0;
        Watch start;
        Service *s;

        write_service(b, b->n_services / 2, 2);
        start = watch_start();
        require(manager_reload(b->manager) >= 0, "manager_reload()");
        watch_print("reload", &start);
        while ((s = hashmap_next(b->manager->services, &position)))
                n += s->revision != 1;
        require(n == 1, "committing one service only");
}

/* Of one service, or of each in turn. Nanoseconds of this thread for each request. */
static double time_picks(const Bench *b, const char *target, bool each) {
        const struct sm_tables *t = tables_view(b->manager->tables);
        static const __u8 source[16] = { [10] = 0xff, [11] = 0xff, [12] = 127, [15] = 1 };
        struct sm_head_parser parser;
        struct sm_head head;
        struct sm_work work;
        struct sm_choice choice;
        char text[128];
        const uint64_t now = now_nsec();
        struct timespec start, end;
        int n;

        n = snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: payments\r\n\r\n", target);
        sm_head_start(&parser, &head, SM_HEAD_REQUEST, SM_HEAD_MAX);
        require(sm_head_parse(&parser, &head, (const __u8 *) text, (__u32) n) == n, "sm_head_parse()");
        require(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &start) == 0, "clock_gettime()");
        for (uint32_t i = 0; i < PICKS; i++) {
                const uint32_t service = 1 + (each ? i % (uint32_t) b->n_services : 0);
                const struct sm_request q = { .bytes = (const __u8 *) text, .head = &head, .source = source,
                                              .work = &work, .random = i };

                require(sm_choose_route(t, t->services[service].root, &q, &choice) == SM_REASON_NONE &&
                        sm_choose_subset(t, &choice, &q) == SM_REASON_NONE &&
                        sm_choose_endpoint(t, &choice, &q, now, NULL, 0) == SM_REASON_NONE, "choosing");
        }
        require(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &end) == 0, "clock_gettime()");
        return ((double) (end.tv_sec - start.tv_sec) * 1e9 + (double) (end.tv_nsec - start.tv_nsec)) / PICKS;
}

static void measure_requests(const Bench *b) {
        char target[64];

        printf("\"request\": %.1f, ", time_picks(b, "/api/v0", false));
        printf("\"request-each\": %.1f, \"passed-over\": {", time_picks(b, "/api/v0", true));
        for (size_t i = 1; i < b->n_routes; i *= 3) {
                (void) snprintf(target, sizeof(target), "/api/v%zu", i);
                printf("%s\"%zu\": %.1f", i > 1 ? ", " : "", i, time_picks(b, target, false));
        }
        printf("}, ");
}

int main(int argc, char **argv) {
        struct rusage usage;
        Bench b = {};

        require(argc == 3, "usage: bench-policy SERVICES ROUTES");
        b.n_services = strtoul(argv[1], NULL, 10);
        b.n_routes = strtoul(argv[2], NULL, 10);
        printf("{\"services\": %zu, \"routes\": %zu, ", b.n_services, b.n_routes);
        write_policy(&b);
        make_manager(&b);
        measure_policy(&b);
        measure_requests(&b);
        measure_reload(&b);
        require(getrusage(RUSAGE_SELF, &usage) == 0, "getrusage()");
        printf("\"peak-mib\": %ld}\n", usage.ru_maxrss / 1024);
        fflush(stdout);
        (void) nftw(b.root, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
        _exit(EXIT_SUCCESS); /* nothing is to be saved of it */
}
