/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "../basic/parse-util.h"
#include "../basic/regex.h"
#include "../basic/string-util.h"
#include "policy-model.h"
#include "policy-parse.h"

/* What a path, a header, a cookie, a parameter or a part of the body must be like. */

enum { VALUE_NAME_MAX = 255 }; /* bytes in the name of a parameter or field, and in a pointer */

/* Where a mapping of one form is read to: `object` of those keys. */
typedef struct ValueTarget {
        const PolicyMatch *like;
        PolicyMatch *parent;
} ValueTarget;

int walk_fraction(Walker *w, const PolicyNode *n, unsigned *ret) {
        const unsigned percent = POLICY_WHOLE / 100;
        uint64_t value = 0, scale = percent, digits = 0;
        const char *s = n->kind == NODE_SCALAR ? n->text : "";
        int r;

        while (isdigit((unsigned char) *s) && value <= POLICY_WHOLE) {
                value = value * 10 + (uint64_t) (*s++ - '0') * percent;
                digits++;
        }
        if (*s == '.' && digits > 0) {
                for (s++, digits = 0; isdigit((unsigned char) *s) && scale > 1; s++, digits++)
                        value += (uint64_t) (*s - '0') * (scale /= 10);
        }
        if (digits > 0 && streq(s, "%") && value <= POLICY_WHOLE) {
                *ret = (unsigned) value;
                return 1;
        }
        r = walk_error_expected(w, n, "a percentage from 0%% to 100%%, like 5%% or 0.1%%");
        return r < 0 ? r : 0;
}

bool path_is_valid(const char *s) {
        size_t n = 0;

        while (s[n] > ' ' && s[n] <= '~' && !strchr("?#", s[n]))
                n++;
        return n > 0 && !s[n];
}

/* Fields and cookies hold no control characters, and spaces around their values do not belong to them. */
bool field_value_is_valid(const char *s) {
        size_t n = strlen(s);

        for (size_t i = 0; i < n; i++)
                if (((unsigned char) s[i] < ' ' && s[i] != '\t') || s[i] == 0x7f)
                        return false;
        return n == 0 || (!strchr(" \t", s[0]) && !strchr(" \t", s[n - 1]));
}

/* A text to compare with; 1 = it can be there. */
static int check_text(Walker *w, const PolicyNode *n, const PolicyMatch *like, enum sm_predicate_op op) {
        int r = 0;

        if (n->kind != NODE_SCALAR)
                r = walk_error_expected(w, n, like->kind == SM_MATCH_PATH ? "a path" : "a text");
        else if (like->kind == SM_MATCH_PATH && op != SM_OP_SUFFIX &&
                 (n->text[0] != '/' || !path_is_valid(n->text)))
                r = walk_error_expected(w, n, "a path that starts with / and has no query, spaces or "
                                        "other characters that must be encoded");
        else if (like->kind == SM_MATCH_PATH && !path_is_valid(n->text))
                r = walk_error_expected(w, n, "the end of a path, without query, spaces or other characters "
                                        "that must be encoded");
        else if ((like->kind == SM_MATCH_HEADER || like->kind == SM_MATCH_COOKIE) &&
                 !field_value_is_valid(n->text))
                r = walk_error_expected(w, n, "a value without control characters, and without spaces "
                                        "around it");
        else if (op != SM_OP_EXACT && !*n->text)
                r = walk_error_expected(w, n, "a text; {present: true} is any value");
        else
                return 1;
        return r < 0 ? r : 0;
}

static int add_text(Walker *w, const PolicyNode *n, const PolicyMatch *like, enum sm_predicate_op op,
                    PolicyMatch *parent) {
        int r;

        r = check_text(w, n, like, op);
        return r <= 0 ? r : match_add_leaf(parent, n, like, op, n->text);
}

int parse_value_exact(Walker *w, const SchemaKey *key, const PolicyNode *n, void *object) {
        const ValueTarget *t = object;

        return add_text(w, n, t->like, SM_OP_EXACT, t->parent);
}

int parse_value_prefix(Walker *w, const SchemaKey *key, const PolicyNode *n, void *object) {
        const ValueTarget *t = object;

        return add_text(w, n, t->like, SM_OP_PREFIX, t->parent);
}

int parse_value_suffix(Walker *w, const SchemaKey *key, const PolicyNode *n, void *object) {
        const ValueTarget *t = object;

        return add_text(w, n, t->like, SM_OP_SUFFIX, t->parent);
}

