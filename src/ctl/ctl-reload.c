/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <inttypes.h>

#include "ctl-agent.h"
#include "ctl-i18n.h"
#include "ctl-output.h"
#include "ctl-terminal.h"

static ExitStatus print_result(const Options *o, uint64_t revision, const MeshErrors *errors) {
        ExitStatus status = errors->n > 0 ? STATUS_FAILURE : STATUS_OK;

        if (o->json) {
                JsonWriter w = JSON_WRITER(stdout, true);

                json_open_object(&w, NULL);
                json_unsigned(&w, "revision", revision);
                policy_errors_to_json(errors, &w, "errors");
                json_close(&w);
                return output_status(json_finish(&w)) ?: status;
        }
        for (size_t i = 0; i < errors->n; i++)
                print_policy_error(&errors->list[i], 0);
        if (errors->n == 0)
                printf(_("Revision %" PRIu64 " of the policy is in force.\n"), revision);
        else
                printf(ngettext("Revision %" PRIu64 " of the policy is in force, but %zu error keeps what "
                                "it concerns at its last good state.\n",
                                "Revision %" PRIu64 " of the policy is in force, but %zu errors keep what "
                                "they concern at its last good state.\n", errors->n),
                       revision, errors->n);
        return status;
}

ExitStatus verb_reload(const Options *o, int n, char **arguments) {
        _cleanup_message_ sd_bus_message *reply = NULL;
        _cleanup_(mesh_errors_done) MeshErrors errors = {};
        _cleanup_bus_ sd_bus *bus = NULL;
        ExitStatus status;
        uint64_t revision;
        int r;

        status = bus_open(&bus);
        if (status != STATUS_OK)
                return status;
        agent_open(o);
        status = bus_method(bus, SM_BUS_PATH, MESH_INTERFACE("Manager"), "Reload", &reply, NULL);
        agent_close();
        if (status != STATUS_OK)
                return status;

        r = sd_bus_message_read(reply, "t", &revision);
        if (r >= 0)
                r = read_errors(reply, &errors);
        return r < 0 ? bus_unexpected(r) : print_result(o, revision, &errors);
}
