/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <string.h>

#include "ctl-i18n.h"
#include "ctl-list.h"
#include "ctl-terminal.h"

static size_t count_up(const MeshService *s) {
        size_t up = 0;

        for (size_t i = 0; i < s->n_endpoints; i++)
                up += streq(s->endpoints[i].state, "up");
        return up;
}

static void add_up(Table *t, const MeshService *s) {
        size_t up = count_up(s), n = s->n_endpoints;

        table_add_format(t, up == 0 ? STYLE_BAD : up < n ? STYLE_WARNING : STYLE_NORMAL, "%zu/%zu", up, n);
}

static void add_failures(Table *t, uint64_t n) {
        table_add_count(t, n > 0 ? STYLE_BAD : STYLE_NORMAL, n);
}

/* Their share for people, their numbers for programs. */
static void add_paths(Table *t, const Paths *p) {
        table_add_fast_share(t, p);
        table_add_count(t, STYLE_NORMAL, p->fast);
        table_add_count(t, STYLE_NORMAL, p->remote);
        table_add_count(t, STYLE_NORMAL, paths_slow(p));
}

Table *list_services(const Mesh *m) {
        const TableColumn columns[] = {
                { .key = "service", .title = _("SERVICE"), .shrinks = true },
                { .key = "protocol", .title = _("PROTOCOL") },
                { .key = "address", .title = _("ADDRESS"), .shrinks = true },
                { .key = "state", .title = _("STATE") },
                { .title = _("UP"), .right = true },
                { .key = "endpoints-up" },
                { .key = "endpoints" },
                { .key = "connections", .title = _("CONNECTIONS"), .right = true },
                { .key = "requests", .title = _("REQUESTS"), .right = true },
                { .key = "responses-5xx", .title = "5XX", .right = true },
                { .title = _("FAST"), .right = true },
                { .key = "fast" },
                { .key = "remote" },
                { .key = "slow" },
                { .key = "origin" },
                { .key = "path" },
        };
        Table *t = table_new(columns, ELEMENTSOF(columns));

        for (size_t i = 0; t && i < m->n_services; i++) {
                const MeshService *s = &m->services[i];

                table_add_string(t, STYLE_NORMAL, s->name);
                table_add_string(t, STYLE_NORMAL, s->protocol);
                table_add_string(t, STYLE_NORMAL, s->address);
                table_add_string(t, state_style(s->state), s->state);
                add_up(t, s);
                table_add_count(t, STYLE_NORMAL, count_up(s));
                table_add_count(t, STYLE_NORMAL, s->n_endpoints);
                table_add_count(t, STYLE_NORMAL, s->connections);
                table_add_count(t, STYLE_NORMAL, s->requests);
                add_failures(t, counts_get(&s->responses, "5xx"));
                add_paths(t, &s->paths);
                table_add_string(t, STYLE_DIM, s->origin);
                table_add_string(t, STYLE_DIM, s->path);
        }
        return t;
}

/* "connect-failed 12, retried 3", as long as it fits a cell that will be cut anyway. */
static void add_reasons(Table *t, const Counts *reasons) {
        char text[128] = "";
        size_t length = 0;

        for (size_t i = 0; i < reasons->n && length < sizeof(text) - 1; i++) {
                char count[COUNT_TEXT_MAX];
                int n;

                n = snprintf(text + length, sizeof(text) - length, "%s%s %s", i > 0 ? ", " : "",
                             reasons->list[i].name, count_to_text(reasons->list[i].n, count));
                length += MIN((size_t) MAX(n, 0), sizeof(text) - 1 - length);
        }
        table_add_string(t, STYLE_WARNING, text);
}

Table *list_services_compact(const Mesh *m) {
        const TableColumn columns[] = {
                { .title = _("SERVICE"), .shrinks = true },
                { .title = _("ADDRESS"), .shrinks = true },
                { .title = _("STATE") },
                { .title = _("UP"), .right = true },
                { .title = _("REQUESTS"), .right = true },
                { .title = "5XX", .right = true },
                { .title = _("FAST"), .right = true },
                { .title = _("REASONS"), .shrinks = true },
        };
        Table *t = table_new(columns, ELEMENTSOF(columns));

        for (size_t i = 0; t && i < m->n_services; i++) {
                const MeshService *s = &m->services[i];

                table_add_string(t, STYLE_NORMAL, s->name);
                table_add_string(t, STYLE_NORMAL, s->address);
                table_add_string(t, state_style(s->state), s->state);
                add_up(t, s);
                table_add_count(t, STYLE_NORMAL, s->requests);
                add_failures(t, counts_get(&s->responses, "5xx"));
                table_add_fast_share(t, &s->paths);
                add_reasons(t, &s->reasons);
        }
        return t;
}

