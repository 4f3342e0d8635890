/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <inttypes.h>

#include "../basic/array-util.h"
#include "../basic/cleanup.h"
#include "../basic/string-util.h"
#include "../policy/policy-schema.h"
#include "daemon-bus-object.h"
#include "daemon-overrides.h"
#include "daemon-service.h"

/*
 * The methods SetSplit and Swap of a service: where its routes go, changed live. A change is one commit, so
 * every request sees all of it or nothing.
 */

/* What of a route is not in force. */
typedef struct Other {
        PolicyRoute route; /* only its splits */
        size_t mirror;     /* subset, of a route that has one */
} Other;

/* Where some routes go, and where else they might. */
typedef struct Change {
        PolicyRoute **routes;
        Other *others; /* of each */
        size_t n;
        bool mirrors; /* as well */
} Change;

static void change_done(Change *c) {
        for (size_t i = 0; i < c->n; i++)
                free(c->others[i].route.splits);
        free(c->others);
        free(c->routes);
}

static bool route_mirrors(const PolicyRoute *route) {
        return route->actions && route->actions->mirror;
}

/* Adds one that goes where the route goes now, with room for so many subsets more. */
static int change_add(Change *c, PolicyRoute *route, size_t room) {
        Other other = { .route.n_splits = route->n_splits };
        int r;

        r = array_reserve(&c->routes, c->n, sizeof(*c->routes));
        if (r >= 0)
                r = array_reserve(&c->others, c->n, sizeof(*c->others));
        if (r < 0)
                return r;
        other.route.splits = calloc(route->n_splits + room + 1, sizeof(*other.route.splits));
        if (!other.route.splits)
                return -ENOMEM;
        if (route->n_splits > 0)
                memcpy(other.route.splits, route->splits, route->n_splits * sizeof(*other.route.splits));
        if (route_mirrors(route))
                other.mirror = route->actions->mirror_subset;
        c->routes[c->n] = route;
        c->others[c->n++] = other;
        return 0;
}

/* The model gets what the change has, and the other way around. */
static void change_exchange(const Change *c) {
        for (size_t i = 0; i < c->n; i++) {
                PolicyRoute *route = c->routes[i], *other = &c->others[i].route, before = *route;
                size_t mirror = c->others[i].mirror;

                route->splits = other->splits;
                route->n_splits = other->n_splits;
                other->splits = before.splits;
                other->n_splits = before.n_splits;
                if (!route_mirrors(route))
                        continue;
                c->others[i].mirror = route->actions->mirror_subset;
                route->actions->mirror_subset = mirror;
        }
}

/* As endpoint_change() in daemon-endpoint-bus.c. */
static int change_apply(Service *s, const Change *c, bool persist, sd_bus_error *error) {
        int r;

        change_exchange(c);
        r = manager_refresh_service(s->manager, s);
        if (r >= 0)
                r = override_set_routes(s->manager->root, s->model, c->routes, c->n, c->mirrors, persist);
        if (r >= 0) {
                service_bus_changed(s, "Routes");
                return 0;
        }
        change_exchange(c);
        (void) manager_refresh_service(s->manager, s);
        return bus_change_failed(error, r, s->name);
}

static int append_splits(sd_bus_message *reply, const PolicyService *model, const PolicyRoute *route) {
        int r;

        r = sd_bus_message_open_container(reply, 'a', "(su)");
        for (size_t i = 0; r >= 0 && i < route->n_splits; i++)
                r = sd_bus_message_append(reply, "(su)", model->subsets[route->splits[i].subset]->name,
                                          route->splits[i].weight);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static const char *mirror_name(const PolicyService *model, const PolicyRoute *route) {
        return route_mirrors(route) ? model->subsets[route->actions->mirror_subset]->name : "";
}

/* Where the routes go now. */
static int reply_changed(sd_bus_message *call, const Service *s, const Change *c) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        int r;

        r = sd_bus_message_new_method_return(call, &reply);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "(sa(su)s)");
        for (size_t i = 0; r >= 0 && i < c->n; i++) {
                r = sd_bus_message_open_container(reply, 'r', "sa(su)s");
                if (r >= 0)
                        r = sd_bus_message_append(reply, "s", c->routes[i]->name);
                if (r >= 0)
                        r = append_splits(reply, s->model, c->routes[i]);
                if (r >= 0)
                        r = sd_bus_message_append(reply, "s", mirror_name(s->model, c->routes[i]));
                if (r >= 0)
                        r = sd_bus_message_close_container(reply);
        }
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}

static const char *subset_name(const void *model, size_t i) {
        return ((const PolicyService *) model)->subsets[i]->name;
}

static const char *route_name(const void *model, size_t i) {
        return ((const PolicyService *) model)->routes[i]->name;
}

