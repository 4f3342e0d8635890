/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <inttypes.h>

#include "../basic/macro.h"
#include "ctl-i18n.h"
#include "ctl-output.h"
#include "ctl-show.h"
#include "ctl-terminal.h"

static const MeshSlice *find_slice(const Mesh *m, const char *name) {
        for (size_t i = 0; i < m->n_slices; i++)
                if (streq(m->slices[i].name, name))
                        return &m->slices[i];
        return NULL;
}

static void add_connections(Table *t, const MeshSlice *s) {
        const struct {
                const char *label;
                uint64_t n;
                TextStyle style;
        } rows[] = {
                { _("Connections:"), s->connects, STYLE_NORMAL },
                { _("to services:"), s->captured, STYLE_NORMAL },
                { _("refused:"), s->refused, STYLE_BAD },
                { _("foreign:"), s->foreign, STYLE_BAD },
                { _("failed:"), s->failed, STYLE_BAD },
        };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                table_add_string(t, STYLE_DIM, rows[i].label);
                table_add_count(t, rows[i].n > 0 ? rows[i].style : STYLE_NORMAL, rows[i].n);
        }
}

void add_ungoverned_field(Table *t, const char *label, uint32_t n) {
        if (n == 0)
                return;
        table_add_string(t, STYLE_DIM, label);
        table_add_format(t, STYLE_WARNING,
                         ngettext("%" PRIu32 " connection is not governed: it was open before",
                                  "%" PRIu32 " connections are not governed: they were open before", n), n);
}

static int print_slice(const Options *o, const MeshSlice *s) {
        TextStyle style = s->attached ? STYLE_GOOD : STYLE_WARNING;
        _cleanup_(table_freep) Table *t = fields_new();
        int r;

        if (!t)
                return -ENOMEM;
        print_styled(style, "%s", terminal_utf8() ? "\xe2\x97\x8f" : "*");
        printf(" %s: ", s->name);
        print_styled(style, "%s\n", s->attached ? _("attached") : _("not attached"));
        if (*s->problem) {
                table_add_string(t, STYLE_DIM, _("Problem:"));
                table_add_string(t, STYLE_WARNING, s->problem);
        }
        add_connections(t, s);
        add_ungoverned_field(t, _("Ungoverned:"), s->ungoverned);
        add_paths_field(t, _("Fast path:"), &s->paths);
        r = print_fields(o, t);
        print_slow_reasons(&s->paths);
        return r;
}

static int slice_to_json(const MeshSlice *s, JsonWriter *w) {
        json_open_object(w, NULL);
        json_string(w, "slice", s->name);
        json_boolean(w, "attached", s->attached);
        json_string(w, "problem", s->problem);
        json_string(w, "cgroup", s->cgroup);
        json_unsigned(w, "connects", s->connects);
        json_unsigned(w, "captured", s->captured);
        json_unsigned(w, "refused", s->refused);
        json_unsigned(w, "foreign", s->foreign);
        json_unsigned(w, "failed", s->failed);
        json_unsigned(w, "ungoverned", s->ungoverned);
        paths_to_json(&s->paths, w, "paths");
        json_close(w);
        return json_finish(w);
}

ExitStatus show_slice(const Options *o, sd_bus *bus, const char *name, bool *ret_found) {
        _cleanup_(mesh_done) Mesh m = {};
        const MeshSlice *s;
        ExitStatus status;

        status = mesh_load(bus, &m);
        if (status != STATUS_OK)
                return status;
        s = find_slice(&m, name);
        *ret_found = s;
        if (!s)
                return STATUS_OK;
        if (o->json) {
                JsonWriter w = JSON_WRITER(stdout, true);

                return output_status(slice_to_json(s, &w));
        }
        pager_open(o);
        return output_status(print_slice(o, s));
}
