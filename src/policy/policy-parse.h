/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "policy-walk.h"

/*
 * The parsers that the schema names for what is more than one value. `object` is the struct that the place's
 * keys are stored in: PolicyMesh, PolicyService, PolicySubset, PolicyEndpoint or PolicyRoute.
 */

/* policy-parse.c */
bool address_is_reachable(const struct in6_addr *a);
int parse_slices(Walker *w, const SchemaKey *key, const PolicyNode *n, void *object); /* char ** at offset */
int parse_vip_range(Walker *w, const SchemaKey *key, const PolicyNode *n, void *object);
int parse_service_address(Walker *w, const SchemaKey *key, const PolicyNode *n, void *object);

/* policy-parse-subset.c */
int parse_subsets(Walker *w, const SchemaKey *key, const PolicyNode *n, void *object);
int parse_shorthand(Walker *w, const SchemaKey *key, const PolicyNode *n, void *object);
int parse_endpoints(Walker *w, const SchemaKey *key, const PolicyNode *n, void *object);
int parse_endpoint_address(Walker *w, const SchemaKey *key, const PolicyNode *n, void *object);
int parse_adjust(Walker *w, const SchemaKey *key, const PolicyNode *n, void *object);
int parse_hash(Walker *w, const SchemaKey *key, const PolicyNode *n, void *object);
int parse_hash_header(Walker *w, const SchemaKey *key, const PolicyNode *n, void *object);
int parse_hash_cookie(Walker *w, const SchemaKey *key, const PolicyNode *n, void *object);

/* policy-parse-route.c */
int parse_routes(Walker *w, const SchemaKey *key, const PolicyNode *n, void *object);
int parse_to(Walker *w, const SchemaKey *key, const PolicyNode *n, void *object);
int parse_split(Walker *w, const SchemaKey *key, const PolicyNode *n, void *object);
int parse_match_host(Walker *w, const SchemaKey *key, const PolicyNode *n, void *object);
int parse_match_path(Walker *w, const SchemaKey *key, const PolicyNode *n, void *object);
int parse_path_exact(Walker *w, const SchemaKey *key, const PolicyNode *n, void *object);
int parse_path_prefix(Walker *w, const SchemaKey *key, const PolicyNode *n, void *object);
