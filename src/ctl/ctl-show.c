/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "../basic/string-util.h"
#include "ctl-i18n.h"
#include "ctl-output.h"
#include "ctl-show.h"
#include "ctl-terminal.h"

/* A list of names, or of names with their counts, in one cell. */
typedef struct Line {
        char *text;
        size_t size;
        FILE *f;
} Line;

static void line_done(Line *l) {
        if (l->f)
                fclose(l->f);
        free(l->text);
}

static int line_open(Line *l) {
        l->f = open_memstream(&l->text, &l->size);
        return l->f ? 0 : -ENOMEM;
}

static const char *line_text(Line *l) {
        return fflush(l->f) < 0 ? NULL : l->text;
}

static uint64_t subset_weight(const MeshService *s, const char *subset) {
        uint64_t sum = 0;

        for (size_t i = 0; i < s->n_endpoints; i++)
                if (streq(s->endpoints[i].subset, subset) && streq(s->endpoints[i].admin, "enabled"))
                        sum += s->endpoints[i].weight;
        return sum;
}

/* Does it have endpoints by name, so that their addresses tell something? */
static bool subset_has_names(const MeshService *s, const char *subset) {
        for (size_t i = 0; i < s->n_endpoints; i++) {
                const MeshEndpoint *e = &s->endpoints[i];

                if (streq(e->subset, subset) && !streq(e->text, e->address))
                        return true;
        }
        return false;
}

static Table *subset_table(const MeshService *s, const char *subset) {
        const char *address_title = subset_has_names(s, subset) ? _("ADDRESS") : NULL;
        const TableColumn columns[] = {
                { .key = "endpoint", .title = _("ENDPOINT"), .shrinks = true },
                { .key = "address", .title = address_title, .shrinks = true },
                { .key = "weight", .title = _("WEIGHT"), .right = true },
                { .title = _("SHARE"), .right = true },
                { .key = "admin" },
                { .key = "state", .title = _("STATE") },
                { .key = "in-flight", .title = _("NOW"), .right = true },
                { .key = "connections" },
                { .key = "requests", .title = _("REQUESTS"), .right = true },
                { .key = "failures", .title = _("FAILURES"), .right = true },
                { .key = "answers", .title = _("ANSWERS") },
                { .key = "path" },
        };
        Table *t = table_new(columns, ELEMENTSOF(columns));
        uint64_t total = subset_weight(s, subset);

        for (size_t i = 0; t && i < s->n_endpoints; i++) {
                const MeshEndpoint *e = &s->endpoints[i];
                bool enabled = streq(e->admin, "enabled");

                if (!streq(e->subset, subset))
                        continue;
                table_add_string(t, STYLE_NORMAL, e->text);
                table_add_string(t, STYLE_NORMAL, e->address);
                table_add_count(t, STYLE_NORMAL, e->weight);
                table_add_share(t, enabled ? e->weight : 0, total);
                table_add_string(t, STYLE_NORMAL, e->admin);
                table_add_string(t, state_style(e->state), e->state);
                table_add_count(t, STYLE_NORMAL, e->in_flight);
                table_add_count(t, STYLE_NORMAL, e->connections);
                table_add_count(t, STYLE_NORMAL, e->requests);
                table_add_count(t, e->failures > 0 ? STYLE_BAD : STYLE_NORMAL, e->failures);
                table_add_string(t, answers_style(e->answers), e->answers);
                table_add_string(t, STYLE_DIM, e->path);
        }
        return t;
}

static Table *route_table(const MeshService *s) {
        const TableColumn columns[] = {
                { .title = _("ROUTE"), .shrinks = true },
                { .title = _("MATCHES"), .shrinks = true },
                { .title = _("TO"), .shrinks = true },
                { .title = _("REQUESTS"), .right = true },
                { .title = _("POLICY"), .shrinks = true, .keeps_end = true },
        };
        _cleanup_(table_freep) Table *t = table_new(columns, ELEMENTSOF(columns));

        for (size_t i = 0; t && i < s->routes.n; i++) {
                const MeshRoute *route = &s->routes.list[i];

                table_add_string(t, STYLE_NORMAL, route->name);
                table_add_string(t, STYLE_NORMAL, route->match);
                if (table_add_split(t, &route->split) < 0)
                        return NULL;
                table_add_count(t, STYLE_NORMAL, route->requests);
                table_add_string(t, STYLE_DIM, route->origin);
        }
        return TAKE_PTR(t);
}

static int add_callers(Table *t, const Texts *callers) {
        _cleanup_(line_done) Line line = {};
        int r;

        table_add_string(t, STYLE_DIM, _("Callers:"));
        if (callers->n == 0) {
                table_add_string(t, STYLE_NORMAL, _("every managed slice"));
                return 0;
        }
        r = line_open(&line);
        if (r < 0)
                return r;
        for (size_t i = 0; i < callers->n; i++)
                fprintf(line.f, "%s%s", i > 0 ? ", " : "", callers->list[i]);
        table_add_string(t, STYLE_NORMAL, line_text(&line));
        return 0;
}

static int add_responses(Table *t, const Counts *responses) {
        _cleanup_(line_done) Line line = {};
        char text[COUNT_TEXT_MAX];
        bool any = false;
        int r;

        r = line_open(&line);
        if (r < 0)
                return r;
        for (size_t i = 0; i < responses->n; i++) {
                const Count *c = &responses->list[i];

                if (c->n == 0)
                        continue;
                fprintf(line.f, "%s%s %s", any ? ", " : "", c->name, count_to_text(c->n, text));
                any = true;
        }
        table_add_string(t, STYLE_DIM, _("Responses:"));
        table_add_string(t, counts_get(responses, "5xx") > 0 ? STYLE_BAD : STYLE_NORMAL,
                         any ? line_text(&line) : NULL);
        return 0;
}

