/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <linux/types.h>

#include "abi-limits.h"
#include "abi-trace.h"

/*
 * What slicemeshd and the relay say to each other, over one connected SOCK_SEQPACKET Unix socket. One
 * datagram is one message: a struct sm_link_header, then the struct named beside its type, nothing more.
 * Descriptors travel by SCM_RIGHTS with the message that names them. A message of unknown type, wrong
 * size, wrong number of descriptors or out of turn ends the connection; slicemeshd then connects anew.
 *
 * slicemeshd connects, the relay answers on a socket that systemd holds (slicemesh-relay.socket), so that
 * either side may be restarted without the other. Traffic goes on under the tables that the relay has.
 *
 *   slicemeshd                               relay
 *   HELLO                    ->
 *                            <-              HELLO        (versions must be equal)
 *   TABLES + descriptors     ->
 *   LISTENER + descriptor    ->              once for each listener
 *   START                    ->
 *                            <-              STARTED
 *   PING                     ->              any time after START; also LISTENER, STOP
 *                            <-              PONG
 *                            <-              EVENT        any time after STARTED; also TRACE
 *   STOP                     ->              finish what is in flight, then exit
 */
enum sm_link_type {
        SM_LINK_HELLO = 1, /* both ways: struct sm_link_hello */
        /* slicemeshd to relay */
        SM_LINK_TABLES = 16, /* struct sm_link_tables + _SM_TABLE_MAX descriptors, by enum sm_table */
        SM_LINK_LISTENER,    /* struct sm_link_listener + 1 descriptor */
        SM_LINK_START,       /* nothing */
        SM_LINK_PING,        /* struct sm_link_ping */
        SM_LINK_STOP,        /* struct sm_link_stop */
        /* relay to slicemeshd */
        SM_LINK_STARTED = 32, /* nothing */
        SM_LINK_PONG,         /* struct sm_link_pong */
        SM_LINK_EVENT,        /* struct sm_link_event */
        SM_LINK_TRACE,        /* struct sm_link_trace */
};

/* Descriptors of SM_LINK_TABLES, in this order. Those before _SM_TABLE_MAPPED_MAX are mapped, read-write
 * where the comments of abi-state.h, abi-slot.h and abi-downstream.h let the relay write, else read-only. */
enum sm_table {
        SM_TABLE_CELLS,
        SM_TABLE_SERVICES,
        SM_TABLE_ENDPOINTS,
        SM_TABLE_ENDPOINT_STATES,
        SM_TABLE_SUBSET_STATES,
        SM_TABLE_ROUTE_STATES,
        SM_TABLE_SERVICE_COUNTERS,
        SM_TABLE_SERVICE_PATHS,
        SM_TABLE_SLICE_PATHS,
        SM_TABLE_FAST_CONTROL,
        SM_TABLE_SLOTS,
        SM_TABLE_DOWNSTREAMS,
        SM_TABLE_IDLE_SLOTS,
        SM_TABLE_FREE_DOWNSTREAMS,
        SM_TABLE_REQUESTS,
        _SM_TABLE_MAPPED_MAX,
        /* used by bpf(2): */
        SM_TABLE_CALLERS = _SM_TABLE_MAPPED_MAX, /* looked up and deleted from */
        SM_TABLE_RELAY_CONTEXTS,   /* sk_storage of U and A: struct sm_relay_context */
        SM_TABLE_UPSTREAM_SOCKETS, /* SOCKHASH of U by __u32 slot */
        SM_TABLE_ACCEPTED_SOCKETS, /* SOCKHASH of A by __u32 downstream */
        SM_TABLE_ENROL,            /* no table but a program, see struct sm_enrolment */
        _SM_TABLE_MAX,
};

struct sm_link_header {
        __u32 type; /* enum sm_link_type */
        __u32 size; /* of what follows */
};

struct sm_link_hello {
        __u32 abi_version; /* SM_ABI_VERSION */
        __u32 pid;
};

struct sm_link_tables {
        __u32 entries[_SM_TABLE_MAX]; /* of each array */
        __u32 max_connections;        /* callers' connections at once; more are refused as overloaded */
        __u32 buffer_bytes;           /* one direction of one exchange */
        __u32 head_bytes;             /* longest head, at most SM_HEAD_MAX */
        __u32 drain_ms;               /* after STOP */
};

struct sm_link_listener {
        __u32 worker; /* 0 ... SM_WORKERS_MAX - 1; the relay starts as many workers as it was named */
        __u32 family; /* AF_INET or AF_INET6 */
};

struct sm_link_ping {
        __u64 cookie; /* returned in the pong */
        __u64 epoch;  /* extents retired before this epoch are reused once every worker has passed it */
};

struct sm_link_stop {
        __u32 drain_ms;
        __u32 _pad;
};

struct sm_link_pong {
        __u64 cookie;
        __u64 epoch;       /* lowest that a worker may still be reading under */
        __u32 connections; /* of callers */
        __u32 upstreams;
        __u64 memory; /* bytes in buffers */
};

enum sm_event {
        SM_EVENT_ENDPOINT_AVOIDED = 1, /* endpoint: its last connections failed, detail = errno */
        SM_EVENT_ENDPOINT_BACK,        /* endpoint: a connection succeeded again */
};

struct sm_link_event {
        __u32 event; /* enum sm_event */
        __u32 service;
        __u32 endpoint;
        __s32 detail;
};
