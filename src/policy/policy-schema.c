/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>

#include "../basic/parse-util.h"
#include "../basic/string-util.h"
#include "policy-schema.h"

static const char *const place_titles[_PLACE_MAX] = {
        [PLACE_MESH] = "mesh.yaml",
        [PLACE_RELAY] = "mesh.yaml: relay",
        [PLACE_FAST_PATH] = "mesh.yaml: fast-path",
        [PLACE_CAPS] = "mesh.yaml: caps",
        [PLACE_SERVICE] = "A service",
        [PLACE_TIMEOUTS] = "A service: timeouts",
        [PLACE_SUBSET] = "A subset",
        [PLACE_HASH] = "A subset: hash",
        [PLACE_ENDPOINT] = "An endpoint",
        [PLACE_ADJUST] = "A subset: adjust",
        [PLACE_ADJUST_ROUTE] = "A service: adjust-routes",
        [PLACE_PATHS] = "A service: paths",
        [PLACE_ROUTE] = "A route",
        [PLACE_MATCH] = "A route: match",
        [PLACE_PATH] = "A route: match: path",
        [PLACE_VALUE] = "A route: match: a value of headers, cookies, query, json or form",
        [PLACE_CALLER] = "A route: match: callers",
        [PLACE_BODY] = "A route: match: body",
        [PLACE_REWRITE] = "A route: rewrite",
        [PLACE_EDITS] = "A route: request-headers, response-headers",
        [PLACE_REDIRECT] = "A route: redirect",
        [PLACE_RESPOND] = "A route: respond",
        [PLACE_MIRROR] = "A route: mirror",
        [PLACE_FAULT] = "A route: fault",
        [PLACE_DELAY] = "A route: fault: delay",
        [PLACE_ABORT] = "A route: fault: abort",
};

const char *schema_place_title(SchemaPlace place) {
        return place_titles[place];
}

typedef struct KeyRange {
        size_t first, n;
} KeyRange;

static KeyRange place_ranges[_PLACE_MAX];

static void find_place_ranges(void) {
        for (size_t i = 0; i < n_schema_keys; i++) {
                KeyRange *range = &place_ranges[schema_keys[i].place];

                if (range->n++ == 0)
                        range->first = i;
        }
}

const SchemaKey *schema_place_keys(SchemaPlace place, size_t *ret_n) {
        static pthread_once_t once = PTHREAD_ONCE_INIT;

        (void) pthread_once(&once, find_place_ranges);
        *ret_n = place_ranges[place].n;
        return &schema_keys[place_ranges[place].first];
}

static bool name_is_valid(const char *s, const char *more, size_t longest) {
        size_t n = 0;

        for (; s[n]; n++)
                if (!isascii(s[n]) || (!isalnum((unsigned char) s[n]) && !strchr(more, s[n])))
                        return false;
        return n > 0 && n <= longest;
}

bool policy_name_is_valid(const char *s) {
        return isalnum((unsigned char) s[0]) && name_is_valid(s, "._-", SM_NAME_MAX);
}

/* As systemd.slice(5): dashes separate the names of the slices above, so none is empty. */
bool slice_name_is_valid(const char *s) {
        const char *end = endswith(s, ".slice");

        return end && end > s && name_is_valid(s, ":_.\\-", 255) && s[0] != '-' && end[-1] != '-' &&
               !strstr(s, "--");
}

bool token_is_valid(const char *s) {
        size_t n = 0;

        for (; s[n]; n++)
                if (!isascii((unsigned char) s[n]) ||
                    (!isalnum((unsigned char) s[n]) && !strchr("!#$%&'*+-.^_`|~", s[n])))
                        return false;
        return n > 0 && n <= 255;
}

