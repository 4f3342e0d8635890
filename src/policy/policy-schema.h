/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdio.h>

#include "policy-yaml.h"

/*
 * Every key of the policy files in one table. It drives the walk over the files (policy-walk.h), ranges,
 * defaults, suggestions for unknown keys, and the reference in docs/policy.md.
 */

/* The mapping that a key stands in. */
typedef enum SchemaPlace {
        PLACE_MESH,
        PLACE_RELAY,
        PLACE_FAST_PATH,
        PLACE_CAPS,
        PLACE_SERVICE,
        PLACE_TIMEOUTS,
        PLACE_SUBSET,
        PLACE_HASH,
        PLACE_ENDPOINT,
        PLACE_ADJUST,
        PLACE_ADJUST_ROUTE,
        PLACE_PATHS,
        PLACE_ROUTE,
        PLACE_MATCH,
        PLACE_PATH,
        PLACE_VALUE,
        PLACE_CALLER,
        PLACE_BODY,
        PLACE_REWRITE,
        PLACE_EDITS,
        PLACE_REDIRECT,
        PLACE_RESPOND,
        PLACE_MIRROR,
        PLACE_FAULT,
        PLACE_DELAY,
        PLACE_ABORT,
        _PLACE_MAX,
} SchemaPlace;

typedef enum SchemaType {
        /* One value, stored at `offset` of the object. */
        TYPE_UNSIGNED, /* unsigned */
        TYPE_DURATION, /* uint64_t, microseconds */
        TYPE_SIZE,     /* uint64_t, in `unit` bytes */
        TYPE_PORT,     /* uint16_t */
        TYPE_BOOLEAN,  /* bool */
        TYPE_ENUM,     /* int, index in `values` */
        TYPE_NAME,     /* char * */
        /* A mapping of keys in `section`, of the same object. */
        TYPE_SECTION,
        /* Anything else: `parse` does it, `form` says what it looks like. */
        TYPE_OTHER,
        /* Of the format, but not enforced by this version: refused. */
        TYPE_UNSUPPORTED,
} SchemaType;

typedef struct Walker Walker; /* policy-walk.h */
typedef struct SchemaKey SchemaKey;

struct SchemaKey {
        SchemaPlace place;
        SchemaType type;
        const char *name;
        const char *form; /* for people; NULL: follows from the type */
        bool required;
        size_t offset;
        uint64_t min, max; /* in the unit of what is stored; max 0 = no range */
        uint64_t unit;
        const char *standard; /* default, as one would write it; NULL = none */
        const char *const *values;
        SchemaPlace section;
        int (*parse)(Walker *w, const SchemaKey *key, const PolicyNode *n, void *object);
        const char *doc; /* one or more sentences */
};

extern const SchemaKey schema_keys[];
extern const size_t n_schema_keys;

/* The keys of a place stand together. */
const SchemaKey *schema_place_keys(SchemaPlace place, size_t *ret_n);
const char *schema_place_title(SchemaPlace place);

/* "2s", "64K", 80 ...: checked and stored. On failure the object is untouched and *ret_expected, which the
 * caller frees, says what would have been right: -EINVAL. */
int schema_store(const SchemaKey *key, const char *text, void *object, char **ret_expected);

/* What a value must look like, for people; allocated. */
int schema_form(const SchemaKey *key, char **ret);

/* The nearest of n candidates, NULL if none is near. */
const char *schema_nearest(const char *text, const char *(*candidate)(const void *userdata, size_t i),
                           const void *userdata, size_t n);

/* The reference part of docs/policy.md. */
void policy_schema_print_reference(FILE *f);

/* Names of services, subsets, routes; of slices; of fields, cookies and methods (RFC 9110, 5.6.2). */
bool policy_name_is_valid(const char *s);
bool slice_name_is_valid(const char *s);
bool token_is_valid(const char *s);
