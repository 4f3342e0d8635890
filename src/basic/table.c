/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include "cleanup.h"
#include "table.h"
#include "utf8.h"

#define GAP 2 /* columns between columns */

typedef enum CellType {
        CELL_STRING,
        CELL_COUNT,
        CELL_BOOLEAN,
} CellType;

typedef struct Cell {
        CellType type;
        TextStyle style;
        char *text; /* for people; of a string NULL if there is none */
        uint64_t value;
} Cell;

struct Table {
        Cell *cells;
        size_t n_cells, n_allocated;
        int error;
        size_t n_columns;
        TableColumn columns[];
};

Table *table_new(const TableColumn *columns, size_t n_columns) {
        Table *t = calloc(1, sizeof(*t) + n_columns * sizeof(*columns));

        if (!t)
                return NULL;
        t->n_columns = n_columns;
        memcpy(t->columns, columns, n_columns * sizeof(*columns));
        return t;
}

Table *table_free(Table *t) {
        if (!t)
                return NULL;
        for (size_t i = 0; i < t->n_cells; i++)
                free(t->cells[i].text);
        free(t->cells);
        free(t);
        return NULL;
}

size_t table_rows(const Table *t) {
        return t->n_cells / t->n_columns;
}

/* Takes `text` over, also on failure. */
static void add_cell(Table *t, CellType type, TextStyle style, char *text, uint64_t value) {
        if (t->n_cells == t->n_allocated) {
                size_t n = MAX(t->n_allocated * 2, (size_t) 64);
                Cell *cells = reallocarray(t->cells, n, sizeof(*cells));

                if (!cells) {
                        t->error = -ENOMEM;
                        free(text);
                        return;
                }
                t->cells = cells;
                t->n_allocated = n;
        }
        t->cells[t->n_cells++] = (Cell) { .type = type, .style = style, .text = text, .value = value };
}

static void add_text(Table *t, CellType type, TextStyle style, const char *text, uint64_t value) {
        char *copy = strdup(text);

        if (!copy)
                t->error = -ENOMEM;
        add_cell(t, type, style, copy, value);
}

void table_add_string(Table *t, TextStyle style, const char *text) {
        if (text)
                add_text(t, CELL_STRING, style, text, 0);
        else
                add_cell(t, CELL_STRING, style, NULL, 0);
}

void table_add_format(Table *t, TextStyle style, const char *format, ...) {
        char *text = NULL;
        va_list ap;

        va_start(ap, format);
        if (vasprintf(&text, format, ap) < 0) {
                text = NULL;
                t->error = -ENOMEM;
        }
        va_end(ap);
        add_cell(t, CELL_STRING, style, text, 0);
}

void table_add_count(Table *t, TextStyle style, uint64_t n) {
        char buffer[COUNT_TEXT_MAX];

        add_text(t, CELL_COUNT, style, count_to_text(n, buffer), n);
}

void table_add_boolean(Table *t, TextStyle style, bool b, const char *text) {
        add_text(t, CELL_BOOLEAN, style, text, b);
}

/* -- for programs -- */

static void cell_to_json(const Cell *cell, JsonWriter *w, const char *key) {
        if (cell->type == CELL_COUNT)
                json_unsigned(w, key, cell->value);
        else if (cell->type == CELL_BOOLEAN)
                json_boolean(w, key, cell->value);
        else
                json_string(w, key, cell->text);
}

int table_to_json(const Table *t, JsonWriter *w, const char *key) {
        if (t->error < 0)
                return t->error;
        assert(t->n_cells % t->n_columns == 0);

        json_open_array(w, key);
        for (size_t i = 0; i < t->n_cells; i++) {
                size_t column = i % t->n_columns;

                if (column == 0)
                        json_open_object(w, NULL);
                if (t->columns[column].key)
                        cell_to_json(&t->cells[i], w, t->columns[column].key);
                if (column == t->n_columns - 1)
                        json_close(w);
        }
        json_close(w);
        return 0;
}

/* -- for people -- */

static const struct {
        const char *on, *off;
} styles[_STYLE_MAX] = {
        [STYLE_NORMAL] = { "", "" },
        [STYLE_GOOD] = { "\x1b[32m", "\x1b[0m" },
        [STYLE_WARNING] = { "\x1b[33m", "\x1b[0m" },
        [STYLE_BAD] = { "\x1b[1;31m", "\x1b[0m" },
        [STYLE_DIM] = { "\x1b[2m", "\x1b[0m" },
        [STYLE_HEADING] = { "\x1b[1m", "\x1b[0m" },
};

const char *text_style_on(TextStyle style) {
        return styles[style].on;
}

const char *text_style_off(TextStyle style) {
        return styles[style].off;
}

/* The next character: its bytes, and its columns in *ret. What is no text counts as the "?" it prints as. */
static size_t next_character(const char *s, unsigned *ret) {
        uint32_t c;
        size_t length = utf8_decode(s, strnlen(s, 4), &c);

        if (length == 0 || c < 0x20 || (c >= 0x7f && c < 0xa0)) {
                *ret = 1;
                return MAX(length, (size_t) 1);
        }
        *ret = utf8_columns(c);
        return length;
}

size_t text_columns(const char *s) {
        size_t columns = 0;

        while (*s) {
                unsigned width;

                s += next_character(s, &width);
                columns += width;
        }
        return columns;
}

static void print_character(FILE *f, const char *s, size_t length) {
        uint32_t c;

        if (utf8_decode(s, length, &c) == 0 || c < 0x20 || (c >= 0x7f && c < 0xa0))
                fputc('?', f);
        else
                fwrite(s, 1, length, f);
}

