/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>

#include "../basic/cleanup.h"
#include "../basic/macro.h"
#include "../basic/table.h"
#include "../policy/policy-schema.h"
#include "ctl-i18n.h"
#include "ctl-terminal.h"
#include "ctl-verb.h"

#define HELP_COLUMNS 80
#define VERB_COLUMNS 40 /* of these, before the summary */

static const Verb verbs[] = {
        { "status", "", VERB_GROUP_SEE, 0, 0, OPTIONS_TABLE,
          N_("Show the state of the mesh at a glance"),
          N_("Shows whether the mesh is whole and what is the matter if not, the policy in "
             "force and its errors, each service with what became of its requests, and the "
             "slices that are attached."),
          verb_status },
        { "list", "[services|endpoints|slices]", VERB_GROUP_SEE, 0, 1, OPTIONS_TABLE,
          N_("List services, endpoints or slices"),
          N_("Lists the objects of one kind; services unless told otherwise."),
          verb_list },
        { "show", "SERVICE|SLICE", VERB_GROUP_SEE, 1, 1, OPTIONS_TABLE,
          N_("Show all there is to know of a service"),
          N_("Shows the subsets of a service with the weight, share and state of each endpoint, "
             "its routes, why requests were refused or failed, and why they did not take the fast "
             "path. Of a slice, shows its connections and the latter."),
          verb_show },
        { "monitor", "", VERB_GROUP_SEE, 0, 0, OPTION_BIT(OPTION_JSON),
          N_("Follow changes until interrupted"),
          N_("Prints a line for every change of a service, an endpoint, a slice or the mesh "
             "itself, and for every reload, until interrupted. With --json each line is an object."),
          verb_monitor },
        { "trace", "", VERB_GROUP_SEE, 0, 0,
          OPTION_BIT(OPTION_SERVICE) | OPTION_BIT(OPTION_COUNT) | OPTION_BIT(OPTION_JSON) |
          OPTION_BIT(OPTION_NO_ASK_PASSWORD),
          N_("Follow the requests of a service"),
          N_("Prints of each request which routes were tried and why they match or not, where it went, what "
             "became of it, and whether it would have taken the fast path. Requests that are traced do not "
             "take it. Ends after --count requests, ten minutes, or when interrupted."),
          verb_trace },
        { "reasons", "", VERB_GROUP_SEE, 0, 0, OPTIONS_TABLE,
          N_("Explain all reasons that are counted"),
          N_("Lists what the field X-Slicemesh of a response, the counters and the journal call "
             "the reasons why requests are refused or fail, with the status of the response; and "
             "the reasons why requests do not take the fast path."),
          verb_reasons },
        { "set-weight", "SERVICE ENDPOINT WEIGHT", VERB_GROUP_STEER, 3, 3, OPTIONS_CHANGE,
          N_("Change the weight of an endpoint"),
          N_("Gives an endpoint another share of the requests of its subset, at once. The weight "
             "is a number from 0 to 1000; 0 sends nothing."),
          verb_set_weight },
        { "drain", "SERVICE ENDPOINT...", VERB_GROUP_STEER, 2, -1, OPTIONS_CHANGE,
          N_("Send endpoints no new requests"),
          N_("Sends no new requests to the endpoints, and lets those in flight finish. The state "
             "is \"draining\" until then, and \"drained\" afterwards."),
          verb_drain },
        { "enable", "SERVICE ENDPOINT...", VERB_GROUP_STEER, 2, -1, OPTIONS_CHANGE,
          N_("Send endpoints requests again"),
          N_("Undoes \"drain\", and enables endpoints that the policy disables."),
          verb_enable },
        { "set-balance", "SERVICE [SUBSET] BALANCE", VERB_GROUP_STEER, 2, 3, OPTIONS_CHANGE,
          N_("Change how a subset is balanced"),
          N_("Changes how the endpoints of a subset take turns: round-robin, random, "
             "least-request or consistent-hash. The subset may be left out if there is only one."),
          verb_set_balance },
        { "shift", "SERVICE SUBSET=SHARE...", VERB_GROUP_STEER, 2, -1,
          OPTIONS_CHANGE | OPTION_BIT(OPTION_JSON) | OPTION_BIT(OPTION_ROUTE),
          N_("Change how a route is split"),
          N_("Gives the subsets these shares of the requests of a route, and others nothing, from the next "
             "request on. Shares are weights from 0 to 1000, or percentages. The route may be left out if "
             "only one is split over these subsets."),
          verb_shift },
        { "swap", "SERVICE SUBSET SUBSET", VERB_GROUP_STEER, 3, 3,
          OPTIONS_CHANGE | OPTION_BIT(OPTION_JSON),
          N_("Exchange two subsets in all routes"),
          N_("What went to one of the subsets goes to the other, in all routes of the service at once: "
             "every request sees either the state before or that after. Done twice, all is as before."),
          verb_swap },
        { "fast-path", "on|off", VERB_GROUP_STEER, 1, 1, OPTION_BIT(OPTION_NO_ASK_PASSWORD),
          N_("Switch the fast path on or off"),
          N_("Lets the kernel serve the requests that it can, or leaves all of them to the relay, from the "
             "next request on, also on connections that are open. It holds until mesh.yaml says something "
             "else, or the next reboot."),
          verb_fast_path },
        { "check", "[DIR]", VERB_GROUP_POLICY, 0, 1, OPTIONS_TABLE | OPTION_BIT(OPTION_ROOT),
          N_("Check the policy files"),
          N_("Reads the policy files, or those in a directory that is laid out like /etc/slicemesh, and "
             "prints all errors as FILE:LINE:COLUMN: KEY: MESSAGE. The exit status is 1 if there are any. "
             "slicemeshd need not run and is not told."),
          verb_check },
        { "explain", "[METHOD] URL", VERB_GROUP_POLICY, 1, 2,
          OPTIONS_OUTPUT | OPTION_BIT(OPTION_ROOT) | OPTION_BIT(OPTION_OFFLINE) | OPTION_BIT(OPTION_FROM) |
          OPTION_BIT(OPTION_USER) | OPTION_BIT(OPTION_SOURCE) | OPTION_BIT(OPTION_HEADER) |
          OPTION_BIT(OPTION_BODY),
          N_("Tell where a request would go, and why"),
          N_("Shows which service a request belongs to, which of its routes were tried and why they match "
             "or not, what is done with it, how the requests are split, and which endpoints may get it. "
             "Asks slicemeshd, or with --offline or --root the policy files alone. Nothing is sent to "
             "anybody."),
          verb_explain },
        { "reload", "", VERB_GROUP_POLICY, 0, 0,
          OPTION_BIT(OPTION_JSON) | OPTION_BIT(OPTION_NO_ASK_PASSWORD),
          N_("Put the policy files in force"),
          N_("Reads the policy files anew. What has errors stays as it was; the exit status is 1 "
             "then, and the errors are printed."),
          verb_reload },
};

