/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "../basic/string-util.h"
#include "policy-load.h"
#include "policy-model.h"

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

static bool splits_equal(const PolicyRoute *a, const PolicyRoute *b) {
        if (a->n_splits != b->n_splits || a->split_by != b->split_by || a->split_hash != b->split_hash ||
            !streq_null(a->split_hash_name, b->split_hash_name))
                return false;
        for (size_t i = 0; i < a->n_splits; i++)
                if (a->splits[i].subset != b->splits[i].subset || a->splits[i].weight != b->splits[i].weight)
                        return false;
        return true;
}

static bool edits_equal(const PolicyEdits *a, const PolicyEdits *b) {
        if (a->n_items != b->n_items)
                return false;
        for (size_t i = 0; i < a->n_items; i++)
                if (a->items[i].kind != b->items[i].kind || !streq(a->items[i].name, b->items[i].name) ||
                    !streq_null(a->items[i].value, b->items[i].value))
                        return false;
        return true;
}

static bool answer_equal(const PolicyAnswer *a, const PolicyAnswer *b) {
        if (!a || !b)
                return a == b;
        return a->status == b->status && a->fraction == b->fraction && a->redirect == b->redirect &&
               streq_null(a->body, b->body) && streq_null(a->content_type, b->content_type) &&
               streq_null(a->url, b->url) &&
               streq_null(a->prefix, b->prefix) && streq_null(a->host, b->host) &&
               streq_null(a->scheme, b->scheme) && edits_equal(&a->fields, &b->fields);
}

static bool actions_equal(const PolicyActions *a, const PolicyActions *b) {
        if (!a || !b)
                return a == b;
        return answer_equal(a->answer, b->answer) && answer_equal(a->abort, b->abort) &&
               a->delay_fraction == b->delay_fraction &&
               a->delay_usec == b->delay_usec && a->mirror == b->mirror &&
               a->mirror_subset == b->mirror_subset && a->mirror_fraction == b->mirror_fraction &&
               a->mirror_max == b->mirror_max && streq_null(a->rewrite_prefix, b->rewrite_prefix) &&
               streq_null(a->rewrite_host, b->rewrite_host) && edits_equal(&a->request, &b->request) &&
               edits_equal(&a->response, &b->response);
}

static bool route_equal(const PolicyRoute *a, const PolicyRoute *b) {
        return streq(a->name, b->name) && a->shadow == b->shadow && a->timeout_usec == b->timeout_usec &&
               splits_equal(a, b) && policy_match_equal(a->match, b->match) &&
               actions_equal(a->actions, b->actions);
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
               a->attempts == b->attempts && a->normalize_paths == b->normalize_paths &&
               a->encoded_slash == b->encoded_slash && a->encoded_nul == b->encoded_nul &&
               a->n_subsets == b->n_subsets && a->n_routes == b->n_routes;
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
