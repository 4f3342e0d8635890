/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "ctl-json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *rewrite(const JsonValue *v) {
        char *text = NULL;
        size_t size;
        FILE *f = open_memstream(&text, &size);
        JsonWriter w = JSON_WRITER(f, false);

        assert(f);
        json_value_write(v, &w, NULL);
        assert(json_finish(&w) == 0);
        fclose(f);
        return text;
}

/* What was accepted and is written again means the same: writing that anew changes nothing. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(json_value_freep) JsonValue *first = NULL, *second = NULL;
        _cleanup_free_ char *text = strndup((const char *) data, size), *once = NULL, *twice = NULL;

        if (!text || json_parse(text, &first) < 0)
                return 0;
        once = rewrite(first);
        assert(json_parse(once, &second) == 0);
        twice = rewrite(second);
        assert(strcmp(once, twice) == 0);
        return 0;
}
