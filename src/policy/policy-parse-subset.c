/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>

#include "../basic/array-util.h"
#include "../basic/parse-util.h"
#include "../basic/string-util.h"
#include "policy-model.h"
#include "policy-parse.h"

int parse_shorthand(Walker *w, const SchemaKey *key, const PolicyNode *n, void *object) {
        return walk_error(w, &n->key_origin, "Cannot stand beside \"subsets\"; give it in a subset.");
}

int parse_endpoint_address(Walker *w, const SchemaKey *key, const PolicyNode *n, void *object) {
        PolicyEndpoint *e = object;
        int r;

        r = walk_expect(w, n, NODE_SCALAR, key->form);
        if (r <= 0)
                return r;
        r = parse_host_port(n->text, &e->host, &e->address, &e->port);
        if (r == -ENOMEM)
                return r;
        if (r < 0)
                return walk_error_expected(w, n, "an address and port, like 10.1.0.11:8080, "
                                           "[fd00::1]:8080 or db.example:8080");
        if (!e->host && !address_is_reachable(&e->address))
                return walk_error_expected(w, n, "an address that one can connect to");
        return strdup_to(&e->text, n->text);
}

static const SchemaKey endpoint_address_key = { .form = "an endpoint" };

static int parse_endpoint(Walker *w, const PolicyNode *n, PolicySubset *s) {
        _cleanup_(policy_endpoint_freep) PolicyEndpoint *e = NULL;
        int r;

        e = calloc(1, sizeof(*e));
        if (!e)
                return -ENOMEM;
        e->origin = n->origin;
        if (n->kind == NODE_MAPPING)
                r = walk_mapping(w, PLACE_ENDPOINT, n, e);
        else {
                e->weight = 1;
                r = parse_endpoint_address(w, &endpoint_address_key, n, e);
        }
        if (r < 0 || !e->text)
                return r;
        r = array_reserve(&s->endpoints, s->n_endpoints, sizeof(*s->endpoints));
        if (r < 0)
                return r;
        s->endpoints[s->n_endpoints++] = TAKE_PTR(e);
        return 0;
}

static int compare_endpoints(const void *a, const void *b) {
        return policy_endpoint_compare(*(PolicyEndpoint *const *) a, *(PolicyEndpoint *const *) b);
}

/* In the order of being the same endpoint, whatever it is written like. */
static int sort_endpoints(const PolicySubset *s, PolicyEndpoint ***ret) {
        PolicyEndpoint **sorted;

        sorted = malloc((s->n_endpoints + 1) * sizeof(*sorted));
        if (!sorted)
                return -ENOMEM;
        if (s->n_endpoints > 0)
                memcpy(sorted, s->endpoints, s->n_endpoints * sizeof(*sorted));
        qsort(sorted, s->n_endpoints, sizeof(*sorted), compare_endpoints);
        *ret = sorted;
        return 0;
}

static int check_endpoints(Walker *w, const PolicySubset *s) {
        _cleanup_free_ PolicyEndpoint **sorted = NULL;
        int r;

        r = sort_endpoints(s, &sorted);
        if (r < 0)
                return r;
        for (size_t i = 1; i < s->n_endpoints; i++) {
                const PolicyEndpoint *a = sorted[i - 1], *b = sorted[i];

                if (policy_endpoint_compare(a, b) != 0)
                        continue;
                if (policy_origin_compare(&a->origin, &b->origin) > 0)
                        a = sorted[i], b = sorted[i - 1];
                r = walk_error(w, &b->origin, "The endpoint %s is already listed in line %u.", b->text,
                               a->origin.line);
                if (r < 0)
                        return r;
        }
        return 0;
}

int parse_endpoints(Walker *w, const SchemaKey *key, const PolicyNode *n, void *object) {
        PolicySubset *s = object;
        int r;

        r = walk_expect(w, n, NODE_SEQUENCE, key->form);
        if (r <= 0)
                return r;
        for (size_t i = 0; i < n->n_children; i++) {
                walk_enter(w, n->children[i], i);
                r = parse_endpoint(w, n->children[i], s);
                walk_leave(w);
                if (r < 0)
                        return r;
        }
        return check_endpoints(w, s);
}

static const char *endpoint_text(const void *userdata, size_t i) {
        return ((const PolicySubset *) userdata)->endpoints[i]->text;
}

