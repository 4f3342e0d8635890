/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdio.h>

#include "../basic/cleanup.h"
#include "policy.h"

/* What this folder does with the structs of policy.h. */

/* By enum, NULL-terminated. */
extern const char *const protocol_names[];
extern const char *const balance_names[];
extern const char *const endpoint_admin_names[];
extern const char *const accelerate_names[];
extern const char *const normalize_names[];
extern const char *const encoded_names[];

PolicyEndpoint *policy_endpoint_free(PolicyEndpoint *e);
PolicySubset *policy_subset_free(PolicySubset *s);
PolicyRoute *policy_route_free(PolicyRoute *r);
PolicyAnswer *policy_answer_free(PolicyAnswer *a);
PolicyActions *policy_actions_free(PolicyActions *a);
PolicyService *policy_service_free(PolicyService *s);

DEFINE_TRIVIAL_CLEANUP(PolicyEndpoint *, policy_endpoint_free)
DEFINE_TRIVIAL_CLEANUP(PolicySubset *, policy_subset_free)
DEFINE_TRIVIAL_CLEANUP(PolicyRoute *, policy_route_free)
DEFINE_TRIVIAL_CLEANUP(PolicyService *, policy_service_free)

/* policy-match.c. What is in a match belongs to it; it is itself its owner's. */
void policy_match_done(PolicyMatch *m);
PolicyMatch *policy_match_free(PolicyMatch *m);
int policy_match_add(PolicyMatch *parent, PolicyMatch *child); /* moves it, and leaves {} */
size_t policy_match_count(const PolicyMatch *m);               /* predicates */
bool policy_match_equal(const PolicyMatch *a, const PolicyMatch *b);
/* The first leaf that `wanted` takes, in the order of the file; NULL if there is none. */
const PolicyMatch *policy_match_find(const PolicyMatch *m, bool (*wanted)(const PolicyMatch *leaf));

/* The one path that a rewrite can replace: exact or a prefix, and in every request that matches. */
const PolicyMatch *policy_match_path(const PolicyMatch *m);

/* policy-match-print.c. In braces; `numbers`: users by number. */
void policy_match_print(const PolicyMatch *m, bool numbers, FILE *f);
/* A scalar, quoted if need be. */
void policy_text_print(const char *s, FILE *f);

DEFINE_TRIVIAL_CLEANUP(PolicyAnswer *, policy_answer_free)
DEFINE_TRIVIAL_CLEANUP(PolicyMatch *, policy_match_free)

/* 0: the same endpoint, whatever it is written like. */
int policy_endpoint_compare(const PolicyEndpoint *a, const PolicyEndpoint *b);

int policy_origin_compare(const PolicyOrigin *a, const PolicyOrigin *b);
