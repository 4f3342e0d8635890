/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "../basic/macro.h"
#include "ctl-agent.h"
#include "ctl-i18n.h"
#include "ctl-mesh.h"
#include "ctl-terminal.h"

/* The subset may be left out where there is only one. */
static const char *only_subset(const MeshService *s) {
        if (s->subsets.n == 1)
                return s->subsets.list[0].name;
        print_error(_("%s has several subsets; name one of them:"), s->name);
        for (size_t i = 0; i < s->subsets.n; i++)
                fprintf(stderr, "  %s\n", s->subsets.list[i].name);
        return NULL;
}

ExitStatus verb_set_balance(const Options *o, int n, char **arguments) {
        _cleanup_message_ sd_bus_message *reply = NULL;
        _cleanup_bus_ sd_bus *bus = NULL;
        _cleanup_(mesh_done) Mesh m = {};
        const char *subset;
        ExitStatus status;

        status = bus_open(&bus);
        if (status == STATUS_OK)
                status = mesh_load_service(bus, arguments[0], &m);
        if (status != STATUS_OK)
                return status;
        subset = n == 3 ? arguments[1] : only_subset(&m.services[0]);
        if (!subset)
                return STATUS_USAGE;

        agent_open(o);
        status = bus_method(bus, m.services[0].path, MESH_INTERFACE("Service"), "SetBalance", &reply, "ssb",
                            subset, arguments[n - 1], (int) o->persist);
        agent_close();
        return status;
}