static int adjust_endpoint(Walker *w, const PolicyNode *n, PolicySubset *s, PolicyEndpoint **sorted) {
        PolicyEndpoint wanted = {}, *key = &wanted, **found = NULL;
        int r;

        r = parse_host_port(n->key, &wanted.host, &wanted.address, &wanted.port);
        if (r == -ENOMEM)
                return r;
        if (r >= 0) {
                found = bsearch(&key, sorted, s->n_endpoints, sizeof(*sorted), compare_endpoints);
                free(wanted.host);
        }
        if (found)
                return walk_mapping(w, PLACE_ADJUST, n, *found);
        if (w->partial)
                return 0;
        return walk_error_missing(w, &n->key_origin, "endpoint", n->key,
                                  schema_nearest(n->key, endpoint_text, s, s->n_endpoints));
}

int parse_adjust(Walker *w, const SchemaKey *key, const PolicyNode *n, void *object) {
        _cleanup_free_ PolicyEndpoint **sorted = NULL;
        PolicySubset *s = object;
        int r;

        r = walk_expect(w, n, NODE_MAPPING, key->form);
        if (r <= 0)
                return r;
        r = sort_endpoints(s, &sorted);
        if (r < 0)
                return r;
        for (size_t i = 0; i < n->n_children; i++) {
                walk_enter(w, n->children[i], i);
                r = adjust_endpoint(w, n->children[i], s, sorted);
                walk_leave(w);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int parse_hash_name(Walker *w, const SchemaKey *key, const PolicyNode *n, PolicySubset *s,
                           enum sm_hash_source source) {
        int r;

        r = walk_expect(w, n, NODE_SCALAR, key->form);
        if (r <= 0)
                return r;
        if (!token_is_valid(n->text))
                return walk_error_expected(w, n, "%s", key->form);
        if (s->hash_name)
                return walk_error(w, &n->key_origin, "Expected either \"header\" or \"cookie\", not both.");
        s->hash = source;
        return strdup_to(&s->hash_name, n->text);
}

int parse_hash_header(Walker *w, const SchemaKey *key, const PolicyNode *n, void *object) {
        PolicySubset *s = object;
        int r;

        r = parse_hash_name(w, key, n, s, SM_HASH_HEADER);
        for (char *p = s->hash_name; p && *p; p++)
                *p = (char) tolower((unsigned char) *p);
        return r;
}

int parse_hash_cookie(Walker *w, const SchemaKey *key, const PolicyNode *n, void *object) {
        return parse_hash_name(w, key, n, object, SM_HASH_COOKIE);
}

int parse_hash(Walker *w, const SchemaKey *key, const PolicyNode *n, void *object) {
        PolicySubset *s = object;

        if (n->kind == NODE_SCALAR && streq(n->text, "source")) {
                s->hash = SM_HASH_SOURCE_ADDRESS;
                return 0;
        }
        if (n->kind != NODE_MAPPING || n->n_children == 0)
                return walk_error_expected(w, n, "source, {header: NAME} or {cookie: NAME}");
        return walk_mapping(w, PLACE_HASH, n, s);
}

static int parse_subset(Walker *w, const PolicyNode *n, PolicyService *service) {
        _cleanup_(policy_subset_freep) PolicySubset *s = NULL;
        char text[QUOTED_SIZE];
        int r;

        if (!policy_name_is_valid(n->key)) {
                r = walk_error(w, &n->key_origin, "%s is no name for a subset.", string_quote(n->key, text));
                if (r < 0)
                        return r;
        }
        s = calloc(1, sizeof(*s));
        if (!s)
                return -ENOMEM;
        s->origin = n->key_origin;
        r = strdup_to(&s->name, n->key);
        if (r < 0)
                return r;
        r = walk_mapping(w, PLACE_SUBSET, n, s);
        if (r < 0)
                return r;
        r = array_reserve(&service->subsets, service->n_subsets, sizeof(*service->subsets));
        if (r < 0)
                return r;
        service->subsets[service->n_subsets++] = TAKE_PTR(s);
        return 0;
}

int parse_subsets(Walker *w, const SchemaKey *key, const PolicyNode *n, void *object) {
        int r;

        r = walk_expect(w, n, NODE_MAPPING, key->form);
        if (r <= 0)
                return r;
        if (n->n_children == 0 && !w->partial)
                return walk_error(w, &n->origin, "Expected at least one subset.");
        if (n->n_children > UINT16_MAX)
                return walk_error(w, &n->origin, "Expected at most %u subsets.", UINT16_MAX);
        for (size_t i = 0; i < n->n_children; i++) {
                walk_enter(w, n->children[i], i);
                r = parse_subset(w, n->children[i], object);
                walk_leave(w);
                if (r < 0)
                        return r;
        }
        return 0;
}
