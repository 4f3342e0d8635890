/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define JSON_DEPTH_MAX 32

/*
 * Writes JSON (RFC 8259) to a stream, one value after the other, so that no tree is held in memory. To get
 * a string, give it a stream from open_memstream(3).
 *
 * `key` is the member's name inside an object, and NULL inside an array or at the top. To open objects and
 * arrays in the wrong order or deeper than JSON_DEPTH_MAX is a bug and aborts. Errors of the stream are
 * remembered by it and returned by json_finish().
 */
typedef struct JsonWriter {
        FILE *stream;
        bool pretty; /* one member a line, indented by two; else one line for everything */
        unsigned depth;
        struct {
                char closing;
                bool filled;
        } level[JSON_DEPTH_MAX];
} JsonWriter;

#define JSON_WRITER(f, p) ((JsonWriter) { .stream = (f), .pretty = (p) })

void json_open_object(JsonWriter *w, const char *key);
void json_open_array(JsonWriter *w, const char *key);
void json_close(JsonWriter *w); /* whatever was opened last */

/* NULL becomes null. Bytes that are not UTF-8 become U+FFFD: the output is valid, whatever comes in. */
void json_string(JsonWriter *w, const char *key, const char *value);
void json_string_n(JsonWriter *w, const char *key, const char *value, size_t n);
void json_unsigned(JsonWriter *w, const char *key, uint64_t value);
void json_signed(JsonWriter *w, const char *key, int64_t value);
void json_boolean(JsonWriter *w, const char *key, bool value);
void json_null(JsonWriter *w, const char *key);
/* Text that is JSON already, such as the answer of another program. */
void json_raw(JsonWriter *w, const char *key, const char *json);

/* After the last json_close(): the final line feed if pretty, and a flush. Returns 0 or -EIO. */
int json_finish(JsonWriter *w);
