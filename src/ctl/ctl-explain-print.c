/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <string.h>

#include "../basic/macro.h"
#include "../policy/policy-fast.h"
#include "ctl-explain.h"
#include "ctl-i18n.h"
#include "ctl-output.h"
#include "ctl-terminal.h"

static const struct {
        const char *text; /* in JSON */
        const char *sentence;
        TextStyle style;
} verdicts[] = {
        [CALLER_ALLOWED] = { "allowed", N_("may call it"), STYLE_GOOD },
        [CALLER_REFUSED] = { "refused", N_("is not among its callers: the connection is refused (caller-refused)"),
                             STYLE_BAD },
        [CALLER_UNMANAGED] = { "unmanaged", N_("is not managed: the mesh leaves its connections alone"),
                               STYLE_WARNING },
};

static int print_routes(const Options *o, const JsonValue *explanation) {
        const TableColumn columns[] = {
                { .title = "" },
                { .title = _("ROUTE"), .shrinks = true },
                { .title = _("WHY"), .shrinks = true },
                { .title = _("POLICY"), .shrinks = true, .keeps_end = true },
        };
        const JsonValue *routes = json_get(explanation, "routes");
        _cleanup_(table_freep) Table *t = table_new(columns, ELEMENTSOF(columns));
        const char *yes = terminal_utf8() ? "\xe2\x9c\x94" : "+";
        const char *no = terminal_utf8() ? "\xe2\x9c\x98" : "-";

        if (!t)
                return -ENOMEM;
        for (size_t i = 0; routes && i < routes->n_members; i++) {
                const JsonValue *route = &routes->members[i];
                bool matched = json_get_boolean(route, "matched");

                table_add_string(t, matched ? STYLE_GOOD : STYLE_DIM, matched ? yes : no);
                table_add_string(t, matched ? STYLE_HEADING : STYLE_NORMAL, json_get_text(route, "name"));
                table_add_string(t, STYLE_NORMAL, json_get_text(route, "why"));
                table_add_string(t, STYLE_DIM, json_get_text(route, "origin"));
        }
        return print_section(o, _("Routes, until the first that matches"), t);
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

/* "Subset canary, consistent-hash by cookie sid, for 10% of the requests" */
static int subset_title(const JsonValue *subset, bool only, char **ret) {
        const char *hash = json_get_text(subset, "hash");
        _cleanup_free_ char *by = NULL, *share = NULL;
        char text[SHARE_TEXT_MAX];

        if (*hash && asprintf(&by, _(" by %s"), hash) < 0)
                return -ENOMEM;
        if (!only && asprintf(&share, _(", for %s of the requests"),
                              share_to_text(json_get_unsigned(subset, "share-permille"), 1000, text)) < 0)
                return -ENOMEM;
        return asprintf(ret, _("Subset %s, %s%s%s"), json_get_text(subset, "name"),
                        json_get_text(subset, "balance"), by ?: "", share ?: "") < 0 ? -ENOMEM : 0;
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

/* Whether the kernel may take a request like this one. */
static void print_fast_verdict(const JsonValue *fast) {
        const char *slow = json_get_text(fast, "slow");

        if (!*slow)
                return;
        printf("  ");
        if (streq(slow, "none")) {
                print_styled(STYLE_GOOD, "%s", _("may take the fast path"));
                putchar('\n');
                return;
        }
        print_styled(STYLE_WARNING, _("cannot take the fast path: %s"), slow);
        printf("\n  ");
        print_wrapped(slow_sentence(slow) ?: json_get_text(fast, "sentence"), terminal_columns(), 2, 2);
}

static void print_limits(const JsonValue *fast) {
        const JsonValue *limits = json_get(fast, "limits");
        MeshProblem list[_FAST_LIMIT_MAX];
        MeshProblems found = { .list = list };

        for (size_t i = 0; limits && i < MIN(limits->n_members, ELEMENTSOF(list)); i++)
                list[found.n++] = (MeshProblem) {
                        .id = json_get_text(&limits->members[i], "limit"),
                        .sentence = json_get_text(&limits->members[i], "sentence"),
                };
        print_fast_limits(&found);
}

static void print_verdict(const Request *q, const Answer *a) {
        const char *reason = json_get_text(a->explanation, "reason");
        const char *service = json_get_text(a->explanation, "service");

        print_styled(STYLE_HEADING, "%s %s", q->method, q->url);
        putchar('\n');
        if (streq(reason, "none")) {
                printf("  ");
                print_styled(STYLE_GOOD, _("goes to the service %s"), service);
                putchar('\n');
                print_fast_verdict(json_get(a->explanation, "fast-path"));
        } else {
                printf("  ");
                print_styled(STYLE_BAD, _("fails at the service %s: %s"), service, reason);
                printf("\n  ");
                print_wrapped(reason_sentence(reason) ?: json_get_text(a->explanation, "sentence"),
                              terminal_columns(), 2, 2);
        }
        if (a->caller != CALLER_NOT_ASKED) {
                printf("  ");
                print_styled(verdicts[a->caller].style, "%s %s", q->slice, _(verdicts[a->caller].sentence));
                putchar('\n');
        }
}

static int answer_to_json(const Answer *a, JsonWriter *w) {
        json_open_object(w, NULL);
        json_members_write(a->explanation, w);
        if (a->caller != CALLER_NOT_ASKED)
                json_string(w, "caller", verdicts[a->caller].text);
        json_close(w);
        return json_finish(w);
}

ExitStatus answer_print(const Options *o, const Request *q, const Answer *a) {
        int r;

        if (a->explanation->type != JSON_OBJECT)
                return bus_unexpected(-EBADMSG);
        if (o->json) {
                JsonWriter w = JSON_WRITER(stdout, true);

                return output_status(answer_to_json(a, &w));
        }
        pager_open(o);
        print_verdict(q, a);
        r = print_routes(o, a->explanation);
        if (r >= 0)
                r = print_subsets(o, a->explanation);
        print_limits(json_get(a->explanation, "fast-path"));
        if (a->has_names) {
                putchar('\n');
                print_wrapped(_("An endpoint by name stands for all its addresses, which only slicemeshd "
                                "knows."),
                              terminal_columns(), 0, 0);
        }
        return output_status(r);
}