static int missing(sd_bus_error *error, const char *id, const Service *s, const char *what, const char *name,
                   const char *near) {
        if (near)
                return sd_bus_error_setf(error, id, "Service %s has no %s \"%s\"; did you mean \"%s\"?",
                                         s->name, what, name, near);
        return sd_bus_error_setf(error, id, "Service %s has no %s \"%s\".", s->name, what, name);
}

static int find_subset(const Service *s, const char *name, size_t *ret, sd_bus_error *error) {
        const PolicyService *model = s->model;
        const char *near;

        for (size_t i = 0; i < model->n_subsets; i++)
                if (streq(model->subsets[i]->name, name)) {
                        *ret = i;
                        return 0;
                }
        near = schema_nearest(name, subset_name, model, model->n_subsets);
        return missing(error, BUS_ERROR_NO_SUCH_SUBSET, s, "subset", name, near);
}

static PolicySplit *find_split(const PolicyRoute *route, size_t subset) {
        for (size_t i = 0; i < route->n_splits; i++)
                if (route->splits[i].subset == subset)
                        return &route->splits[i];
        return NULL;
}

static int read_shares(sd_bus_message *call, const Service *s, PolicyRoute *ret, sd_bus_error *error) {
        uint64_t sum = 0;
        const char *name;
        uint32_t weight;
        size_t subset;
        int r;

        r = sd_bus_message_enter_container(call, 'a', "(su)");
        if (r < 0)
                return r;
        while ((r = sd_bus_message_read(call, "(su)", &name, &weight)) > 0) {
                r = find_subset(s, name, &subset, error);
                if (r < 0)
                        return r;
                if (weight > SM_WEIGHT_MAX)
                        return sd_bus_error_setf(error, BUS_ERROR_OUT_OF_RANGE, "A share is 0 to %d, not %"
                                                 PRIu32 ".", SM_WEIGHT_MAX, weight);
                if (find_split(ret, subset))
                        return sd_bus_error_setf(error, BUS_ERROR_INVALID_REQUEST,
                                                 "Subset \"%s\" is named twice.", name);
                r = array_reserve(&ret->splits, ret->n_splits, sizeof(*ret->splits));
                if (r < 0)
                        return r;
                ret->splits[ret->n_splits++] = (PolicySplit) { .subset = subset, .weight = weight };
                sum += weight;
        }
        if (r < 0)
                return r;
        if (sum == 0)
                return sd_bus_error_set(error, BUS_ERROR_OUT_OF_RANGE,
                                        "At least one share must be above 0.");
        return sd_bus_message_exit_container(call);
}

/* Sends requests to all of these subsets, or did so before their shares became 0. */
static bool route_splits_over(const PolicyRoute *route, const PolicyRoute *shares) {
        for (size_t i = 0; i < shares->n_splits; i++)
                if (!find_split(route, shares->splits[i].subset))
                        return false;
        return route->n_splits > 1;
}

/* "a, b, c" of the routes that go to subsets, with `shares` to these. */
static int list_routes(const PolicyService *model, const PolicyRoute *shares, char **ret) {
        size_t size, n = 0;
        FILE *f;

        f = open_memstream(ret, &size);
        if (!f)
                return -errno;
        for (size_t i = 0; i < model->n_routes; i++) {
                const PolicyRoute *route = model->routes[i];

                if (route->n_splits > 0 && (!shares || route_splits_over(route, shares)))
                        fprintf(f, "%s%s", n++ > 0 ? ", " : "", route->name);
        }
        return fclose(f) == 0 ? 0 : -ENOMEM;
}

static int ask_for_route(const Service *s, const PolicyRoute *shares, size_t n, sd_bus_error *error) {
        _cleanup_free_ char *names = NULL;
        int r;

        r = list_routes(s->model, n > 0 ? shares : NULL, &names);
        if (r < 0)
                return r;
        return sd_bus_error_setf(error, BUS_ERROR_AMBIGUOUS_ROUTE, "%s of service %s split over these "
                                 "subsets; name one: %s.", n > 0 ? "Several routes" : "No routes", s->name,
                                 names);
}

/* The only one that is split over these subsets; or the only one at all. */
static int find_only_route(const Service *s, const PolicyRoute *shares, PolicyRoute **ret,
                           sd_bus_error *error) {
        const PolicyService *model = s->model;
        size_t n = 0;

        for (size_t i = 0; i < model->n_routes; i++)
                if (route_splits_over(model->routes[i], shares)) {
                        *ret = model->routes[i];
                        n++;
                }
        if (n == 0 && model->n_routes == 1) {
                *ret = model->routes[0];
                n = 1;
        }
        return n == 1 ? 0 : ask_for_route(s, shares, n, error);
}

