/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

typedef enum OptionId {
        OPTION_HELP,
        OPTION_VERSION,
        OPTION_JSON,
        OPTION_NO_PAGER,
        OPTION_NO_LEGEND,
        OPTION_PERSIST,
        OPTION_NO_ASK_PASSWORD,
        OPTION_ROOT,
        OPTION_OFFLINE,
        OPTION_FROM,
        OPTION_USER,
        OPTION_SOURCE,
        OPTION_HEADER,
        OPTION_BODY,
        OPTION_ROUTE,
        OPTION_SERVICE,
        OPTION_COUNT,
        _OPTION_MAX,
} OptionId;

#define OPTION_BIT(id) (1U << (id))
#define OPTIONS_COMMON (OPTION_BIT(OPTION_HELP) | OPTION_BIT(OPTION_VERSION))
#define OPTIONS_OUTPUT (OPTION_BIT(OPTION_JSON) | OPTION_BIT(OPTION_NO_PAGER))
#define OPTIONS_TABLE (OPTIONS_OUTPUT | OPTION_BIT(OPTION_NO_LEGEND))
#define OPTIONS_CHANGE (OPTION_BIT(OPTION_PERSIST) | OPTION_BIT(OPTION_NO_ASK_PASSWORD))

/* What the command line said. Texts are borrowed from it. */
typedef struct Options {
        unsigned given; /* bits of enum OptionId */
        bool help, version, json, no_pager, no_legend, persist, no_ask_password;
        const char *root, *offline, *from, *user, *source, *body, *route, *service, *count;
        const char **headers;
        size_t n_headers;
} Options;

void options_done(Options *o);

/* Takes the options out of argv, wherever they stand: what is left starts at argv[*ret_first]. -EINVAL if
 * one is unknown or lacks its value, which was then printed. */
int options_parse(int argc, char **argv, Options *ret, int *ret_first);

/* The long name, without dashes. */
const char *option_name(OptionId id);

/* A line of help for each option that has its bit in `mask`. */
void options_print_help(FILE *f, unsigned mask);
