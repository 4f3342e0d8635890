/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "../engine/engine-access.h"
#include "policy-fast.h"
#include "policy.h"

/*
 * Why a request would go where it goes: the engine's own decision over compiled tables, told step by
 * step. Used by slicemeshd on the live tables and by slicemeshctl on tables it compiled itself. Nothing in
 * the tables is changed, not even a cursor: whose turn it is next is for the next real request. Nor are
 * dice thrown: of a route that matches by chance both ways are told.
 */

typedef struct ExplainRequest {
        const char *method;  /* "GET" */
        const char *host;    /* Host, with port if it has one */
        const char *target;  /* "/v2/x?y" */
        const char **fields; /* "name: value", NULL-terminated, or NULL */
        const void *body;    /* all of it, or NULL; Content-Length is added if nothing tells it */
        size_t body_length;
        /* The caller, as far as it is known: NULL is not. */
        const char *slice, *unit, *user;
        const struct in6_addr *source;
        uint32_t slice_id; /* of the innermost managed slice that it is in; 0 = none */
        uint32_t uid;      /* with `user` */
        /* Whether an endpoint is on this host; NULL: nobody knows but of loopback addresses. */
        bool (*is_own)(const struct in6_addr *address);
} ExplainRequest;

#define EXPLAIN_ALWAYS (1ULL << 32) /* chances are of so many requests */

/* A condition of a route that was looked at. */
typedef struct ExplainCondition {
        char *text;      /* in the words of the file: "path: {prefix: /v2}" */
        char *value;     /* what the request has there, NULL = nothing */
        uint64_t chance; /* that it holds: 0, EXPLAIN_ALWAYS, or the dice decide */
        bool decisive;   /* without it the route would not have been decided like that */
} ExplainCondition;

typedef struct ExplainRoute {
        char *name, *origin; /* "file:line" */
        bool matched;    /* whatever the dice say */
        bool shadow;     /* it is counted only */
        uint64_t chance; /* that it matches a request that comes to it */
        char *why;       /* "path: {prefix: /v2} does not hold: it is /v1" */
        ExplainCondition *conditions; /* in the order in which they were looked at */
        size_t n_conditions;
} ExplainRoute;

/* Whether an endpoint is on this host. */
typedef enum ExplainPlace { PLACE_UNKNOWN, PLACE_HERE, PLACE_ELSEWHERE } ExplainPlace;

typedef struct ExplainCandidate {
        uint32_t endpoint;
        char address[INET6_ADDRSTRLEN + 8];
        unsigned share_permille; /* of the subset's schedule; 0: drained, or of weight 0 */
        bool avoided;
        ExplainPlace place;
        uint32_t in_flight;
} ExplainCandidate;

/* A subset of the route's split. */
typedef struct ExplainSubset {
        char *name;
        unsigned share_permille; /* of the split */
        bool chosen;             /* by the request's key */
        const char *balance;
        char *hash; /* "source", "header x-user", "cookie sid"; NULL if the subset does not go by one */
        ExplainCandidate *candidates;
        size_t n_candidates;
        uint32_t picked; /* endpoint that the hash leads to; 0: that is for the moment to decide */
} ExplainSubset;

/* What is done with a request beside going to an endpoint. The texts are stable, the numbers are not. */
#define EXPLAIN_ACTION_LIST(X)                                                     \
        X(RESPOND, "respond")                                                      \
        X(REDIRECT, "redirect")         /* value: Location */                      \
        X(ABORT, "abort")                                                          \
        X(DELAY, "delay")               /* value: a time */                        \
        X(MIRROR, "mirror")             /* value: the subset */                    \
        X(REWRITE_PATH, "rewrite-path") /* value: what the target becomes */       \
        X(REWRITE_HOST, "rewrite-host")                                            \
        X(REQUEST_ADD, "add-request-header") /* value: "name: value" */            \
        X(REQUEST_SET, "set-request-header")                                       \
        X(REQUEST_REMOVE, "remove-request-header")                                 \
        X(RESPONSE_ADD, "add-response-header")                                     \
        X(RESPONSE_SET, "set-response-header")                                     \
        X(RESPONSE_REMOVE, "remove-response-header")

typedef enum ExplainActionKind {
#define EXPLAIN_ACTION_ENUM(id, text) EXPLAIN_##id,
        EXPLAIN_ACTION_LIST(EXPLAIN_ACTION_ENUM)
#undef EXPLAIN_ACTION_ENUM
        _EXPLAIN_ACTION_MAX,
} ExplainActionKind;

typedef struct ExplainAction {
        ExplainActionKind kind;
        unsigned status; /* of an answer; 0 = none */
        char *value;     /* NULL = none */
        uint64_t chance; /* of the route's requests */
} ExplainAction;

/* What becomes of the requests of one route. */
typedef struct ExplainOutcome {
        const char *split; /* "in-turn", "random", "key"; NULL if nothing is split */
        char *split_key;   /* of the last: as ExplainSubset.hash */
        ExplainSubset *subsets;
        size_t n_subsets;
        ExplainAction *actions; /* in the order in which they are done */
        size_t n_actions;
        enum sm_reason reason; /* of the local reply; SM_REASON_NONE: it is forwarded, or answered as told */
        enum sm_slow slow;     /* of http: why the relay has such a request in any case, SM_SLOW_NONE: it
                                * may be fast */
} ExplainOutcome;

/* A route that matches by chance. */
typedef struct ExplainPossible {
        size_t route;    /* index */
        uint64_t chance; /* of all requests like this one */
        ExplainOutcome outcome;
} ExplainPossible;

typedef struct Explanation {
        char *service;
        char *path; /* in normal form, where that is not what came; NULL otherwise */
        ExplainRoute *routes; /* those tried, in order */
        size_t n_routes;
        ssize_t route; /* index of the match, -1 = none */
        ExplainPossible *possible; /* routes before that that may match */
        size_t n_possible;
        ExplainOutcome outcome; /* of `route`, or without one */
        bool is_http;
        const char *slow_sentence; /* instead of the one that outcome.slow has; NULL = that */
        FastLimit limits[_FAST_LIMIT_MAX]; /* what else keeps requests like this one from the fast path */
        size_t n_limits;
} Explanation;

Explanation *explanation_free(Explanation *e);

/* -ENOENT if no such service is in force; a request that cannot be served is an explanation. */
int policy_explain(const struct sm_tables *t, uint32_t service, const ExplainRequest *q, Explanation **ret);

/* Of every request: it is not fast, by `slow` (the sentence is borrowed); the kernel does not answer it. */
void explanation_set_slow(Explanation *e, enum sm_slow slow, const char *sentence);
void explanation_without_answers(Explanation *e);

/* JSON text of it, as docs/policy.md describes; the wire form of the bus method Explain. */
int explanation_to_json(const Explanation *e, char **ret);
