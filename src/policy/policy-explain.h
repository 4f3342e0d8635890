/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "../engine/engine-access.h"
#include "policy.h"

/*
 * Why a request would go where it goes: the engine's own decision over compiled tables, told step by
 * step. Used by slicemeshd on the live tables and by slicemeshctl on tables it compiled itself.
 */

typedef struct ExplainRequest {
        const char *method;  /* "GET" */
        const char *host;    /* Host, with port if it has one */
        const char *target;  /* "/v2/x?y" */
        const char **fields; /* "name: value", NULL-terminated, or NULL */
        const char *slice;   /* caller, or NULL */
        struct in6_addr source;
} ExplainRequest;

typedef struct ExplainRoute {
        const char *name;
        const char *origin; /* "file:line" */
        bool matched;
        const char *why; /* the predicate that failed: "path is not below /v2", or "all of 2 hold" */
} ExplainRoute;

typedef struct ExplainCandidate {
        uint32_t endpoint;
        char address[INET6_ADDRSTRLEN + 8];
        unsigned share_permille; /* of the schedule */
        bool avoided;
        uint32_t in_flight;
} ExplainCandidate;

typedef struct Explanation {
        char *service;
        ExplainRoute *routes; /* those tried, in order */
        size_t n_routes;
        ssize_t route;          /* index of the match, -1 = none */
        char **subsets;         /* of the split, NULL-terminated */
        unsigned *subset_share; /* permille, one for each */
        char *subset;           /* the one whose candidates follow */
        const char *balance;
        ExplainCandidate *candidates;
        size_t n_candidates;
        enum sm_reason reason; /* of the local reply, SM_REASON_NONE if it is forwarded */
} Explanation;

Explanation *explanation_free(Explanation *e);
int policy_explain(const struct sm_tables *t, uint32_t service, const ExplainRequest *q, Explanation **ret);

/* JSON text of it; the wire form of the bus method Explain. */
int explanation_to_json(const Explanation *e, char **ret);