static int print_head(const Options *o, const MeshService *s) {
        _cleanup_(table_freep) Table *t = fields_new();
        char requests[COUNT_TEXT_MAX], active[COUNT_TEXT_MAX], connections[COUNT_TEXT_MAX];
        int r;

        if (!t)
                return -ENOMEM;
        print_styled(state_style(s->state), "%s", terminal_utf8() ? "\xe2\x97\x8f" : "*");
        printf(_(" %s: %s at %s, "), s->name, s->protocol, s->address);
        print_styled(state_style(s->state), "%s\n", s->state);

        table_add_string(t, STYLE_DIM, _("Policy:"));
        table_add_format(t, STYLE_NORMAL, _("%s, revision %" PRIu32), s->origin, s->revision);
        r = add_callers(t, &s->callers);
        if (r < 0)
                return r;
        table_add_string(t, STYLE_DIM, _("Requests:"));
        table_add_format(t, STYLE_NORMAL, _("%s, %s now, over %s connections"),
                         count_to_text(s->requests, requests), count_to_text(s->active, active),
                         count_to_text(s->connections, connections));
        r = add_responses(t, &s->responses);
        if (r < 0)
                return r;
        add_paths_field(t, _("Fast path:"), &s->paths);
        return print_fields(o, t);
}

static int print_service(const Options *o, const MeshService *s) {
        _cleanup_(table_freep) Table *routes = route_table(s);
        int r;

        if (!routes)
                return -ENOMEM;
        r = print_head(o, s);
        for (size_t i = 0; r >= 0 && i < s->subsets.n; i++) {
                _cleanup_(table_freep) Table *t = subset_table(s, s->subsets.list[i].name);
                _cleanup_free_ char *title = NULL;

                if (!t || asprintf(&title, _("Subset %s, %s"), s->subsets.list[i].name,
                                   s->subsets.list[i].balance) < 0)
                        return -ENOMEM;
                r = print_section(o, title, t);
        }
        if (r >= 0)
                r = print_section(o, _("Routes"), routes);
        print_reasons(_("Reasons"), &s->reasons, reason_sentence);
        print_slow_reasons(&s->paths);
        print_fast_limits(&s->fast_limits);
        return r;
}

static int subsets_to_json(const MeshService *s, JsonWriter *w) {
        int r = 0;

        json_open_array(w, "subsets");
        for (size_t i = 0; r >= 0 && i < s->subsets.n; i++) {
                _cleanup_(table_freep) Table *t = subset_table(s, s->subsets.list[i].name);

                if (!t)
                        return -ENOMEM;
                json_open_object(w, NULL);
                json_string(w, "subset", s->subsets.list[i].name);
                json_string(w, "balance", s->subsets.list[i].balance);
                r = table_to_json(t, w, "endpoints");
                json_close(w);
        }
        json_close(w);
        return r;
}

static void routes_to_json(const MeshService *s, JsonWriter *w) {
        json_open_array(w, "routes");
        for (size_t i = 0; i < s->routes.n; i++) {
                const MeshRoute *route = &s->routes.list[i];

                json_open_object(w, NULL);
                json_string(w, "route", route->name);
                json_string(w, "match", route->match);
                json_string(w, "origin", route->origin);
                counts_to_json(&route->split, w, "split");
                json_unsigned(w, "requests", route->requests);
                json_close(w);
        }
        json_close(w);
}

static int service_to_json(const MeshService *s, JsonWriter *w) {
        int r;

        json_open_object(w, NULL);
        json_string(w, "service", s->name);
        json_string(w, "protocol", s->protocol);
        json_string(w, "address", s->address);
        json_string(w, "state", s->state);
        json_string(w, "origin", s->origin);
        json_unsigned(w, "revision", s->revision);
        json_open_array(w, "callers");
        for (size_t i = 0; i < s->callers.n; i++)
                json_string(w, NULL, s->callers.list[i]);
        json_close(w);
        json_unsigned(w, "connections", s->connections);
        json_unsigned(w, "requests", s->requests);
        json_unsigned(w, "active", s->active);
        counts_to_json(&s->responses, w, "responses");
        counts_to_json(&s->reasons, w, "reasons");
        paths_to_json(&s->paths, w, "paths");
        problems_to_json(&s->fast_limits, w, "fast-limits", "limit");
        r = subsets_to_json(s, w);
        routes_to_json(s, w);
        json_close(w);
        return r < 0 ? r : json_finish(w);
}

ExitStatus verb_show(const Options *o, int n, char **arguments) {
        _cleanup_bus_ sd_bus *bus = NULL;
        _cleanup_(mesh_done) Mesh m = {};
        bool is_slice = false;
        ExitStatus status;

        status = bus_open(&bus);
        if (status == STATUS_OK && endswith(arguments[0], ".slice"))
                status = show_slice(o, bus, arguments[0], &is_slice);
        if (is_slice)
                return status;
        if (status == STATUS_OK)
                status = mesh_load_service(bus, arguments[0], &m);
        if (status != STATUS_OK)
                return status;
        if (o->json) {
                JsonWriter w = JSON_WRITER(stdout, true);

                return output_status(service_to_json(&m.services[0], &w));
        }
        pager_open(o);
        return output_status(print_service(o, &m.services[0]));
}
