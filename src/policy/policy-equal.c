/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "../basic/string-util.h"
#include "policy-load.h"

static bool endpoint_equal(const PolicyEndpoint *a, const PolicyEndpoint *b) {
        return streq(a->text, b->text) && a->weight == b->weight && a->admin == b->admin;
}

static bool subset_equal(const PolicySubset *a, const PolicySubset *b) {
        if (!streq(a->name, b->name) || a->n_endpoints != b->n_endpoints || a->balance != b->balance ||
            a->hash != b->hash || !streq_null(a->hash_name, b->hash_name))
                return false;
        for (size_t i = 0; i < a->n_endpoints; i++)
                if (!endpoint_equal(a->endpoints[i], b->endpoints[i]))
                        return false;
        return true;
}

static bool predicate_equal(const PolicyPredicate *a, const PolicyPredicate *b) {
        return a->kind == b->kind && a->op == b->op && a->negate == b->negate && streq(a->text, b->text);
}

static bool route_equal(const PolicyRoute *a, const PolicyRoute *b) {
        if (!streq(a->name, b->name) || a->n_predicates != b->n_predicates || a->n_splits != b->n_splits ||
            a->timeout_usec != b->timeout_usec)
                return false;
        for (size_t i = 0; i < a->n_predicates; i++)
                if (!predicate_equal(&a->predicates[i], &b->predicates[i]))
                        return false;
        for (size_t i = 0; i < a->n_splits; i++)
                if (a->splits[i].subset != b->splits[i].subset || a->splits[i].weight != b->splits[i].weight)
                        return false;
        return true;
}

static bool strv_equal(char *const *a, char *const *b) {
        size_t n = strv_length(a);

        if (n != strv_length(b))
                return false;
        for (size_t i = 0; i < n; i++)
                if (!streq(a[i], b[i]))
                        return false;
        return true;
}

static bool service_head_equal(const PolicyService *a, const PolicyService *b) {
        return streq(a->name, b->name) && a->protocol == b->protocol && a->has_address == b->has_address &&
               (!a->has_address || memcmp(&a->address, &b->address, sizeof(a->address)) == 0) &&
               a->port == b->port && strv_equal(a->callers, b->callers) && a->via == b->via &&
               a->forwarded_for == b->forwarded_for && a->accelerate == b->accelerate &&
               a->connect_timeout_usec == b->connect_timeout_usec &&
               a->idle_timeout_usec == b->idle_timeout_usec && a->pool_idle_usec == b->pool_idle_usec &&
               a->attempts == b->attempts && a->n_subsets == b->n_subsets && a->n_routes == b->n_routes;
}

bool policy_service_equal(const PolicyService *a, const PolicyService *b) {
        if (!service_head_equal(a, b))
                return false;
        for (size_t i = 0; i < a->n_subsets; i++)
                if (!subset_equal(a->subsets[i], b->subsets[i]))
                        return false;
        for (size_t i = 0; i < a->n_routes; i++)
                if (!route_equal(a->routes[i], b->routes[i]))
                        return false;
        return true;
}
