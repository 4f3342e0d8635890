/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "json-writer.h"
#include "macro.h"

/*
 * Rows of typed cells, printed as columns for people or as an array of objects for programs.
 */
typedef struct Table Table;

typedef enum TextStyle {
        STYLE_NORMAL,
        STYLE_GOOD,
        STYLE_WARNING,
        STYLE_BAD,
        STYLE_DIM,
        STYLE_HEADING,
        _STYLE_MAX,
} TextStyle;

typedef struct TableColumn {
        const char *key;   /* in JSON; NULL: for people only */
        const char *title; /* for people; NULL: for programs only */
        bool right;        /* aligned */
        bool shrinks;      /* may be cut when the terminal is too narrow; its title is never cut */
        bool keeps_end;    /* the beginning is cut: of paths, the end tells more */
} TableColumn;

typedef struct TableView {
        size_t columns; /* of the terminal, 0 = as wide as needed */
        size_t indent;
        bool legend;    /* print the titles */
        bool colors;
        bool utf8;      /* the ellipsis may be U+2026 */
} TableView;

/* Copies `columns`, but not their texts, which must outlive the table. NULL if there is no memory. */
Table *table_new(const TableColumn *columns, size_t n_columns);
Table *table_free(Table *t);

/* Cells are added from left to right, row by row; texts are copied. A lack of memory is remembered and
 * returned when the table is put out. NULL prints as "-". */
void table_add_string(Table *t, TextStyle style, const char *text);
void table_add_format(Table *t, TextStyle style, const char *format, ...) _printf_(3, 4);
void table_add_count(Table *t, TextStyle style, uint64_t n); /* for people "12.3k", for programs 12345 */
void table_add_boolean(Table *t, TextStyle style, bool b, const char *text); /* `text` for people */

size_t table_rows(const Table *t);

/* Both return -ENOMEM or -EIO. Control characters in cells are printed as "?". */
int table_print(const Table *t, FILE *f, const TableView *view);
int table_to_json(const Table *t, JsonWriter *w, const char *key);

/* What a terminal is to be sent before and after a styled text; both empty for STYLE_NORMAL. */
const char *text_style_on(TextStyle style);
const char *text_style_off(TextStyle style);

/* Columns that a text takes, a byte that is not UTF-8 counting as one. */
size_t text_columns(const char *s);

/* "999", "1.23k", "45.6M": at most five columns. */
#define COUNT_TEXT_MAX 24
const char *count_to_text(uint64_t n, char buffer[static COUNT_TEXT_MAX]);