/* The end of `s` that fits into `columns`. */
static const char *fitting_end(const char *s, size_t columns) {
        while (text_columns(s) > columns) {
                unsigned width;

                s += next_character(s, &width);
        }
        return s;
}

/* As many characters as fit into `columns`; returns what they take. */
static size_t print_characters(FILE *f, const char *s, size_t columns) {
        size_t taken = 0;

        while (*s) {
                unsigned width;
                size_t length = next_character(s, &width);

                if (taken + width > columns)
                        break;
                print_character(f, s, length);
                taken += width;
                s += length;
        }
        return taken;
}

/* The same, with an ellipsis in the place of what does not fit. */
static size_t print_fitting(FILE *f, const char *s, size_t columns, bool keep_end, bool utf8) {
        const char *ellipsis = utf8 ? "\xe2\x80\xa6" : "...";
        size_t room = columns - (utf8 ? 1 : 3), taken; /* shrink_columns() leaves at least 4 */

        if (text_columns(s) <= columns)
                return print_characters(f, s, columns);
        if (keep_end) {
                fputs(ellipsis, f);
                return columns - room + print_characters(f, fitting_end(s, room), room);
        }
        taken = print_characters(f, s, room);
        fputs(ellipsis, f);
        return taken + columns - room;
}

static const char *cell_text(const Cell *cell) {
        return cell->text ?: "-";
}

/* Takes columns from the widest that may shrink, one at a time, until the row fits or nothing can give. */
static void shrink_columns(const Table *t, const TableView *view, size_t widths[]) {
        size_t total = view->indent;

        for (size_t c = 0; c < t->n_columns; c++)
                if (t->columns[c].title)
                        total += widths[c] + GAP;

        for (total -= MIN(total, (size_t) GAP); total > view->columns; total--) {
                size_t widest = SIZE_MAX;

                for (size_t c = 0; c < t->n_columns; c++) {
                        const TableColumn *column = &t->columns[c];

                        if (column->title && column->shrinks &&
                            widths[c] > MAX(text_columns(column->title), (size_t) 4) &&
                            (widest == SIZE_MAX || widths[c] > widths[widest]))
                                widest = c;
                }
                if (widest == SIZE_MAX)
                        return;
                widths[widest]--;
        }
}

static void measure_columns(const Table *t, const TableView *view, size_t widths[]) {
        for (size_t c = 0; c < t->n_columns; c++)
                widths[c] = view->legend && t->columns[c].title ? text_columns(t->columns[c].title) : 0;
        for (size_t i = 0; i < t->n_cells; i++) {
                size_t *width = &widths[i % t->n_columns], columns = text_columns(cell_text(&t->cells[i]));

                *width = MAX(*width, columns);
        }
        if (view->columns > 0)
                shrink_columns(t, view, widths);
}

/* One row: of the titles if `cells` is NULL. Nothing is padded behind the last text. */
static void print_row(const Table *t, FILE *f, const TableView *view, const size_t widths[],
                      const Cell *cells) {
        size_t pad = view->indent;

        for (size_t c = 0; c < t->n_columns; c++) {
                const TableColumn *column = &t->columns[c];
                const char *text = cells ? cell_text(&cells[c]) : column->title;
                TextStyle style = !view->colors ? STYLE_NORMAL : cells ? cells[c].style : STYLE_HEADING;
                size_t taken = 0;

                if (!column->title)
                        continue;
                if (column->right)
                        pad += widths[c] - MIN(text_columns(text), widths[c]);
                if (*text) {
                        fprintf(f, "%*s%s", (int) pad, "", text_style_on(style));
                        taken = print_fitting(f, text, widths[c], column->keeps_end, view->utf8);
                        fputs(text_style_off(style), f);
                        pad = 0;
                }
                pad += GAP + (column->right ? 0 : widths[c] - taken);
        }
        fputc('\n', f);
}

int table_print(const Table *t, FILE *f, const TableView *view) {
        _cleanup_free_ size_t *widths = NULL;

        if (t->error < 0)
                return t->error;
        assert(t->n_cells % t->n_columns == 0);

        widths = calloc(t->n_columns, sizeof(*widths));
        if (!widths)
                return -ENOMEM;
        measure_columns(t, view, widths);
        if (view->legend)
                print_row(t, f, view, widths, NULL);
        for (size_t i = 0; i < t->n_cells; i += t->n_columns)
                print_row(t, f, view, widths, t->cells + i);
        return ferror(f) ? -EIO : 0;
}

const char *count_to_text(uint64_t n, char buffer[static COUNT_TEXT_MAX]) {
        static const char units[] = " kMGTPE";
        uint64_t whole = n, rest = 0; /* rest in thousandths, cut off and never rounded up */
        size_t unit = 0;

        for (; whole >= 1000; whole /= 1000) {
                rest = whole % 1000;
                unit++;
        }
        if (unit == 0)
                snprintf(buffer, COUNT_TEXT_MAX, "%" PRIu64, n);
        else if (whole >= 100)
                snprintf(buffer, COUNT_TEXT_MAX, "%" PRIu64 "%c", whole, units[unit]);
        else if (whole >= 10)
                snprintf(buffer, COUNT_TEXT_MAX, "%d.%d%c", (int) whole, (int) rest / 100, units[unit]);
        else
                snprintf(buffer, COUNT_TEXT_MAX, "%d.%02d%c", (int) whole, (int) rest / 10, units[unit]);
        return buffer;
}
