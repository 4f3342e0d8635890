/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../basic/array-util.h"
#include "../basic/parse-util.h"
#include "../basic/string-util.h"
#include "policy-model.h"
#include "policy-parse.h"

/* What is done with the requests of a route beside sending them to a subset. */

static int route_actions(PolicyRoute *route, PolicyActions **ret) {
        if (!route->actions)
                route->actions = calloc(1, sizeof(*route->actions));
        *ret = route->actions;
        return route->actions ? 0 : -ENOMEM;
}

static int new_answer(PolicyAnswer **ret) {
        *ret = calloc(1, sizeof(**ret));
        return *ret ? 0 : -ENOMEM;
}

int parse_fraction(Walker *w, const SchemaKey *key, const PolicyNode *n, void *object) {
        unsigned fraction;
        int r;

        r = walk_fraction(w, n, &fraction);
        if (r > 0)
                memcpy((char *) object + key->offset, &fraction, sizeof(fraction));
        return r;
}

static int store_text(const SchemaKey *key, const PolicyNode *n, void *object) {
        char **place = (char **) ((char *) object + key->offset);

        return strdup_to(place, n->text);
}

int parse_text(Walker *w, const SchemaKey *key, const PolicyNode *n, void *object) {
        int r;

        r = walk_expect(w, n, NODE_SCALAR, key->form);
        return r <= 0 ? r : store_text(key, n, object);
}

int parse_content_type(Walker *w, const SchemaKey *key, const PolicyNode *n, void *object) {
        if (n->kind != NODE_SCALAR || !*n->text || !field_value_is_valid(n->text))
                return walk_error_expected(w, n, "a media type, like text/plain");
        return store_text(key, n, object);
}

int parse_new_prefix(Walker *w, const SchemaKey *key, const PolicyNode *n, void *object) {
        if (n->kind != NODE_SCALAR || n->text[0] != '/' || !path_is_valid(n->text))
                return walk_error_expected(w, n, "a path that starts with / and has no query, spaces or "
                                           "other characters that must be encoded");
        return store_text(key, n, object);
}

/* "shop.example", "[fd00::1]:8080" */
static bool authority_is_valid(const char *s) {
        const char *colon = strrchr(s, ':');
        _cleanup_free_ char *host = NULL;
        uint16_t port;

        if (host_is_valid(s))
                return true;
        if (!colon || parse_port(colon + 1, &port) < 0)
                return false;
        host = strndup(s, (size_t) (colon - s));
        return host && host_is_valid(host);
}

int parse_new_host(Walker *w, const SchemaKey *key, const PolicyNode *n, void *object) {
        if (n->kind != NODE_SCALAR || !authority_is_valid(n->text))
                return walk_error_expected(w, n, "a host name, with a port if need be");
        return store_text(key, n, object);
}

int parse_redirect_url(Walker *w, const SchemaKey *key, const PolicyNode *n, void *object) {
        size_t i = 0;

        if (n->kind == NODE_SCALAR) {
                while (n->text[i] > ' ' && n->text[i] <= '~')
                        i++;
                if (!n->text[i] && (startswith(n->text, "http://") || startswith(n->text, "https://") ||
                                    (n->text[0] == '/' && n->text[1] != '/')))
                        return store_text(key, n, object);
        }
        return walk_error_expected(w, n, "a URL that begins with http://, https:// or one slash");
}

int parse_redirect_scheme(Walker *w, const SchemaKey *key, const PolicyNode *n, void *object) {
        if (n->kind != NODE_SCALAR || (!streq(n->text, "http") && !streq(n->text, "https")))
                return walk_error_expected(w, n, "http or https");
        return store_text(key, n, object);
}

int parse_redirect_status(Walker *w, const SchemaKey *key, const PolicyNode *n, void *object) {
        static const unsigned known[] = { 301, 302, 303, 307, 308 };
        PolicyAnswer *a = object;
        uint64_t status;

        if (n->kind == NODE_SCALAR && parse_unsigned(n->text, &status) >= 0)
                for (size_t i = 0; i < ELEMENTSOF(known); i++)
                        if (known[i] == status) {
                                a->status = known[i];
                                return 0;
                        }
        return walk_error_expected(w, n, "%s", key->form);
}

