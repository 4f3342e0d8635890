/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "../basic/array-util.h"
#include "../basic/parse-util.h"
#include "../basic/string-util.h"
#include "policy-model.h"
#include "policy-parse.h"
#include "policy-schedule.h"

static int compare_subsets(const void *a, const void *b, void *userdata) {
        const PolicyService *s = userdata;
        size_t x = *(const size_t *) a, y = *(const size_t *) b;

        return strcmp(s->subsets[x]->name, s->subsets[y]->name);
}

/* Many routes may look up many subsets. */
static int sort_subsets(const PolicyService *s, size_t **ret) {
        size_t *sorted;

        sorted = malloc((s->n_subsets + 1) * sizeof(*sorted));
        if (!sorted)
                return -ENOMEM;
        for (size_t i = 0; i < s->n_subsets; i++)
                sorted[i] = i;
        qsort_r(sorted, s->n_subsets, sizeof(*sorted), compare_subsets, (void *) s);
        *ret = sorted;
        return 0;
}

static const char *subset_name(const void *userdata, size_t i) {
        return ((const PolicyService *) userdata)->subsets[i]->name;
}

int walk_subset(Walker *w, const char *name, const PolicyOrigin *origin, size_t *ret) {
        const PolicyService *s = w->model;
        size_t low = 0, high = s->n_subsets;
        int r;

        while (low < high) {
                size_t middle = low + (high - low) / 2;
                int c = strcmp(name, s->subsets[w->subset_by_name[middle]]->name);

                if (c == 0) {
                        *ret = w->subset_by_name[middle];
                        return 1;
                }
                if (c < 0)
                        high = middle;
                else
                        low = middle + 1;
        }
        if (w->partial)
                return 0;
        r = walk_error_missing(w, origin, "subset", name,
                               schema_nearest(name, subset_name, s, s->n_subsets));
        return r < 0 ? r : 0;
}

static int add_split(PolicyRoute *route, size_t subset, unsigned weight) {
        int r;

        r = array_reserve(&route->splits, route->n_splits, sizeof(*route->splits));
        if (r < 0)
                return r;
        route->splits[route->n_splits++] = (PolicySplit) { .subset = subset, .weight = weight };
        return 0;
}

int parse_to(Walker *w, const SchemaKey *key, const PolicyNode *n, void *object) {
        size_t subset;
        int r;

        r = walk_expect(w, n, NODE_SCALAR, key->form);
        if (r <= 0)
                return r;
        r = walk_subset(w, n->text, &n->origin, &subset);
        return r > 0 ? add_split(object, subset, 1) : r;
}

int split_weight_from_string(const char *s, bool *ret_percent, unsigned *ret) {
        bool percent = endswith(s, "%");
        uint64_t weight;
        unsigned permille;
        int r;

        if (percent) {
                r = parse_percent(s, &permille);
                weight = r < 0 ? 0 : permille;
        } else
                r = parse_unsigned(s, &weight);
        if (r < 0)
                return r;
        if (weight > SM_WEIGHT_MAX)
                return -ERANGE;
        *ret_percent = percent;
        *ret = (unsigned) weight;
        return 0;
}

/* A share; *percents counts those that are percentages. */
static int parse_share(Walker *w, const PolicyNode *n, PolicyRoute *route, size_t *percents) {
        unsigned weight;
        bool percent;
        size_t subset;
        int r;

        r = walk_expect(w, n, NODE_SCALAR, "a share");
        if (r <= 0)
                return r;
        r = split_weight_from_string(n->text, &percent, &weight);
        if (r < 0)
                return walk_error_expected(w, n, "a weight from 0 to %u, or a percentage like 12.5%%",
                                           SM_WEIGHT_MAX);
        *percents += percent;
        r = walk_subset(w, n->key, &n->key_origin, &subset);
        return r > 0 ? add_split(route, subset, weight) : r;
}

static int check_split(Walker *w, const PolicyNode *n, const PolicyRoute *route, size_t percents) {
        _cleanup_free_ unsigned *weights = NULL;
        unsigned sum = 0;
        uint64_t slots;

        weights = calloc(route->n_splits + 1, sizeof(*weights));
        if (!weights)
                return -ENOMEM;
        for (size_t i = 0; i < route->n_splits; i++)
                sum += weights[i] = route->splits[i].weight;
        if (sum == 0)
                return walk_error(w, &n->origin, "Expected at least one share above 0.");
        if (percents > 0 && percents < n->n_children)
                return walk_error(w, &n->origin, "Expected either weights or percentages, not both.");
        if (percents > 0 && sum != 1000)
                return walk_error(w, &n->origin, "The percentages make %u.%u%%, not 100%%.", sum / 10,
                                  sum % 10);
        slots = schedule_slots(weights, route->n_splits);
        if (slots <= SM_SLOTS_MAX)
                return 0;
        return walk_error(w, &n->origin,
                          "The shares, divided by their greatest common divisor, make %" PRIu64
                          "; at most %u is supported.", slots, SM_SLOTS_MAX);
}