int parse_value_regex(Walker *w, const SchemaKey *key, const PolicyNode *n, void *object) {
        const ValueTarget *t = object;
        RegexError error;
        pcre2_code *code;
        int r;

        r = walk_expect(w, n, NODE_SCALAR, key->form);
        if (r <= 0)
                return r;
        r = regex_compile(n->text, strlen(n->text), &code, &error);
        if (r == -EINVAL)
                return walk_error(w, &n->origin, "No valid regular expression, at character %zu: %s.",
                                  error.offset + 1, error.message);
        if (r < 0)
                return r;
        pcre2_code_free(code);
        return match_add_leaf(t->parent, n, t->like, SM_OP_REGEX, n->text);
}

int parse_value_present(Walker *w, const SchemaKey *key, const PolicyNode *n, void *object) {
        const ValueTarget *t = object;
        PolicyMatch like = *t->like;
        bool present;

        if (n->kind != NODE_SCALAR || parse_boolean(n->text, &present) < 0)
                return walk_error_expected(w, n, "true or false");
        like.absent = !present;
        return match_add_leaf(t->parent, n, &like, SM_OP_PRESENT, NULL);
}

/* One end of a range: a decimal number, or nothing for `open`. Where it ends; NULL if it is none. */
static const char *parse_bound(const char *s, int64_t open, int64_t *ret) {
        const char *digits = *s == '-' ? s + 1 : s;
        char *end;

        if (!isdigit((unsigned char) *digits)) {
                *ret = open;
                return s;
        }
        errno = 0;
        *ret = strtoll(s, &end, 10);
        return errno == 0 ? end : NULL;
}

int parse_value_range(Walker *w, const SchemaKey *key, const PolicyNode *n, void *object) {
        const char *expected = "two numbers with .. between them, like 1..100, or one of them, like 1.. "
                               "or ..100";
        const ValueTarget *t = object;
        PolicyMatch like = *t->like;
        const char *s;

        if (n->kind != NODE_SCALAR)
                return walk_error_expected(w, n, "%s", expected);
        s = parse_bound(n->text, INT64_MIN, &like.low);
        s = s ? startswith(s, "..") : NULL;
        s = s ? parse_bound(s, INT64_MAX, &like.high) : NULL;
        if (!s || *s || streq(n->text, ".."))
                return walk_error_expected(w, n, "%s", expected);
        if (like.low > like.high)
                return walk_error(w, &n->origin, "No number is from %" PRId64 " to %" PRId64 ".", like.low,
                                  like.high);
        return match_add_leaf(t->parent, n, &like, SM_OP_RANGE, NULL);
}

static int parse_form(Walker *w, const PolicyNode *n, const PolicyMatch *like, SchemaPlace place,
                      PolicyMatch *parent) {
        ValueTarget target = { .like = like, .parent = parent };
        const SchemaKey *keys;
        char text[128] = "";
        size_t n_keys;

        if (n->kind == NODE_SCALAR)
                return add_text(w, n, like, SM_OP_EXACT, parent);
        keys = schema_place_keys(place, &n_keys);
        if (n->kind == NODE_MAPPING && n->n_children == 1)
                return walk_mapping(w, place, n, &target);
        for (size_t i = 0; i < n_keys; i++)
                snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%s",
                         i == 0 ? "" : i + 1 < n_keys ? ", " : " or ", keys[i].name);
        if (n->kind == NODE_MAPPING)
                return walk_error(w, &n->origin, "Expected one of %s.", text);
        return walk_error_expected(w, n, "a text, or a mapping with one of %s", text);
}

static int parse_path(Walker *w, const PolicyNode *n, const PolicyMatch *like, PolicyMatch *parent) {
        return parse_form(w, n, like, PLACE_PATH, parent);
}

static int parse_value(Walker *w, const PolicyNode *n, const PolicyMatch *like, PolicyMatch *parent) {
        return parse_form(w, n, like, PLACE_VALUE, parent);
}

int parse_match_path(Walker *w, const SchemaKey *key, const PolicyNode *n, void *object) {
        const PolicyMatch like = { .kind = SM_MATCH_PATH };

        return match_parse_values(w, n, &like, parse_path, object);
}

