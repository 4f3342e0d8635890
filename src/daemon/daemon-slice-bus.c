/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "../basic/cleanup.h"
#include "../basic/string-util.h"
#include "daemon-bus-object.h"
#include "daemon-tables.h"

#define SLICE_PATTERN SM_BUS_PATH "/slice/%"

static int property_get_attached(sd_bus *bus, const char *path, const char *interface, const char *property,
                                 sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        const Slice *s = userdata;

        return sd_bus_message_append(reply, "b", (int) s->attached);
}

static int property_get_counter(sd_bus *bus, const char *path, const char *interface, const char *property,
                                sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        static const BusCounter counters[] = {
                { "Connects", SD_BUS_TYPE_UINT64, offsetof(struct sm_slice_state, connects) },
                { "Captured", SD_BUS_TYPE_UINT64, offsetof(struct sm_slice_state, captured) },
                { "Refused", SD_BUS_TYPE_UINT64, offsetof(struct sm_slice_state, refused) },
                { "Foreign", SD_BUS_TYPE_UINT64, offsetof(struct sm_slice_state, foreign) },
                { "Failed", SD_BUS_TYPE_UINT64, offsetof(struct sm_slice_state, failed) },
                {},
        };

        return bus_append_counter(reply, counters, property, slice_counters(userdata));
}

static int property_get_paths(sd_bus *bus, const char *path, const char *interface, const char *property,
                              sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        const Slice *s = userdata;

        return bus_append_paths(reply, sm_slice_paths_at(tables_view(s->manager->tables), s->id));
}

char *slice_bus_path(const Slice *s) {
        char *path;

        return sd_bus_path_encode_many(&path, SLICE_PATTERN, s->name) < 0 ? NULL : path;
}

static int slice_bus_find(sd_bus *bus, const char *path, const char *interface, void *userdata,
                          void **ret_found, sd_bus_error *error) {
        _cleanup_free_ char *name = NULL;
        Manager *m = userdata;
        int r;

        r = sd_bus_path_decode_many(path, SLICE_PATTERN, &name);
        if (r <= 0)
                return r;
        *ret_found = hashmap_get(m->slices, name);
        return !!*ret_found;
}

static int slice_bus_enumerate(sd_bus *bus, const char *prefix, void *userdata, char ***ret_nodes,
                               sd_bus_error *error) {
        _cleanup_strv_free_ char **nodes = NULL;
        Manager *m = userdata;
        size_t i = 0, n = 0;
        const Slice *s;

        nodes = calloc(hashmap_size(m->slices) + 1, sizeof(*nodes));
        if (!nodes)
                return -ENOMEM;
        while ((s = hashmap_next(m->slices, &i))) {
                nodes[n] = slice_bus_path(s);
                if (!nodes[n++])
                        return -ENOMEM;
        }
        *ret_nodes = TAKE_PTR(nodes);
        return 0;
}

void slice_bus_added(Slice *s) {
        _cleanup_free_ char *path = slice_bus_path(s);

        bus_object_added(s->manager, path);
}

void slice_bus_removed(Slice *s) {
        _cleanup_free_ char *path = slice_bus_path(s);

        bus_object_removed(s->manager, path);
}

void slice_bus_changed(Slice *s, const char *property) {
        _cleanup_free_ char *path = slice_bus_path(s);

        bus_object_changed(s->manager, path, &slice_bus_object, property);
}

static const sd_bus_vtable slice_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_PROPERTY("Name", "s", NULL, offsetof(Slice, name), SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("Attached", "b", property_get_attached, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Problem", "s", NULL, offsetof(Slice, problem), SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("ControlGroup", "s", NULL, offsetof(Slice, cgroup),
                        SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("ControlGroupId", "t", NULL, offsetof(Slice, cgroup_id),
                        SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Ungoverned", "u", NULL, offsetof(Slice, ungoverned),
                        SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Connects", "t", property_get_counter, 0, 0),
        SD_BUS_PROPERTY("Captured", "t", property_get_counter, 0, 0),
        SD_BUS_PROPERTY("Refused", "t", property_get_counter, 0, 0),
        SD_BUS_PROPERTY("Foreign", "t", property_get_counter, 0, 0),
        SD_BUS_PROPERTY("Failed", "t", property_get_counter, 0, 0),
        SD_BUS_PROPERTY("Paths", "a{st}", property_get_paths, 0, 0),
        SD_BUS_VTABLE_END,
};

const BusObject slice_bus_object = {
        .pattern = SLICE_PATTERN,
        .parent = SM_BUS_PATH "/slice",
        .interface = SM_BUS_NAME ".Slice",
        .vtable = slice_vtable,
        .find = slice_bus_find,
        .enumerate = slice_bus_enumerate,
};
