/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "../basic/cleanup.h"
#include "../basic/table.h"
#include "ctl-mesh.h"
#include "ctl-verb.h"

/*
 * Pieces that several verbs print.
 */
DEFINE_TRIVIAL_CLEANUP(Table *, table_free)

/* A table that is a verb's whole output: JSON or columns, as the options say. */
ExitStatus output_table(const Options *o, const Table *t);

/* Prints what stands under a title. Nothing if there are no rows. */
int print_section(const Options *o, const char *title, const Table *t);

/* Pairs of a label and a value, the labels aligned at their colons. */
Table *fields_new(void);
int print_fields(const Options *o, const Table *t);

/* Ends a verb that wrote JSON, or says why it could not. */
ExitStatus output_status(int r);

/* How a state on the bus looks: "up" is green. */
TextStyle state_style(const char *state);

/* "file:line:column: key: message", at a column. */
void print_policy_error(const MeshError *e, size_t indent);
void policy_errors_to_json(const MeshErrors *e, JsonWriter *w, const char *key);

/* Names with a sentence each; `name` is what the names are called. */
void problems_to_json(const MeshProblems *p, JsonWriter *w, const char *key, const char *name);

/* Counts under a title, with the sentence that explains each, the most frequent first. */
void print_reasons(const char *title, const Counts *reasons, const char *(*sentence)(const char *text));
void counts_to_json(const Counts *c, JsonWriter *w, const char *key);

/* Of the text of a reason why a request failed, or did not take the fast path; translated. NULL if this
 * version does not know it. */
const char *reason_sentence(const char *text);
const char *slow_sentence(const char *text);

/* "75%", "33.3%" of `share` in `total`; "-" if that is none. */
#define SHARE_TEXT_MAX 32
const char *share_to_text(uint64_t share, uint64_t total, char buffer[static SHARE_TEXT_MAX]);
void table_add_share(Table *t, uint64_t share, uint64_t total);

/* "stable 90%, canary 10%"; without shares if there is only one. */
int table_add_split(Table *t, const Counts *split);
