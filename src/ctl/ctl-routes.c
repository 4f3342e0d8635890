/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdlib.h>

#include "ctl-agent.h"
#include "ctl-i18n.h"
#include "ctl-output.h"
#include "ctl-routes.h"
#include "ctl-terminal.h"

static void routes_done(MeshRoutes *routes) {
        for (size_t i = 0; i < routes->n; i++)
                free(routes->list[i].split.list);
        free(routes->list);
}

static int read_changed_route(sd_bus_message *m, void *field) {
        MeshRoute *route = field;
        int r;

        r = sd_bus_message_enter_container(m, SD_BUS_TYPE_STRUCT, "sa(su)s");
        if (r >= 0)
                r = read_text(m, &route->name);
        if (r >= 0)
                r = read_shares(m, &route->split);
        if (r >= 0)
                r = read_text(m, &route->mirror);
        return r < 0 ? r : sd_bus_message_exit_container(m);
}

static int print_json(const MeshRoutes *routes) {
        JsonWriter w = JSON_WRITER(stdout, true);

        json_open_array(&w, NULL);
        for (size_t i = 0; i < routes->n; i++) {
                json_open_object(&w, NULL);
                json_string(&w, "route", routes->list[i].name);
                counts_to_json(&routes->list[i].split, &w, "split");
                json_string(&w, "mirror", *routes->list[i].mirror ? routes->list[i].mirror : NULL);
                json_close(&w);
        }
        json_close(&w);
        return json_finish(&w);
}

static int print_people(const Options *o, const MeshRoutes *routes) {
        _cleanup_(table_freep) Table *t = fields_new();
        int r;

        for (size_t i = 0; t && i < routes->n; i++) {
                table_add_format(t, STYLE_DIM, "%s:", routes->list[i].name);
                r = table_add_split(t, &routes->list[i].split);
                if (r < 0)
                        return r;
                if (!*routes->list[i].mirror)
                        continue;
                table_add_string(t, STYLE_NORMAL, "");
                table_add_format(t, STYLE_NORMAL, _("mirrored to %s"), routes->list[i].mirror);
        }
        return t ? print_fields(o, t) : -ENOMEM;
}

static ExitStatus print_changed(const Options *o, sd_bus_message *reply) {
        _cleanup_(routes_done) MeshRoutes routes = {};
        int r;

        r = read_list(reply, "(sa(su)s)", read_changed_route, &routes.list, &routes.n, sizeof(*routes.list));
        if (r < 0)
                return bus_unexpected(r);
        return output_status(o->json ? print_json(&routes) : print_people(o, &routes));
}

ExitStatus routes_change(const Options *o, const char *service, const char *method,
                         int (*fill)(sd_bus_message *m, const void *userdata), const void *userdata) {
        _cleanup_message_ sd_bus_message *call = NULL, *found = NULL, *reply = NULL;
        _cleanup_bus_ sd_bus *bus = NULL;
        ExitStatus status;
        const char *path;
        int r;

        status = bus_open(&bus);
        if (status == STATUS_OK)
                status = bus_method(bus, SM_BUS_PATH, MESH_INTERFACE("Manager"), "GetService", &found, "s",
                                    service);
        if (status != STATUS_OK)
                return status;
        r = sd_bus_message_read(found, "o", &path);
        if (r < 0)
                return bus_unexpected(r);
        r = sd_bus_message_new_method_call(bus, &call, SM_BUS_NAME, path, MESH_INTERFACE("Service"), method);
        if (r >= 0)
                r = fill(call, userdata);
        if (r < 0)
                return bus_failed(NULL, r);

        agent_open(o);
        status = bus_call(bus, call, &reply);
        agent_close();
        return status == STATUS_OK ? print_changed(o, reply) : status;
}
