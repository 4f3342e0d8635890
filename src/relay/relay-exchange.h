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

typedef struct Downstream Downstream;
typedef struct Mirror Mirror;
typedef struct Upstream Upstream;
typedef struct Worker Worker;

typedef enum ExchangeState {
        EXCHANGE_READING,    /* the request's head */
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
 * One request and its response. Its parts: relay-exchange.c reads the head and ends it, relay-route.c
 * decides what becomes of it, relay-attempt.c finds a connection, relay-request.c and relay-response.c
 * forward, relay-reply.c answers, relay-tunnel.c does what comes after 101; relay-takeover.c makes one of
 * what the kernel had begun.
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

        uint32_t in_flight; /* endpoint that counts this exchange, 0 = none */
        uint32_t tried[SM_PICK_EXCLUDED_MAX];
        uint32_t n_tried;
        int connect_error;

        Flow request, response;
        bool routed;           /* counted as active */
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

/* What the engine is asked with, with a fresh random number. */
void exchange_fill_request(const Exchange *x, struct sm_request *ret);

/* Gives up the places inside of the policy, but not what was chosen. */
void exchange_release_choice(Exchange *x);

/* Ends its count in flight. */
void exchange_release_endpoint(Exchange *x);

/* relay-attempt.c: EXCHANGE_CONNECTING. attempt_begin() is also what follows a connection that failed. */
Progress attempt_begin(Exchange *x);
Progress attempt_run(Exchange *x);
/* Sends the kept request once more, over a new connection to the same endpoint. */
Progress attempt_again(Exchange *x);

/* relay-route.c. In EXCHANGE_READING, when the head is parsed: decides what becomes of the request, once,
 * and begins with it. */
Progress route_begin(Exchange *x);

/* EXCHANGE_DELAYED */
Progress route_wait(Exchange *x);

/* Matches the route and picks the subset, into x->choice, or does what was chosen before if that is still in
 * force; a reader of the policy from then on. */
enum sm_reason route_choose(Exchange *x);

/* Does what was chosen, but for a delay: without a subset the answer is the route's own. */
Progress route_follow(Exchange *x);
void route_read_policy(Exchange *x, const struct sm_policy *policy);

/* relay-request.c, relay-response.c: EXCHANGE_FORWARDING. */
Progress request_begin(Exchange *x);
int request_write_head(Exchange *x);

Progress request_run(Exchange *x);
Progress response_run(Exchange *x);

/* relay-tunnel.c: EXCHANGE_TUNNELLING. */
Progress tunnel_run(Exchange *x);

/* relay-reply.c: EXCHANGE_REPLYING. Answers for the endpoint, if nothing of its own answer was sent; else
 * the exchange breaks. Counts the reason. */
Progress reply_begin(Exchange *x, enum sm_reason reason);
/* With the answer at that cell of the policy that was chosen from. ANSWERED becomes REDIRECTED if it is a
 * redirect. */
Progress reply_begin_answer(Exchange *x, enum sm_reason reason, __u32 cell);
Progress reply_run(Exchange *x);

/* relay-takeover.c. That it does not go through as an adopted exchange should, of which the first reason
 * counts; and at the end of an adopted one, which way it went. */
void takeover_note(Exchange *x, enum sm_reason reason);
void takeover_count(const Exchange *x);
