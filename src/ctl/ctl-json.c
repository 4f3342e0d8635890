/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../basic/array-util.h"
#include "../basic/macro.h"
#include "../basic/parse-util.h"
#include "ctl-json.h"

/* What is left of the text. */
typedef struct JsonReader {
        const char *p;
        unsigned depth;
} JsonReader;

static void value_done(JsonValue *v) {
        for (size_t i = 0; i < v->n_members; i++)
                value_done(&v->members[i]);
        free(v->members);
        free(v->key);
        free(v->text);
}

JsonValue *json_value_free(JsonValue *v) {
        if (v)
                value_done(v);
        free(v);
        return NULL;
}

static void skip_space(JsonReader *r) {
        r->p += strspn(r->p, " \t\r\n");
}

/* Takes the character if it comes next. */
static bool take(JsonReader *r, char c) {
        skip_space(r);
        if (*r->p != c)
                return false;
        r->p++;
        return true;
}

/* -- strings -- */

static int read_hex(JsonReader *r, uint32_t *ret) {
        uint32_t c = 0;

        for (size_t i = 0; i < 4; i++, r->p++) {
                if (!isxdigit((unsigned char) *r->p))
                        return -EBADMSG;
                c = c << 4 | (uint32_t) (isdigit((unsigned char) *r->p) ? *r->p - '0'
                                                                        : (*r->p | 0x20) - 'a' + 10);
        }
        *ret = c;
        return 0;
}

static void write_utf8(FILE *f, uint32_t c) {
        if (c < 0x80)
                fputc((int) c, f);
        else if (c < 0x800)
                fprintf(f, "%c%c", 0xc0 | (int) (c >> 6), 0x80 | (int) (c & 0x3f));
        else if (c < 0x10000)
                fprintf(f, "%c%c%c", 0xe0 | (int) (c >> 12), 0x80 | (int) (c >> 6 & 0x3f),
                        0x80 | (int) (c & 0x3f));
        else
                fprintf(f, "%c%c%c%c", 0xf0 | (int) (c >> 18), 0x80 | (int) (c >> 12 & 0x3f),
                        0x80 | (int) (c >> 6 & 0x3f), 0x80 | (int) (c & 0x3f));
}

/* Behind "\u". A character beyond 16 bits is two surrogates; a NUL could not be kept in a string. */
static int read_unicode(JsonReader *r, FILE *f) {
        uint32_t c, low;
        int error;

        error = read_hex(r, &c);
        if (error < 0)
                return error;
        if (c >= 0xd800 && c < 0xdc00) {
                if (r->p[0] != '\\' || r->p[1] != 'u')
                        return -EBADMSG;
                r->p += 2;
                error = read_hex(r, &low);
                if (error < 0)
                        return error;
                if (low < 0xdc00 || low > 0xdfff)
                        return -EBADMSG;
                c = 0x10000 + ((c - 0xd800) << 10 | (low - 0xdc00));
        } else if (c == 0 || (c >= 0xdc00 && c < 0xe000))
                return -EBADMSG;
        write_utf8(f, c);
        return 0;
}

static int read_escape(JsonReader *r, FILE *f) {
        static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
        const char *name;
        char c = *r->p;

        if (c == '\0')
                return -EBADMSG;
        r->p++;
        if (c == 'u')
                return read_unicode(r, f);
        name = strchr(names, c);
        if (!name)
                return -EBADMSG;
        fputc(values[name - names], f);
        return 0;
}

static int read_characters(JsonReader *r, FILE *f) {
        int error;

        while (*r->p != '"') {
                if ((unsigned char) *r->p < 0x20)
                        return -EBADMSG;
                if (*r->p != '\\') {
                        fputc(*r->p++, f);
                        continue;
                }
                r->p++;
                error = read_escape(r, f);
                if (error < 0)
                        return error;
        }
        r->p++;
        return 0;
}

/* Behind the opening quote. */
static int read_string(JsonReader *r, char **ret) {
        _cleanup_free_ char *text = NULL;
        size_t size;
        FILE *f;
        int error;

        f = open_memstream(&text, &size);
        if (!f)
                return -ENOMEM;
        error = read_characters(r, f);
        if (fclose(f) < 0)
                return -ENOMEM;
        if (error < 0)
                return error;
        *ret = TAKE_PTR(text);
        return 0;
}

/* -- values -- */

static int read_value(JsonReader *r, JsonValue *v);

static int read_member(JsonReader *r, JsonValue *v) {
        JsonValue *member;
        int error;

        error = array_reserve(&v->members, v->n_members, sizeof(*v->members));
        if (error < 0)
                return error;
        member = &v->members[v->n_members++];
        *member = (JsonValue) {};
        if (v->type == JSON_OBJECT) {
                if (!take(r, '"'))
                        return -EBADMSG;
                error = read_string(r, &member->key);
                if (error < 0)
                        return error;
                if (!take(r, ':'))
                        return -EBADMSG;
        }
        return read_value(r, member);
}

