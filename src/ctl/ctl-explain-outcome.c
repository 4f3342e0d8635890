/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "../basic/macro.h"
#include "ctl-explain.h"
#include "ctl-i18n.h"
#include "ctl-output.h"
#include "ctl-terminal.h"

static const struct {
        const char *action, *words;
} action_words[] = {
        { "respond", N_("answer") },
        { "redirect", N_("redirect to") },
        { "abort", N_("fail with") },
        { "delay", N_("wait") },
        { "mirror", N_("copy to the subset") },
        { "rewrite-path", N_("the path becomes") },
        { "rewrite-host", N_("Host becomes") },
        { "add-request-header", N_("add to the request") },
        { "set-request-header", N_("set in the request") },
        { "remove-request-header", N_("remove from the request") },
        { "add-response-header", N_("add to the response") },
        { "set-response-header", N_("set in the response") },
        { "remove-response-header", N_("remove from the response") },
};

static const char *action_in_words(const char *action) {
        for (size_t i = 0; i < ELEMENTSOF(action_words); i++)
                if (streq(action_words[i].action, action))
                        return _(action_words[i].words);
        return action;
}

static int print_actions(const Options *o, const JsonValue *outcome) {
        const TableColumn columns[] = {
                { .title = _("ACTION") },
                { .title = "", .shrinks = true },
                { .title = _("SHARE"), .right = true },
        };
        const JsonValue *actions = json_get(outcome, "actions");
        _cleanup_(table_freep) Table *t = table_new(columns, ELEMENTSOF(columns));

        if (!t)
                return -ENOMEM;
        for (size_t i = 0; actions && i < actions->n_members; i++) {
                const JsonValue *a = &actions->members[i];
                unsigned status = (unsigned) json_get_unsigned(a, "status");
                const char *value = json_get_text(a, "value");

                table_add_string(t, STYLE_NORMAL, action_in_words(json_get_text(a, "action")));
                if (status > 0)
                        table_add_format(t, STYLE_NORMAL, "%u%s%s", status, *value ? " " : "", value);
                else
                        table_add_string(t, STYLE_NORMAL, value);
                table_add_string(t, STYLE_NORMAL, json_get_text(a, "chance"));
        }
        return print_section(o, _("What is done with them"), t);
}

static Table *candidate_table(const JsonValue *subset) {
        const TableColumn columns[] = {
                { .title = _("ENDPOINT"), .shrinks = true },
                { .title = _("SHARE"), .right = true },
                { .title = _("NOW"), .right = true },
                { .title = "" },
        };
        const JsonValue *candidates = json_get(subset, "candidates");
        uint64_t picked = json_get_unsigned(subset, "picked");
        Table *t = table_new(columns, ELEMENTSOF(columns));

        for (size_t i = 0; t && candidates && i < candidates->n_members; i++) {
                const JsonValue *c = &candidates->members[i];

                table_add_string(t, STYLE_NORMAL, json_get_text(c, "address"));
                table_add_share(t, json_get_unsigned(c, "share-permille"), 1000);
                table_add_count(t, STYLE_NORMAL, json_get_unsigned(c, "in-flight"));
                if (picked > 0 && json_get_unsigned(c, "endpoint") == picked)
                        table_add_string(t, STYLE_GOOD, _("the hash leads here"));
                else if (json_get_boolean(c, "avoided"))
                        table_add_string(t, STYLE_BAD, _("avoided: its last connections failed"));
                else if (json_get_boolean(c, "local"))
                        table_add_string(t, STYLE_DIM, _("on this host"));
                else
                        table_add_string(t, STYLE_NORMAL, "");
        }
        return t;
}

/* "Subset canary, consistent-hash by cookie sid, for 10% of the requests, by its key this one" */
static int subset_title(const JsonValue *subset, bool only, char **ret) {
        const char *hash = json_get_text(subset, "hash");
        _cleanup_free_ char *by = NULL, *share = NULL;
        char text[SHARE_TEXT_MAX];
        const char *chosen;

        if (*hash && asprintf(&by, _(" by %s"), hash) < 0)
                return -ENOMEM;
        if (!only && asprintf(&share, _(", for %s of the requests"),
                              share_to_text(json_get_unsigned(subset, "share-permille"), 1000, text)) < 0)
                return -ENOMEM;
        chosen = json_get_boolean(subset, "chosen") ? _(", by its key this one") : "";
        return asprintf(ret, _("Subset %s, %s%s%s%s"), json_get_text(subset, "name"),
                        json_get_text(subset, "balance"), by ?: "", share ?: "", chosen) < 0 ? -ENOMEM : 0;
}

static int print_subsets(const Options *o, const JsonValue *explanation) {
        const JsonValue *subsets = json_get(explanation, "subsets");
        int r = 0;

        for (size_t i = 0; r >= 0 && subsets && i < subsets->n_members; i++) {
                const JsonValue *subset = &subsets->members[i];
                _cleanup_(table_freep) Table *t = candidate_table(subset);
                _cleanup_free_ char *title = NULL;

                if (!t)
                        return -ENOMEM;
                r = subset_title(subset, subsets->n_members == 1, &title);
                if (r >= 0)
                        r = print_section(o, title, t);
        }
        return r;
}

/* How it is decided which of several subsets a request goes to. */
static void print_split(const JsonValue *outcome) {
        const char *split = json_get_text(outcome, "split");

        if (!*split)
                return;
        putchar('\n');
        if (streq(split, "key"))
                print_styled(STYLE_HEADING, _("Split by %s"), json_get_text(outcome, "split-key"));
        else
                print_styled(STYLE_HEADING, "%s",
                             streq(split, "random") ? _("Split at random") : _("Split in turn"));
        putchar('\n');
}

int print_outcome(const Options *o, const JsonValue *outcome) {
        int r;

        r = print_actions(o, outcome);
        if (r < 0)
                return r;
        print_split(outcome);
        return print_subsets(o, outcome);
}

const char *possible_route(const JsonValue *explanation, const JsonValue *possible) {
        const JsonValue *routes = json_get(explanation, "routes");
        uint64_t i = json_get_unsigned(possible, "route");

        return routes && i < routes->n_members ? json_get_text(&routes->members[i], "name") : "";
}

int print_possible(const Options *o, const JsonValue *explanation) {
        const JsonValue *possible = json_get(explanation, "possible");
        int r = 0;

        for (size_t i = 0; r >= 0 && possible && i < possible->n_members; i++) {
                const JsonValue *p = &possible->members[i];
                const char *slow = json_get_text(json_get(p, "fast-path"), "slow");

                putchar('\n');
                print_styled(STYLE_WARNING, _("By the route %s, %s of such requests"),
                             possible_route(explanation, p), json_get_text(p, "chance"));
                if (*slow && !streq(slow, "none"))
                        print_styled(STYLE_WARNING, _(", cannot take the fast path: %s"), slow);
                putchar('\n');
                r = print_outcome(o, p);
        }
        return r;
}
