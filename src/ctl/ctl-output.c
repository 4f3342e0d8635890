/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "ctl-i18n.h"
#include "ctl-output.h"
#include "ctl-terminal.h"

ExitStatus output_status(int r) {
        if (r == -ENOMEM)
                print_oom();
        else if (r < 0)
                print_error(_("Cannot write the output: %s."), strerror(-r));
        return r < 0 ? STATUS_FAILURE : STATUS_OK;
}

ExitStatus output_table(const Options *o, const Table *t) {
        TableView view;
        int r;

        if (o->json) {
                JsonWriter w = JSON_WRITER(stdout, true);

                r = table_to_json(t, &w, NULL);
                return output_status(r < 0 ? r : json_finish(&w));
        }
        pager_open(o);
        view = terminal_view(o, 0);
        return output_status(table_print(t, stdout, &view));
}

int print_section(const Options *o, const char *title, const Table *t) {
        TableView view = terminal_view(o, 2);

        if (table_rows(t) == 0)
                return 0;
        putchar('\n');
        print_styled(STYLE_HEADING, "%s", title);
        putchar('\n');
        return table_print(t, stdout, &view);
}

Table *fields_new(void) {
        static const TableColumn columns[] = {
                { .title = "", .right = true },
                { .title = "", .shrinks = true },
        };

        return table_new(columns, ELEMENTSOF(columns));
}

int print_fields(const Options *o, const Table *t) {
        TableView view = terminal_view(o, 2);

        view.legend = false;
        return table_print(t, stdout, &view);
}

TextStyle state_style(const char *state) {
        static const struct {
                const char *state;
                TextStyle style;
        } styles[] = {
                { "running", STYLE_GOOD },     { "degraded", STYLE_WARNING }, { "starting", STYLE_WARNING },
                { "down", STYLE_BAD },         { "active", STYLE_GOOD },      { "stale", STYLE_WARNING },
                { "up", STYLE_GOOD },          { "avoided", STYLE_BAD },      { "draining", STYLE_WARNING },
                { "drained", STYLE_DIM },      { "disabled", STYLE_DIM },     { "on", STYLE_GOOD },
                { "off", STYLE_WARNING },      { "unavailable", STYLE_WARNING },
        };

        for (size_t i = 0; i < ELEMENTSOF(styles); i++)
                if (streq(styles[i].state, state))
                        return styles[i].style;
        return STYLE_NORMAL;
}

void print_policy_error(const MeshError *e, size_t indent) {
        char position[32] = "";
        size_t at;

        if (e->line > 0)
                snprintf(position, sizeof(position), "%" PRIu32 ":%" PRIu32 ":", e->line, e->column);
        printf("%*s", (int) indent, "");
        print_styled(STYLE_HEADING, "%s:%s", e->file, position);
        at = indent + text_columns(e->file) + 1 + strlen(position);
        if (*e->key) {
                printf(" %s:", e->key);
                at += 2 + text_columns(e->key);
        }
        putchar(' ');
        print_wrapped(e->message, terminal_columns(), at + 1, indent + 4);
}

static const char *text_or_null(const char *s) {
        return *s ? s : NULL;
}

void policy_errors_to_json(const MeshErrors *e, JsonWriter *w, const char *key) {
        json_open_array(w, key);
        for (size_t i = 0; i < e->n; i++) {
                json_open_object(w, NULL);
                json_string(w, "file", e->list[i].file);
                json_unsigned(w, "line", e->list[i].line);
                json_unsigned(w, "column", e->list[i].column);
                json_string(w, "service", text_or_null(e->list[i].service));
                json_string(w, "key", text_or_null(e->list[i].key));
                json_string(w, "message", e->list[i].message);
                json_close(w);
        }
        json_close(w);
}

static int compare_counts(const void *a, const void *b) {
        const Count *x = a, *y = b;

        return x->n != y->n ? (x->n < y->n ? 1 : -1) : strcmp(x->name, y->name);
}

void print_reasons(const char *title, const Counts *reasons, const char *(*sentence)(const char *text)) {
        size_t indent = 0;

        if (reasons->n == 0)
                return;
        qsort(reasons->list, reasons->n, sizeof(*reasons->list), compare_counts);
        for (size_t i = 0; i < reasons->n; i++)
                indent = MAX(indent, text_columns(reasons->list[i].name));
        indent += 2 + 5 + 2 + 2; /* margin, count, gaps */

        putchar('\n');
        print_styled(STYLE_HEADING, "%s", title);
        putchar('\n');
        for (size_t i = 0; i < reasons->n; i++) {
                const Count *c = &reasons->list[i];
                char text[COUNT_TEXT_MAX];

                printf("  %5s  %-*s", count_to_text(c->n, text), (int) indent - 9, c->name);
                print_wrapped(sentence(c->name) ?: "", terminal_columns(), indent, indent);
        }
}

void problems_to_json(const MeshProblems *p, JsonWriter *w, const char *key, const char *name) {
        json_open_array(w, key);
        for (size_t i = 0; i < p->n; i++) {
                json_open_object(w, NULL);
                json_string(w, name, p->list[i].id);
                json_string(w, "sentence", p->list[i].sentence);
                json_close(w);
        }
        json_close(w);
}

void counts_to_json(const Counts *c, JsonWriter *w, const char *key) {
        json_open_object(w, key);
        for (size_t i = 0; i < c->n; i++)
                json_unsigned(w, c->list[i].name, c->list[i].n);
        json_close(w);
}

const char *share_to_text(uint64_t share, uint64_t total, char buffer[static SHARE_TEXT_MAX]) {
        uint64_t permille = total > 0 ? (share * 1000 + total / 2) / total : 0;

        if (share == 0)
                return strcpy(buffer, "-");
        if (permille % 10 == 0)
                snprintf(buffer, SHARE_TEXT_MAX, "%" PRIu64 "%%", permille / 10);
        else
                snprintf(buffer, SHARE_TEXT_MAX, "%" PRIu64 ".%" PRIu64 "%%", permille / 10, permille % 10);
        return buffer;
}

void table_add_share(Table *t, uint64_t share, uint64_t total) {
        char text[SHARE_TEXT_MAX];

        table_add_string(t, share > 0 ? STYLE_NORMAL : STYLE_DIM, share_to_text(share, total, text));
}

int table_add_split(Table *t, const Counts *split) {
        _cleanup_free_ char *text = NULL;
        char share[SHARE_TEXT_MAX];
        uint64_t total = 0;
        size_t size;
        FILE *f;

        f = open_memstream(&text, &size);
        if (!f)
                return -errno;
        for (size_t i = 0; i < split->n; i++)
                total += split->list[i].n;
        for (size_t i = 0; i < split->n; i++) {
                fprintf(f, "%s%s", i > 0 ? ", " : "", split->list[i].name);
                if (split->n > 1)
                        fprintf(f, " %s", share_to_text(split->list[i].n, total, share));
        }
        if (fclose(f) != 0)
                return -ENOMEM;
        table_add_string(t, STYLE_NORMAL, text);
        return 0;
}
