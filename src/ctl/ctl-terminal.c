/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <langinfo.h>
#include <stdarg.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "ctl-i18n.h"
#include "ctl-terminal.h"

#define COLUMNS_FALLBACK 80
#define COLUMNS_MIN 20

/* As systemd reads $SYSTEMD_COLORS, where numbers of colours are more than yes. */
static bool says_no(const char *value) {
        static const char *const words[] = { "0", "n", "no", "f", "false", "off" };

        for (size_t i = 0; i < ELEMENTSOF(words); i++)
                if (strcasecmp(value, words[i]) == 0)
                        return true;
        return false;
}

static bool colors_of(int fd) {
        const char *e = getenv("SYSTEMD_COLORS");

        if (e && *e)
                return !says_no(e);
        e = getenv("NO_COLOR");
        if (e && *e)
                return false;
        e = getenv("TERM");
        return isatty(fd) && e && !streq(e, "dumb");
}

/* Decided once: standard output may become a pipe to the pager later. */
bool terminal_colors(void) {
        static int cached = -1;

        if (cached < 0)
                cached = colors_of(STDOUT_FILENO);
        return cached;
}

bool terminal_utf8(void) {
        return strcasecmp(nl_langinfo(CODESET), "UTF-8") == 0;
}

static size_t measure_columns(void) {
        const char *e = getenv("COLUMNS");
        struct winsize size;

        if (e && atoi(e) > 0)
                return MAX((size_t) atoi(e), (size_t) COLUMNS_MIN);
        if (!isatty(STDOUT_FILENO))
                return 0;
        if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_col == 0)
                return COLUMNS_FALLBACK;
        return MAX((size_t) size.ws_col, (size_t) COLUMNS_MIN);
}

size_t terminal_columns(void) {
        static size_t cached = SIZE_MAX;

        if (cached == SIZE_MAX)
                cached = measure_columns();
        return cached;
}

TableView terminal_view(const Options *o, size_t indent) {
        return (TableView) {
                .columns = terminal_columns(),
                .indent = indent,
                .legend = !o->no_legend,
                .colors = terminal_colors(),
                .utf8 = terminal_utf8(),
        };
}

void print_styled(TextStyle style, const char *format, ...) {
        bool colors = terminal_colors();
        va_list ap;

        fputs(colors ? text_style_on(style) : "", stdout);
        va_start(ap, format);
        vprintf(format, ap);
        va_end(ap);
        fputs(colors ? text_style_off(style) : "", stdout);
}

void print_wrapped(const char *text, size_t limit, size_t at, size_t indent) {
        size_t column = at;
        bool first = true;

        for (;;) {
                size_t length;

                text += strspn(text, " ");
                length = strcspn(text, " "); /* bytes for columns: at worst a line ends early */
                if (length == 0)
                        break;
                if (!first && limit > 0 && column + 1 + length > limit && column > indent) {
                        printf("\n%*s", (int) indent, "");
                        column = indent;
                } else if (!first) {
                        putchar(' ');
                        column++;
                }
                fwrite(text, 1, length, stdout);
                column += length;
                text += length;
                first = false;
        }
        putchar('\n');
}

void print_error(const char *format, ...) {
        bool colors = colors_of(STDERR_FILENO);
        va_list ap;

        fflush(stdout);
        fputs(colors ? text_style_on(STYLE_BAD) : "", stderr);
        va_start(ap, format);
        vfprintf(stderr, format, ap);
        va_end(ap);
        fputs(colors ? text_style_off(STYLE_BAD) : "", stderr);
        fputc('\n', stderr);
}

void print_oom(void) {
        print_error("%s", _("Out of memory."));
}
