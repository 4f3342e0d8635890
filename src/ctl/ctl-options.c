/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>

#include "../basic/array-util.h"
#include "../basic/cleanup.h"
#include "../basic/macro.h"
#include "../basic/table.h"
#include "ctl-i18n.h"
#include "ctl-options.h"

typedef enum OptionType {
        TYPE_FLAG,
        TYPE_TEXT,
        TYPE_LIST,
} OptionType;

typedef struct OptionRow {
        char letter; /* or 0 */
        const char *name;
        const char *value; /* in the help; NULL if it takes none */
        OptionType type;
        size_t offset; /* in Options */
        const char *help;
} OptionRow;

static const OptionRow rows[_OPTION_MAX] = {
        [OPTION_HELP] = { 'h', "help", NULL, TYPE_FLAG, offsetof(Options, help),
                          N_("Show this help") },
        [OPTION_VERSION] = { 0, "version", NULL, TYPE_FLAG, offsetof(Options, version),
                             N_("Show the version") },
        [OPTION_JSON] = { 0, "json", NULL, TYPE_FLAG, offsetof(Options, json),
                          N_("Print JSON, for programs") },
        [OPTION_NO_PAGER] = { 0, "no-pager", NULL, TYPE_FLAG, offsetof(Options, no_pager),
                              N_("Do not pipe the output into a pager") },
        [OPTION_NO_LEGEND] = { 0, "no-legend", NULL, TYPE_FLAG, offsetof(Options, no_legend),
                               N_("Print no titles of columns") },
        [OPTION_PERSIST] = { 0, "persist", NULL, TYPE_FLAG, offsetof(Options, persist),
                             N_("Keep the change over a reboot") },
        [OPTION_NO_ASK_PASSWORD] = { 0, "no-ask-password", NULL, TYPE_FLAG,
                                     offsetof(Options, no_ask_password),
                                     N_("Do not ask for authentication") },
        [OPTION_ROOT] = { 0, "root", N_("PATH"), TYPE_TEXT, offsetof(Options, root),
                          N_("Look for the policy below this directory") },
        [OPTION_OFFLINE] = { 0, "offline", N_("DIR"), TYPE_TEXT, offsetof(Options, offline),
                             N_("Ask the policy in DIR, not slicemeshd") },
        [OPTION_FROM] = { 0, "from", N_("NAME"), TYPE_TEXT, offsetof(Options, from),
                          N_("The slice, unit or SLICE/UNIT it comes from") },
        [OPTION_USER] = { 0, "user", N_("USER"), TYPE_TEXT, offsetof(Options, user),
                          N_("The user that it comes from") },
        [OPTION_SOURCE] = { 0, "source", N_("ADDRESS"), TYPE_TEXT, offsetof(Options, source),
                            N_("The address that it comes from") },
        [OPTION_BODY] = { 0, "body", N_("TEXT"), TYPE_TEXT, offsetof(Options, body),
                          N_("The body; @FILE or - (standard input) to read it") },
        [OPTION_HEADER] = { 'H', "header", N_("FIELD"), TYPE_LIST, offsetof(Options, headers),
                            N_("A header field, 'name: value'") },
        [OPTION_ROUTE] = { 0, "route", N_("NAME"), TYPE_TEXT, offsetof(Options, route),
                           N_("The route to change") },
        [OPTION_SERVICE] = { 0, "service", N_("NAME"), TYPE_TEXT, offsetof(Options, service),
                             N_("The service to trace") },
        [OPTION_COUNT] = { 0, "count", N_("NUMBER"), TYPE_TEXT, offsetof(Options, count),
                           N_("Stop after so many requests") },
};

#define LONG_BASE 256 /* getopt's values for long options start beyond any letter */
#define HELP_WIDTH 27

const char *option_name(OptionId id) {
        return rows[id].name;
}

void options_done(Options *o) {
        free(o->headers);
        *o = (Options) {};
}

static void build_getopt(char letters[static 2 * _OPTION_MAX + 1],
                         struct option longs[static _OPTION_MAX + 1]) {
        for (size_t i = 0; i < _OPTION_MAX; i++) {
                longs[i] = (struct option) {
                        .name = rows[i].name,
                        .has_arg = rows[i].value ? required_argument : no_argument,
                        .val = LONG_BASE + (int) i,
                };
                if (rows[i].letter) {
                        *letters++ = rows[i].letter;
                        if (rows[i].value)
                                *letters++ = ':';
                }
        }
        *letters = '\0';
        longs[_OPTION_MAX] = (struct option) {};
}

static int find_option(int c) {
        if (c >= LONG_BASE)
                return c - LONG_BASE;
        for (int i = 0; i < _OPTION_MAX; i++)
                if (rows[i].letter == c)
                        return i;
        return -EINVAL; /* getopt has said so */
}

static int append_header(Options *o, const char *value) {
        int r;

        r = array_reserve(&o->headers, o->n_headers, sizeof(*o->headers));
        if (r >= 0)
                o->headers[o->n_headers++] = value;
        return r;
}

static int store_option(Options *o, OptionId id, const char *value) {
        void *field = (char *) o + rows[id].offset;

        o->given |= OPTION_BIT(id);
        switch (rows[id].type) {
        case TYPE_FLAG:
                *(bool *) field = true;
                return 0;
        case TYPE_TEXT:
                *(const char **) field = value;
                return 0;
        default:
                return append_header(o, value);
        }
}

int options_parse(int argc, char **argv, Options *ret, int *ret_first) {
        struct option longs[_OPTION_MAX + 1];
        char letters[2 * _OPTION_MAX + 1];
        _cleanup_(options_done) Options o = {};
        int c, r;

        build_getopt(letters, longs);
        optind = 0; /* GNU: start over, so that tests may parse twice */
        while ((c = getopt_long(argc, argv, letters, longs, NULL)) != -1) {
                int id = find_option(c);

                if (id < 0)
                        return id;
                r = store_option(&o, id, optarg);
                if (r < 0)
                        return r;
        }
        *ret = o;
        *ret_first = optind;
        o = (Options) {};
        return 0;
}

void options_print_help(FILE *f, unsigned mask) {
        for (size_t i = 0; i < _OPTION_MAX; i++) {
                const OptionRow *row = &rows[i];
                int width = HELP_WIDTH;

                if (!(mask & OPTION_BIT(i)))
                        continue;
                width -= row->letter ? fprintf(f, "  -%c, ", row->letter) : fprintf(f, "      ");
                width -= fprintf(f, "--%s", row->name);
                if (row->value) {
                        fprintf(f, "=%s", _(row->value));
                        width -= 1 + (int) text_columns(_(row->value));
                }
                fprintf(f, "%*s%s\n", MAX(width, 1), "", _(row->help));
        }
}