static int find_route(const Service *s, const char *name, const PolicyRoute *shares, PolicyRoute **ret,
                      sd_bus_error *error) {
        const PolicyService *model = s->model;
        const char *near;

        if (!*name)
                return find_only_route(s, shares, ret, error);
        for (size_t i = 0; i < model->n_routes; i++)
                if (streq(model->routes[i]->name, name)) {
                        *ret = model->routes[i];
                        return 0;
                }
        near = schema_nearest(name, route_name, model, model->n_routes);
        return missing(error, BUS_ERROR_NO_SUCH_ROUTE, s, "route", name, near);
}

/* What is not named gets nothing, but stays in the split: the next one may name it again. */
static int change_add_split(Change *c, PolicyRoute *route, const PolicyRoute *shares) {
        PolicyRoute *other;
        int r;

        r = change_add(c, route, shares->n_splits);
        if (r < 0)
                return r;
        other = &c->others[c->n - 1].route;
        for (size_t i = 0; i < other->n_splits; i++)
                other->splits[i].weight = 0;
        for (size_t i = 0; i < shares->n_splits; i++) {
                PolicySplit *split = find_split(other, shares->splits[i].subset);

                if (!split)
                        split = &other->splits[other->n_splits++];
                *split = shares->splits[i];
        }
        return 0;
}

static int set_split(Service *s, sd_bus_message *call, PolicyRoute *shares, sd_bus_error *error) {
        _cleanup_(change_done) Change c = {};
        PolicyRoute *route = NULL;
        const char *name;
        int persist, r;

        r = sd_bus_message_read(call, "s", &name);
        if (r >= 0)
                r = read_shares(call, s, shares, error);
        if (r >= 0)
                r = sd_bus_message_read(call, "b", &persist);
        if (r >= 0)
                r = find_route(s, name, shares, &route, error);
        if (r < 0)
                return r;
        if (route->n_splits == 0)
                return sd_bus_error_setf(error, BUS_ERROR_INVALID_REQUEST,
                                         "Route \"%s\" of service %s is answered by the mesh itself.",
                                         route->name, s->name);
        r = bus_authorize(s->manager, call, error);
        if (r <= 0)
                return r < 0 ? r : 1;
        r = change_add_split(&c, route, shares);
        if (r >= 0)
                r = change_apply(s, &c, persist, error);
        return r < 0 ? r : reply_changed(call, s, &c);
}

int shift_bus_set_split(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        PolicyRoute shares = {}; /* only its splits */
        int r;

        r = set_split(userdata, call, &shares, error);
        free(shares.splits);
        return r;
}

static size_t other_of(size_t subset, size_t a, size_t b) {
        return subset == a ? b : subset == b ? a : subset;
}

static bool route_mirrors_to(const PolicyRoute *route, size_t subset) {
        return route_mirrors(route) && route->actions->mirror_subset == subset;
}

static int change_add_swap(Change *c, PolicyRoute *route, size_t a, size_t b) {
        Other *other;
        int r;

        if (!find_split(route, a) && !find_split(route, b) && !route_mirrors_to(route, a) &&
            !route_mirrors_to(route, b))
                return 0;
        r = change_add(c, route, 0);
        if (r < 0)
                return r;
        other = &c->others[c->n - 1];
        for (size_t i = 0; i < other->route.n_splits; i++)
                other->route.splits[i].subset = other_of(other->route.splits[i].subset, a, b);
        other->mirror = other_of(other->mirror, a, b);
        return 0;
}

static int swap(Service *s, size_t a, size_t b, bool persist, sd_bus_message *call, sd_bus_error *error) {
        _cleanup_(change_done) Change c = { .mirrors = true };
        int r = 0;

        for (size_t i = 0; r >= 0 && i < s->model->n_routes; i++)
                r = change_add_swap(&c, s->model->routes[i], a, b);
        if (r < 0)
                return r;
        if (c.n == 0)
                return sd_bus_error_setf(error, BUS_ERROR_NO_SUCH_ROUTE,
                                         "No route of service %s goes to \"%s\" or \"%s\".", s->name,
                                         s->model->subsets[a]->name, s->model->subsets[b]->name);
        r = change_apply(s, &c, persist, error);
        return r < 0 ? r : reply_changed(call, s, &c);
}

int shift_bus_swap(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        const char *names[2];
        Service *s = userdata;
        int persist, r;
        size_t a, b;

        r = sd_bus_message_read(call, "ssb", &names[0], &names[1], &persist);
        if (r >= 0)
                r = find_subset(s, names[0], &a, error);
        if (r >= 0)
                r = find_subset(s, names[1], &b, error);
        if (r < 0)
                return r;
        if (a == b)
                return sd_bus_error_set(error, BUS_ERROR_INVALID_REQUEST,
                                        "A subset cannot be swapped with itself.");
        r = bus_authorize(s->manager, call, error);
        if (r <= 0)
                return r < 0 ? r : 1;
        return swap(s, a, b, persist, call, error);
}