int parse_split(Walker *w, const SchemaKey *key, const PolicyNode *n, void *object) {
        size_t percents = 0, errors = w->n_errors;
        PolicyRoute *route = object;
        int r;

        r = walk_expect(w, n, NODE_MAPPING, key->form);
        if (r <= 0)
                return r;
        if (route->n_splits > 0)
                return walk_error(w, &n->key_origin, "Expected either \"to\" or \"split\", not both.");
        for (size_t i = 0; i < n->n_children; i++) {
                walk_enter(w, n->children[i], i);
                r = parse_share(w, n->children[i], route, &percents);
                walk_leave(w);
                if (r < 0)
                        return r;
        }
        return w->n_errors > errors || w->partial ? 0 : check_split(w, n, route, percents);
}

int parse_split_by(Walker *w, const SchemaKey *key, const PolicyNode *n, void *object) {
        static const char *const names[] = {
                [SM_SPLIT_IN_TURN] = "round-robin", [SM_SPLIT_AT_RANDOM] = "random",
                [SM_SPLIT_BY_KEY] = "source",
        };
        PolicySubset hash = {};
        PolicyRoute *route = object;
        int r;

        for (unsigned i = 0; i < ELEMENTSOF(names); i++)
                if (n->kind == NODE_SCALAR && streq(n->text, names[i])) {
                        route->split_by = i;
                        return 0;
                }
        if (n->kind != NODE_MAPPING || n->n_children == 0)
                return walk_error_expected(w, n, "round-robin, random, source, {header: NAME} or "
                                           "{cookie: NAME}");
        r = walk_mapping(w, PLACE_HASH, n, &hash);
        route->split_by = SM_SPLIT_BY_KEY;
        route->split_hash = hash.hash;
        route->split_hash_name = hash.hash_name;
        return r;
}

/* Keys that say nothing of a connection, and of a request that the mesh itself answers. */
static int check_keys(Walker *w, const PolicyNode *n, const PolicyRoute *route) {
        static const struct {
                const char *key;
                bool http, upstream;
        } keys[] = {
                { "to", false, true },
                { "split", false, true },
                { "split-by", false, true },
                { "rewrite", true, true },
                { "request-headers", true, true },
                { "response-headers", true, true },
                { "redirect", true, false },
                { "respond", true, false },
                { "mirror", true, true },
                { "fault", true, false },
                { "timeout", true, true },
        };
        const bool tcp = w->model->protocol == SM_PROTOCOL_TCP;
        const bool answered = route->actions && route->actions->answer;
        int r = 0;

        for (size_t i = 0; r >= 0 && i < ELEMENTSOF(keys); i++) {
                const PolicyNode *child = policy_node_get(n, keys[i].key);

                if (child && tcp && keys[i].http)
                        r = walk_error_child(w, child, "Needs protocol http.");
                else if (child && answered && keys[i].upstream)
                        r = walk_error_child(w, child, "Has no place beside \"%s\": nothing is sent to an "
                                             "endpoint.", route->actions->answer->redirect ? "redirect" :
                                                                                           "respond");
        }
        return r;
}

static int check_route(Walker *w, const PolicyNode *n, PolicyRoute *route, size_t i) {
        static const PolicyActions none; /* as after `request-headers: {add: {}}` */
        const PolicyNode *by = policy_node_get(n, "split-by");
        char name[32];
        int r;

        if (!route->name && !policy_node_get(n, "name")) {
                snprintf(name, sizeof(name), "route-%zu", i + 1);
                r = strdup_to(&route->name, name);
                if (r < 0)
                        return r;
        }
        if (n->kind != NODE_MAPPING || w->partial)
                return 0;
        if (!policy_node_get(n, "to") && !policy_node_get(n, "split") && !policy_node_get(n, "redirect") &&
            !policy_node_get(n, "respond")) {
                r = walk_error(w, &n->origin,
                               "The key \"to\", \"split\", \"redirect\" or \"respond\" is missing.");
                if (r < 0)
                        return r;
        }
        if (by && w->model->protocol == SM_PROTOCOL_TCP && route->split_hash != SM_HASH_SOURCE_ADDRESS) {
                r = walk_error_child(w, by, "Needs protocol http; tcp has only \"source\".");
                if (r < 0)
                        return r;
        }
        if (route->actions && memcmp(route->actions, &none, sizeof(none)) == 0)
                route->actions = policy_actions_free(route->actions);
        r = check_keys(w, n, route);
        return r < 0 ? r : check_changes(w, route);
}

