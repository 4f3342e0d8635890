/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "../basic/cleanup.h"
#include "policy.h"

/* What this folder does with the structs of policy.h. */

/* By enum, NULL-terminated. */
extern const char *const protocol_names[];
extern const char *const balance_names[];
extern const char *const endpoint_admin_names[];
extern const char *const accelerate_names[];

PolicyEndpoint *policy_endpoint_free(PolicyEndpoint *e);
PolicySubset *policy_subset_free(PolicySubset *s);
PolicyRoute *policy_route_free(PolicyRoute *r);
PolicyService *policy_service_free(PolicyService *s);

DEFINE_TRIVIAL_CLEANUP(PolicyEndpoint *, policy_endpoint_free)
DEFINE_TRIVIAL_CLEANUP(PolicySubset *, policy_subset_free)
DEFINE_TRIVIAL_CLEANUP(PolicyRoute *, policy_route_free)
DEFINE_TRIVIAL_CLEANUP(PolicyService *, policy_service_free)

/* 0: the same endpoint, whatever it is written like. */
int policy_endpoint_compare(const PolicyEndpoint *a, const PolicyEndpoint *b);

int policy_origin_compare(const PolicyOrigin *a, const PolicyOrigin *b);
