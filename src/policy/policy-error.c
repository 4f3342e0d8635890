/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdlib.h>

#include "../basic/array-util.h"
#include "../basic/string-util.h"
#include "policy-error.h"
#include "policy-model.h"

/* Grows, but what is in it never moves. */
struct PolicyStrings {
        char **strings;
        size_t n_strings;
};

const char *policy_intern(Policy *p, const char *s) {
        _cleanup_free_ char *copy = NULL;

        if (!p->strings)
                p->strings = calloc(1, sizeof(*p->strings));
        copy = strdup(s);
        if (!p->strings || !copy)
                return NULL;
        if (array_reserve(&p->strings->strings, p->strings->n_strings, sizeof(char *)) < 0)
                return NULL;
        return p->strings->strings[p->strings->n_strings++] = TAKE_PTR(copy);
}

struct PolicyStrings *policy_strings_free(struct PolicyStrings *s) {
        for (size_t i = 0; s && i < s->n_strings; i++)
                free(s->strings[i]);
        if (s)
                free(s->strings);
        free(s);
        return NULL;
}

static int take_strings(Policy *p, struct PolicyStrings *part) {
        int r;

        if (!p->strings)
                p->strings = calloc(1, sizeof(*p->strings));
        if (!p->strings)
                return -ENOMEM;
        for (size_t i = 0; i < part->n_strings; i++) {
                r = array_reserve(&p->strings->strings, p->strings->n_strings, sizeof(char *));
                if (r < 0)
                        return r;
                p->strings->strings[p->strings->n_strings++] = TAKE_PTR(part->strings[i]);
        }
        return 0;
}

int policy_take_part(Policy *p, Policy *part) {
        int r;

        r = part->strings ? take_strings(p, part->strings) : 0;
        for (size_t i = 0; r >= 0 && i < part->n_services; i++) {
                r = array_reserve(&p->services, p->n_services, sizeof(*p->services));
                if (r >= 0)
                        p->services[p->n_services++] = TAKE_PTR(part->services[i]);
        }
        for (size_t i = 0; r >= 0 && i < part->n_errors; i++) {
                r = array_reserve(&p->errors, p->n_errors, sizeof(*p->errors));
                if (r < 0)
                        return r;
                p->errors[p->n_errors++] = part->errors[i];
                part->errors[i] = (PolicyError) {};
        }
        return r;
}

void policy_error_done(PolicyError *e) {
        free(e->service);
        free(e->key);
        free(e->message);
        *e = (PolicyError) {};
}

int policy_error_addv(Policy *p, const PolicyOrigin *origin, const char *service, const char *key,
                      const char *format, va_list ap) {
        _cleanup_(policy_error_done) PolicyError e = { .origin = *origin };
        int r;

        r = array_reserve(&p->errors, p->n_errors, sizeof(*p->errors));
        if (r < 0)
                return r;
        r = strdup_to(&e.service, service);
        if (r < 0)
                return r;
        r = strdup_to(&e.key, key);
        if (r < 0)
                return r;
        if (vasprintf(&e.message, format, ap) < 0) {
                e.message = NULL;
                return -ENOMEM;
        }
        p->errors[p->n_errors++] = e;
        e = (PolicyError) {};
        return 0;
}

int policy_error_add(Policy *p, const PolicyOrigin *origin, const char *service, const char *key,
                     const char *format, ...) {
        va_list ap;
        int r;

        va_start(ap, format);
        r = policy_error_addv(p, origin, service, key, format, ap);
        va_end(ap);
        return r;
}

int policy_error_format(const PolicyError *e, char **ret) {
        char *text = NULL;
        const char *key = e->key ?: "", *separator = e->key ? ": " : "";
        int r;

        if (e->origin.line == 0)
                r = asprintf(&text, "%s: %s%s%s", e->origin.file, key, separator, e->message);
        else
                r = asprintf(&text, "%s:%u:%u: %s%s%s", e->origin.file, e->origin.line, e->origin.column,
                             key, separator, e->message);
        if (r < 0)
                return -ENOMEM;
        *ret = text;
        return 0;
}

static int compare_errors(const void *a, const void *b) {
        const PolicyError *x = a, *y = b;
        int c = policy_origin_compare(&x->origin, &y->origin);

        if (c == 0)
                c = strcmp(x->key ?: "", y->key ?: "");
        return c != 0 ? c : strcmp(x->message, y->message);
}

void policy_errors_sort(Policy *p) {
        if (p->n_errors > 0)
                qsort(p->errors, p->n_errors, sizeof(*p->errors), compare_errors);
}