static int parse_route(Walker *w, const PolicyNode *n, size_t i) {
        _cleanup_(policy_route_freep) PolicyRoute *route = NULL;
        PolicyService *s = w->model;
        int r;

        route = calloc(1, sizeof(*route));
        if (!route)
                return -ENOMEM;
        route->origin = n->origin;
        r = walk_mapping(w, PLACE_ROUTE, n, route);
        if (r < 0)
                return r;
        r = check_route(w, n, route, i);
        if (r < 0)
                return r;
        r = array_reserve(&s->routes, s->n_routes, sizeof(*s->routes));
        if (r < 0)
                return r;
        s->routes[s->n_routes++] = TAKE_PTR(route);
        return 0;
}

static int compare_routes(const void *a, const void *b) {
        const PolicyRoute *x = *(PolicyRoute *const *) a, *y = *(PolicyRoute *const *) b;
        int c = strcmp(x->name ?: "", y->name ?: "");

        return c != 0 ? c : policy_origin_compare(&x->origin, &y->origin);
}

static int check_route_names(Walker *w) {
        _cleanup_free_ PolicyRoute **sorted = NULL;
        PolicyService *s = w->model;
        int r;

        sorted = malloc((s->n_routes + 1) * sizeof(*sorted));
        if (!sorted)
                return -ENOMEM;
        if (s->n_routes > 0)
                memcpy(sorted, s->routes, s->n_routes * sizeof(*sorted));
        qsort(sorted, s->n_routes, sizeof(*sorted), compare_routes);
        for (size_t i = 1; i < s->n_routes; i++) {
                if (!sorted[i]->name || !streq_null(sorted[i]->name, sorted[i - 1]->name))
                        continue;
                r = walk_error(w, &sorted[i]->origin,
                               "The name \"%s\" is already that of the route in line %u.",
                               sorted[i]->name, sorted[i - 1]->origin.line);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int check_shadows(Walker *w) {
        const PolicyService *s = w->model;
        size_t n = 0;

        for (size_t i = 0; i < s->n_routes; i++)
                if (s->routes[i]->shadow && ++n > SM_SHADOWS_MAX)
                        return walk_error(w, &s->routes[i]->origin, "At most %u routes can be shadows.",
                                          SM_SHADOWS_MAX);
        return 0;
}

int parse_routes(Walker *w, const SchemaKey *key, const PolicyNode *n, void *object) {
        int r;

        r = walk_expect(w, n, NODE_SEQUENCE, key->form);
        if (r <= 0)
                return r;
        if ((n->n_children == 0 && !w->partial) || n->n_children > UINT16_MAX)
                return walk_error(w, &n->origin, "Expected 1 to %u routes.", UINT16_MAX);
        r = sort_subsets(w->model, &w->subset_by_name);
        for (size_t i = 0; r >= 0 && i < n->n_children; i++) {
                walk_enter(w, n->children[i], i);
                r = parse_route(w, n->children[i], i);
                walk_leave(w);
        }
        free(TAKE_PTR(w->subset_by_name));
        if (r >= 0)
                r = check_shadows(w);
        return r < 0 ? r : check_route_names(w);
}

static const char *route_name(const void *userdata, size_t i) {
        return ((const PolicyService *) userdata)->routes[i]->name ?: "";
}

static void take_adjusted(PolicyRoute *route, PolicyRoute *changed) {
        if (changed->n_splits > 0) {
                free(route->splits);
                route->splits = TAKE_PTR(changed->splits);
                route->n_splits = changed->n_splits;
        }
        if (changed->actions)
                route->actions->mirror_subset = changed->actions->mirror_subset;
}

static int adjust_route(Walker *w, const PolicyNode *n, PolicyService *s) {
        PolicyRoute *route = NULL, changed = {};
        int r;

        for (size_t i = 0; i < s->n_routes && !route; i++)
                if (streq_null(s->routes[i]->name, n->key))
                        route = s->routes[i];
        if (!route)
                return w->partial ? 0
                     : walk_error_missing(w, &n->key_origin, "route", n->key,
                                          schema_nearest(n->key, route_name, s, s->n_routes));
        if (route->actions && route->actions->answer)
                return walk_error(w, &n->key_origin, "The route answers by itself: it has nothing to "
                                                     "adjust.");
        r = walk_mapping(w, PLACE_ADJUST_ROUTE, n, &changed);
        if (r >= 0 && changed.actions && !(route->actions && route->actions->mirror))
                r = walk_error(w, &n->key_origin, "The route has no mirror to adjust.");
        else if (r >= 0)
                take_adjusted(route, &changed);
        free(changed.splits);
        policy_actions_free(changed.actions);
        return r;
}

int parse_adjust_routes(Walker *w, const SchemaKey *key, const PolicyNode *n, void *object) {
        int r;

        r = walk_expect(w, n, NODE_MAPPING, key->form);
        if (r <= 0)
                return r;
        r = sort_subsets(w->model, &w->subset_by_name);
        for (size_t i = 0; r >= 0 && i < n->n_children; i++) {
                walk_enter(w, n->children[i], i);
                r = adjust_route(w, n->children[i], w->model);
                walk_leave(w);
        }
        free(TAKE_PTR(w->subset_by_name));
        return r;
}
