/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../basic/macro.h"
#include "ctl-i18n.h"
#include "ctl-json.h"
#include "ctl-mesh.h"
#include "ctl-output.h"
#include "ctl-terminal.h"
#include "ctl-variant.h"

typedef struct Monitor {
        const Options *options;
        sd_bus *bus;
        Mesh mesh; /* to give paths names that a person knows; read again when one is not found */
} Monitor;

static void monitor_done(Monitor *m) {
        mesh_done(&m->mesh);
        sd_bus_flush_close_unref(m->bus);
}

/* -- names of objects -- */

static bool name_in_mesh(const Mesh *m, const char *path, char **ret) {
        for (size_t i = 0; i < m->n_endpoints; i++)
                if (streq(m->endpoints[i].path, path))
                        return asprintf(ret, "%s %s/%s", m->endpoints[i].service, m->endpoints[i].subset,
                                        m->endpoints[i].address) >= 0;
        for (size_t i = 0; i < m->n_services; i++)
                if (streq(m->services[i].path, path))
                        return asprintf(ret, "%s", m->services[i].name) >= 0;
        for (size_t i = 0; i < m->n_slices; i++)
                if (streq(m->slices[i].path, path))
                        return asprintf(ret, "%s", m->slices[i].name) >= 0;
        return false;
}

/* NULL if there is no memory. */
static char *object_name(Monitor *m, const char *path, bool gone) {
        char *name = NULL;

        if (streq(path, SM_BUS_PATH))
                return strdup(_("mesh"));
        if (name_in_mesh(&m->mesh, path, &name))
                return name;
        if (!gone) {
                Mesh fresh;

                if (mesh_load(m->bus, &fresh) == STATUS_OK) {
                        mesh_done(&m->mesh);
                        m->mesh = fresh;
                        if (name_in_mesh(&m->mesh, path, &name))
                                return name;
                }
        }
        return strdup(path);
}

/* -- one line for each event -- */

static void print_time(void) {
        time_t now = time(NULL);
        struct tm tm;
        char text[16];

        if (localtime_r(&now, &tm) && strftime(text, sizeof(text), "%H:%M:%S", &tm) > 0)
                print_styled(STYLE_DIM, "%s ", text);
}

static void open_line_json(JsonWriter *w, const char *event, const char *path) {
        time_t now = time(NULL);

        json_open_object(w, NULL);
        json_unsigned(w, "time", (uint64_t) now);
        json_string(w, "event", event);
        if (path)
                json_string(w, "path", path);
}

static int close_line_json(JsonWriter *w) {
        json_close(w);
        putchar('\n');
        return json_finish(w);
}

/* The members of a struct side by side. Lists in it, like paths of endpoints, would only bury the rest. */
static void print_struct(const JsonValue *v) {
        bool first = true;

        for (size_t i = 0; i < v->n_members; i++) {
                const char *text = v->members[i].text;

                if (!text || !*text)
                        continue;
                printf("%s%s", first ? "" : " ", text);
                first = false;
        }
}

/* A list as "a, b", one of structs as "a b, c d". */
static void print_tree(const JsonValue *v) {
        if (v->text)
                print_styled(state_style(v->text), "%s", *v->text ? v->text : "-");
        else if (v->type == JSON_TRUE || v->type == JSON_FALSE)
                fputs(v->type == JSON_TRUE ? _("yes") : _("no"), stdout);
        else if (v->n_members == 0)
                putchar('-');
        for (size_t i = 0; i < v->n_members; i++) {
                fputs(i > 0 ? ", " : "", stdout);
                if (v->members[i].text)
                        fputs(v->members[i].text, stdout);
                else
                        print_struct(&v->members[i]);
        }
}

static int print_value(sd_bus_message *m) {
        _cleanup_(json_value_freep) JsonValue *v = NULL;
        _cleanup_free_ char *text = NULL;
        JsonWriter w;
        size_t size;
        FILE *f;
        int r;

        f = open_memstream(&text, &size);
        if (!f)
                return -ENOMEM;
        w = JSON_WRITER(f, false);
        r = variant_to_json(m, &w, NULL);
        if (fclose(f) < 0)
                return -ENOMEM;
        if (r >= 0)
                r = json_parse(text, &v);
        if (r < 0)
                return r;
        print_tree(v);
        return 0;
}

static int print_properties(sd_bus_message *m) {
        const char *property, *separator = " ";
        int r;

        r = sd_bus_message_enter_container(m, SD_BUS_TYPE_ARRAY, "{sv}");
        while (r >= 0 && (r = sd_bus_message_enter_container(m, SD_BUS_TYPE_DICT_ENTRY, "sv")) > 0) {
                r = sd_bus_message_read(m, "s", &property);
                if (r < 0)
                        return r;
                printf("%s%s ", separator, property);
                separator = ", ";
                r = print_value(m);
                if (r >= 0)
                        r = sd_bus_message_exit_container(m);
        }
        return r < 0 ? r : sd_bus_message_exit_container(m);
}

