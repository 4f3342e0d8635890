/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <sys/socket.h>

#include "../basic/cleanup.h"
#include "../basic/log.h"
#include "../basic/macro.h"
#include "../basic/time-util.h"
#include "daemon-bus-object.h"
#include "daemon-overrides.h"
#include "daemon-polkit.h"

/* Of the connection to ourselves; nobody looks at it. */
#define SERVER_ID SD_ID128_MAKE(c1, 9b, 9f, cb, fd, 7a, 4b, d0, 93, 6b, 05, a6, 86, 4e, 44, 2e)

static const BusObject *const bus_objects[] = {
        &manager_bus_object,
        &service_bus_object,
        &endpoint_bus_object,
        &slice_bus_object,
};

static int bus_add_object(Manager *m, const BusObject *o) {
        int r;

        if (o->guard) {
                r = sd_bus_add_object(m->bus, NULL, o->pattern, o->guard, m);
                if (r < 0)
                        return r;
        }
        if (!o->parent)
                return sd_bus_add_object_vtable(m->bus, NULL, o->pattern, o->interface, o->vtable, m);
        r = sd_bus_add_fallback_vtable(m->bus, NULL, o->parent, o->interface, o->vtable, o->find, m);
        if (r < 0)
                return r;
        return sd_bus_add_node_enumerator(m->bus, NULL, o->parent, o->enumerate, m);
}

int bus_add_objects(Manager *m) {
        int r;

        for (size_t i = 0; i < ELEMENTSOF(bus_objects); i++) {
                r = bus_add_object(m, bus_objects[i]);
                if (r < 0)
                        return r;
        }
        return sd_bus_add_object_manager(m->bus, NULL, SM_BUS_PATH);
}

int manager_bus_setup(Manager *m) {
        int r;

        r = bus_add_objects(m);
        if (r < 0)
                return r;
        r = sd_bus_request_name(m->bus, SM_BUS_NAME, 0);
        return r < 0 ? r : 0;
}

void manager_bus_done(Manager *m) {
        polkit_queries_done(&m->authorizations);
        m->bus = sd_bus_flush_close_unref(m->bus);
}

static void bus_warn(int r, const char *signal, const char *path) {
        if (r < 0)
                log_warning_errno(r, "Failed to send %s of %s, ignoring: %m", signal, path ?: "an object");
}

void bus_object_changed(Manager *m, const char *path, const BusObject *o, const char *property) {
        int r;

        if (!m->bus)
                return;
        r = path ? sd_bus_emit_properties_changed(m->bus, path, o->interface, property, NULL) : -ENOMEM;
        bus_warn(r, "PropertiesChanged", path);
}

/* -ESRCH: the tree is not there yet. Whoever looks at it later sees the object. */
void bus_object_added(Manager *m, const char *path) {
        int r;

        if (!m->bus)
                return;
        r = path ? sd_bus_emit_object_added(m->bus, path) : -ENOMEM;
        bus_warn(r == -ESRCH ? 0 : r, "InterfacesAdded", path);
}

void bus_object_removed(Manager *m, const char *path) {
        int r;

        if (!m->bus)
                return;
        r = path ? sd_bus_emit_object_removed(m->bus, path) : -ENOMEM;
        bus_warn(r == -ESRCH ? 0 : r, "InterfacesRemoved", path);
}

int bus_authorize(Manager *m, sd_bus_message *call, sd_bus_error *error) {
        return polkit_authorize(&m->authorizations, call, POLKIT_ACTION_MANAGE, error);
}

int bus_guard_writes(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        int r;

        if (!sd_bus_message_is_method_call(call, "org.freedesktop.DBus.Properties", "Set"))
                return 0;
        r = bus_authorize(userdata, call, error);
        if (r < 0)
                return r;
        return r == 0; /* 1: polkit is asked, and the call comes again. 0: it goes on to the setter */
}

int bus_change_failed(sd_bus_error *error, int r, const char *service) {
        switch (r) {
        case -E2BIG:
                return sd_bus_error_setf(error, BUS_ERROR_OUT_OF_RANGE,
                                         "Service %s was not changed: these weights need a schedule of more "
                                         "than %d slots; a common divisor makes it shorter.",
                                         service, SM_SLOTS_MAX);
        case -ENOSPC:
                return sd_bus_error_setf(error, SD_BUS_ERROR_LIMITS_EXCEEDED,
                                         "Service %s was not changed: there is no room for another policy, "
                                         "in memory or on disk.", service);
        case -EEXIST:
                return sd_bus_error_setf(error, BUS_ERROR_FOREIGN_FILE,
                                         "Service %s was not changed: the drop-in that would keep the "
                                         "change is not of slicemeshd's writing.", service);
        case -EBADMSG:
                return sd_bus_error_setf(error, BUS_ERROR_FOREIGN_FILE,
                                         "Service %s was not changed: the drop-in that would keep the "
                                         "change has been edited by hand.", service);
        default:
                return sd_bus_error_set_errnof(error, r, "Service %s was not changed: %m", service);
        }
}

int bus_append_counter(sd_bus_message *reply, const BusCounter *table, const char *property,
                       const void *state) {
        static const __u64 zero;
        const void *word = &zero;

        while (table->property && !streq(table->property, property))
                table++;
        if (!table->property)
                return -ENOENT;

        if (state)
                word = (const char *) state + table->offset;
        if (table->type == SD_BUS_TYPE_UINT32)
                return sd_bus_message_append(reply, "u",
                                             __atomic_load_n((const __u32 *) word, __ATOMIC_RELAXED));
        return sd_bus_message_append(reply, "t",
                                     (uint64_t) __atomic_load_n((const __u64 *) word, __ATOMIC_RELAXED));
}