/* What is replaced must be known, wherever the match is true: one path, at its top. */
static int check_prefix(Walker *w, const PolicyNode *n, const PolicyRoute *route) {
        const PolicyNode *prefix = policy_node_get(n, "prefix");

        if (!prefix || w->partial || policy_match_path(route->match))
                return 0;
        return walk_error_child(w, prefix, "Needs one exact path or path prefix among the top keys of "
                                "\"match\": that is what it replaces.");
}

int parse_rewrite(Walker *w, const SchemaKey *key, const PolicyNode *n, void *object) {
        PolicyActions *a;
        int r;

        r = route_actions(object, &a);
        if (r >= 0)
                r = walk_mapping(w, PLACE_REWRITE, n, a);
        if (r < 0 || n->kind != NODE_MAPPING)
                return r;
        if (n->n_children == 0 && !w->partial)
                return walk_error(w, &n->origin, "Expected \"prefix\" or \"host\".");
        return check_prefix(w, n, object);
}

/* RFC 9110, 7.6.1, and what frames or routes a message: these are the mesh's own business. */
static bool field_is_reserved(const char *name) {
        static const char *const reserved[] = {
                "connection", "content-length", "expect", "host", "keep-alive", "proxy-connection", "te",
                "trailer", "transfer-encoding", "upgrade",
        };

        for (size_t i = 0; i < ELEMENTSOF(reserved); i++)
                if (strcasecmp(name, reserved[i]) == 0)
                        return true;
        return false;
}

/* A field's name; 1 = it can be edited. */
static int check_name(Walker *w, const char *name, const PolicyOrigin *origin) {
        char text[QUOTED_SIZE];
        int r;

        if (!token_is_valid(name))
                r = walk_error(w, origin, "%s is no name of a header field.", string_quote(name, text));
        else if (strcasecmp(name, "host") == 0)
                r = walk_error(w, origin, "Host is not for editing; \"rewrite\" has a key for it.");
        else if (field_is_reserved(name))
                r = walk_error(w, origin, "%s is not for editing: it belongs to the connection or frames "
                               "the message.", name);
        else
                return 1;
        return r < 0 ? r : 0;
}

static int add_edit(PolicyEdits *edits, enum sm_edit_kind kind, const char *name, const char *value) {
        PolicyEdit edit = { .kind = kind };
        int r;

        r = array_reserve(&edits->items, edits->n_items, sizeof(*edits->items));
        if (r >= 0)
                r = strdup_to(&edit.name, name);
        if (r >= 0)
                r = strdup_to(&edit.value, value);
        if (r < 0) {
                free(edit.name);
                return r;
        }
        edits->items[edits->n_items++] = edit;
        return 0;
}

static int add_value(Walker *w, const PolicyNode *n, PolicyEdits *edits, enum sm_edit_kind kind,
                     const char *name) {
        if (n->kind != NODE_SCALAR || !field_value_is_valid(n->text))
                return walk_error_expected(w, n, "a value without control characters, and without spaces "
                                           "around it");
        return add_edit(edits, kind, name, n->text);
}

static int add_values(Walker *w, const PolicyNode *n, PolicyEdits *edits, enum sm_edit_kind kind) {
        int r = 0;

        if (n->kind != NODE_SEQUENCE || kind != SM_EDIT_ADD)
                return add_value(w, n, edits, kind, n->key);
        for (size_t i = 0; r >= 0 && i < n->n_children; i++) {
                walk_enter(w, n->children[i], i);
                r = add_value(w, n->children[i], edits, kind, n->key);
                walk_leave(w);
        }
        return r;
}

