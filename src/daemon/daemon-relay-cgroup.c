/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "../basic/cleanup.h"
#include "../basic/log.h"
#include "../basic/string-util.h"
#include "../basic/time-util.h"
#include "daemon-relay-cgroup.h"

#define SYSTEMD_NAME "org.freedesktop.systemd1"
#define SYSTEMD_PATH "/org/freedesktop/systemd1"
#define SYSTEMD_MANAGER "org.freedesktop.systemd1.Manager"
#define PATIENCE_USEC (2 * USEC_PER_SEC) /* the relay waits for as long */

struct RelayCgroup {
        Manager *manager;
        relay_cgroup_handler_t handler;
        void *userdata;
        sd_bus_slot *query;
};

DEFINE_TRIVIAL_CLEANUP(RelayCgroup *, relay_cgroup_free)

RelayCgroup *relay_cgroup_free(RelayCgroup *c) {
        if (!c)
                return NULL;
        sd_bus_slot_unref(c->query);
        free(c);
        return NULL;
}

/* The names of slices are those of their cgroups, whether systemd has started them or not. */
static bool is_managed(const Manager *m, const char *cgroup) {
        _cleanup_free_ char *path = strdup(cgroup);
        char *rest = path;
        const char *name;

        while (path && (name = strsep(&rest, "/")))
                if (hashmap_get(m->slices, name))
                        return true;
        return !path;
}

static void answer(RelayCgroup *c, const char *cgroup) {
        if (cgroup && (streq(cgroup, "") || streq(cgroup, "/") || is_managed(c->manager, cgroup)))
                cgroup = NULL;
        c->handler(cgroup, c->userdata);
}

static int ask(RelayCgroup *c, sd_bus_message *call, sd_bus_message_handler_t handler) {
        c->query = sd_bus_slot_unref(c->query);
        return sd_bus_call_async(c->manager->bus, &c->query, call, handler, c, PATIENCE_USEC);
}

static int on_cgroup(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        const char *cgroup = NULL;

        if (sd_bus_message_is_method_error(reply, NULL) || sd_bus_message_read(reply, "v", "s", &cgroup) < 0)
                cgroup = NULL; /* it is no service */
        answer(userdata, cgroup);
        return 0;
}

static int ask_cgroup(RelayCgroup *c, const char *unit) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL;
        int r;

        r = sd_bus_message_new_method_call(c->manager->bus, &call, SYSTEMD_NAME, unit,
                                           "org.freedesktop.DBus.Properties", "Get");
        if (r >= 0)
                r = sd_bus_message_append(call, "ss", "org.freedesktop.systemd1.Service", "ControlGroup");
        return r < 0 ? r : ask(c, call, on_cgroup);
}

static int on_unit(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        RelayCgroup *c = userdata;
        const char *unit;
        int r;

        if (sd_bus_message_is_method_error(reply, NULL))
                r = -sd_bus_message_get_errno(reply);
        else
                r = sd_bus_message_read(reply, "o", &unit);
        if (r >= 0)
                r = ask_cgroup(c, unit);
        if (r < 0) {
                log_debug_errno(r, "Failed to ask systemd for the relay's unit: %m");
                answer(c, NULL);
        }
        return 0;
}

int relay_cgroup_ask(Manager *m, pid_t pid, relay_cgroup_handler_t handler, void *userdata,
                     RelayCgroup **ret) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL;
        _cleanup_(relay_cgroup_freep) RelayCgroup *c = calloc(1, sizeof(*c));
        int r;

        if (!c)
                return -ENOMEM;
        *c = (RelayCgroup) { .manager = m, .handler = handler, .userdata = userdata };
        r = sd_bus_message_new_method_call(m->bus, &call, SYSTEMD_NAME, SYSTEMD_PATH, SYSTEMD_MANAGER,
                                           "GetUnitByPID");
        if (r >= 0)
                r = sd_bus_message_append(call, "u", (uint32_t) pid);
        if (r >= 0)
                r = ask(c, call, on_unit);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(c);
        return 0;
}
