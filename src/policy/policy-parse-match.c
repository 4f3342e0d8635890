/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <ctype.h>
#include <errno.h>
#include <pwd.h>
#include <stdlib.h>

#include "../basic/parse-util.h"
#include "../basic/string-util.h"
#include "policy-model.h"
#include "policy-parse.h"

/* The keys of a match. `object` is a PolicyMatch of MATCH_KEYS, which each adds to. */

int match_add_leaf(PolicyMatch *parent, const PolicyNode *n, const PolicyMatch *like,
                   enum sm_predicate_op op, const char *text) {
        PolicyMatch leaf = *like;
        int r;

        leaf.join = MATCH_LEAF;
        leaf.op = (uint8_t) op;
        leaf.origin = n->origin;
        leaf.name = leaf.text = NULL;
        r = strdup_to(&leaf.name, like->name);
        if (r >= 0)
                r = strdup_to(&leaf.text, text);
        if (r >= 0)
                r = policy_match_add(parent, &leaf);
        policy_match_done(&leaf);
        return r;
}

/* Adds what was gathered; a list or mapping of one is that one. */
static int add_group(PolicyMatch *parent, PolicyMatch *group) {
        PolicyMatch only;
        int r;

        if (group->n_children != 1)
                return group->n_children == 0 ? 0 : policy_match_add(parent, group);
        only = group->children[0];
        r = policy_match_add(parent, &only);
        if (r >= 0)
                group->n_children = 0;
        return r;
}

int match_parse_values(Walker *w, const PolicyNode *n, const PolicyMatch *like, ParseMatchValue parse,
                       PolicyMatch *parent) {
        PolicyMatch values = { .join = MATCH_VALUES, .origin = n->origin };
        int r = 0;

        if (n->kind != NODE_SEQUENCE)
                return parse(w, n, like, parent);
        if (n->n_children == 0 && !w->partial)
                return walk_error(w, &n->origin, "Expected at least one value.");
        for (size_t i = 0; r >= 0 && i < n->n_children; i++) {
                walk_enter(w, n->children[i], i);
                r = parse(w, n->children[i], like, &values);
                walk_leave(w);
        }
        if (r >= 0)
                r = add_group(parent, &values);
        policy_match_done(&values);
        return r;
}

/* "[fd00::1]" */
static bool host_is_literal(const char *s) {
        char inner[INET6_ADDRSTRLEN];
        struct in6_addr address;
        size_t n = strlen(s);

        if (n < 4 || n - 2 >= sizeof(inner) || s[0] != '[' || s[n - 1] != ']')
                return false;
        *(char *) mempcpy(inner, s + 1, n - 2) = 0;
        return strchr(inner, ':') && parse_address(inner, &address) >= 0;
}

bool host_is_valid(const char *s) {
        return host_name_is_valid(s) || host_is_literal(s);
}

static int parse_host(Walker *w, const PolicyNode *n, const PolicyMatch *like, PolicyMatch *parent) {
        enum sm_predicate_op op = SM_OP_EXACT;
        char *host;
        int r;

        r = walk_expect(w, n, NODE_SCALAR, "a host name, or *. and a domain");
        if (r <= 0)
                return r;
        for (char *p = n->text; *p; p++)
                *p = (char) tolower((unsigned char) *p);
        host = n->text;
        if (startswith(host, "*.")) {
                op = SM_OP_SUFFIX;
                host++; /* the dot belongs to the suffix */
        }
        if (op == SM_OP_SUFFIX ? !host_name_is_valid(host + 1) : !host_is_valid(host))
                return walk_error_expected(w, n, "a host name without port, or *. and a domain");
        return match_add_leaf(parent, n, like, op, host);
}

int parse_match_host(Walker *w, const SchemaKey *key, const PolicyNode *n, void *object) {
        const PolicyMatch like = { .kind = SM_MATCH_HOST };

        return match_parse_values(w, n, &like, parse_host, object);
}

static int parse_method(Walker *w, const PolicyNode *n, const PolicyMatch *like, PolicyMatch *parent) {
        static const char *const common[] = { "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH" };
        int r;

        r = walk_expect(w, n, NODE_SCALAR, "a method like GET");
        if (r <= 0)
                return r;
        if (!token_is_valid(n->text))
                return walk_error_expected(w, n, "a method like GET");
        for (size_t i = 0; i < ELEMENTSOF(common); i++)
                if (strcasecmp(n->text, common[i]) == 0 && !streq(n->text, common[i]))
                        return walk_error_expected(w, n, "%s: methods are case-sensitive", common[i]);
        return match_add_leaf(parent, n, like, SM_OP_EXACT, n->text);
}

int parse_match_method(Walker *w, const SchemaKey *key, const PolicyNode *n, void *object) {
        const PolicyMatch like = { .kind = SM_MATCH_METHOD };

        return match_parse_values(w, n, &like, parse_method, object);
}

