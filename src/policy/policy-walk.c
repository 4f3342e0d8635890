/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>

#include "../basic/string-util.h"
#include "policy-error.h"
#include "policy-walk.h"

enum { WALK_ERRORS_MAX = 1000 }; /* listed, of one document */

/* Can stand in a path as it is: not a key like "10.1.0.11:8080". */
static bool key_is_plain(const char *key) {
        size_t n = 0;

        while (isascii(key[n]) && (isalnum((unsigned char) key[n]) || key[n] == '-' || key[n] == '_'))
                n++;
        return n > 0 && n <= 64 && !key[n];
}

/* "subsets.stable.endpoints[1].weight"; *ret is NULL at the top. */
static int walk_path(const Walker *w, char **ret) {
        char *text = NULL, quoted[QUOTED_SIZE];
        size_t size, start = 0;
        FILE *f;

        for (size_t i = 0; i < w->depth; i++)
                if (w->path[i].shorthand)
                        start = i;
        if (w->depth == 0) {
                *ret = NULL;
                return 0;
        }
        f = open_memstream(&text, &size);
        if (!f)
                return -ENOMEM;
        for (size_t i = start; i < w->depth; i++) {
                const char *key = w->path[i].key;

                if (!key)
                        fprintf(f, "[%zu]", w->path[i].index);
                else
                        fprintf(f, "%s%s", i > start ? "." : "",
                                key_is_plain(key) ? key : string_quote(key, quoted));
        }
        if (fclose(f) < 0) {
                free(text);
                return -ENOMEM;
        }
        *ret = text;
        return 0;
}

static int walk_errorv(Walker *w, const PolicyOrigin *origin, const char *format, va_list ap) _printf_(3, 0);

static int walk_errorv(Walker *w, const PolicyOrigin *origin, const char *format, va_list ap) {
        _cleanup_free_ char *path = NULL;
        int r;

        if (++w->n_errors > WALK_ERRORS_MAX)
                return 0;
        r = walk_path(w, &path);
        if (r < 0)
                return r;
        return policy_error_addv(w->policy, origin, w->service, path, format, ap);
}

int walk_error(Walker *w, const PolicyOrigin *origin, const char *format, ...) {
        va_list ap;
        int r;

        va_start(ap, format);
        r = walk_errorv(w, origin, format, ap);
        va_end(ap);
        return r;
}

int walk_error_child(Walker *w, const PolicyNode *child, const char *format, ...) {
        va_list ap;
        int r;

        walk_enter(w, child, 0);
        va_start(ap, format);
        r = walk_errorv(w, &child->key_origin, format, ap);
        va_end(ap);
        walk_leave(w);
        return r;
}

int walk_error_expected(Walker *w, const PolicyNode *n, const char *format, ...) {
        _cleanup_free_ char *expected = NULL;
        char text[QUOTED_SIZE];
        va_list ap;
        int r;

        va_start(ap, format);
        r = vasprintf(&expected, format, ap);
        va_end(ap);
        if (r < 0) {
                expected = NULL;
                return -ENOMEM;
        }
        if (n->kind != NODE_SCALAR)
                return walk_error(w, &n->origin, "Expected %s, not %s.", expected,
                                  node_kind_to_string(n->kind));
        return walk_error(w, &n->origin, "Expected %s, not %s.", expected,
                          *n->text ? string_quote(n->text, text) : "nothing");
}

int walk_error_missing(Walker *w, const PolicyOrigin *origin, const char *what, const char *name,
                       const char *near) {
        char text[QUOTED_SIZE];

        if (near)
                return walk_error(w, origin, "There is no %s %s; did you mean \"%s\"?", what,
                                  string_quote(name, text), near);
        return walk_error(w, origin, "There is no %s %s.", what, string_quote(name, text));
}

void walk_enter(Walker *w, const PolicyNode *child, size_t i) {
        w->path[w->depth++] = (WalkStep) { .key = child->key, .index = i, .shorthand = child->shorthand };
}

