/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
#include <stdio.h>

#include "../basic/table.h"
#include "ctl-options.h"

/*
 * What standard output is and how to write to it. Colours and width are decided before a pager is put in
 * between, and stay.
 */
bool terminal_colors(void);    /* a terminal, unless $NO_COLOR or $SYSTEMD_COLORS says otherwise */
bool terminal_utf8(void);      /* by the locale */
size_t terminal_columns(void); /* 0 if it is no terminal and $COLUMNS is not set: do not cut anything */

/* For table_print() on standard output. */
TableView terminal_view(const Options *o, size_t indent);

/* Puts $SYSTEMD_PAGER, $PAGER or less behind standard output, if that is a terminal and nothing speaks
 * against it. pager_close() waits for it; without pager_open() it does nothing. */
void pager_open(const Options *o);
void pager_close(void);

/* On standard output: a text in a style, or plainly if there are no colours. */
void print_styled(TextStyle style, const char *format, ...) _printf_(2, 3);

/* Words of `text` in lines of up to `limit` columns, 0 = no limit. The first line goes on at column `at`,
 * the others start at `indent`. Ends the last line. */
void print_wrapped(const char *text, size_t limit, size_t at, size_t indent);

/* On standard error: one sentence, in red on a terminal. */
void print_error(const char *format, ...) _printf_(1, 2);
void print_oom(void);
