/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "slice-fixture.h"

#include "abi/abi-connection.h"
#include "engine/engine-downstream.h"
#include "slicemesh.skel.h"

/*
 * The programs of the fast path on real sockets, each by itself: the test plays whoever else takes part, on
 * the same memory.
 */

#define FAST_SLOTS 8  /* of each kind, the unused index 0 included */
#define FAST_CELLS 32 /* of the policy */
#define FAST_MAP_SOCKETS 4

/* Which programs are loaded; all else is left out. */
typedef struct FastPrograms {
        bool caller, server, enrol, relay, release, accepted, sent;
} FastPrograms;

typedef struct FastFixture {
        SliceFixture place;
        char home[128], relay[128]; /* cgroups: where this process was, and one for the relay's sockets */
        struct slicemesh_bpf *bpf;
        struct sm_tables tables;
        struct sm_path_counters *service_paths, *slice_paths;
        struct sm_fast_control *control;
        struct sm_cell *cells;
        struct sm_service *services;
} FastFixture;

/* As slice_fixture_enter(); loads the programs too. */
int fast_fixture_enter(FastFixture *f, const FastPrograms *programs, const char **ret_why);
void fast_fixture_leave(FastFixture *f);

/* All shared memory as it is at first. */
void fast_fixture_reset(FastFixture *f);

/* Puts a program on every socket that is in a map, or comes into it. */
void fast_attach(const struct bpf_map *map, const struct bpf_program *program);

/* sm_relay_sock_ops, and what the kernel has of the hooks at the end of a send(). */
void fast_attach_relay(FastFixture *f);
void fast_attach_release(FastFixture *f); /* to the slice */
void fast_attach_sent(FastFixture *f);

/* A TCP connection: `near` has opened it, `far` was accepted. */
typedef struct Connection {
        int near, far;
        struct sm_server_key key; /* of `far` */
} Connection;

/* `near` belongs to the cgroup of the relay, `far` to `cgroup`; NULL: to none that is managed. */
Connection connection_new(FastFixture *f, const char *address, const char *cgroup, int accept_flags);
void connection_close(Connection *c);

/* Adds a socket to a SOCKHASH, or sets its storage. 0 or negative errno. */
int socket_put(const struct bpf_map *map, const void *key, int fd);
int storage_set(const struct bpf_map *map, int fd, const void *value);

/* Within five seconds. */
void await_readable(int fd);
void read_exactly(int fd, void *buffer, size_t size);
void send_exactly(int fd, const void *buffer, size_t size);

/* A slot of connection 1 in the named state, with the downstream of the same index where there is one;
 * returns its word. */
__u64 slot_make(FastFixture *f, __u32 slot, enum sm_slot_state state, __u32 remaining);
void assert_slot_becomes(FastFixture *f, __u32 slot, enum sm_slot_state state);