void walk_leave(Walker *w) {
        w->depth--;
}

int walk_expect(Walker *w, const PolicyNode *n, NodeKind kind, const char *form) {
        int r;

        if (n->kind == kind)
                return 1;
        r = walk_error_expected(w, n, "%s", form ?: node_kind_to_string(kind));
        return r < 0 ? r : 0;
}

static int walk_value(Walker *w, const SchemaKey *key, const PolicyNode *n, void *object) {
        _cleanup_free_ char *expected = NULL;
        int r;

        if (n->kind == NODE_SCALAR)
                r = schema_store(key, n->text, object, &expected);
        else
                r = schema_form(key, &expected) < 0 ? -ENOMEM : -EINVAL;
        return r == -EINVAL ? walk_error_expected(w, n, "%s", expected) : r;
}

static const char *key_name(const void *userdata, size_t i) {
        return ((const SchemaKey *) userdata)[i].name;
}

static int walk_unknown(Walker *w, const SchemaKey *keys, size_t n_keys, const PolicyNode *child) {
        const char *near = schema_nearest(child->key, key_name, keys, n_keys);

        if (near)
                return walk_error(w, &child->key_origin, "Unknown key; did you mean \"%s\"?", near);
        return walk_error(w, &child->key_origin, "Unknown key.");
}

static int walk_key(Walker *w, const SchemaKey *key, const PolicyNode *n, void *object) {
        switch (key->type) {
        case TYPE_UNSUPPORTED:
                return walk_error(w, &n->key_origin, "Not supported by this version.");
        case TYPE_SECTION:
                return walk_mapping(w, key->section, n, object);
        case TYPE_OTHER:
                return key->parse(w, key, n, object);
        default:
                return walk_value(w, key, n, object);
        }
}

static int walk_absent(Walker *w, const SchemaKey *key, const PolicyNode *mapping, void *object) {
        const PolicyNode standard = { .kind = NODE_SCALAR, .text = (char *) key->standard };

        if (key->type == TYPE_SECTION)
                return walk_mapping(w, key->section, NULL, object);
        if (key->standard)
                return walk_key(w, key, &standard, object);
        if (!key->required || w->partial || !mapping)
                return 0;
        return walk_error(w, &mapping->origin, "The key \"%s\" is missing.", key->name);
}

enum { PLACE_KEYS_MAX = 64 };

/* Goes by the order of the table, not of the file, so that a key can build on those above it. */
int walk_mapping(Walker *w, SchemaPlace place, const PolicyNode *n, void *object) {
        const PolicyNode *given[PLACE_KEYS_MAX] = {};
        const SchemaKey *keys;
        size_t n_keys;
        int r;

        keys = schema_place_keys(place, &n_keys);
        if (n) {
                r = walk_expect(w, n, NODE_MAPPING, NULL);
                if (r < 0)
                        return r;
                if (r == 0)
                        n = NULL;
        }
        for (size_t i = 0; n && i < n->n_children; i++) {
                const PolicyNode *child = n->children[i];
                size_t k = 0;

                while (k < n_keys && (keys[k].name[0] != child->key[0] || !streq(keys[k].name, child->key)))
                        k++;
                if (k < n_keys) {
                        given[k] = given[k] ?: child; /* a second one is an error of syntax already */
                        continue;
                }
                walk_enter(w, child, i);
                r = walk_unknown(w, keys, n_keys, child);
                walk_leave(w);
                if (r < 0)
                        return r;
        }
        for (size_t k = 0; k < n_keys; k++) {
                if (!given[k])
                        r = walk_absent(w, &keys[k], n, object);
                else {
                        walk_enter(w, given[k], 0);
                        r = walk_key(w, &keys[k], given[k], object);
                        walk_leave(w);
                }
                if (r < 0)
                        return r;
        }
        return 0;
}
