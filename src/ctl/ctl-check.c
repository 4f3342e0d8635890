/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../basic/parse-util.h"
#include "../policy/policy.h"
#include "ctl-i18n.h"
#include "ctl-output.h"
#include "ctl-policy.h"
#include "ctl-terminal.h"

static Table *service_table(const Policy *p) {
        const TableColumn columns[] = {
                { .key = "service", .title = _("SERVICE"), .shrinks = true },
                { .key = "protocol", .title = _("PROTOCOL") },
                { .key = "address", .title = _("ADDRESS"), .shrinks = true },
                { .key = "subsets", .title = _("SUBSETS"), .right = true },
                { .key = "endpoints", .title = _("ENDPOINTS"), .right = true },
                { .key = "routes", .title = _("ROUTES"), .right = true },
                { .key = "origin", .title = _("POLICY"), .shrinks = true, .keeps_end = true },
        };
        Table *t = table_new(columns, ELEMENTSOF(columns));

        for (size_t i = 0; t && i < p->n_services; i++) {
                const PolicyService *s = p->services[i];
                char address[ADDRESS_PORT_STRLEN];
                size_t endpoints = 0;

                for (size_t j = 0; j < s->n_subsets; j++)
                        endpoints += s->subsets[j]->n_endpoints;
                table_add_string(t, STYLE_NORMAL, s->name);
                table_add_string(t, STYLE_NORMAL, protocol_to_string(s->protocol));
                if (s->has_address)
                        table_add_string(t, STYLE_NORMAL,
                                         address_port_to_string(&s->address, s->port, address));
                else
                        table_add_format(t, STYLE_DIM, _("allocated:%u"), s->port);
                table_add_count(t, STYLE_NORMAL, s->n_subsets);
                table_add_count(t, STYLE_NORMAL, endpoints);
                table_add_count(t, STYLE_NORMAL, s->n_routes);
                table_add_format(t, STYLE_DIM, "%s:%u", s->origin.file, s->origin.line);
        }
        return t;
}

static int result_to_json(const Policy *p, const MeshErrors *errors, JsonWriter *w) {
        _cleanup_(table_freep) Table *services = service_table(p);
        int r;

        if (!services)
                return -ENOMEM;
        json_open_object(w, NULL);
        json_boolean(w, "valid", errors->n == 0);
        policy_errors_to_json(errors, w, "errors");
        r = table_to_json(services, w, "services");
        json_close(w);
        return r < 0 ? r : json_finish(w);
}

static int print_result(const Options *o, const Policy *p, const MeshErrors *errors) {
        _cleanup_(table_freep) Table *services = service_table(p);
        int r;

        if (!services)
                return -ENOMEM;
        for (size_t i = 0; i < errors->n; i++)
                print_policy_error(&errors->list[i], 0);
        if (errors->n == 0)
                printf(ngettext("The policy has no errors: %zu service.\n",
                                "The policy has no errors: %zu services.\n", p->n_services),
                       p->n_services);
        r = print_section(o, errors->n > 0 ? _("Services without errors") : _("Services"), services);
        if (errors->n > 0)
                printf(ngettext("\n%zu error.\n", "\n%zu errors.\n", errors->n), errors->n);
        return r;
}

ExitStatus verb_check(const Options *o, int n, char **arguments) {
        _cleanup_(mesh_errors_done) MeshErrors errors = {};
        _cleanup_(policy_freep) Policy *p = NULL;
        ExitStatus status;
        int r;

        status = load_policy(n > 0 ? arguments[0] : NULL, o->root, &p);
        if (status != STATUS_OK)
                return status;
        r = policy_errors_view(p, &errors);
        if (r >= 0 && o->json) {
                JsonWriter w = JSON_WRITER(stdout, true);

                r = result_to_json(p, &errors, &w);
        } else if (r >= 0) {
                pager_open(o);
                r = print_result(o, p, &errors);
        }
        return output_status(r) ?: errors.n > 0 ? STATUS_FAILURE : STATUS_OK;
}
