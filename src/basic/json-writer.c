/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "json-writer.h"
#include "macro.h"
#include "utf8.h"

static void write_escaped(FILE *f, uint32_t c, const char *bytes, size_t n) {
        static const char short_forms[0x80] = {
                ['\b'] = 'b', ['\f'] = 'f', ['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't', ['"'] = '"', ['\\'] = '\\',
        };

        if (c < ELEMENTSOF(short_forms) && short_forms[c])
                fprintf(f, "\\%c", short_forms[c]);
        else if (c < 0x20 || (c >= 0x7f && c < 0xa0))
                /* JSON would allow DEL and the C1 controls, but terminals act on them. */
                fprintf(f, "\\u%04" PRIx32, c);
        else
                fwrite(bytes, 1, n, f);
}

static void write_quoted(FILE *f, const char *s, size_t n) {
        fputc('"', f);
        while (n > 0) {
                uint32_t c;
                size_t length = utf8_decode(s, n, &c);

                if (length == 0) {
                        fputs("\xef\xbf\xbd", f);
                        length = 1;
                } else
                        write_escaped(f, c, s, length);
                s += length;
                n -= length;
        }
        fputc('"', f);
}

static void write_newline(const JsonWriter *w) {
        if (w->pretty)
                fprintf(w->stream, "\n%*s", (int) w->depth * 2, "");
}

/* Whatever stands before a value: comma, line feed, key. */
static void begin_value(JsonWriter *w, const char *key) {
        if (w->depth > 0) {
                assert((w->level[w->depth - 1].closing == '}') == (key != NULL));
                if (w->level[w->depth - 1].filled)
                        fputc(',', w->stream);
                w->level[w->depth - 1].filled = true;
                write_newline(w);
        }
        if (key) {
                write_quoted(w->stream, key, strlen(key));
                fputs(w->pretty ? ": " : ":", w->stream);
        }
}

static void open_level(JsonWriter *w, const char *key, char opening, char closing) {
        begin_value(w, key);
        assert(w->depth < JSON_DEPTH_MAX);
        fputc(opening, w->stream);
        w->level[w->depth].closing = closing;
        w->level[w->depth].filled = false;
        w->depth++;
}

void json_open_object(JsonWriter *w, const char *key) {
        open_level(w, key, '{', '}');
}

void json_open_array(JsonWriter *w, const char *key) {
        open_level(w, key, '[', ']');
}

void json_close(JsonWriter *w) {
        assert(w->depth > 0);
        w->depth--;
        if (w->level[w->depth].filled)
                write_newline(w);
        fputc(w->level[w->depth].closing, w->stream);
}

void json_string_n(JsonWriter *w, const char *key, const char *value, size_t n) {
        begin_value(w, key);
        write_quoted(w->stream, value, n);
}

void json_string(JsonWriter *w, const char *key, const char *value) {
        if (value)
                json_string_n(w, key, value, strlen(value));
        else
                json_null(w, key);
}

void json_unsigned(JsonWriter *w, const char *key, uint64_t value) {
        begin_value(w, key);
        fprintf(w->stream, "%" PRIu64, value);
}

void json_signed(JsonWriter *w, const char *key, int64_t value) {
        begin_value(w, key);
        fprintf(w->stream, "%" PRIi64, value);
}

void json_raw(JsonWriter *w, const char *key, const char *json) {
        begin_value(w, key);
        fputs(json, w->stream);
}

void json_boolean(JsonWriter *w, const char *key, bool value) {
        json_raw(w, key, value ? "true" : "false");
}

void json_null(JsonWriter *w, const char *key) {
        json_raw(w, key, "null");
}

int json_finish(JsonWriter *w) {
        assert(w->depth == 0);
        if (w->pretty)
                fputc('\n', w->stream);
        return fflush(w->stream) < 0 || ferror(w->stream) ? -EIO : 0;
}
