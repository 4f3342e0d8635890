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
int parse_split_by(Walker *w, const SchemaKey *key, const PolicyNode *n, void *object);
int parse_adjust_routes(Walker *w, const SchemaKey *key, const PolicyNode *n, void *object);

/* policy-parse-match.c; `object` is a PolicyMatch of MATCH_KEYS that is added to, of the first the route */
int parse_match(Walker *w, const SchemaKey *key, const PolicyNode *n, void *object);
int parse_match_host(Walker *w, const SchemaKey *key, const PolicyNode *n, void *object);
int parse_match_method(Walker *w, const SchemaKey *key, const PolicyNode *n, void *object);
int parse_match_callers(Walker *w, const SchemaKey *key, const PolicyNode *n, void *object);
int parse_match_source(Walker *w, const SchemaKey *key, const PolicyNode *n, void *object);
int parse_match_fraction(Walker *w, const SchemaKey *key, const PolicyNode *n, void *object);
int parse_match_all(Walker *w, const SchemaKey *key, const PolicyNode *n, void *object);
int parse_match_any(Walker *w, const SchemaKey *key, const PolicyNode *n, void *object);
int parse_match_not(Walker *w, const SchemaKey *key, const PolicyNode *n, void *object);
int parse_caller_slice_key(Walker *w, const SchemaKey *key, const PolicyNode *n, void *object);
int parse_caller_unit_key(Walker *w, const SchemaKey *key, const PolicyNode *n, void *object);
int parse_caller_user_key(Walker *w, const SchemaKey *key, const PolicyNode *n, void *object);

/* policy-parse-value.c; of body keys `object` is a BodyTarget, of forms of a value one of its own */
typedef struct BodyTarget {
        PolicyMatch *parent;
        uint64_t first; /* bytes */
} BodyTarget;

int parse_match_path(Walker *w, const SchemaKey *key, const PolicyNode *n, void *object);
int parse_match_headers(Walker *w, const SchemaKey *key, const PolicyNode *n, void *object);
int parse_match_cookies(Walker *w, const SchemaKey *key, const PolicyNode *n, void *object);
int parse_match_query(Walker *w, const SchemaKey *key, const PolicyNode *n, void *object);
int parse_match_body(Walker *w, const SchemaKey *key, const PolicyNode *n, void *object);
int parse_body_json(Walker *w, const SchemaKey *key, const PolicyNode *n, void *object);
int parse_body_form(Walker *w, const SchemaKey *key, const PolicyNode *n, void *object);
int parse_body_contains(Walker *w, const SchemaKey *key, const PolicyNode *n, void *object);
int parse_value_exact(Walker *w, const SchemaKey *key, const PolicyNode *n, void *object);
int parse_value_prefix(Walker *w, const SchemaKey *key, const PolicyNode *n, void *object);
int parse_value_suffix(Walker *w, const SchemaKey *key, const PolicyNode *n, void *object);
int parse_value_regex(Walker *w, const SchemaKey *key, const PolicyNode *n, void *object);
int parse_value_present(Walker *w, const SchemaKey *key, const PolicyNode *n, void *object);
int parse_value_range(Walker *w, const SchemaKey *key, const PolicyNode *n, void *object);

/* policy-parse-action.c; `object` is a PolicyRoute, PolicyActions, PolicyAnswer or PolicyEdits */
int parse_rewrite(Walker *w, const SchemaKey *key, const PolicyNode *n, void *object);
int parse_request_headers(Walker *w, const SchemaKey *key, const PolicyNode *n, void *object);
int parse_response_headers(Walker *w, const SchemaKey *key, const PolicyNode *n, void *object);
int parse_edits_add(Walker *w, const SchemaKey *key, const PolicyNode *n, void *object);
int parse_edits_set(Walker *w, const SchemaKey *key, const PolicyNode *n, void *object);
int parse_edits_remove(Walker *w, const SchemaKey *key, const PolicyNode *n, void *object);
int parse_redirect(Walker *w, const SchemaKey *key, const PolicyNode *n, void *object);
int parse_respond(Walker *w, const SchemaKey *key, const PolicyNode *n, void *object);
int parse_mirror(Walker *w, const SchemaKey *key, const PolicyNode *n, void *object);
int parse_fault(Walker *w, const SchemaKey *key, const PolicyNode *n, void *object);
int parse_fraction(Walker *w, const SchemaKey *key, const PolicyNode *n, void *object);
int parse_text(Walker *w, const SchemaKey *key, const PolicyNode *n, void *object);
int parse_content_type(Walker *w, const SchemaKey *key, const PolicyNode *n, void *object);
int parse_new_prefix(Walker *w, const SchemaKey *key, const PolicyNode *n, void *object);
int parse_new_host(Walker *w, const SchemaKey *key, const PolicyNode *n, void *object);
int parse_redirect_url(Walker *w, const SchemaKey *key, const PolicyNode *n, void *object);
int parse_redirect_scheme(Walker *w, const SchemaKey *key, const PolicyNode *n, void *object);
int parse_redirect_status(Walker *w, const SchemaKey *key, const PolicyNode *n, void *object);
int parse_answer_headers(Walker *w, const SchemaKey *key, const PolicyNode *n, void *object);
int parse_mirror_to(Walker *w, const SchemaKey *key, const PolicyNode *n, void *object);
int parse_adjust_mirror(Walker *w, const SchemaKey *key, const PolicyNode *n, void *object);
int parse_fault_delay(Walker *w, const SchemaKey *key, const PolicyNode *n, void *object);
int parse_fault_abort(Walker *w, const SchemaKey *key, const PolicyNode *n, void *object);

/* What these files share. The first four: 1 = it is one, 0 = an error was noted. */
int walk_slice(Walker *w, const PolicyNode *n);
int walk_fraction(Walker *w, const PolicyNode *n, unsigned *ret); /* of POLICY_WHOLE */
int walk_subset(Walker *w, const char *name, const PolicyOrigin *origin, size_t *ret);
bool host_is_valid(const char *s); /* also [fd00::1] */
bool path_is_valid(const char *s); /* or a part of one */
bool field_value_is_valid(const char *s);

int check_changes(Walker *w, const PolicyRoute *route); /* that they are not too much */

/* A leaf that is like `like` but for what is given; `text` and the name are copied. */
int match_add_leaf(PolicyMatch *parent, const PolicyNode *n, const PolicyMatch *like,
                   enum sm_predicate_op op, const char *text);

/* One value, or a list of which any will do. */
typedef int (*ParseMatchValue)(Walker *w, const PolicyNode *n, const PolicyMatch *like, PolicyMatch *parent);
int match_parse_values(Walker *w, const PolicyNode *n, const PolicyMatch *like, ParseMatchValue parse,
                       PolicyMatch *parent);