/* Values by name, under one key. */
static int parse_named(Walker *w, const SchemaKey *key, const PolicyNode *n, PolicyMatch *like,
                       int (*check_name)(Walker *w, const PolicyNode *n), PolicyMatch *parent) {
        int r;

        r = walk_expect(w, n, NODE_MAPPING, key->form);
        if (r <= 0)
                return r;
        if (n->n_children == 0 && !w->partial)
                return walk_error(w, &n->origin, "Expected at least one condition.");
        for (size_t i = 0; i < n->n_children; i++) {
                const PolicyNode *child = n->children[i];

                walk_enter(w, child, i);
                r = check_name(w, child);
                like->name = child->key;
                if (r > 0)
                        r = match_parse_values(w, child, like, parse_value, parent);
                walk_leave(w);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int name_error(Walker *w, const PolicyNode *n, const char *what) {
        char text[QUOTED_SIZE];
        int r;

        r = walk_error(w, &n->key_origin, "%s is no %s.", string_quote(n->key, text), what);
        return r < 0 ? r : 0;
}

static int check_field_name(Walker *w, const PolicyNode *n) {
        if (!token_is_valid(n->key))
                return name_error(w, n, "name of a header field");
        for (char *p = n->key; *p; p++)
                *p = (char) tolower((unsigned char) *p);
        return 1;
}

static int check_cookie_name(Walker *w, const PolicyNode *n) {
        return token_is_valid(n->key) ? 1 : name_error(w, n, "name of a cookie");
}

static int check_parameter(Walker *w, const PolicyNode *n) {
        int r;

        if (*n->key && strlen(n->key) <= VALUE_NAME_MAX)
                return 1;
        r = walk_error(w, &n->key_origin, "Expected a name of 1 to %u bytes.", VALUE_NAME_MAX);
        return r < 0 ? r : 0;
}

/* RFC 6901, section 3. */
static int check_pointer(Walker *w, const PolicyNode *n) {
        const char *s = n->key;
        bool valid = !*s || *s == '/';

        for (const char *p = strchr(s, '~'); p; p = strchr(p + 1, '~'))
                valid &= p[1] == '0' || p[1] == '1';
        if (valid && strlen(s) <= VALUE_NAME_MAX)
                return 1;
        return name_error(w, n, "JSON pointer like /user/tier (RFC 6901), of at most 255 bytes");
}

int parse_match_headers(Walker *w, const SchemaKey *key, const PolicyNode *n, void *object) {
        PolicyMatch like = { .kind = SM_MATCH_HEADER };

        return parse_named(w, key, n, &like, check_field_name, object);
}

int parse_match_cookies(Walker *w, const SchemaKey *key, const PolicyNode *n, void *object) {
        PolicyMatch like = { .kind = SM_MATCH_COOKIE };

        return parse_named(w, key, n, &like, check_cookie_name, object);
}

int parse_match_query(Walker *w, const SchemaKey *key, const PolicyNode *n, void *object) {
        PolicyMatch like = { .kind = SM_MATCH_QUERY };

        return parse_named(w, key, n, &like, check_parameter, object);
}

int parse_body_json(Walker *w, const SchemaKey *key, const PolicyNode *n, void *object) {
        BodyTarget *t = object;
        PolicyMatch like = { .kind = SM_MATCH_JSON, .first = (uint16_t) t->first };

        return parse_named(w, key, n, &like, check_pointer, t->parent);
}

int parse_body_form(Walker *w, const SchemaKey *key, const PolicyNode *n, void *object) {
        BodyTarget *t = object;
        PolicyMatch like = { .kind = SM_MATCH_FORM, .first = (uint16_t) t->first };

        return parse_named(w, key, n, &like, check_parameter, t->parent);
}

static int parse_content(Walker *w, const PolicyNode *n, const PolicyMatch *like, PolicyMatch *parent) {
        if (n->kind != NODE_SCALAR || !*n->text)
                return walk_error_expected(w, n, "a text");
        return match_add_leaf(parent, n, like, SM_OP_EXACT, n->text);
}

int parse_body_contains(Walker *w, const SchemaKey *key, const PolicyNode *n, void *object) {
        BodyTarget *t = object;
        const PolicyMatch like = { .kind = SM_MATCH_CONTENT, .first = (uint16_t) t->first };

        return match_parse_values(w, n, &like, parse_content, t->parent);
}

int parse_match_body(Walker *w, const SchemaKey *key, const PolicyNode *n, void *object) {
        BodyTarget target = { .parent = object };
        size_t before = target.parent->n_children;
        int r;

        r = walk_mapping(w, PLACE_BODY, n, &target);
        if (r < 0 || w->partial || n->kind != NODE_MAPPING || target.parent->n_children > before)
                return r;
        for (size_t i = 0; i < n->n_children; i++)
                if (!streq(n->children[i]->key, "first"))
                        return 0; /* it has an error of its own */
        return walk_error(w, &n->origin, "Expected at least one of \"json\", \"form\" and \"contains\".");
}
