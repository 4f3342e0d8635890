/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "../basic/cleanup.h"
#include "../basic/log.h"
#include "../basic/string-util.h"
#include "daemon-override-file.h"
#include "daemon-overrides.h"

#define PERSISTENT_NAME "/50-bus.yaml"
#define RUNTIME_NAME "/90-bus.yaml"
#define PERSISTENT_PATH "%s/etc/slicemesh/services/%s.d" PERSISTENT_NAME
#define RUNTIME_PATH "%s/run/slicemesh/services/%s.d" RUNTIME_NAME

static int override_file_open(const char *root, const char *service, bool persist, OverrideFile *f) {
        if (!root || streq(root, "/"))
                root = "";
        if (asprintf(&f->path, persist ? PERSISTENT_PATH : RUNTIME_PATH, root, service) < 0) {
                f->path = NULL;
                return -ENOMEM;
        }
        return override_file_load(f);
}

static int override_drop_runtime(const char *root, const char *service, const Setting *settings, size_t n) {
        _cleanup_(override_file_done) OverrideFile f = {};
        bool changed = false;
        int r;

        r = override_file_open(root, service, false, &f);
        if (r == -EEXIST)
                return 0;
        if (r < 0)
                return r;
        for (size_t i = 0; i < n; i++)
                changed |= override_file_remove(&f, &settings[i]);
        return changed ? override_file_save(&f) : 0;
}

/* All of them, or none. */
static int override_set(const char *root, const char *service, const Setting *settings, size_t n,
                        bool persist) {
        _cleanup_(override_file_done) OverrideFile f = {};
        int r;

        /* The service's name becomes a directory's. */
        if (service[0] == '\0' || service[0] == '.' || strchr(service, '/') || strlen(service) > SM_NAME_MAX)
                return -EINVAL;

        r = override_file_open(root, service, persist, &f);
        if (r < 0)
                return r;
        for (size_t i = 0; i < n; i++) {
                if (!setting_is_plain(&settings[i]))
                        return -EINVAL;
                (void) override_file_remove(&f, &settings[i]);
                r = override_file_append(&f, &settings[i]);
                if (r < 0)
                        return r;
        }
        r = override_file_save(&f);
        if (r < 0 || !persist)
                return r;
        return override_drop_runtime(root, service, settings, n);
}

/* Whether the error is about what the setting is of: its endpoint; its subset, what that lacks being missed
 * at the first of its keys; its route, or what stands there of it. */
static bool setting_is_at(const Setting *s, const PolicyOrigin *o) {
        if (s->route)
                return o->line == s->name_line || o->line == s->line;
        if (s->endpoint && o->line == s->endpoint_line)
                return true;
        return o->line == s->name_line + 1 && o->column == strlen("    ") + 1;
}

static bool is_own_file(const char *file) {
        return endswith(file, PERSISTENT_NAME) || endswith(file, RUNTIME_NAME);
}

/* Files of the service have errors themselves, so what they do not list may only be misspelt. Errors without
 * a key do not count: that several subsets need routes may be due to one that is ours. */
static bool service_is_broken(const Policy *p, const char *service) {
        for (size_t i = 0; i < p->n_errors; i++)
                if (streq_null(p->errors[i].service, service) && p->errors[i].key &&
                    !is_own_file(p->errors[i].origin.file))
                        return true;
        return false;
}

/* All errors in the file that error `first` is in: their lines are those of the file as it is. */
static int override_forget_in(const Policy *p, size_t first) {
        _cleanup_(override_file_done) OverrideFile f = {};
        const char *file = p->errors[first].origin.file;
        size_t n_before;
        int r;

        f.path = strdup(file);
        if (!f.path)
                return -ENOMEM;
        r = override_file_load(&f);
        if (r < 0)
                return r == -EEXIST || r == -EBADMSG ? 0 : r;

        n_before = f.n_settings;
        for (size_t i = first; i < p->n_errors; i++)
                for (size_t j = 0; p->errors[i].origin.file == file && j < f.n_settings;)
                        if (setting_is_at(&f.settings[j], &p->errors[i].origin))
                                override_file_remove_at(&f, j);
                        else
                                j++;
        if (f.n_settings == n_before)
                return 0;
        r = override_file_save(&f);
        if (r < 0)
                return r;
        log_notice("The policy does not list any more what some changes made over the bus are about; "
                   "they are taken out of %s.", file);
        return 1;
}

