/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdlib.h>

#include "../basic/string-util.h"
#include "policy-error.h"
#include "policy-model.h"

const char *const protocol_names[] = {
        [SM_PROTOCOL_HTTP] = "http",
        [SM_PROTOCOL_GRPC] = "grpc",
        [SM_PROTOCOL_TCP] = "tcp",
        [_SM_PROTOCOL_MAX] = NULL,
};

const char *const balance_names[] = {
        [SM_BALANCE_ROUND_ROBIN] = "round-robin",
        [SM_BALANCE_RANDOM] = "random",
        [SM_BALANCE_LEAST_REQUEST] = "least-request",
        [SM_BALANCE_CONSISTENT_HASH] = "consistent-hash",
        [_SM_BALANCE_MAX] = NULL,
};

const char *const endpoint_admin_names[] = {
        [ENDPOINT_ENABLED] = "enabled",
        [ENDPOINT_DRAIN] = "drain",
        [ENDPOINT_DISABLED] = "disabled",
        [_ENDPOINT_ADMIN_MAX] = NULL,
};

const char *const accelerate_names[] = {
        [ACCELERATE_AUTO] = "auto",
        [ACCELERATE_ALWAYS] = "always",
        [ACCELERATE_NEVER] = "never",
        [_ACCELERATE_MAX] = NULL,
};

const char *const normalize_names[] = {
        [NORMALIZE_AUTO] = "auto",
        [NORMALIZE_ALWAYS] = "always",
        [NORMALIZE_NEVER] = "never",
        [_NORMALIZE_MAX] = NULL,
};

const char *const encoded_names[] = {
        [ENCODED_REFUSE] = "refuse",
        [ENCODED_KEEP] = "keep",
        [_ENCODED_MAX] = NULL,
};

const char *protocol_to_string(enum sm_protocol p) {
        return p < _SM_PROTOCOL_MAX ? protocol_names[p] : NULL;
}

const char *balance_to_string(enum sm_balance b) {
        return b < _SM_BALANCE_MAX ? balance_names[b] : NULL;
}

enum sm_balance balance_from_string(const char *s) {
        for (unsigned i = 0; i < _SM_BALANCE_MAX; i++)
                if (streq(balance_names[i], s))
                        return (enum sm_balance) i;
        return (enum sm_balance) -EINVAL;
}

const char *endpoint_admin_to_string(EndpointAdmin a) {
        return a >= 0 && a < _ENDPOINT_ADMIN_MAX ? endpoint_admin_names[a] : NULL;
}

PolicyEndpoint *policy_endpoint_free(PolicyEndpoint *e) {
        if (!e)
                return NULL;
        free(e->text);
        free(e->host);
        free(e);
        return NULL;
}

PolicySubset *policy_subset_free(PolicySubset *s) {
        if (!s)
                return NULL;
        for (size_t i = 0; i < s->n_endpoints; i++)
                policy_endpoint_free(s->endpoints[i]);
        free(s->endpoints);
        free(s->name);
        free(s->hash_name);
        free(s);
        return NULL;
}

static void edits_done(PolicyEdits *e) {
        for (size_t i = 0; i < e->n_items; i++) {
                free(e->items[i].name);
                free(e->items[i].value);
        }
        free(e->items);
}

PolicyAnswer *policy_answer_free(PolicyAnswer *a) {
        if (!a)
                return NULL;
        edits_done(&a->fields);
        free(a->body);
        free(a->content_type);
        free(a->url);
        free(a->prefix);
        free(a->host);
        free(a->scheme);
        free(a);
        return NULL;
}

PolicyActions *policy_actions_free(PolicyActions *a) {
        if (!a)
                return NULL;
        policy_answer_free(a->answer);
        policy_answer_free(a->abort);
        edits_done(&a->request);
        edits_done(&a->response);
        free(a->rewrite_prefix);
        free(a->rewrite_host);
        free(a);
        return NULL;
}

PolicyRoute *policy_route_free(PolicyRoute *r) {
        if (!r)
                return NULL;
        policy_match_free(r->match);
        policy_actions_free(r->actions);
        free(r->splits);
        free(r->split_hash_name);
        free(r->name);
        free(r);
        return NULL;
}

PolicyService *policy_service_free(PolicyService *s) {
        if (!s)
                return NULL;
        for (size_t i = 0; i < s->n_subsets; i++)
                policy_subset_free(s->subsets[i]);
        for (size_t i = 0; i < s->n_routes; i++)
                policy_route_free(s->routes[i]);
        free(s->subsets);
        free(s->routes);
        strv_free(s->callers);
        free(s->name);
        free(s);
        return NULL;
}

bool slice_is_within(const char *name, const char *above) {
        size_t length = strlen(above) - strlen(".slice");

        if (streq(name, above) || streq(above, "-.slice"))
                return true;
        return strncmp(name, above, length) == 0 && name[length] == '-';
}

int policy_endpoint_compare(const PolicyEndpoint *a, const PolicyEndpoint *b) {
        int c;

        if (!a->host != !b->host)
                return a->host ? 1 : -1;
        c = a->host ? strcasecmp(a->host, b->host) : memcmp(&a->address, &b->address, sizeof(a->address));
        if (c != 0)
                return c;
        return (int) a->port - (int) b->port;
}

int policy_origin_compare(const PolicyOrigin *a, const PolicyOrigin *b) {
        int c = strcmp(a->file ?: "", b->file ?: "");

        if (c != 0)
                return c;
        if (a->line != b->line)
                return a->line < b->line ? -1 : 1;
        if (a->column != b->column)
                return a->column < b->column ? -1 : 1;
        return 0;
}

Policy *policy_free(Policy *p) {
        if (!p)
                return NULL;
        for (size_t i = 0; i < p->n_services; i++)
                policy_service_free(p->services[i]);
        free(p->services);
        for (size_t i = 0; i < p->n_errors; i++)
                policy_error_done(&p->errors[i]);
        free(p->errors);
        strv_free(p->mesh.slices);
        strv_free(p->broken_files);
        policy_strings_free(p->strings);
        free(p);
        return NULL;
}

static int compare_name(const void *name, const void *service) {
        return strcmp(name, (*(PolicyService *const *) service)->name);
}

const PolicyService *policy_find_service(const Policy *p, const char *name) {
        PolicyService **found;

        if (p->n_services == 0)
                return NULL;
        found = bsearch(name, p->services, p->n_services, sizeof(*p->services), compare_name);
        return found ? *found : NULL;
}