static int parse_fields(Walker *w, const SchemaKey *key, const PolicyNode *n, PolicyEdits *edits,
                        enum sm_edit_kind kind) {
        int r;

        r = walk_expect(w, n, NODE_MAPPING, key->form);
        if (r <= 0)
                return r;
        for (size_t i = 0; r >= 0 && i < n->n_children; i++) {
                const PolicyNode *child = n->children[i];

                walk_enter(w, child, i);
                r = check_name(w, child->key, &child->key_origin);
                if (r > 0)
                        r = add_values(w, child, edits, kind);
                walk_leave(w);
        }
        return r < 0 ? r : 0;
}

int parse_edits_add(Walker *w, const SchemaKey *key, const PolicyNode *n, void *object) {
        return parse_fields(w, key, n, object, SM_EDIT_ADD);
}

int parse_edits_set(Walker *w, const SchemaKey *key, const PolicyNode *n, void *object) {
        return parse_fields(w, key, n, object, SM_EDIT_SET);
}

int parse_edits_remove(Walker *w, const SchemaKey *key, const PolicyNode *n, void *object) {
        PolicyEdits *edits = object;
        int r;

        r = walk_expect(w, n, NODE_SEQUENCE, key->form);
        if (r <= 0)
                return r;
        for (size_t i = 0; r >= 0 && i < n->n_children; i++) {
                const PolicyNode *child = n->children[i];

                walk_enter(w, child, i);
                r = walk_expect(w, child, NODE_SCALAR, "the name of a header field");
                if (r > 0)
                        r = check_name(w, child->text, &child->origin);
                if (r > 0)
                        r = add_edit(edits, SM_EDIT_REMOVE, child->text, NULL);
                walk_leave(w);
        }
        return r < 0 ? r : 0;
}

static size_t edits_size(const PolicyEdits *edits) {
        size_t size = 0;

        for (size_t i = 0; i < edits->n_items; i++)
                size += strlen(edits->items[i].name) + strlen(edits->items[i].value ?: "") +
                        strlen(": \r\n");
        return size;
}

int check_changes(Walker *w, const PolicyRoute *route) {
        const PolicyActions *a = route->actions;
        size_t size;

        if (!a)
                return 0;
        size = edits_size(&a->request) + strlen(a->rewrite_prefix ?: "") + strlen(a->rewrite_host ?: "");
        size = MAX(size, edits_size(&a->response));
        if (a->answer)
                size = MAX(size, edits_size(&a->answer->fields));
        if (size <= SM_CHANGES_MAX)
                return 0;
        return walk_error(w, &route->origin, "What it adds to a head makes %zu bytes; at most %u are "
                          "supported.", size, SM_CHANGES_MAX);
}

static int parse_edits(Walker *w, const PolicyNode *n, PolicyEdits *edits) {
        int r;

        r = walk_mapping(w, PLACE_EDITS, n, edits);
        if (r < 0 || n->kind != NODE_MAPPING || w->partial)
                return r;
        return n->n_children > 0 ? 0 : walk_error(w, &n->origin,
                                                  "Expected \"add\", \"set\" or \"remove\".");
}

int parse_request_headers(Walker *w, const SchemaKey *key, const PolicyNode *n, void *object) {
        PolicyActions *a;
        int r;

        r = route_actions(object, &a);
        return r < 0 ? r : parse_edits(w, n, &a->request);
}

int parse_response_headers(Walker *w, const SchemaKey *key, const PolicyNode *n, void *object) {
        PolicyActions *a;
        int r;

        r = route_actions(object, &a);
        return r < 0 ? r : parse_edits(w, n, &a->response);
}

int parse_answer_headers(Walker *w, const SchemaKey *key, const PolicyNode *n, void *object) {
        PolicyAnswer *a = object;
        int r;

        r = parse_fields(w, key, n, &a->fields, SM_EDIT_ADD);
        for (size_t i = 0; r >= 0 && i < a->fields.n_items; i++)
                if (strcasecmp(a->fields.items[i].name, "content-type") == 0)
                        return walk_error(w, &n->origin, "Content-Type has a key of its own, "
                                                         "\"content-type\".");
        return r;
}

/* RFC 9110, 15.3.5 and 15.4.5. */
static int check_body(Walker *w, const PolicyNode *n, const PolicyAnswer *a) {
        const PolicyNode *body = policy_node_get(n, "body");

        if (!body || (a->status != 204 && a->status != 304))
                return 0;
        return walk_error_child(w, body, "An answer with status %u has no body.", a->status);
}