/* A unit with processes of its own, by its name. */
static bool unit_name_is_valid(const char *s) {
        static const char *const types[] = { ".service", ".scope", ".socket", ".mount", ".swap" };
        size_t n = 0;

        for (size_t i = 0; i < ELEMENTSOF(types); i++) {
                const char *end = endswith(s, types[i]);

                if (!end || end == s)
                        continue;
                while (isascii((unsigned char) s[n]) &&
                       (isalnum((unsigned char) s[n]) || (s[n] && strchr(":-_.\\@", s[n]))))
                        n++;
                return !s[n] && n <= 255;
        }
        return false;
}

static int parse_caller_slice(Walker *w, const PolicyNode *n, PolicyMatch *parent) {
        const PolicyMatch like = { .kind = SM_MATCH_SLICE };
        int r;

        r = walk_slice(w, n);
        if (r <= 0)
                return r;
        w->model->looks_at_slices = true;
        return match_add_leaf(parent, n, &like, SM_OP_EXACT, n->text);
}

int parse_caller_slice_key(Walker *w, const SchemaKey *key, const PolicyNode *n, void *object) {
        return parse_caller_slice(w, n, object);
}

int parse_caller_unit_key(Walker *w, const SchemaKey *key, const PolicyNode *n, void *object) {
        const PolicyMatch like = { .kind = SM_MATCH_UNIT };
        int r;

        r = walk_expect(w, n, NODE_SCALAR, key->form);
        if (r <= 0)
                return r;
        if (!unit_name_is_valid(n->text))
                return walk_error_expected(w, n, "the name of a unit with processes, like cart.service");
        return match_add_leaf(object, n, &like, SM_OP_EXACT, n->text);
}

/* 1 = found, 0 = there is no such user. */
static int find_user(const char *name, uid_t *ret) {
        enum { BUFFER_MAX = 1 << 20 };
        struct passwd user, *found = NULL;
        int r = ERANGE;

        for (size_t size = 1024; r == ERANGE && size <= BUFFER_MAX; size *= 4) {
                _cleanup_free_ char *buffer = malloc(size);

                if (!buffer)
                        return -ENOMEM;
                r = getpwnam_r(name, &user, buffer, size, &found);
                if (r == 0 && found)
                        *ret = user.pw_uid;
        }
        return found ? 1 : r == ENOMEM ? -ENOMEM : 0;
}

int policy_find_user(const char *text, uint32_t *ret) {
        uint64_t number;
        uid_t uid = 0;
        int r;

        if (parse_unsigned(text, &number) >= 0) {
                if (number >= UINT32_MAX)
                        return -ENOENT;
                *ret = (uint32_t) number;
                return 0;
        }
        r = find_user(text, &uid);
        if (r <= 0)
                return r < 0 ? r : -ENOENT;
        *ret = uid;
        return 0;
}

int parse_caller_user_key(Walker *w, const SchemaKey *key, const PolicyNode *n, void *object) {
        PolicyMatch like = { .kind = SM_MATCH_USER };
        uint64_t number;
        uid_t uid = 0;
        int r;

        r = walk_expect(w, n, NODE_SCALAR, key->form);
        if (r <= 0)
                return r;
        if (parse_unsigned(n->text, &number) >= 0) {
                if (number >= UINT32_MAX)
                        return walk_error_expected(w, n, "a user's name, or a number below 4294967295");
                uid = (uid_t) number;
        } else {
                if (!*n->text)
                        return walk_error_expected(w, n, "%s", key->form);
                r = find_user(n->text, &uid);
                if (r < 0)
                        return r;
                if (r == 0)
                        return walk_error_missing(w, &n->origin, "user", n->text, NULL);
        }
        like.low = uid;
        return match_add_leaf(object, n, &like, SM_OP_EXACT, n->text);
}

static int parse_caller(Walker *w, const PolicyNode *n, const PolicyMatch *like, PolicyMatch *parent) {
        static const SchemaKey unit_key = { .form = "a slice, a unit or a mapping of slice, unit and user" };
        PolicyMatch group = { .join = MATCH_CALLER, .origin = n->origin };
        int r;

        if (n->kind != NODE_MAPPING) {
                if (n->kind == NODE_SCALAR && endswith(n->text, ".slice"))
                        return parse_caller_slice(w, n, parent);
                if (n->kind == NODE_SCALAR && !unit_name_is_valid(n->text))
                        return walk_error_expected(w, n, "a slice or a unit, like shop.slice or "
                                                   "cart.service; a user is {user: NAME}");
                return parse_caller_unit_key(w, &unit_key, n, parent);
        }
        if (n->n_children == 0 && !w->partial)
                return walk_error(w, &n->origin, "Expected at least one of \"slice\", \"unit\" and "
                                                 "\"user\".");
        r = walk_mapping(w, PLACE_CALLER, n, &group);
        if (r >= 0)
                r = add_group(parent, &group);
        policy_match_done(&group);
        return r;
}

int parse_match_callers(Walker *w, const SchemaKey *key, const PolicyNode *n, void *object) {
        return match_parse_values(w, n, NULL, parse_caller, object);
}