static int read_members(JsonReader *r, JsonValue *v, JsonType type, char closing) {
        int error;

        v->type = type;
        if (r->depth == JSON_DEPTH_MAX)
                return -EBADMSG;
        if (take(r, closing))
                return 0;
        r->depth++;
        do {
                error = read_member(r, v);
                if (error < 0)
                        return error;
        } while (take(r, ','));
        r->depth--;
        return take(r, closing) ? 0 : -EBADMSG;
}

/* -?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)? */
static int read_number(JsonReader *r, JsonValue *v) {
        static const char digits[] = "0123456789";
        const char *start = r->p;
        size_t n;

        r->p += *r->p == '-';
        n = strspn(r->p, digits);
        if (n == 0 || (n > 1 && *r->p == '0'))
                return -EBADMSG;
        r->p += n;
        if (*r->p == '.') {
                n = strspn(++r->p, digits);
                if (n == 0)
                        return -EBADMSG;
                r->p += n;
        }
        if (*r->p == 'e' || *r->p == 'E') {
                r->p++;
                r->p += *r->p == '+' || *r->p == '-';
                n = strspn(r->p, digits);
                if (n == 0)
                        return -EBADMSG;
                r->p += n;
        }
        v->type = JSON_NUMBER;
        v->text = strndup(start, (size_t) (r->p - start));
        return v->text ? 0 : -ENOMEM;
}

static int read_word(JsonReader *r, JsonValue *v) {
        static const struct {
                const char *word;
                JsonType type;
        } words[] = { { "null", JSON_NULL }, { "true", JSON_TRUE }, { "false", JSON_FALSE } };

        for (size_t i = 0; i < ELEMENTSOF(words); i++) {
                size_t n = strlen(words[i].word);

                if (strncmp(r->p, words[i].word, n) == 0) {
                        r->p += n;
                        v->type = words[i].type;
                        return 0;
                }
        }
        return -EBADMSG;
}

static int read_value(JsonReader *r, JsonValue *v) {
        if (take(r, '{'))
                return read_members(r, v, JSON_OBJECT, '}');
        if (take(r, '['))
                return read_members(r, v, JSON_ARRAY, ']');
        if (take(r, '"')) {
                v->type = JSON_STRING;
                return read_string(r, &v->text);
        }
        if (*r->p == '-' || isdigit((unsigned char) *r->p))
                return read_number(r, v);
        return read_word(r, v);
}

int json_parse(const char *text, JsonValue **ret) {
        _cleanup_(json_value_freep) JsonValue *v = calloc(1, sizeof(*v));
        JsonReader r = { .p = text };
        int error;

        if (!v)
                return -ENOMEM;
        error = read_value(&r, v);
        if (error < 0)
                return error;
        skip_space(&r);
        if (*r.p)
                return -EBADMSG;
        *ret = TAKE_PTR(v);
        return 0;
}

/* -- access -- */

const JsonValue *json_get(const JsonValue *object, const char *key) {
        for (size_t i = 0; object && object->type == JSON_OBJECT && i < object->n_members; i++)
                if (streq(object->members[i].key, key))
                        return &object->members[i];
        return NULL;
}

const char *json_get_text(const JsonValue *object, const char *key) {
        const JsonValue *v = json_get(object, key);

        return v && v->type == JSON_STRING ? v->text : "";
}

uint64_t json_get_unsigned(const JsonValue *object, const char *key) {
        const JsonValue *v = json_get(object, key);
        uint64_t n;

        return v && v->type == JSON_NUMBER && parse_unsigned(v->text, &n) >= 0 ? n : 0;
}

bool json_get_boolean(const JsonValue *object, const char *key) {
        const JsonValue *v = json_get(object, key);

        return v && v->type == JSON_TRUE;
}

void json_members_write(const JsonValue *v, JsonWriter *w) {
        for (size_t i = 0; i < v->n_members; i++)
                json_value_write(&v->members[i], w, v->members[i].key);
}

void json_value_write(const JsonValue *v, JsonWriter *w, const char *key) {
        switch (v->type) {
        case JSON_STRING:
                json_string(w, key, v->text);
                break;
        case JSON_NUMBER:
                json_raw(w, key, v->text);
                break;
        case JSON_TRUE:
        case JSON_FALSE:
                json_boolean(w, key, v->type == JSON_TRUE);
                break;
        case JSON_ARRAY:
                json_open_array(w, key);
                json_members_write(v, w);
                json_close(w);
                break;
        case JSON_OBJECT:
                json_open_object(w, key);
                json_members_write(v, w);
                json_close(w);
                break;
        default:
                json_null(w, key);
        }
}
