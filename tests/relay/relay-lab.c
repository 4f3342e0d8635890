/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../src/basic/cleanup.h"
#include "../../src/basic/parse-util.h"
#include "relay-lab.h"

#define EXIT_SKIPPED 77 /* of a test, as meson understands it */

static int setup(Lab *l) {
        int r;

        r = lab_maps_create(l->fds, l->tables.entries);
        if (r < 0) {
                fprintf(stderr, "Cannot create BPF maps: %s.\n", strerror(-r));
                return r;
        }
        r = tables_new(l->fds, l->tables.entries, &l->mesh.tables);
        if (r < 0) {
                fprintf(stderr, "Cannot map the tables: %s.\n", strerror(-r));
                return r;
        }
        r = lab_kernel_init(&l->kernel, tables_view(l->mesh.tables), l->fds, l->tables.entries,
                            l->link.workers);
        if (r < 0) {
                fprintf(stderr, "Cannot map the fast path's tables: %s.\n", strerror(-r));
                return r;
        }
        r = lab_mesh_load(&l->mesh);
        if (r < 0) {
                fprintf(stderr, "Cannot load the policy in %s: %s.\n", l->mesh.directory, strerror(-r));
                return r;
        }
        r = lab_link_listen(&l->link);
        if (r < 0) {
                fprintf(stderr, "Cannot listen: %s.\n", strerror(-r));
                return r;
        }
        r = lab_link_connect(&l->link, &l->tables, l->fds);
        if (r < 0)
                fprintf(stderr, "Cannot talk to the relay at %s: %s.\n", l->link.path, strerror(-r));
        return r;
}

static void answer(JsonWriter *w, int r) {
        json_boolean(w, "ok", r >= 0);
        if (r < 0) {
                json_signed(w, "errno", -r);
                json_string(w, "error", strerror(-r));
        }
        json_close(w);
        putchar('\n');
        (void) json_finish(w);
}

/* A JSON object about the lab, then one for each line that is read. */
static void serve(Lab *l) {
        _cleanup_free_ char *line = NULL;
        JsonWriter w = JSON_WRITER(stdout, false);
        size_t allocated = 0;

        json_open_object(&w, NULL);
        json_unsigned(&w, "relay", l->link.relay_pid);
        json_unsigned(&w, "ipv4", l->link.ports[0]);
        json_unsigned(&w, "ipv6", l->link.ports[1]);
        answer(&w, 0);
        while (getline(&line, &allocated, stdin) > 0) {
                json_open_object(&w, NULL);
                answer(&w, lab_run(l, line, &w));
        }
}

/*
 * relay-lab --relay SOCKET --policy DIRECTORY [--workers N]
 *         [--max-connections N] [--drain-ms N] [--buffer-bytes N] [--head-bytes N]
 *
 * Ends at the end of its input. Commands are in relay-lab-verbs.c and relay-lab-kernel.c.
 */
static int parse_argv(int argc, char **argv, Lab *l) {
        enum { ARG_RELAY = 256, ARG_POLICY, ARG_NUMBERS };
        uint32_t *const numbers[] = {
                &l->link.workers,        &l->tables.max_connections, &l->tables.drain_ms,
                &l->tables.buffer_bytes, &l->tables.head_bytes,
        };
        static const struct option options[] = {
                { "relay", required_argument, NULL, ARG_RELAY },
                { "policy", required_argument, NULL, ARG_POLICY },
                { "workers", required_argument, NULL, ARG_NUMBERS },
                { "max-connections", required_argument, NULL, ARG_NUMBERS + 1 },
                { "drain-ms", required_argument, NULL, ARG_NUMBERS + 2 },
                { "buffer-bytes", required_argument, NULL, ARG_NUMBERS + 3 },
                { "head-bytes", required_argument, NULL, ARG_NUMBERS + 4 },
                {}
        };
        int c;

        while ((c = getopt_long(argc, argv, "", options, NULL)) >= 0) {
                uint64_t n;

                if (c == '?' || (c >= ARG_NUMBERS && (parse_unsigned(optarg, &n) < 0 || n > UINT32_MAX)))
                        return -EINVAL;
                if (c == ARG_RELAY)
                        l->link.path = optarg;
                else if (c == ARG_POLICY)
                        l->mesh.directory = optarg;
                else
                        *numbers[c - ARG_NUMBERS] = (uint32_t) n;
        }
        if (!l->link.path || !l->mesh.directory || optind < argc)
                return -EINVAL;
        return l->link.workers > 0 && l->link.workers <= SM_WORKERS_MAX ? 0 : -ERANGE;
}

int main(int argc, char **argv) {
        Lab lab = {
                .link = { .fd = -EBADF, .workers = 1 },
                .tables = { .max_connections = 4096,
                            .buffer_bytes = 32768,
                            .head_bytes = SM_HEAD_MAX,
                            .drain_ms = 5000 },
        };
        int r;

        for (size_t w = 0; w < SM_WORKERS_MAX; w++)
                lab.link.listeners[w][0] = lab.link.listeners[w][1] = -EBADF;
        for (size_t i = 0; i < _SM_TABLE_MAX; i++)
                lab.fds[i] = -EBADF;

        if (parse_argv(argc, argv, &lab) < 0) {
                fprintf(stderr, "Usage: relay-lab --relay SOCKET --policy DIRECTORY [OPTION...]\n");
                return EXIT_FAILURE;
        }
        r = setup(&lab);
        if (r >= 0)
                serve(&lab);
        if (lab.mesh.tables)
                lab_mesh_done(&lab.mesh);
        lab_link_done(&lab.link);
        for (size_t i = 0; i < _SM_TABLE_MAX; i++)
                closep(&lab.fds[i]);
        return r == -EPERM ? EXIT_SKIPPED : r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
