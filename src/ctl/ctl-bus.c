/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>

#include "../basic/macro.h"
#include "../basic/time-util.h"
#include "ctl-bus.h"
#include "ctl-i18n.h"
#include "ctl-terminal.h"

#define CALL_TIMEOUT_USEC (2 * USEC_PER_MINUTE)

typedef struct BusFailure {
        const char *name;
        ExitStatus status;
        const char *sentence;
        bool tell; /* the error's own message behind it */
} BusFailure;

#define NOT_RUNNING N_("slicemeshd is not running. Start it with: systemctl start slicemeshd.service")
#define NOT_AUTHORISED N_("Not authorised")

static const BusFailure failures[] = {
        { SD_BUS_ERROR_SERVICE_UNKNOWN, STATUS_NOT_RUNNING, NOT_RUNNING, false },
        { SD_BUS_ERROR_NAME_HAS_NO_OWNER, STATUS_NOT_RUNNING, NOT_RUNNING, false },
        { SD_BUS_ERROR_ACCESS_DENIED, STATUS_NOT_AUTHORISED, NOT_AUTHORISED, true },
        { SD_BUS_ERROR_INTERACTIVE_AUTHORIZATION_REQUIRED, STATUS_NOT_AUTHORISED, NOT_AUTHORISED, true },
        { SD_BUS_ERROR_NO_REPLY, STATUS_FAILURE, N_("slicemeshd did not answer"), true },
        { SD_BUS_ERROR_TIMEOUT, STATUS_FAILURE, N_("slicemeshd did not answer"), true },
};

ExitStatus bus_open(sd_bus **ret) {
        int r;

        r = sd_bus_open_system(ret);
        if (r < 0) {
                print_error(_("Cannot connect to the system bus: %s."), strerror(-r));
                return STATUS_FAILURE;
        }
        return STATUS_OK;
}

ExitStatus bus_failed(const sd_bus_error *e, int r) {
        const char *message = e && e->message ? e->message : strerror(-r);

        for (size_t i = 0; i < ELEMENTSOF(failures); i++)
                if (e && sd_bus_error_has_name(e, failures[i].name)) {
                        const char *more = failures[i].tell ? message : NULL;

                        print_error("%s%s%s", _(failures[i].sentence), more ? ": " : "", more ?: "");
                        return failures[i].status;
                }
        print_error("%s", message);
        return STATUS_FAILURE;
}

ExitStatus bus_unexpected(int error) {
        print_error(_("slicemeshd gave an answer that this version does not understand: %s."),
                    strerror(-error));
        return STATUS_FAILURE;
}

/* What slicemeshd said to systemd last, and systemd still knows when its start failed. */
static void tell_last_words(sd_bus *bus) {
        _cleanup_free_ char *path = NULL, *words = NULL;

        if (sd_bus_path_encode("/org/freedesktop/systemd1/unit", "slicemeshd.service", &path) < 0 ||
            sd_bus_get_property_string(bus, "org.freedesktop.systemd1", path,
                                       "org.freedesktop.systemd1.Service", "StatusText", NULL, &words) < 0 ||
            *words == 0)
                return;
        print_error(_("Its last words: %s"), words);
}

ExitStatus bus_call(sd_bus *bus, sd_bus_message *m, sd_bus_message **ret) {
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        int r;

        r = sd_bus_message_set_auto_start(m, false);
        if (r >= 0)
                r = sd_bus_message_set_allow_interactive_authorization(m, true);
        if (r >= 0)
                r = sd_bus_call(bus, m, CALL_TIMEOUT_USEC, &error, ret);
        if (r < 0) {
                ExitStatus status = bus_failed(&error, r);

                if (status == STATUS_NOT_RUNNING)
                        tell_last_words(bus);
                return status;
        }
        return STATUS_OK;
}

ExitStatus bus_method(sd_bus *bus, const char *path, const char *interface, const char *member,
                      sd_bus_message **ret, const char *types, ...) {
        _cleanup_message_ sd_bus_message *m = NULL;
        va_list ap;
        int r;

        r = sd_bus_message_new_method_call(bus, &m, SM_BUS_NAME, path, interface, member);
        if (r < 0)
                return bus_failed(NULL, r);
        va_start(ap, types);
        r = types ? sd_bus_message_appendv(m, types, ap) : 0;
        va_end(ap);
        if (r < 0)
                return bus_failed(NULL, r);
        return bus_call(bus, m, ret);
}

ExitStatus bus_get_all(sd_bus *bus, const char *path, const char *interface, sd_bus_message **ret) {
        return bus_method(bus, path, "org.freedesktop.DBus.Properties", "GetAll", ret, "s", interface);
}