static const char *const group_titles[_VERB_GROUP_MAX] = {
        [VERB_GROUP_SEE] = N_("Look:"),
        [VERB_GROUP_STEER] = N_("Steer:"),
        [VERB_GROUP_POLICY] = N_("Policy:"),
};

#define ENDPOINT_HELP N_("ENDPOINT is written [SUBSET/]ADDRESS; the port may be left out, and so may the " \
                         "end, as long as one endpoint is meant.")

static const Verb *find_verb(const char *name) {
        for (size_t i = 0; i < ELEMENTSOF(verbs); i++)
                if (streq(verbs[i].name, name))
                        return &verbs[i];
        return NULL;
}

static ExitStatus print_help(void) {
        printf(_("%s [OPTION...] VERB [ARGUMENT...]\n\n"
                 "Look at and steer the service mesh of this host.\n"), "slicemeshctl");
        for (size_t group = 0; group < _VERB_GROUP_MAX; group++) {
                printf("\n%s\n", _(group_titles[group]));
                for (size_t i = 0; i < ELEMENTSOF(verbs); i++) {
                        int width;

                        if (verbs[i].group != group)
                                continue;
                        width = printf("  %s %s", verbs[i].name, verbs[i].arguments);
                        printf("%*s%s\n", MAX(VERB_COLUMNS - width, 1), "", _(verbs[i].summary));
                }
        }
        printf("\n%s\n", _("Options:"));
        options_print_help(stdout, ~0U);
        printf(_("\n\"%s VERB --help\" tells more.\n"), "slicemeshctl");
        return fflush(stdout) < 0 ? STATUS_FAILURE : STATUS_OK;
}

