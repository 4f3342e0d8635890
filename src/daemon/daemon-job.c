/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include <systemd/sd-login.h>

#include "../basic/cleanup.h"
#include "../basic/log.h"
#include "../basic/macro.h"
#include "daemon-job.h"

#define SYSTEMD_NAME "org.freedesktop.systemd1"


/* The type of the job that systemd works on for the unit at that path; -ENOENT if there is none. */
static int job_type(sd_bus *bus, const char *unit, char **ret) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        const char *job;
        uint32_t id;
        int r;

        r = sd_bus_get_property(bus, SYSTEMD_NAME, unit, "org.freedesktop.systemd1.Unit", "Job", NULL,
                                &reply, "(uo)");
        if (r < 0)
                return r;
        r = sd_bus_message_read(reply, "(uo)", &id, &job);
        if (r < 0)
                return r;
        if (id == 0)
                return -ENOENT;
        return sd_bus_get_property_string(bus, SYSTEMD_NAME, job, "org.freedesktop.systemd1.Job", "JobType",
                                          NULL, ret);
}

int job_is_stop(sd_bus *bus) {
        _cleanup_free_ char *name = NULL, *unit = NULL, *type = NULL;
        int r;

        if (!bus)
                return 0;
        r = sd_pid_get_unit(0, &name);
        if (r >= 0)
                r = sd_bus_path_encode("/org/freedesktop/systemd1/unit", name, &unit);
        if (r >= 0)
                r = job_type(bus, unit, &type);
        if (r < 0) {
                if (r != -ENOENT && r != -ENODATA)
                        log_warning_errno(r, "Failed to ask systemd why we are to end, ignoring: %m");
                return 0;
        }
        return streq(type, "stop");
}
