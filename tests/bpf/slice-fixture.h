/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * A place of its own for a test of the BPF programs: a network namespace with only loopback, a bpffs, a
 * cgroup for the slice; and processes in that cgroup which connect.
 */
typedef struct SliceFixture {
        char bpffs[32];
        char cgroup[96];
        uint64_t cgroup_id;
} SliceFixture;

/* 1 = ready, 0 = not possible here, for the reason in *ret_why. */
int slice_fixture_enter(SliceFixture *f, const char **ret_why);
void slice_fixture_leave(SliceFixture *f);

/* A cgroup of its own below the slice's, or beside it. */
int slice_cgroup_make(const char *path, uint64_t *ret_id);

typedef enum ClientTwist {
        TWIST_NONE,
        TWIST_NONBLOCK,
        TWIST_FOREIGN_NETNS,
        TWIST_DATAGRAM,
        TWIST_DISCONNECT_FIRST, /* connects to `first`, dissolves that, then connects the same socket anew */
} ClientTwist;

typedef struct Client {
        int family; /* AF_INET6 with an IPv4 address: mapped */
        const char *address;
        uint16_t port;
        ClientTwist twist;
        const char *first;
        const char *cgroup; /* NULL: that of the slice */
        bool outside;       /* in no slice */
} Client;

/* What came of it. The process keeps its connection until client_end(). */
typedef struct ClientResult {
        int error; /* of connect(2), 0 or errno */
        char peer[INET6_ADDRSTRLEN];
        uint16_t peer_port;
        struct sockaddr_storage local;
        pid_t pid;
} ClientResult;

void client_run(const SliceFixture *f, const Client *c, ClientResult *ret);
void client_end(ClientResult *r);

int listen_on(const char *address, uint16_t port);
/* The address as 16 bytes, IPv4 mapped. */
void parse_address(const char *text, uint8_t ret[static 16]);
