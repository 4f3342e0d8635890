/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>

#include "../basic/macro.h"
#include "../basic/parse-util.h"
#include "policy-dump.h"
#include "policy-model.h"

static void dump_splits(FILE *f, const PolicyService *s, const PolicyRoute *r) {
        fputs("    split: {", f);
        for (size_t i = 0; i < r->n_splits; i++) {
                fputs(i > 0 ? ", " : "", f);
                policy_text_print(s->subsets[r->splits[i].subset]->name, f);
                fprintf(f, ": %u", r->splits[i].weight);
        }
        fputs("}\n", f);
        if (r->split_by == SM_SPLIT_AT_RANDOM)
                fputs("    split-by: random\n", f);
        else if (r->split_by == SM_SPLIT_BY_KEY && r->split_hash == SM_HASH_SOURCE_ADDRESS)
                fputs("    split-by: source\n", f);
        else if (r->split_by == SM_SPLIT_BY_KEY) {
                fprintf(f, "    split-by: {%s: ", r->split_hash == SM_HASH_HEADER ? "header" : "cookie");
                policy_text_print(r->split_hash_name, f);
                fputs("}\n", f);
        }
}

/* The items of one kind; all of one name stand together, and make a list of values. */
static void dump_fields(FILE *f, const PolicyEdits *edits, enum sm_edit_kind kind) {
        const char *name = NULL;

        for (size_t i = 0; i < edits->n_items; i++) {
                const PolicyEdit *e = &edits->items[i];

                if (e->kind != kind)
                        continue;
                if (kind == SM_EDIT_REMOVE) {
                        fputs(name ? ", " : "", f);
                        policy_text_print(e->name, f);
                } else if (name && kind == SM_EDIT_ADD && streq(name, e->name)) {
                        fputs(", ", f);
                        policy_text_print(e->value, f);
                } else {
                        fputs(!name ? "" : kind == SM_EDIT_ADD ? "], " : ", ", f);
                        policy_text_print(e->name, f);
                        fputs(kind == SM_EDIT_ADD ? ": [" : ": ", f);
                        policy_text_print(e->value, f);
                }
                name = e->name;
        }
        fputs(name && kind == SM_EDIT_ADD ? "]" : "", f);
}

static void dump_edits(FILE *f, const char *key, const PolicyEdits *edits) {
        if (edits->n_items == 0)
                return;
        fprintf(f, "    %s: {remove: [", key);
        dump_fields(f, edits, SM_EDIT_REMOVE);
        fputs("], set: {", f);
        dump_fields(f, edits, SM_EDIT_SET);
        fputs("}, add: {", f);
        dump_fields(f, edits, SM_EDIT_ADD);
        fputs("}}\n", f);
}

static void dump_text(FILE *f, const char *key, const char *value) {
        if (!value)
                return;
        fprintf(f, ", %s: ", key);
        policy_text_print(value, f);
}

/* Without the brace at its end. */
static void dump_answer(FILE *f, const char *key, const PolicyAnswer *a) {
        fprintf(f, "%s: {status: %u", key, a->status);
        dump_text(f, "url", a->url);
        dump_text(f, "prefix", a->prefix);
        dump_text(f, "host", a->host);
        dump_text(f, "scheme", a->scheme);
        dump_text(f, "body", a->body);
        dump_text(f, "content-type", a->content_type);
        if (a->fields.n_items > 0) {
                fputs(", headers: {", f);
                dump_fields(f, &a->fields, SM_EDIT_ADD);
                fputc('}', f);
        }
}

static void dump_rewrite(FILE *f, const PolicyActions *a) {
        if (!a->rewrite_prefix && !a->rewrite_host)
                return;
        fputs("    rewrite: {", f);
        if (a->rewrite_prefix) {
                fputs("prefix: ", f);
                policy_text_print(a->rewrite_prefix, f);
        }
        if (a->rewrite_host) {
                fputs(a->rewrite_prefix ? ", host: " : "host: ", f);
                policy_text_print(a->rewrite_host, f);
        }
        fputs("}\n", f);
}

static void dump_fault(FILE *f, const PolicyActions *a) {
        char delay[DURATION_STRLEN], fraction[FRACTION_STRLEN];

        if (!a->abort && a->delay_usec == 0)
                return;
        fputs("    fault: {", f);
        if (a->delay_usec > 0)
                fprintf(f, "delay: {for: %s, fraction: %s}", duration_to_string(a->delay_usec, delay),
                        fraction_to_string(a->delay_fraction, fraction));
        if (a->abort) {
                fputs(a->delay_usec > 0 ? ", " : "", f);
                dump_answer(f, "abort", a->abort);
                fprintf(f, ", fraction: %s}", fraction_to_string(a->abort->fraction, fraction));
        }
        fputs("}\n", f);
}

static void dump_actions(FILE *f, const PolicyService *s, const PolicyActions *a) {
        char fraction[FRACTION_STRLEN];

        dump_rewrite(f, a);
        dump_edits(f, "request-headers", &a->request);
        dump_edits(f, "response-headers", &a->response);
        if (a->answer) {
                dump_answer(f, a->answer->redirect ? "    redirect" : "    respond", a->answer);
                fputs("}\n", f);
        }
        if (a->mirror) {
                fputs("    mirror: {to: ", f);
                policy_text_print(s->subsets[a->mirror_subset]->name, f);
                fprintf(f, ", fraction: %s, body: %" PRIu64 "}\n",
                        fraction_to_string(a->mirror_fraction, fraction), a->mirror_max);
        }
        dump_fault(f, a);
}

void dump_route(FILE *f, const PolicyService *s, const PolicyRoute *r) {
        char timeout[DURATION_STRLEN];

        fputs("  - name: ", f);
        policy_text_print(r->name, f);
        fputc('\n', f);
        if (r->match) {
                fputs("    match: ", f);
                policy_match_print(r->match, true, f);
                fputc('\n', f);
        }
        if (r->n_splits > 0)
                dump_splits(f, s, r);
        if (r->actions)
                dump_actions(f, s, r->actions);
        if (r->shadow)
                fputs("    shadow: true\n", f);
        if (r->timeout_usec > 0)
                fprintf(f, "    timeout: %s\n", duration_to_string(r->timeout_usec, timeout));
}
