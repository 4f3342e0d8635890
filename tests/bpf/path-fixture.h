/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "fast-fixture.h"

/*
 * A caller's connection to the relay and the relay's to a server, with all the programs on the way: one
 * service of one route to a subset of one endpoint.
 */

#define SLOT 1
#define DOWNSTREAM 2
#define ENDPOINT 3
#define SERVICE 4
#define SLICE 5
#define ROUTE_STATE 6
#define SUBSET_STATE 1

/* Cells of the policy; index 0 is none. */
enum { POLICY = 1, SUBSET, ROUTE, SPLIT, SLOTS };

#define GET "GET /a HTTP/1.1\r\nHost: shop\r\n\r\n"
#define POST_HEAD "POST /a HTTP/1.1\r\nHost: shop\r\nContent-Length: 5\r\n\r\n"
#define POST POST_HEAD "hello"
#define CHUNKED "POST /a HTTP/1.1\r\nHost: shop\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
#define OK "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nanswer"

typedef struct Path {
        Connection caller, server;
} Path;

extern FastFixture fixture;

/* As fast_fixture_enter(), with the programs attached. */
int path_fixture_enter(const char **ret_why);

/* All shared memory as it is at first; `local`: the server is enrolled. */
Path path_start(bool local);
void path_end(Path *p);

/* From the caller to the server and back, and nobody else has seen it. */
void path_exchange(const Path *p, const char *request, const char *response);

struct sm_slot *path_slot(void);
struct sm_downstream *path_downstream(void);

void send_text(int fd, const char *text);
void assert_reads(int fd, const char *text);
void assert_nothing_to_read(int fd);
