/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "../basic/json-writer.h"
#include "../basic/table.h"
#include "ctl-properties.h"

typedef struct MeshProblems MeshProblems; /* ctl-mesh.h */

/* Which way requests went: the property Paths. Each request counts once. */
typedef struct Paths {
        uint64_t fast;   /* moved by the kernel, both ways */
        uint64_t remote; /* moved by the kernel, answered by way of the relay */
        Counts slow;     /* by the relay, and why */
} Paths;

int read_request_paths(sd_bus_message *m, void *field); /* a{st}: Paths */
void paths_done(Paths *p);

uint64_t paths_taken(const Paths *p); /* of the fast path: fast and remote ones */
uint64_t paths_slow(const Paths *p);

/* How many of the requests took the fast path: a cell; and a row of a table of fields. */
void table_add_fast_share(Table *t, const Paths *p);
void add_paths_field(Table *t, const char *label, const Paths *p);

/* How an endpoint's Answers looks. */
TextStyle answers_style(const char *answers);

/* Why the others did not, in sentences. */
void print_slow_reasons(const Paths *p);
void paths_to_json(const Paths *p, JsonWriter *w, const char *key);

/* What of a policy can never take it, in sentences. */
void print_fast_limits(const MeshProblems *limits);