static int store_number(const SchemaKey *key, const char *text, void *object) {
        char *place = (char *) object + key->offset;
        uint64_t value;
        uint16_t port;
        int r;

        switch (key->type) {
        case TYPE_PORT:
                r = parse_port(text, &port);
                if (r >= 0)
                        memcpy(place, &port, sizeof(port));
                return r;
        case TYPE_DURATION:
                r = parse_duration(text, &value);
                break;
        case TYPE_SIZE:
                r = parse_size(text, &value);
                if (r >= 0 && value % key->unit != 0)
                        return -EINVAL;
                value = r >= 0 ? value / key->unit : 0;
                break;
        default:
                r = parse_unsigned(text, &value);
        }
        if (r < 0)
                return r;
        if (value < key->min || (key->max > 0 && value > key->max))
                return -ERANGE;
        if (key->type == TYPE_UNSIGNED)
                memcpy(place, &(unsigned) { (unsigned) value }, sizeof(unsigned));
        else
                memcpy(place, &value, sizeof(value));
        return 0;
}

static int store_enum(const SchemaKey *key, const char *text, void *object) {
        for (int i = 0; key->values[i]; i++)
                if (streq(key->values[i], text)) {
                        memcpy((char *) object + key->offset, &i, sizeof(i));
                        return 0;
                }
        return -EINVAL;
}

static int store_value(const SchemaKey *key, const char *text, void *object) {
        void *place = (char *) object + key->offset;

        switch (key->type) {
        case TYPE_BOOLEAN:
                return parse_boolean(text, place);
        case TYPE_ENUM:
                return store_enum(key, text, object);
        case TYPE_NAME:
                return policy_name_is_valid(text) ? strdup_to(place, text) : -EINVAL;
        default:
                return store_number(key, text, object);
        }
}

int schema_store(const SchemaKey *key, const char *text, void *object, char **ret_expected) {
        int r;

        r = store_value(key, text, object);
        if (r >= 0 || r == -ENOMEM)
                return r;
        r = schema_form(key, ret_expected);
        return r < 0 ? r : -EINVAL;
}

static void print_values(FILE *f, const SchemaKey *key) {
        for (size_t i = 0; key->values[i]; i++)
                fprintf(f, "%s%s", i == 0 ? "" : key->values[i + 1] ? ", " : " or ", key->values[i]);
}

static void print_form(FILE *f, const SchemaKey *key) {
        char a[DURATION_STRLEN], b[DURATION_STRLEN];

        switch (key->type) {
        case TYPE_UNSIGNED:
                fprintf(f, "a number from %" PRIu64 " to %" PRIu64, key->min, key->max);
                break;
        case TYPE_DURATION:
                fprintf(f, "a time from %s to %s, like 2s or 25ms", duration_to_string(key->min, a),
                        duration_to_string(key->max, b));
                break;
        case TYPE_SIZE:
                fprintf(f, "a size from %s to %s, like 64K or 8M", size_to_string(key->min * key->unit, a),
                        size_to_string(key->max * key->unit, b));
                break;
        case TYPE_PORT:
                fputs("a port from 1 to 65535", f);
                break;
        case TYPE_BOOLEAN:
                fputs("true or false", f);
                break;
        case TYPE_ENUM:
                print_values(f, key);
                break;
        case TYPE_NAME:
                fprintf(f, "a name of at most %u letters, digits, dots, dashes and underscores that starts "
                        "with a letter or digit", SM_NAME_MAX);
                break;
        default:
                fputs("a mapping", f);
        }
}

int schema_form(const SchemaKey *key, char **ret) {
        char *text = NULL;
        size_t size;
        FILE *f;

        f = open_memstream(&text, &size);
        if (!f)
                return -ENOMEM;
        if (key->form)
                fputs(key->form, f);
        else
                print_form(f, key);
        if (fclose(f) < 0) {
                free(text);
                return -ENOMEM;
        }
        *ret = text;
        return 0;
}

const char *schema_nearest(const char *text, const char *(*candidate)(const void *userdata, size_t i),
                           const void *userdata, size_t n) {
        enum { CANDIDATES_MAX = 1000 }; /* beyond that it is not worth the time */
        unsigned limit = MIN(3u, 1 + (unsigned) strnlen(text, 16) / 4);
        const char *best = NULL;

        for (size_t i = 0; i < MIN(n, (size_t) CANDIDATES_MAX); i++) {
                const char *c = candidate(userdata, i);
                unsigned distance = string_distance(text, c, limit);

                if (distance > limit || distance >= strlen(c))
                        continue;
                best = c;
                if (distance == 0)
                        break;
                limit = distance - 1;
        }
        return best;
}
