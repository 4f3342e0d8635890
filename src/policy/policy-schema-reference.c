/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdlib.h>

#include "../basic/cleanup.h"
#include "policy-schema.h"

static void print_value(FILE *f, const SchemaKey *key) {
        _cleanup_free_ char *form = NULL;

        if (key->type == TYPE_SECTION)
                fputs("a mapping, below", f);
        else
                fputs(schema_form(key, &form) < 0 ? "?" : form, f);
}

static void print_key(FILE *f, const SchemaKey *key) {
        fprintf(f, "| `%s` | ", key->name);
        print_value(f, key);
        if (key->required)
                fputs(" | required", f);
        else if (key->standard)
                fprintf(f, " | `%s`", key->standard);
        else
                fputs(" |", f);
        fprintf(f, " | %s |\n", key->doc);
}

static void print_unsupported(FILE *f, const SchemaKey *keys, size_t n) {
        const char *separator = "\nNot supported by this version, and therefore refused: ";

        for (size_t i = 0; i < n; i++)
                if (keys[i].type == TYPE_UNSUPPORTED) {
                        fprintf(f, "%s`%s`", separator, keys[i].name);
                        separator = ", ";
                }
        fputs(*separator == ',' ? ".\n" : "", f);
}

void policy_schema_print_reference(FILE *f) {
        for (SchemaPlace place = 0; place < _PLACE_MAX; place++) {
                const SchemaKey *keys;
                size_t n;

                keys = schema_place_keys(place, &n);
                fprintf(f, "\n### %s\n\n| key | value | default | meaning |\n|---|---|---|---|\n",
                        schema_place_title(place));
                for (size_t i = 0; i < n; i++)
                        if (keys[i].type != TYPE_UNSUPPORTED)
                                print_key(f, &keys[i]);
                print_unsupported(f, keys, n);
        }
}
