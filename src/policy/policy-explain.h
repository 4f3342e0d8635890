/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "../engine/engine-access.h"
#include "policy-fast.h"
#include "policy.h"

/*
 * Why a request would go where it goes: the engine's own decision over compiled tables, told step by
 * step. Used by slicemeshd on the live tables and by slicemeshctl on tables it compiled itself. Nothing in
 * the tables is changed, not even a cursor: whose turn it is next is for the next real request.
 */

typedef struct ExplainRequest {
        const char *method;  /* "GET" */
        const char *host;    /* Host, with port if it has one */
        const char *target;  /* "/v2/x?y" */
        const char **fields; /* "name: value", NULL-terminated, or NULL */
        const char *slice;   /* caller, or NULL */
        struct in6_addr source;
        /* Whether an endpoint is on this host; NULL: nobody knows but of loopback addresses. */
        bool (*is_own)(const struct in6_addr *address);
} ExplainRequest;

typedef struct ExplainRoute {
        char *name;
        char *origin; /* "file:line" */
        bool matched;
        char *why; /* the first predicate that failed: "the path is not below /v2" */
} ExplainRoute;

typedef enum ExplainPlace {
        PLACE_UNKNOWN,
        PLACE_HERE, /* on this host */
        PLACE_ELSEWHERE,
} ExplainPlace;

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
        const char *balance;
        char *hash; /* "source", "header x-user", "cookie sid"; NULL if the subset does not go by one */
        ExplainCandidate *candidates;
        size_t n_candidates;
        uint32_t picked; /* endpoint that the hash leads to; 0: that is for the moment to decide */
} ExplainSubset;

typedef struct Explanation {
        char *service;
        ExplainRoute *routes; /* those tried, in order */
        size_t n_routes;
        ssize_t route; /* index of the match, -1 = none */
        ExplainSubset *subsets;
        size_t n_subsets;
        enum sm_reason reason; /* of the local reply, SM_REASON_NONE if it is forwarded */
        bool is_http;
        enum sm_slow slow; /* of http: why the relay has such a request in any case; SM_SLOW_NONE if not */
        FastLimit limits[_FAST_LIMIT_MAX]; /* what else keeps requests like this one from the fast path */
        size_t n_limits;
} Explanation;

Explanation *explanation_free(Explanation *e);

/* -ENOENT if no such service is in force; a request that cannot be served is an explanation. */
int policy_explain(const struct sm_tables *t, uint32_t service, const ExplainRequest *q, Explanation **ret);

/* JSON text of it, as docs/policy.md describes; the wire form of the bus method Explain. */
int explanation_to_json(const Explanation *e, char **ret);
