/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "ctl-i18n.h"
#include "ctl-list.h"
#include "ctl-show.h"
#include "ctl-terminal.h"

#define ERRORS_SHOWN 10 /* of the policy, so that they push nothing else away */

static void add_policy_field(Table *t, const Mesh *m) {
        table_add_string(t, STYLE_DIM, _("Policy:"));
        if (m->errors.n == 0)
                table_add_format(t, STYLE_NORMAL, _("revision %" PRIu64), m->revision);
        else
                table_add_format(t, STYLE_WARNING,
                                 ngettext("revision %" PRIu64 ", %zu error in the files",
                                          "revision %" PRIu64 ", %zu errors in the files", m->errors.n),
                                 m->revision, m->errors.n);
}

static void add_relay_field(Table *t, const Mesh *m) {
        table_add_string(t, STYLE_DIM, _("Relay:"));
        if (m->relay_pid == 0)
                table_add_string(t, state_style(m->relay_state), m->relay_state);
        else
                table_add_format(t, state_style(m->relay_state),
                                 ngettext("%s, process %" PRIu32 ", %" PRIu32 " connection",
                                          "%s, process %" PRIu32 ", %" PRIu32 " connections",
                                          m->relay_connections),
                                 m->relay_state, m->relay_pid, m->relay_connections);
}

static void add_slices_field(Table *t, const Mesh *m) {
        uint32_t ungoverned = 0;
        size_t attached = 0;

        for (size_t i = 0; i < m->n_slices; i++) {
                attached += m->slices[i].attached;
                ungoverned += m->slices[i].ungoverned;
        }
        table_add_string(t, STYLE_DIM, _("Slices:"));
        table_add_format(t, attached < m->n_slices ? STYLE_WARNING : STYLE_NORMAL, _("%zu of %zu attached"),
                         attached, m->n_slices);
        add_ungoverned_field(t, "", ungoverned);
}

static const char *fast_path_state(const Mesh *m) {
        if (!m->fast_path)
                return "off";
        if (m->fast_features.n == 0)
                return "unavailable";
        return *m->fast_problem ? "degraded" : "on";
}

static void add_fast_path_fields(Table *t, const Mesh *m) {
        const char *state = fast_path_state(m);

        table_add_string(t, STYLE_DIM, _("Fast path:"));
        table_add_string(t, state_style(state), state);
        add_paths_field(t, "", &m->paths);
}

static int print_summary(const Options *o, const Mesh *m) {
        _cleanup_(table_freep) Table *fields = fields_new();

        if (!fields)
                return -ENOMEM;
        print_styled(state_style(m->state), "%s", terminal_utf8() ? "\xe2\x97\x8f" : "*");
        printf(" slicemesh %s: ", m->version);
        print_styled(state_style(m->state), "%s\n", m->state);
        add_policy_field(fields, m);
        add_relay_field(fields, m);
        add_slices_field(fields, m);
        add_fast_path_fields(fields, m);
        return print_fields(o, fields);
}

static void print_problems(const MeshProblems *p) {
        if (p->n == 0)
                return;
        putchar('\n');
        print_styled(STYLE_HEADING, "%s", _("Problems"));
        putchar('\n');
        for (size_t i = 0; i < p->n; i++) {
                printf("  ");
                print_styled(STYLE_BAD, "%s", terminal_utf8() ? "\xe2\x9c\x98" : "!");
                putchar(' ');
                print_wrapped(p->list[i].sentence, terminal_columns(), 4, 4);
        }
}

static void print_policy_errors(const MeshErrors *e) {
        if (e->n == 0)
                return;
        putchar('\n');
        print_styled(STYLE_HEADING, "%s", _("Errors in the policy"));
        putchar('\n');
        for (size_t i = 0; i < MIN(e->n, (size_t) ERRORS_SHOWN); i++)
                print_policy_error(&e->list[i], 2);
        if (e->n > ERRORS_SHOWN) {
                printf("  ");
                printf(_("and %zu more; \"%s\" lists them\n"), e->n - ERRORS_SHOWN, "slicemeshctl check");
        }
}

static void print_fast_problem(const Mesh *m) {
        if (!*m->fast_problem)
                return;
        putchar('\n');
        print_styled(STYLE_HEADING, "%s", _("Fast path"));
        printf("\n  ");
        print_wrapped(m->fast_problem, terminal_columns(), 2, 2);
}

static int print_status(const Options *o, const Mesh *m) {
        _cleanup_(table_freep) Table *services = NULL, *slices = NULL;
        int r;

        r = print_summary(o, m);
        if (r < 0)
                return r;
        print_problems(&m->problems);
        print_fast_problem(m);
        print_policy_errors(&m->errors);

        services = list_services_compact(m);
        slices = list_slices_compact(m);
        if (!services || !slices)
                return -ENOMEM;
        r = print_section(o, _("Services"), services);
        if (r >= 0)
                r = print_section(o, _("Slices"), slices);
        print_reasons(_("Reasons"), &m->reasons, reason_sentence);
        print_slow_reasons(&m->paths);
        return r;
}

static void fast_path_to_json(const Mesh *m, JsonWriter *w, const char *key) {
        json_open_object(w, key);
        json_string(w, "state", fast_path_state(m));
        json_open_array(w, "features");
        for (size_t i = 0; i < m->fast_features.n; i++)
                json_string(w, NULL, m->fast_features.list[i]);
        json_close(w);
        json_string(w, "problem", *m->fast_problem ? m->fast_problem : NULL);
        json_close(w);
}

static int status_to_json(const Mesh *m, JsonWriter *w) {
        _cleanup_(table_freep) Table *services = list_services(m), *slices = list_slices(m);
        int r;

        if (!services || !slices)
                return -ENOMEM;
        json_open_object(w, NULL);
        json_string(w, "version", m->version);
        json_string(w, "state", m->state);
        json_unsigned(w, "revision", m->revision);
        json_open_object(w, "relay");
        json_string(w, "state", m->relay_state);
        json_unsigned(w, "pid", m->relay_pid);
        json_unsigned(w, "connections", m->relay_connections);
        json_close(w);
        fast_path_to_json(m, w, "fast-path");
        problems_to_json(&m->problems, w, "problems", "id");
        policy_errors_to_json(&m->errors, w, "errors");
        counts_to_json(&m->reasons, w, "reasons");
        paths_to_json(&m->paths, w, "paths");
        r = table_to_json(services, w, "services");
        if (r >= 0)
                r = table_to_json(slices, w, "slices");
        if (r < 0)
                return r;
        json_close(w);
        return json_finish(w);
}

ExitStatus verb_status(const Options *o, int n, char **arguments) {
        _cleanup_bus_ sd_bus *bus = NULL;
        _cleanup_(mesh_done) Mesh m = {};
        ExitStatus status;

        status = bus_open(&bus);
        if (status == STATUS_OK)
                status = mesh_load(bus, &m);
        if (status != STATUS_OK)
                return status;
        if (o->json) {
                JsonWriter w = JSON_WRITER(stdout, true);

                return output_status(status_to_json(&m, &w));
        }
        pager_open(o);
        return output_status(print_status(o, &m));
}
