/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdlib.h>

#include "../basic/parse-util.h"
#include "../basic/string-util.h"
#include "policy-build.h"
#include "policy-error.h"
#include "policy-model.h"
#include "policy-vip.h"

static int compare_services(const void *a, const void *b) {
        const PolicyService *x = *(PolicyService *const *) a, *y = *(PolicyService *const *) b;
        int c = strcmp(x->name, y->name);

        return c != 0 ? c : policy_origin_compare(&x->origin, &y->origin);
}

static int check_names(Policy *p) {
        int r;

        for (size_t i = 1; i < p->n_services; i++) {
                const PolicyService *a = p->services[i - 1], *b = p->services[i];

                if (!streq(a->name, b->name))
                        continue;
                r = policy_error_add(p, &b->origin, b->name, "service",
                                     "The service \"%s\" is already defined in %s:%u; neither is taken.",
                                     b->name, a->origin.file, a->origin.line);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int compare_addresses(const void *a, const void *b) {
        const PolicyService *x = *(PolicyService *const *) a, *y = *(PolicyService *const *) b;
        int c = memcmp(&x->address, &y->address, sizeof(x->address));

        if (c == 0)
                c = (int) x->port - (int) y->port;
        return c != 0 ? c : compare_services(a, b);
}

static int claim_error(Policy *p, const PolicyService *s, const PolicyService *other) {
        char text[ADDRESS_PORT_STRLEN];

        return policy_error_add(p, &s->origin, s->name, "address",
                                "%s is also claimed by \"%s\" in %s:%u%s.",
                                address_port_to_string(&s->address, s->port, text), other->name,
                                other->origin.file, other->origin.line,
                                s->port == other->port ? "" : "; in vip-range ports are not told apart");
}

/* The register (policy-vip.h) knows whole addresses; of those outside of its network each port is free. */
static bool addresses_collide(const Policy *p, const PolicyService *a, const PolicyService *b) {
        return memcmp(&a->address, &b->address, sizeof(a->address)) == 0 && !streq(a->name, b->name) &&
               (a->port == b->port || vip_in_network(&a->address, &p->mesh.vip_network, p->mesh.vip_prefix));
}

/* Which of the two is meant is not known, and one of them may be in force: neither is taken. */
static int check_addresses(Policy *p) {
        _cleanup_free_ PolicyService **sorted = NULL;
        size_t n = 0;
        int r;

        sorted = malloc((p->n_services + 1) * sizeof(*sorted));
        if (!sorted)
                return -ENOMEM;
        for (size_t i = 0; i < p->n_services; i++)
                if (p->services[i]->has_address)
                        sorted[n++] = p->services[i];
        qsort(sorted, n, sizeof(*sorted), compare_addresses);
        for (size_t i = 1; i < n; i++) {
                const PolicyService *a = sorted[i - 1], *b = sorted[i];

                if (!addresses_collide(p, a, b))
                        continue;
                r = claim_error(p, a, b);
                if (r >= 0)
                        r = claim_error(p, b, a);
                if (r < 0)
                        return r;
        }
        return 0;
}

typedef struct Usage {
        size_t services, subsets, endpoints, routes;
} Usage;

static Usage usage_add(Usage u, const PolicyService *s) {
        u.services++;
        u.routes += s->n_routes;
        u.subsets += s->n_subsets;
        for (size_t i = 0; i < s->n_subsets; i++)
                u.endpoints += s->subsets[i]->n_endpoints;
        return u;
}

static const char *usage_over(const Usage *u, const PolicyMesh *m) {
        if (u->services > m->max_services)
                return "services";
        if (u->subsets > m->max_subsets)
                return "subsets";
        if (u->endpoints > m->max_endpoints)
                return "endpoints";
        return u->routes > m->max_routes ? "routes" : NULL;
}

/* In order of name; what does not fit is left out, what fits behind it is not. */
static int check_caps(Policy *p, const bool *broken) {
        Usage sum = {};
        int r;

        for (size_t i = 0; i < p->n_services; i++) {
                const PolicyService *s = p->services[i];
                Usage with = usage_add(sum, s);
                const char *over;

                if (broken[i])
                        continue;
                over = usage_over(&with, &p->mesh);
                if (!over) {
                        sum = with;
                        continue;
                }
                r = policy_error_add(p, &s->origin, s->name, NULL,
                                     "With it there are more %s than caps.%s in mesh.yaml allows.", over,
                                     over);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* Some managed slice is the named one, or within it. */
static bool slice_is_managed(const Policy *p, const char *name) {
        for (char **s = p->mesh.slices; s && *s; s++)
                if (slice_is_within(*s, name))
                        return true;
        for (size_t i = 0; i < p->n_services; i++)
                for (char **s = p->services[i]->callers; s && *s; s++)
                        if (slice_is_within(*s, name))
                                return true;
        return false;
}

static int check_slices_of(Policy *p, const PolicyService *s, const PolicyMatch *m) {
        int r = 0;

        if (m->join == MATCH_LEAF) {
                if (m->kind != SM_MATCH_SLICE || slice_is_managed(p, m->text))
                        return 0;
                return policy_error_add(p, &m->origin, s->name, NULL,
                                        "The slice %s is not managed: list it under \"slices\" in "
                                        "mesh.yaml, or nobody is known to be in it.", m->text);
        }
        for (size_t i = 0; r >= 0 && i < m->n_children; i++)
                r = check_slices_of(p, s, &m->children[i]);
        return r;
}

/* Routes can go by managed slices only. Which are is not known without a mesh.yaml, as with the last good
 * policies. */
static int check_slices(Policy *p) {
        int r = 0;

        for (size_t i = 0; p->mesh_given && !p->mesh_broken && i < p->n_services; i++) {
                const PolicyService *s = p->services[i];

                for (size_t j = 0; r >= 0 && s->looks_at_slices && j < s->n_routes; j++)
                        if (s->routes[j]->match)
                                r = check_slices_of(p, s, s->routes[j]->match);
        }
        return r;
}

/* Services are sorted by name: marks those that errors name, several of one name included. */
static void mark_broken(const Policy *p, bool *broken) {
        for (size_t i = 0; i < p->n_errors; i++) {
                const char *name = p->errors[i].service;
                size_t low = 0, high = p->n_services;

                if (!name)
                        continue;
                while (low < high) {
                        size_t middle = low + (high - low) / 2;

                        if (strcmp(p->services[middle]->name, name) < 0)
                                low = middle + 1;
                        else
                                high = middle;
                }
                for (; low < p->n_services && streq(p->services[low]->name, name) && !broken[low]; low++)
                        broken[low] = true;
        }
}

int policy_check(Policy *p) {
        _cleanup_free_ bool *broken = NULL;
        size_t n = 0;
        int r;

        broken = calloc(p->n_services + 1, sizeof(*broken));
        if (!broken)
                return -ENOMEM;
        if (p->n_services > 0)
                qsort(p->services, p->n_services, sizeof(*p->services), compare_services);
        r = check_names(p);
        if (r >= 0)
                r = check_addresses(p);
        if (r >= 0)
                r = check_slices(p);
        if (r < 0)
                return r;
        mark_broken(p, broken);
        r = check_caps(p, broken);
        if (r < 0)
                return r;
        mark_broken(p, broken);
        for (size_t i = 0; i < p->n_services; i++)
                if (broken[i])
                        policy_service_free(p->services[i]);
                else
                        p->services[n++] = p->services[i];
        p->n_services = n;
        return 0;
}
