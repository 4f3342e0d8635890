/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "../abi/abi-slow.h"
#include "../basic/time-util.h"
#include "../engine/engine-parse.h"
#include "../engine/engine-route.h"
#include "relay-changes.h"
#include "relay-flow.h"
#include "relay-list.h"
#include "relay-tables.h"

struct sm_link_trace;
typedef struct Downstream Downstream;
typedef struct Mirror Mirror;
typedef struct Upstream Upstream;
typedef struct Worker Worker;

typedef enum ExchangeState {
        EXCHANGE_READING,    /* the request's head */
        EXCHANGE_LOOKING,    /* the beginning of its body, by which routes go */
        EXCHANGE_DELAYED,    /* by fault injection */
        EXCHANGE_CONNECTING, /* to an endpoint */
        EXCHANGE_FORWARDING, /* both ways */
        EXCHANGE_REPLYING,   /* the answer is ours */
        EXCHANGE_TUNNELLING, /* bytes of another protocol, both ways */
        _EXCHANGE_STATE_MAX,
} ExchangeState;

/* What a step of an exchange comes to. */
typedef enum Progress {
        EXCHANGE_WAITS,     /* for an event, or its timer */
        EXCHANGE_GOES_ON,   /* at once, in the state it has now */
        EXCHANGE_YIELDS,    /* it could go on, but others are to have their turn */
        /* The exchange is over: */
        EXCHANGE_IS_DONE,   /* the connection can take the next request */
        EXCHANGE_IS_LAST,   /* the answer is out; the connection is to be closed after it */
        EXCHANGE_IS_BROKEN, /* the caller has no answer, or a part of one: it must not look complete */
} Progress;

/*
 * One request and its response. Its parts, which meet in relay-steps.h: relay-exchange.c reads the head and
 * ends it, relay-route.c decides what becomes of it, for which relay-look.c may have to wait for the body,
 * relay-attempt.c finds a connection, relay-request.c and relay-response.c forward, relay-reply.c answers,
 * relay-tunnel.c does what comes after 101; relay-takeover.c makes one of what the kernel had begun.
 */
typedef struct Exchange {
        Worker *worker;
        Downstream *downstream;
        Upstream *upstream; /* NULL: none yet, or no more */
        Buffer *in;         /* what was received from it and is not through; it may be another's by then */
        SharedTables *tables;
        ExchangeState state;
        nsec_t started;
        nsec_t moved;    /* when bytes last went either way */
        nsec_t deadline; /* of the whole exchange, by its route; 0 = none */
        nsec_t resume;   /* when EXCHANGE_DELAYED ends */

        /* Read out of the policy, which may be replaced meanwhile. */
        uint32_t service;
        uint32_t policy_flags; /* enum sm_policy_flags */
        uint32_t connect_timeout_ms, pool_idle_ms;
        uint32_t attempts_left;

        /* Places inside of the policy, valid while in worker->readers: until there is a connection. What is
         * not a place stays, so that the choice can be made again without choosing. */
        List reader_link;
        uint64_t epoch;
        struct sm_choice choice;
        uint32_t revision; /* of its policy */

        Changes *changes; /* what the route changes in heads; NULL: nothing */
        Mirror *mirror;   /* a copy of the request in the making; NULL: none, or no more */

        uint32_t random;      /* for the route, the same whenever it is asked for */
        uint32_t look_wanted; /* bytes of the body's data with which to ask for the route */
        uint64_t look_asked;  /* with so many it was undecided */

        uint32_t in_flight; /* endpoint that counts this exchange, 0 = none */
        uint32_t tried[SM_PICK_EXCLUDED_MAX];
        uint32_t n_tried;
        int connect_error;

        Flow request, response;
        bool routed;           /* counted as active */
        bool looked;           /* what is here of the body is all that routes get to see */
        bool continued;        /* we have sent the 100 that the caller waited for */
        bool upgrade;          /* the endpoint is asked for it */
        bool count_hops;
        bool request_kept;     /* the whole request is still in the buffer, to be sent again */
        bool request_broken;   /* the endpoint takes no more of it */
        bool response_begun;   /* a byte of it came */
        bool response_headed;  /* the final head is parsed */
        bool response_sent;    /* a byte of the final head, or of our own answer, may have left */
        bool endpoint_persists;
        bool close;            /* the caller's connection, after this response */

        /* Of a request that the kernel had taken, and sent to `upstream`. */
        bool adopted;
        enum sm_slow slow; /* why the kernel does not answer it; NONE: it need not */

        struct sm_link_trace *trace; /* relay-trace.h; NULL: it is not traced */

        struct sm_head_parser parser;
        struct sm_head head;          /* of the request */
        struct sm_head response_head;
} Exchange;

/* NULL: no memory. */
Exchange *exchange_new(Downstream *d);

/* The one place where what it holds is given back: its count in flight, connection, buffers, tables. */
void exchange_free(Exchange *x);

/* Goes on until it has to wait or is at its end. */
Progress exchange_run(Exchange *x);

/* Sets the downstream's timer to what is due next. */
void exchange_arm(Exchange *x);

/* Events of the upstream connection and of the downstream's timer. */
void exchange_upstream_ready(Exchange *x);
Progress exchange_expired(Exchange *x, nsec_t now);