/* Errors are sorted by file, and names of files are interned. */
int override_forget(const Policy *p) {
        const char *before = NULL;
        int r, forgotten = 0;

        for (size_t i = 0; i < p->n_errors; i++) {
                const char *file = p->errors[i].origin.file;

                if (file == before || !is_own_file(file) || service_is_broken(p, p->errors[i].service))
                        continue;
                before = file;
                r = override_forget_in(p, i);
                if (r < 0)
                        return r;
                forgotten |= r;
        }
        return forgotten;
}

int override_set_weight(const char *root, const char *service, const char *subset, const char *endpoint,
                        unsigned weight, bool persist) {
        char value[sizeof("4294967295")];
        const Setting s = { .subset = subset, .endpoint = endpoint, .key = "weight", .value = value };

        (void) snprintf(value, sizeof(value), "%u", weight);
        return override_set(root, service, &s, 1, persist);
}

int override_set_admin(const char *root, const char *service, const char *subset, const char *endpoint,
                       EndpointAdmin admin, bool persist) {
        const Setting s = { .subset = subset, .endpoint = endpoint, .key = "state",
                            .value = endpoint_admin_to_string(admin) };

        return override_set(root, service, &s, 1, persist);
}

int override_set_balance(const char *root, const char *service, const char *subset, enum sm_balance balance,
                         bool persist) {
        const Setting s = { .subset = subset, .key = "balance", .value = balance_to_string(balance) };

        return override_set(root, service, &s, 1, persist);
}

/* {"stable": 90, "canary": 10} */
static int format_split(const PolicyService *s, const PolicyRoute *route, const char **ret) {
        char *text = NULL;
        size_t size;
        FILE *f;

        f = open_memstream(&text, &size);
        if (!f)
                return -errno;
        for (size_t i = 0; i < route->n_splits; i++) {
                fputs(i == 0 ? "{" : ", ", f);
                override_write_quoted(f, s->subsets[route->splits[i].subset]->name);
                fprintf(f, ": %u", route->splits[i].weight);
        }
        fputc('}', f);
        if (fclose(f) != 0) {
                free(text);
                return -ENOMEM;
        }
        *ret = text;
        return 0;
}

static int format_quoted(const char *s, const char **ret) {
        char *text = NULL;
        size_t size;
        FILE *f;

        f = open_memstream(&text, &size);
        if (!f)
                return -errno;
        override_write_quoted(f, s);
        if (fclose(f) != 0) {
                free(text);
                return -ENOMEM;
        }
        *ret = text;
        return 0;
}

/* The settings of one route: two at most. */
static int route_settings(const PolicyService *s, const PolicyRoute *route, bool mirrors,
                          Setting *settings, size_t *n) {
        const PolicyActions *a = route->actions;
        int r = 0;

        if (route->n_splits > 0) {
                settings[*n] = (Setting) { .route = route->name, .key = "split" };
                r = format_split(s, route, &settings[(*n)++].value);
        }
        if (r >= 0 && mirrors && a && a->mirror) {
                settings[*n] = (Setting) { .route = route->name, .key = "mirror" };
                r = format_quoted(s->subsets[a->mirror_subset]->name, &settings[(*n)++].value);
        }
        return r;
}

int override_set_routes(const char *root, const PolicyService *s, PolicyRoute *const *routes, size_t n,
                        bool mirrors, bool persist) {
        _cleanup_free_ Setting *settings = calloc(2 * n + 1, sizeof(*settings));
        size_t n_settings = 0;
        int r = 0;

        if (!settings)
                return -ENOMEM;
        for (size_t i = 0; i < n && r >= 0; i++)
                r = route_settings(s, routes[i], mirrors, settings, &n_settings);
        if (r >= 0)
                r = override_set(root, s->name, settings, n_settings, persist);
        for (size_t i = 0; i < n_settings; i++)
                free((char *) settings[i].value);
        return r;
}
