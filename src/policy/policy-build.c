/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "../basic/array-util.h"
#include "../basic/string-util.h"
#include "policy-build.h"
#include "policy-model.h"
#include "policy-schedule.h"
#include "policy-walk.h"

static const char *const shorthand_keys[] = { "endpoints", "balance", "hash" };

/* A mapping under `key` that nobody wrote; `like` lends it its place in the file. */
static int add_mapping(Arena *a, PolicyNode *parent, const char *key, const PolicyNode *like,
                       PolicyNode **ret) {
        PolicyNode *n;

        n = policy_node_new(a, NODE_MAPPING, &like->key_origin);
        if (!n)
                return -ENOMEM;
        n->key_origin = like->key_origin;
        n->key = arena_text(a, key, strlen(key));
        if (!n->key)
                return -ENOMEM;
        *ret = n;
        return policy_node_add(a, parent, n);
}

int policy_desugar(Arena *a, PolicyNode *root) {
        PolicyNode *subsets, *subset = NULL;
        int r;

        if (policy_node_get(root, "subsets"))
                return 0;
        for (size_t i = 0; i < ELEMENTSOF(shorthand_keys); i++) {
                PolicyNode *n = policy_node_take(root, shorthand_keys[i]);

                if (!n)
                        continue;
                if (!subset) {
                        r = add_mapping(a, root, "subsets", n, &subsets);
                        if (r >= 0)
                                r = add_mapping(a, subsets, "default", n, &subset);
                        if (r < 0)
                                return r;
                }
                n->shorthand = true;
                r = policy_node_add(a, subset, n);
                if (r < 0)
                        return r;
        }
        return 0;
}

const char *policy_document_name(const PolicyNode *root) {
        const PolicyNode *n = policy_node_get(root, "service");

        return n && n->kind == NODE_SCALAR && policy_name_is_valid(n->text) ? n->text : NULL;
}

/* Keys that say nothing where no request is seen. */
static int check_tcp(Walker *w, const PolicyNode *root) {
        const struct {
                const char *key;
                bool refused;
        } http_keys[] = {
                { "timeouts", true },
                { "paths", true },
                { "connect-attempts", true },
                { "via", w->model->via },
                { "accelerate", w->model->accelerate != ACCELERATE_AUTO },
                { "forwarded-for", w->model->forwarded_for },
        };
        int r;

        for (size_t i = 0; i < ELEMENTSOF(http_keys); i++) {
                const PolicyNode *n = policy_node_get(root, http_keys[i].key);

                if (!n || !http_keys[i].refused)
                        continue;
                r = walk_error_child(w, n, "Needs protocol http.");
                if (r < 0)
                        return r;
        }
        for (size_t i = 0; i < w->model->n_subsets; i++) {
                const PolicySubset *s = w->model->subsets[i];

                if (s->hash == SM_HASH_SOURCE_ADDRESS)
                        continue;
                r = walk_error(w, &s->origin, "The hash of subset \"%s\" needs protocol http; tcp has only "
                               "\"source\".", s->name);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int check_slots(Walker *w, const PolicySubset *s) {
        _cleanup_free_ unsigned *weights = NULL;
        uint64_t slots;

        weights = calloc(s->n_endpoints + 1, sizeof(*weights));
        if (!weights)
                return -ENOMEM;
        for (size_t i = 0; i < s->n_endpoints; i++)
                weights[i] = s->endpoints[i]->weight;
        slots = schedule_slots(weights, s->n_endpoints);
        if (slots <= SM_SLOTS_MAX)
                return 0;
        return walk_error(w, &s->origin,
                          "The weights in subset \"%s\", divided by their greatest common divisor, "
                          "make %" PRIu64 "; at most %u is supported.", s->name, slots, SM_SLOTS_MAX);
}

static int check_subsets(Walker *w, const PolicyNode *root) {
        int r = 0;

        if (!policy_node_get(root, "subsets") && !w->partial)
                return walk_error(w, &root->origin, "The key \"endpoints\" or \"subsets\" is missing.");
        for (size_t i = 0; r >= 0 && i < w->model->n_subsets; i++)
                r = check_slots(w, w->model->subsets[i]);
        return r;
}

static int add_default_route(Walker *w) {
        _cleanup_(policy_route_freep) PolicyRoute *route = NULL;
        PolicyService *s = w->model;
        int r;

        route = calloc(1, sizeof(*route));
        if (!route)
                return -ENOMEM;
        route->origin = s->origin;
        route->splits = calloc(1, sizeof(*route->splits));
        if (!route->splits)
                return -ENOMEM;
        route->splits[route->n_splits++] = (PolicySplit) { .weight = 1 };
        r = strdup_to(&route->name, "default");
        if (r < 0)
                return r;
        r = array_reserve(&s->routes, s->n_routes, sizeof(*s->routes));
        if (r < 0)
                return r;
        s->routes[s->n_routes++] = TAKE_PTR(route);
        return 0;
}

static int check_service(Walker *w, const PolicyNode *root) {
        const PolicyNode *port = policy_node_get(root, "port"), *address = policy_node_get(root, "address"),
                         *protocol = policy_node_get(root, "protocol");
        PolicyService *s = w->model;
        int r = 0;

        if (protocol && s->protocol == SM_PROTOCOL_GRPC)
                r = walk_error_child(w, protocol, "The protocol grpc is not supported by this version.");
        if (r >= 0 && port && address)
                r = walk_error_child(w, port, "Cannot stand beside \"address\", which has a port itself.");
        if (r >= 0)
                r = check_subsets(w, root);
        if (r >= 0 && s->protocol == SM_PROTOCOL_TCP)
                r = check_tcp(w, root);
        if (r < 0 || policy_node_get(root, "routes"))
                return r;
        if (s->n_subsets == 1)
                return add_default_route(w);
        if (s->n_subsets == 0 || w->partial)
                return 0;
        return walk_error(w, &root->origin, "With several subsets the key \"routes\" is needed.");
}

int policy_build_service(Policy *p, const PolicyNode *root, bool partial, PolicyService **ret) {
        _cleanup_(policy_service_freep) PolicyService *s = NULL;
        Walker w = {
                .policy = p,
                .service = policy_document_name(root),
                .partial = partial,
        };
        int r;

        s = calloc(1, sizeof(*s));
        if (!s)
                return -ENOMEM;
        s->origin = root->origin;
        w.model = s;
        r = walk_mapping(&w, PLACE_SERVICE, root, s);
        if (r < 0)
                return r;
        if (root->kind == NODE_MAPPING) {
                r = check_service(&w, root);
                if (r < 0)
                        return r;
        }
        *ret = s->name ? TAKE_PTR(s) : NULL;
        return 0;
}

int policy_build_mesh(Policy *p, const PolicyNode *root) {
        Walker w = { .policy = p };

        p->mesh_given = root != NULL;
        return walk_mapping(&w, PLACE_MESH, root, &p->mesh);
}