static ExitStatus print_verb_help(const Verb *v) {
        printf("slicemeshctl %s [%s...]%s%s\n\n", v->name, _("OPTION"), *v->arguments ? " " : "",
               v->arguments);
        print_wrapped(_(v->description), HELP_COLUMNS, 0, 0);
        if (strstr(v->arguments, "ENDPOINT")) {
                putchar('\n');
                print_wrapped(_(ENDPOINT_HELP), HELP_COLUMNS, 0, 0);
        }
        printf("\n%s\n", _("Options:"));
        options_print_help(stdout, v->options | OPTIONS_COMMON);
        return fflush(stdout) < 0 ? STATUS_FAILURE : STATUS_OK;
}

static ExitStatus print_version(void) {
        printf("slicemeshctl %s\n", SLICEMESH_VERSION);
        return STATUS_OK;
}

static const char *verb_name(const void *userdata, size_t i) {
        return verbs[i].name;
}

static ExitStatus unknown_verb(const char *name) {
        const char *near = schema_nearest(name, verb_name, NULL, ELEMENTSOF(verbs));

        if (near)
                print_error(_("There is no verb \"%s\"; did you mean \"%s\"?"), name, near);
        else
                print_error(_("There is no verb \"%s\"; \"%s --help\" lists them."), name, "slicemeshctl");
        return STATUS_USAGE;
}

/* Options and number of arguments as the verb takes them; says what is wrong if not. */
static ExitStatus check_usage(const Verb *v, const Options *o, int n) {
        for (OptionId id = 0; id < _OPTION_MAX; id++)
                if (o->given & OPTION_BIT(id) & ~(v->options | OPTIONS_COMMON)) {
                        print_error(_("\"%s\" does not take --%s."), v->name, option_name(id));
                        return STATUS_USAGE;
                }
        if (n < v->min)
                print_error(_("\"%s\" needs more arguments: %s"), v->name, v->arguments);
        else if (v->max >= 0 && n > v->max)
                print_error(_("\"%s\" takes fewer arguments: %s"), v->name, v->arguments);
        else
                return STATUS_OK;
        return STATUS_USAGE;
}

static ExitStatus dispatch(const Options *o, int n, char **arguments) {
        const Verb *v = NULL;
        ExitStatus status;

        if (o->version)
                return print_version();
        if (n > 0) {
                v = find_verb(arguments[0]);
                if (!v)
                        return unknown_verb(arguments[0]);
        }
        if (o->help)
                return v ? print_verb_help(v) : print_help();
        if (!v)
                v = find_verb("status");

        n = MAX(n - 1, 0);
        status = check_usage(v, o, n);
        if (status != STATUS_OK) {
                print_error(_("Try \"%s %s --help\"."), "slicemeshctl", v->name);
                return status;
        }
        return v->run(o, n, arguments + 1);
}

int main(int argc, char **argv) {
        _cleanup_(options_done) Options o = {};
        ExitStatus status;
        int r, first;

        (void) setlocale(LC_ALL, "");
        (void) bindtextdomain(GETTEXT_PACKAGE, secure_getenv("SLICEMESH_LOCALEDIR") ?: LOCALE_DIR);
        (void) textdomain(GETTEXT_PACKAGE);

        r = options_parse(argc, argv, &o, &first);
        if (r == -ENOMEM) {
                print_oom();
                return STATUS_FAILURE;
        }
        if (r < 0)
                return STATUS_USAGE;
        status = dispatch(&o, argc - first, argv + first);
        pager_close();
        return status;
}