static int parse_source(Walker *w, const PolicyNode *n, const PolicyMatch *like, PolicyMatch *parent) {
        PolicyMatch network = *like;
        unsigned prefix;
        int r;

        r = walk_expect(w, n, NODE_SCALAR, "an address or a network");
        if (r <= 0)
                return r;
        r = parse_prefix(n->text, &network.network, &prefix);
        if (r < 0)
                return walk_error_expected(w, n, "an address or a network without bits behind its prefix, "
                                           "like 10.0.0.0/8 or fd00::/8");
        network.first = (uint16_t) prefix;
        return match_add_leaf(parent, n, &network, SM_OP_EXACT, n->text);
}

int parse_match_source(Walker *w, const SchemaKey *key, const PolicyNode *n, void *object) {
        const PolicyMatch like = { .kind = SM_MATCH_SOURCE };

        return match_parse_values(w, n, &like, parse_source, object);
}

int parse_match_fraction(Walker *w, const SchemaKey *key, const PolicyNode *n, void *object) {
        PolicyMatch like = { .kind = SM_MATCH_FRACTION };
        unsigned fraction;
        int r;

        r = walk_fraction(w, n, &fraction);
        if (r <= 0)
                return r;
        like.low = fraction;
        return match_add_leaf(object, n, &like, SM_OP_EXACT, NULL);
}

/* The keys of a mapping, as one child of `parent`. */
static int parse_keys(Walker *w, const PolicyNode *n, PolicyMatch *parent) {
        PolicyMatch keys = { .join = MATCH_KEYS, .origin = n->origin };
        int r;

        if (n->kind == NODE_MAPPING && n->n_children == 0 && !w->partial)
                return walk_error(w, &n->origin, "Expected at least one condition.");
        r = walk_mapping(w, PLACE_MATCH, n, &keys);
        if (r >= 0 && keys.n_children > 0)
                r = policy_match_add(parent, &keys);
        policy_match_done(&keys);
        return r;
}

static int parse_list(Walker *w, const SchemaKey *key, const PolicyNode *n, PolicyJoin join,
                      PolicyMatch *parent) {
        PolicyMatch list = { .join = (uint8_t) join, .origin = n->origin };
        int r;

        r = walk_expect(w, n, NODE_SEQUENCE, key->form);
        if (r <= 0)
                return r;
        if (n->n_children == 0 && !w->partial)
                return walk_error(w, &n->origin, "Expected at least one condition.");
        for (size_t i = 0; r >= 0 && i < n->n_children; i++) {
                walk_enter(w, n->children[i], i);
                r = parse_keys(w, n->children[i], &list);
                walk_leave(w);
        }
        if (r >= 0 && list.n_children > 0)
                r = policy_match_add(parent, &list);
        policy_match_done(&list);
        return r;
}

int parse_match_all(Walker *w, const SchemaKey *key, const PolicyNode *n, void *object) {
        return parse_list(w, key, n, MATCH_ALL, object);
}

int parse_match_any(Walker *w, const SchemaKey *key, const PolicyNode *n, void *object) {
        return parse_list(w, key, n, MATCH_ANY, object);
}

int parse_match_not(Walker *w, const SchemaKey *key, const PolicyNode *n, void *object) {
        PolicyMatch not = { .join = MATCH_NOT, .origin = n->origin };
        int r;

        r = parse_keys(w, n, &not);
        if (r >= 0 && not.n_children > 0)
                r = policy_match_add(object, &not);
        policy_match_done(&not);
        return r;
}

/* When the endpoint of a connection is picked it has no address of its own yet. */
static bool leaf_needs_http(const PolicyMatch *leaf) {
        return leaf->kind < SM_MATCH_SLICE || leaf->kind > SM_MATCH_FRACTION ||
               leaf->kind == SM_MATCH_SOURCE;
}

int parse_match(Walker *w, const SchemaKey *key, const PolicyNode *n, void *object) {
        PolicyMatch keys = { .join = MATCH_KEYS, .origin = n->origin };
        const PolicyMatch *other;
        PolicyRoute *route = object;
        size_t count;
        int r;

        r = walk_mapping(w, PLACE_MATCH, n, &keys);
        count = policy_match_count(&keys);
        if (r >= 0 && count > SM_PREDICATES_MAX)
                r = walk_error(w, &n->key_origin, "These are %zu conditions; at most %u are "
                                                  "supported.", count,
                               SM_PREDICATES_MAX);
        other = w->model->protocol == SM_PROTOCOL_TCP ? policy_match_find(&keys, leaf_needs_http) : NULL;
        if (r >= 0 && other)
                r = walk_error(w, &other->origin, "Needs protocol http; tcp has only \"callers\" "
                               "and \"fraction\".");
        if (r >= 0 && keys.n_children > 0) {
                route->match = malloc(sizeof(*route->match));
                if (!route->match)
                        r = -ENOMEM;
                else {
                        *route->match = keys;
                        keys = (PolicyMatch) {};
                }
        }
        policy_match_done(&keys);
        return r;
}
