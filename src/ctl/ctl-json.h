/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "../basic/cleanup.h"
#include "../basic/json-writer.h"

typedef enum JsonType {
        JSON_NULL,
        JSON_FALSE,
        JSON_TRUE,
        JSON_NUMBER,
        JSON_STRING,
        JSON_ARRAY,
        JSON_OBJECT,
} JsonType;

/* A tree of what a text says: a member's key is in the member. */
typedef struct JsonValue {
        JsonType type;
        char *key;  /* in an object */
        char *text; /* of a string, and of a number as it was written */
        struct JsonValue *members;
        size_t n_members;
} JsonValue;

/* -EBADMSG if the text is not JSON (RFC 8259), or nested deeper than JSON_DEPTH_MAX. */
int json_parse(const char *text, JsonValue **ret);
JsonValue *json_value_free(JsonValue *v);
DEFINE_TRIVIAL_CLEANUP(JsonValue *, json_value_free)

/* None of these minds what is not there: a missing or other value is NULL, "", 0 or false. */
const JsonValue *json_get(const JsonValue *object, const char *key);
const char *json_get_text(const JsonValue *object, const char *key);
uint64_t json_get_unsigned(const JsonValue *object, const char *key);
bool json_get_boolean(const JsonValue *object, const char *key);

/* The value, or only its members into an object or array that is open. */
void json_value_write(const JsonValue *v, JsonWriter *w, const char *key);
void json_members_write(const JsonValue *v, JsonWriter *w);