static int on_properties_changed(Monitor *monitor, sd_bus_message *m) {
        const char *path = sd_bus_message_get_path(m), *interface;
        _cleanup_free_ char *name = NULL;
        int r;

        r = sd_bus_message_read(m, "s", &interface);
        if (r < 0)
                return r;
        if (monitor->options->json) {
                JsonWriter w = JSON_WRITER(stdout, false);

                open_line_json(&w, "changed", path);
                json_string(&w, "interface", interface);
                r = variant_to_json(m, &w, "properties");
                return r < 0 ? r : close_line_json(&w);
        }
        name = object_name(monitor, path, false);
        if (!name)
                return -ENOMEM;
        print_time();
        print_styled(STYLE_HEADING, "%s:", name);
        r = print_properties(m);
        putchar('\n');
        return r;
}

static int print_object(Monitor *monitor, sd_bus_message *m, const char *event, const char *words,
                        bool gone) {
        _cleanup_free_ char *name = NULL;
        const char *path;
        int r;

        r = sd_bus_message_read(m, "o", &path);
        if (r < 0)
                return r;
        if (monitor->options->json) {
                JsonWriter w = JSON_WRITER(stdout, false);

                open_line_json(&w, event, path);
                r = variant_to_json(m, &w, "interfaces");
                return r < 0 ? r : close_line_json(&w);
        }
        name = object_name(monitor, path, gone);
        if (!name)
                return -ENOMEM;
        print_time();
        print_styled(STYLE_HEADING, "%s:", name);
        printf(" %s\n", words);
        return 0;
}

static int on_interfaces_added(Monitor *monitor, sd_bus_message *m) {
        return print_object(monitor, m, "added", _("appeared"), false);
}

static int on_interfaces_removed(Monitor *monitor, sd_bus_message *m) {
        return print_object(monitor, m, "removed", _("vanished"), true);
}

static int on_reloaded(Monitor *monitor, sd_bus_message *m) {
        uint64_t revision;
        uint32_t errors;
        int r;

        r = sd_bus_message_read(m, "tu", &revision, &errors);
        if (r < 0)
                return r;
        if (monitor->options->json) {
                JsonWriter w = JSON_WRITER(stdout, false);

                open_line_json(&w, "reloaded", NULL);
                json_unsigned(&w, "revision", revision);
                json_unsigned(&w, "errors", errors);
                return close_line_json(&w);
        }
        print_time();
        print_styled(STYLE_HEADING, "%s:", _("mesh"));
        printf(ngettext(" policy loaded, revision %" PRIu64 ", %" PRIu32 " error\n",
                        " policy loaded, revision %" PRIu64 ", %" PRIu32 " errors\n", errors),
               revision, errors);
        return 0;
}

/* slicemeshd came or went. */
static int on_name_owner_changed(Monitor *monitor, sd_bus_message *m) {
        const char *name, *old_owner, *new_owner;
        int r;

        r = sd_bus_message_read(m, "sss", &name, &old_owner, &new_owner);
        if (r < 0)
                return r;
        if (monitor->options->json) {
                JsonWriter w = JSON_WRITER(stdout, false);

                open_line_json(&w, *new_owner ? "started" : "stopped", NULL);
                return close_line_json(&w);
        }
        print_time();
        print_styled(*new_owner ? STYLE_GOOD : STYLE_BAD, "%s\n",
                     *new_owner ? _("slicemeshd is on the bus") : _("slicemeshd has left the bus"));
        return 0;
}

static const struct {
        const char *member;
        int (*handle)(Monitor *monitor, sd_bus_message *m);
} signals[] = {
        { "PropertiesChanged", on_properties_changed },
        { "InterfacesAdded", on_interfaces_added },
        { "InterfacesRemoved", on_interfaces_removed },
        { "Reloaded", on_reloaded },
        { "NameOwnerChanged", on_name_owner_changed },
};

static int on_signal(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        int r = 0;

        for (size_t i = 0; i < ELEMENTSOF(signals); i++)
                if (streq(signals[i].member, sd_bus_message_get_member(m)))
                        r = signals[i].handle(userdata, m);
        (void) fflush(stdout);
        if (r < 0)
                (void) bus_unexpected(r);
        return 0;
}

static int add_matches(Monitor *m) {
        int r;

        r = sd_bus_add_match(m->bus, NULL, "type='signal',sender='" SM_BUS_NAME "'", on_signal, m);
        if (r < 0)
                return r;
        return sd_bus_add_match(m->bus, NULL,
                                "type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged',"
                                "arg0='" SM_BUS_NAME "'",
                                on_signal, m);
}

/* Until a signal ends it, or the bus goes away. */
static int follow(sd_bus *bus) {
        int r;

        for (;;) {
                r = sd_bus_process(bus, NULL);
                if (r < 0)
                        return r;
                if (r > 0)
                        continue;
                r = sd_bus_wait(bus, UINT64_MAX);
                if (r < 0 && r != -EINTR)
                        return r;
        }
}

ExitStatus verb_monitor(const Options *o, int n, char **arguments) {
        _cleanup_(monitor_done) Monitor m = { .options = o };
        ExitStatus status;
        int r;

        status = bus_open(&m.bus);
        if (status != STATUS_OK)
                return status;
        /* Matches first: what happens meanwhile is queued, not lost. */
        r = add_matches(&m);
        if (r < 0)
                return bus_failed(NULL, r);
        status = mesh_load(m.bus, &m.mesh);
        if (status != STATUS_OK)
                return status;
        return bus_failed(NULL, follow(m.bus));
}
