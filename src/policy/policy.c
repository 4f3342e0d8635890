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

PolicyRoute *policy_route_free(PolicyRoute *r) {
        if (!r)
                return NULL;
        for (size_t i = 0; i < r->n_predicates; i++)
                free(r->predicates[i].text);
        free(r->predicates);
        free(r->splits);
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