Table *list_endpoints(const Mesh *m) {
        const TableColumn columns[] = {
                { .key = "service", .title = _("SERVICE"), .shrinks = true },
                { .key = "subset", .title = _("SUBSET"), .shrinks = true },
                { .key = "endpoint", .title = _("ENDPOINT"), .shrinks = true },
                { .key = "address" },
                { .key = "weight", .title = _("WEIGHT"), .right = true },
                { .key = "admin" },
                { .key = "state", .title = _("STATE") },
                { .key = "in-flight", .title = _("NOW"), .right = true },
                { .key = "requests", .title = _("REQUESTS"), .right = true },
                { .key = "failures", .title = _("FAILURES"), .right = true },
                { .key = "answers", .title = _("ANSWERS") },
                { .key = "path" },
        };
        Table *t = table_new(columns, ELEMENTSOF(columns));

        for (size_t i = 0; t && i < m->n_endpoints; i++) {
                const MeshEndpoint *e = &m->endpoints[i];

                table_add_string(t, STYLE_NORMAL, e->service);
                table_add_string(t, STYLE_NORMAL, e->subset);
                table_add_string(t, STYLE_NORMAL, e->text);
                table_add_string(t, STYLE_NORMAL, e->address);
                table_add_count(t, STYLE_NORMAL, e->weight);
                table_add_string(t, STYLE_NORMAL, e->admin);
                table_add_string(t, state_style(e->state), e->state);
                table_add_count(t, STYLE_NORMAL, e->in_flight);
                table_add_count(t, STYLE_NORMAL, e->requests);
                add_failures(t, e->failures);
                table_add_string(t, answers_style(e->answers), e->answers);
                table_add_string(t, STYLE_DIM, e->path);
        }
        return t;
}

static Table *build_slices(const Mesh *m, bool compact) {
        const TableColumn columns[] = {
                { .key = "slice", .title = _("SLICE"), .shrinks = true },
                { .key = "attached", .title = _("ATTACHED") },
                { .key = "connects", .title = compact ? NULL : _("CONNECTS"), .right = true },
                { .key = "captured", .title = _("CAPTURED"), .right = true },
                { .key = "refused", .title = _("REFUSED"), .right = true },
                { .key = "foreign", .title = compact ? NULL : _("FOREIGN"), .right = true },
                { .key = "failed", .title = _("FAILED"), .right = true },
                { .title = _("FAST"), .right = true },
                { .key = "fast" },
                { .key = "remote" },
                { .key = "slow" },
                { .key = "ungoverned" },
                { .key = "problem", .title = _("PROBLEM"), .shrinks = true },
                { .key = "cgroup" },
                { .key = "path" },
        };
        Table *t = table_new(columns, ELEMENTSOF(columns));

        for (size_t i = 0; t && i < m->n_slices; i++) {
                const MeshSlice *s = &m->slices[i];

                table_add_string(t, STYLE_NORMAL, s->name);
                table_add_boolean(t, s->attached ? STYLE_GOOD : STYLE_WARNING, s->attached,
                                  s->attached ? _("yes") : _("no"));
                table_add_count(t, STYLE_NORMAL, s->connects);
                table_add_count(t, STYLE_NORMAL, s->captured);
                add_failures(t, s->refused);
                add_failures(t, s->foreign);
                add_failures(t, s->failed);
                add_paths(t, &s->paths);
                table_add_count(t, STYLE_NORMAL, s->ungoverned);
                table_add_string(t, STYLE_WARNING, s->problem);
                table_add_string(t, STYLE_DIM, s->cgroup);
                table_add_string(t, STYLE_DIM, s->path);
        }
        return t;
}

Table *list_slices(const Mesh *m) {
        return build_slices(m, false);
}

Table *list_slices_compact(const Mesh *m) {
        return build_slices(m, true);
}

static const struct {
        const char *kind;
        Table *(*list)(const Mesh *m);
} kinds[] = {
        { "services", list_services },
        { "endpoints", list_endpoints },
        { "slices", list_slices },
};

static ExitStatus print_list(const Options *o, Table *(*list)(const Mesh *m)) {
        _cleanup_bus_ sd_bus *bus = NULL;
        _cleanup_(mesh_done) Mesh m = {};
        _cleanup_(table_freep) Table *t = NULL;
        ExitStatus status;

        status = bus_open(&bus);
        if (status == STATUS_OK)
                status = mesh_load(bus, &m);
        if (status != STATUS_OK)
                return status;
        t = list(&m);
        return t ? output_table(o, t) : output_status(-ENOMEM);
}

ExitStatus verb_list(const Options *o, int n, char **arguments) {
        const char *kind = n > 0 ? arguments[0] : kinds[0].kind;

        for (size_t i = 0; i < ELEMENTSOF(kinds); i++)
                if (streq(kinds[i].kind, kind))
                        return print_list(o, kinds[i].list);
        print_error(_("\"%s\" cannot be listed: services, endpoints or slices can."), kind);
        return STATUS_USAGE;
}
