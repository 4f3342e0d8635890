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

/* The dice decide whether it matches. */
static bool is_possible(const JsonValue *route) {
        const char *chance = json_get_text(route, "chance");

        return *chance && !json_get_boolean(route, "matched") && !streq(chance, "0%");
}

static void print_condition(const JsonValue *c, bool failed, FILE *f) {
        const JsonValue *holds = json_get(c, "holds"), *value = json_get(c, "value");
        bool yes = json_get_boolean(c, "holds");

        fprintf(f, "%s ", json_get_text(c, "condition"));
        fputs(!holds || holds->type == JSON_NULL ? _("may hold") :
              yes && failed                      ? _("must not hold") :
              yes                                ? _("holds") :
                                                   _("does not hold"), f);
        if (value && value->type == JSON_STRING && (!yes || failed))
                fprintf(f, _(": it is %s"), *value->text ? value->text : _("empty"));
}

/* What decided, in words; of a slicemeshd that does not tell the conditions, what it says itself. */
static int route_why(const JsonValue *route, char **ret) {
        const JsonValue *conditions = json_get(route, "conditions");
        bool failed = !json_get_boolean(route, "matched") && !is_possible(route);
        const char *separator = "";
        size_t size;
        FILE *f;

        f = open_memstream(ret, &size);
        if (!f)
                return -ENOMEM;
        if (!conditions)
                fputs(json_get_text(route, "why"), f);
        else if (conditions->n_members == 0)
                fputs(_("it has no conditions"), f);
        for (size_t i = 0; conditions && i < conditions->n_members; i++) {
                if (!json_get_boolean(&conditions->members[i], "decisive"))
                        continue;
                fputs(separator, f);
                print_condition(&conditions->members[i], failed, f);
                separator = "; ";
        }
        return fclose(f) < 0 ? -ENOMEM : 0;
}

/* A shadow route that matches is counted, and not more; what the dice decide on is neither yes nor no. */
static void add_mark(Table *t, const JsonValue *route) {
        bool matched = json_get_boolean(route, "matched"), utf8 = terminal_utf8();

        if (is_possible(route))
                table_add_string(t, STYLE_WARNING, "?");
        else if (matched)
                table_add_string(t, json_get_boolean(route, "shadow") ? STYLE_DIM : STYLE_GOOD,
                                 utf8 ? "\xe2\x9c\x94" : "+");
        else
                table_add_string(t, STYLE_DIM, utf8 ? "\xe2\x9c\x98" : "-");
}

static int add_route(Table *t, const JsonValue *route) {
        bool matched = json_get_boolean(route, "matched"), shadow = json_get_boolean(route, "shadow");
        _cleanup_free_ char *why = NULL;
        int r;

        r = route_why(route, &why);
        if (r < 0)
                return r;
        add_mark(t, route);
        table_add_format(t, matched && !shadow ? STYLE_HEADING : STYLE_NORMAL, "%s%s",
                         json_get_text(route, "name"), shadow ? _(" (shadow)") : "");
        if (is_possible(route))
                table_add_format(t, STYLE_NORMAL, _("may match (%s): %s"),
                                 json_get_text(route, "chance"), why);
        else
                table_add_string(t, STYLE_NORMAL, why);
        table_add_string(t, STYLE_DIM, json_get_text(route, "origin"));
        return 0;
}

static int print_routes(const Options *o, const JsonValue *explanation) {
        const TableColumn columns[] = {
                { .title = "" },
                { .title = _("ROUTE"), .shrinks = true },
                { .title = _("WHY"), .shrinks = true },
                { .title = _("POLICY"), .shrinks = true, .keeps_end = true },
        };
        const JsonValue *routes = json_get(explanation, "routes");
        _cleanup_(table_freep) Table *t = table_new(columns, ELEMENTSOF(columns));
        int r = 0;

        if (!t)
                return -ENOMEM;
        for (size_t i = 0; r >= 0 && routes && i < routes->n_members; i++)
                r = add_route(t, &routes->members[i]);
        return r < 0 ? r : print_section(o, _("Routes, until the first that matches"), t);
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

static const JsonValue *find_action(const JsonValue *explanation, const char *name) {
        const JsonValue *actions = json_get(explanation, "actions");

        for (size_t i = 0; actions && i < actions->n_members; i++)
                if (streq(json_get_text(&actions->members[i], "action"), name))
                        return &actions->members[i];
        return NULL;
}

/* Where the dice choose the route: "50% of the requests take the route beta" */
static void print_possible_routes(const JsonValue *explanation) {
        const JsonValue *possible = json_get(explanation, "possible");

        for (size_t i = 0; possible && i < possible->n_members; i++) {
                printf("  ");
                print_styled(STYLE_WARNING, _("%s of such requests take the route %s, by chance"),
                             json_get_text(&possible->members[i], "chance"),
                             possible_route(explanation, &possible->members[i]));
                putchar('\n');
        }
}

static void print_success(const JsonValue *explanation) {
        const JsonValue *redirect = find_action(explanation, "redirect");
        const JsonValue *respond = find_action(explanation, "respond");
        const char *service = json_get_text(explanation, "service");

        if (redirect)
                print_styled(STYLE_GOOD, _("is redirected by the service %s to %s"), service,
                             json_get_text(redirect, "value"));
        else if (respond)
                print_styled(STYLE_GOOD, _("is answered for the service %s with status %u"), service,
                             (unsigned) json_get_unsigned(respond, "status"));
        else
                print_styled(STYLE_GOOD, _("goes to the service %s"), service);
        putchar('\n');
}

static void print_verdict(const Request *q, const Answer *a) {
        const char *path = json_get_text(a->explanation, "path");
        const char *reason = json_get_text(a->explanation, "reason");
        const char *service = json_get_text(a->explanation, "service");

        print_styled(STYLE_HEADING, "%s %s", q->method, q->url);
        putchar('\n');
        if (streq(reason, "none")) {
                printf("  ");
                print_success(a->explanation);
                print_fast_verdict(json_get(a->explanation, "fast-path"));
        } else {
                printf("  ");
                print_styled(STYLE_BAD, _("fails at the service %s: %s"), service, reason);
                printf("\n  ");
                print_wrapped(reason_sentence(reason) ?: json_get_text(a->explanation, "sentence"),
                              terminal_columns(), 2, 2);
        }
        if (*path) {
                printf("  ");
                print_styled(STYLE_NORMAL, _("has the path %s in normal form"), path);
                putchar('\n');
        }
        print_possible_routes(a->explanation);
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
                r = print_outcome(o, a->explanation);
        if (r >= 0)
                r = print_possible(o, a->explanation);
        print_limits(json_get(a->explanation, "fast-path"));
        if (a->has_names) {
                putchar('\n');
                print_wrapped(_("An endpoint by name stands for all its addresses, which only slicemeshd "
                                "knows."),
                              terminal_columns(), 0, 0);
        }
        return output_status(r);
}