int parse_redirect(Walker *w, const SchemaKey *key, const PolicyNode *n, void *object) {
        PolicyAnswer *answer;
        PolicyActions *a;
        int r;

        r = route_actions(object, &a);
        if (r >= 0)
                r = new_answer(&a->answer);
        if (r < 0)
                return r;
        answer = a->answer;
        answer->redirect = true;
        r = walk_mapping(w, PLACE_REDIRECT, n, answer);
        if (r < 0 || n->kind != NODE_MAPPING || w->partial)
                return r;
        if (policy_node_get(n, "url")) {
                if (answer->prefix || answer->host || answer->scheme)
                        return walk_error(w, &n->origin, "Expected either \"url\" or some of \"prefix\", "
                                          "\"host\" and \"scheme\".");
                return 0;
        }
        if (!policy_node_get(n, "prefix") && !policy_node_get(n, "host"))
                return walk_error(w, &n->origin, "Expected \"url\", \"prefix\" or \"host\".");
        if (policy_node_get(n, "scheme") && !policy_node_get(n, "host"))
                return walk_error_child(w, policy_node_get(n, "scheme"), "Needs \"host\".");
        return check_prefix(w, n, object);
}

int parse_respond(Walker *w, const SchemaKey *key, const PolicyNode *n, void *object) {
        PolicyActions *a;
        int r;

        r = route_actions(object, &a);
        if (r < 0)
                return r;
        if (a->answer)
                return walk_error(w, &n->key_origin, "Expected either \"redirect\" or \"respond\", not "
                                                     "both.");
        r = new_answer(&a->answer);
        if (r >= 0)
                r = walk_mapping(w, PLACE_RESPOND, n, a->answer);
        return r < 0 ? r : check_body(w, n, a->answer);
}

static int route_mirror(PolicyRoute *route, PolicyActions **ret) {
        int r;

        r = route_actions(route, ret);
        if (r >= 0)
                (*ret)->mirror = true;
        return r;
}

int parse_mirror(Walker *w, const SchemaKey *key, const PolicyNode *n, void *object) {
        PolicyActions *a;
        int r;

        r = route_mirror(object, &a);
        return r < 0 ? r : walk_mapping(w, PLACE_MIRROR, n, a);
}

int parse_mirror_to(Walker *w, const SchemaKey *key, const PolicyNode *n, void *object) {
        PolicyActions *a = object;
        int r;

        r = walk_expect(w, n, NODE_SCALAR, key->form);
        return r <= 0 ? r : walk_subset(w, n->text, &n->origin, &a->mirror_subset);
}

/* Into a route of which only what is adjusted counts. */
int parse_adjust_mirror(Walker *w, const SchemaKey *key, const PolicyNode *n, void *object) {
        PolicyActions *a;
        int r;

        r = route_mirror(object, &a);
        return r < 0 ? r : parse_mirror_to(w, key, n, a);
}

int parse_fault(Walker *w, const SchemaKey *key, const PolicyNode *n, void *object) {
        PolicyActions *a;
        int r;

        r = route_actions(object, &a);
        if (r >= 0)
                r = walk_mapping(w, PLACE_FAULT, n, a);
        if (r < 0 || n->kind != NODE_MAPPING || n->n_children > 0 || w->partial)
                return r;
        return walk_error(w, &n->origin, "Expected \"delay\" or \"abort\".");
}

int parse_fault_delay(Walker *w, const SchemaKey *key, const PolicyNode *n, void *object) {
        return walk_mapping(w, PLACE_DELAY, n, object);
}

int parse_fault_abort(Walker *w, const SchemaKey *key, const PolicyNode *n, void *object) {
        PolicyActions *a = object;
        int r;

        r = new_answer(&a->abort);
        if (r >= 0)
                r = walk_mapping(w, PLACE_ABORT, n, a->abort);
        return r < 0 ? r : check_body(w, n, a->abort);
}