static int append_count(sd_bus_message *reply, const char *text, const __u64 *word) {
        uint64_t count = __atomic_load_n(word, __ATOMIC_RELAXED);

        return count > 0 ? sd_bus_message_append(reply, "{st}", text, count) : 0;
}

static int append_counts(sd_bus_message *reply, const char *const *texts, size_t n, const __u64 *words) {
        int r = 0;

        for (size_t i = 0; r >= 0 && i < n; i++)
                r = append_count(reply, texts[i], &words[i]);
        return r;
}

int bus_append_reasons(sd_bus_message *reply, const __u64 *counts) {
        static const char *const texts[] = {
#define REASON_TEXT(id, text, status, sentence) [SM_REASON_##id] = text,
                SM_REASONS(REASON_TEXT)
#undef REASON_TEXT
        };
        int r;

        r = sd_bus_message_open_container(reply, 'a', "{st}");
        if (r < 0)
                return r;
        if (counts) {
                r = append_counts(reply, texts + 1, ELEMENTSOF(texts) - 1, counts + 1);
                if (r < 0)
                        return r;
        }
        return sd_bus_message_close_container(reply);
}

int bus_append_paths(sd_bus_message *reply, const struct sm_path_counters *paths) {
        static const char *const texts[] = {
#define SLOW_TEXT(id, text, sentence) [SM_SLOW_##id] = text,
                SM_SLOW_LIST(SLOW_TEXT)
#undef SLOW_TEXT
        };
        int r;

        r = sd_bus_message_open_container(reply, 'a', "{st}");
        if (r < 0)
                return r;
        if (paths) {
                r = append_count(reply, "fast", &paths->fast);
                if (r < 0)
                        return r;
                r = append_count(reply, "remote", &paths->remote);
                if (r < 0)
                        return r;
                r = append_counts(reply, texts, ELEMENTSOF(texts), paths->slow);
                if (r < 0)
                        return r;
        }
        return sd_bus_message_close_container(reply);
}

/* One end of a connection over a socket pair, without any bus between. */
static int bus_pair_end(int *fd, bool server, sd_bus **ret) {
        _cleanup_(sd_bus_unrefp) sd_bus *bus = NULL;
        int r;

        r = sd_bus_new(&bus);
        if (r < 0)
                return r;
        r = sd_bus_set_fd(bus, *fd, *fd);
        if (r < 0)
                return r;
        (void) TAKE_FD(*fd);
        if (server) {
                r = sd_bus_set_server(bus, true, SERVER_ID);
                if (r < 0)
                        return r;
        }
        r = sd_bus_start(bus);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(bus);
        return 0;
}

static int bus_pair_new(sd_bus **ret_server, sd_bus **ret_client) {
        _cleanup_close_ int server_fd = -EBADF, client_fd = -EBADF;
        _cleanup_(sd_bus_unrefp) sd_bus *server = NULL;
        int pair[2], r;

        r = RET_NERRNO(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair));
        if (r < 0)
                return r;
        server_fd = pair[0];
        client_fd = pair[1];

        r = bus_pair_end(&server_fd, true, &server);
        if (r < 0)
                return r;
        r = bus_pair_end(&client_fd, false, ret_client);
        if (r < 0)
                return r;
        *ret_server = TAKE_PTR(server);
        return 0;
}

static int on_introspected(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        *(sd_bus_message **) userdata = sd_bus_message_ref(reply);
        return 0;
}

/* sd-bus writes the XML of vtables only in answer to a call, so we make it, from one end to the other. */
static int bus_introspect_object(const BusObject *o, const char *path, FILE *out) {
        _cleanup_(sd_bus_close_unrefp) sd_bus *server = NULL, *client = NULL;
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        const char *xml;
        int r, k;

        r = bus_pair_new(&server, &client);
        if (r < 0)
                return r;
        r = sd_bus_add_object_vtable(server, NULL, path, o->interface, o->vtable, NULL);
        if (r < 0)
                return r;
        r = sd_bus_call_method_async(client, NULL, NULL, path, "org.freedesktop.DBus.Introspectable",
                                     "Introspect", on_introspected, &reply, "");
        if (r < 0)
                return r;
        while (!reply) {
                r = sd_bus_process(server, NULL);
                if (r < 0)
                        return r;
                k = sd_bus_process(client, NULL);
                if (k < 0)
                        return k;
                if (r == 0 && k == 0) {
                        r = sd_bus_wait(client, 100 * USEC_PER_MSEC);
                        if (r < 0)
                                return r;
                }
        }

        r = sd_bus_message_get_errno(reply);
        if (r > 0)
                return -r;
        r = sd_bus_message_read(reply, "s", &xml);
        if (r < 0)
                return r;
        return fputs(xml, out) < 0 ? -EIO : 0;
}

int bus_introspect(const char *path, FILE *out) {
        for (size_t i = 0; i < ELEMENTSOF(bus_objects); i++) {
                _cleanup_free_ char *a = NULL, *b = NULL;
                int r;

                r = sd_bus_path_decode_many(path, bus_objects[i]->pattern, &a, &b);
                if (r < 0)
                        return r;
                if (r > 0)
                        return bus_introspect_object(bus_objects[i], path, out);
        }
        return -ENOENT;
}
