/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "../basic/macro.h"
#include "ctl-agent.h"
#include "ctl-bus.h"
#include "ctl-i18n.h"
#include "ctl-terminal.h"

ExitStatus verb_fast_path(const Options *o, int n, char **arguments) {
        _cleanup_message_ sd_bus_message *reply = NULL;
        _cleanup_bus_ sd_bus *bus = NULL;
        bool on = streq(arguments[0], "on");
        ExitStatus status;

        if (!on && !streq(arguments[0], "off")) {
                print_error(_("\"%s\" is neither on nor off."), arguments[0]);
                return STATUS_USAGE;
        }
        status = bus_open(&bus);
        if (status != STATUS_OK)
                return status;
        agent_open(o);
        status = bus_method(bus, SM_BUS_PATH, "org.freedesktop.DBus.Properties", "Set", &reply, "ssv",
                            MESH_INTERFACE("Manager"), "FastPath", "b", (int) on);
        agent_close();
        return status;
}
