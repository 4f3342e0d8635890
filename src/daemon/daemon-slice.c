/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <sys/stat.h>

#include "../basic/array-util.h"
#include "../basic/cleanup.h"
#include "../basic/log.h"
#include "../basic/string-util.h"
#include "daemon-bpf.h"
#include "daemon-bus.h"
#include "daemon-slice.h"
#include "daemon-tables.h"
#include "daemon-ungoverned.h"

#define SYSTEMD_NAME "org.freedesktop.systemd1"
#define SYSTEMD_PATH "/org/freedesktop/systemd1"
#define SYSTEMD_MANAGER "org.freedesktop.systemd1.Manager"

DEFINE_TRIVIAL_CLEANUP(Slice *, slice_free)

/* The same name comes to the same id after a restart, but for the rare clash: until all is attached anew,
 * programs and addresses are those of two runs. */
static uint32_t preferred_id(const char *name) {
        uint32_t h = 2166136261u; /* FNV-1a */

        for (; *name; name++)
                h = (h ^ (unsigned char) *name) * 16777619u;
        return h % (SM_SLICES_MAX - 1) + 1;
}

int slice_new(Manager *m, const char *name, Slice **ret) {
        _cleanup_(slice_freep) Slice *s = calloc(1, sizeof(*s));
        int r;

        if (!s)
                return -ENOMEM;
        s->manager = m;
        s->name = strdup(name);
        if (!s->name)
                return -ENOMEM;
        r = sd_bus_path_encode(SYSTEMD_PATH "/unit", name, &s->unit);
        if (r < 0)
                return r;
        r = tables_id_claim(m->tables, ID_SLICE, preferred_id(name), &s->id);
        if (r < 0)
                return r;
        r = hashmap_put(m->slices, s->name, s);
        if (r < 0) {
                tables_id_put(m->tables, ID_SLICE, s->id);
                return r;
        }
        slice_bus_added(s);
        *ret = TAKE_PTR(s);
        return 0;
}

Slice *slice_free(Slice *s) {
        if (!s)
                return NULL;
        if (s->name && hashmap_get(s->manager->slices, s->name) == s)
                (void) hashmap_remove(s->manager->slices, s->name);
        sd_bus_slot_unref(s->changes);
        sd_bus_slot_unref(s->query);
        free(s->unit);
        free(s->cgroup);
        free(s->problem);
        free(s->name);
        free(s);
        return NULL;
}

/* Sets (errno) or clears (0) what keeps the slice from being attached. */
static void slice_set_problem(Slice *s, int error) {
        _cleanup_free_ char *id = NULL, *sentence = NULL;

        if (error == 0 && !s->problem)
                return;
        if (asprintf(&id, "slice-unattached:%s", s->name) < 0)
                return;
        if (error < 0 && asprintf(&sentence, "The programs cannot be attached to %s: %s. "
                                  "Its connections are not governed.", s->name, strerror(-error)) < 0)
                return;
        (void) strdup_to(&s->problem, error < 0 ? strerror(-error) : NULL);
        manager_set_problem(s->manager, id, sentence);
        slice_bus_changed(s, "Problem");
}

/* A slice that was released. */
struct LingeringSlice {
        uint64_t cgroup_id; /* 0 = the same cgroup is managed again */
        uint32_t id;
};

size_t slices_watch(Manager *m) {
        size_t n = 0;

        for (size_t i = 0; i < m->n_lingering; i++) {
                const LingeringSlice *l = &m->lingering[i];

                if (SM_READ_ONCE(bpf_slice_state(m->bpf, l->id)->open) > 0) {
                        m->lingering[n++] = *l;
                        continue;
                }
                if (l->cgroup_id != 0)
                        bpf_slice_forget(m->bpf, l->cgroup_id);
                tables_id_put(m->tables, ID_SLICE, l->id);
        }
        m->n_lingering = n;
        return n;
}

void slice_release(Slice *s) {
        Manager *m = s->manager;

        slice_bus_removed(s);
        slice_set_problem(s, 0);
        if (s->cgroup_id != 0)
                bpf_slice_release(m->bpf, s->cgroup_id);
        if (array_reserve(&m->lingering, m->n_lingering, sizeof(*m->lingering)) < 0)
                return; /* no memory: stays attached, captures nothing */
        m->lingering[m->n_lingering++] = (LingeringSlice) { .cgroup_id = s->cgroup_id, .id = s->id };
}

const struct sm_slice_state *slice_counters(const Slice *s) {
        return s->manager->bpf ? bpf_slice_state(s->manager->bpf, s->id) : NULL;
}

void slice_set_ungoverned(Slice *s, uint32_t n) {
        if (n > 0 && !s->ungoverned_told) {
                log_notice("Connections of %s that were open before they could be captured, and are not "
                           "governed until they end: %u.", s->name, n);
                s->ungoverned_told = true;
        }
        if (n == s->ungoverned)
                return;
        s->ungoverned = n;
        slice_bus_changed(s, "Ungoverned");
}

/* The unit has no cgroup, or another one than before: the links to the old one are dead. */
static void slice_forget_cgroup(Slice *s) {
        if (s->cgroup_id != 0)
                bpf_slice_forget(s->manager->bpf, s->cgroup_id);
        free(s->cgroup);
        s->cgroup = NULL;
        s->cgroup_id = 0;
        if (s->attached)
                log_info("%s is gone.", s->name);
        s->attached = false;
        slice_set_ungoverned(s, 0);
}

static int slice_attach(Slice *s, const char *directory, uint64_t cgroup_id, const char *cgroup) {
        int r;

        r = strdup_to(&s->cgroup, cgroup);
        if (r < 0)
                return r;
        s->cgroup_id = cgroup_id;
        for (size_t i = 0; i < s->manager->n_lingering; i++)
                if (s->manager->lingering[i].cgroup_id == cgroup_id)
                        s->manager->lingering[i].cgroup_id = 0;
        r = bpf_slice_attach(s->manager->bpf, directory, cgroup_id, s->id);
        if (r < 0)
                return r;
        s->attached = true;
        s->ungoverned_told = false;
        ungoverned_recount(s->manager->ungoverned);
        log_info("Attached to %s, cgroup %s.", s->name, cgroup);
        return 0;
}

/* The id and directory of a cgroup; 0 if there is no such thing. */
static uint64_t find_cgroup(const Manager *m, const char *cgroup, char **ret_directory) {
        _cleanup_free_ char *directory = NULL;
        struct stat st;

        if (!*cgroup || asprintf(&directory, "%s%s", m->cgroup_root, cgroup) < 0)
                return 0;
        if (stat(directory, &st) < 0)
                return 0;
        *ret_directory = TAKE_PTR(directory);
        return st.st_ino;
}

/* What systemd says that the unit's cgroup is: "" if there is none. It drops and loads all its units when it
 * reloads its configuration, so a cgroup is gone only when its directory is. */
static void slice_update(Slice *s, const char *cgroup) {
        _cleanup_free_ char *path = strdup(*cgroup ? cgroup : s->cgroup ?: ""), *directory = NULL;
        uint64_t id;
        int r = 0;

        if (!path)
                return;
        id = find_cgroup(s->manager, path, &directory);
        if (id != 0)
                s->settled = true;
        if (id == s->cgroup_id && s->attached == (id != 0))
                return;

        slice_forget_cgroup(s);
        if (id != 0)
                r = slice_attach(s, directory, id, path);
        slice_set_problem(s, r);
        slice_bus_changed(s, "Attached");
        slice_bus_changed(s, "ControlGroup");
        slice_bus_changed(s, "ControlGroupId");
}

static int slice_query(Slice *s);

static int query_answered(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        Slice *s = userdata;
        const char *cgroup = NULL;
        int r;

        s->query = sd_bus_slot_unref(s->query);
        if (s->query_again) {
                s->query_again = false;
                return slice_query(s);
        }
        if (sd_bus_message_is_method_error(reply, NULL))
                r = -sd_bus_message_get_errno(reply);
        else
                r = sd_bus_message_read(reply, "v", "s", &cgroup);
        if (r < 0) {
                log_warning_errno(r, "Failed to ask systemd for the cgroup of %s, ignoring: %m", s->name);
                s->settled = true;
                return 0;
        }
        slice_update(s, cgroup);
        return 0;
}

static int slice_query(Slice *s) {
        if (s->query) {
                s->query_again = true;
                return 0;
        }
        return sd_bus_call_method_async(s->manager->bus, &s->query, SYSTEMD_NAME, s->unit,
                                        "org.freedesktop.DBus.Properties", "Get", query_answered, s, "ss",
                                        "org.freedesktop.systemd1.Slice", "ControlGroup");
}

static int unit_changed(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        return slice_query(userdata);
}

static int start_answered(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        Slice *s = userdata;

        s->query = sd_bus_slot_unref(s->query);
        if (sd_bus_message_is_method_error(reply, NULL)) {
                log_warning("Failed to have %s started, ignoring: %s", s->name,
                            sd_bus_message_get_error(reply)->message);
                s->settled = true;
        }
        s->query_again = false;
        return slice_query(s);
}

/* A slice is started rather than waited for: else the first service to come into it could connect before
 * systemd has told of the cgroup and the programs are attached. */
int slice_follow(Slice *s) {
        int r;

        r = sd_bus_match_signal_async(s->manager->bus, &s->changes, SYSTEMD_NAME, s->unit,
                                      "org.freedesktop.DBus.Properties", "PropertiesChanged", unit_changed,
                                      NULL, s);
        if (r < 0)
                return r;
        return sd_bus_call_method_async(s->manager->bus, &s->query, SYSTEMD_NAME, SYSTEMD_PATH,
                                        SYSTEMD_MANAGER, "StartUnit", start_answered, s, "ss", s->name,
                                        "replace");
}

/* The slice that a signal of systemd is about; NULL if it is about another unit. */
static int read_slice(Manager *m, sd_bus_message *message, Slice **ret) {
        const char *name;
        int r;

        r = sd_bus_message_read(message, "s", &name);
        if (r < 0)
                return r;
        *ret = hashmap_get(m->slices, name);
        return 0;
}

static int unit_came(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        Slice *s;
        int r;

        r = read_slice(userdata, message, &s);
        return r < 0 || !s ? r : slice_query(s);
}

/* Asking about it now would have systemd load it again, and tell of that. */
static int unit_went(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        Slice *s;
        int r;

        r = read_slice(userdata, message, &s);
        if (r >= 0 && s)
                slice_update(s, "");
        return r;
}

int slices_subscribe(Manager *m) {
        int r;

        r = sd_bus_match_signal_async(m->bus, NULL, SYSTEMD_NAME, SYSTEMD_PATH, SYSTEMD_MANAGER, "UnitNew",
                                      unit_came, NULL, m);
        if (r < 0)
                return r;
        r = sd_bus_match_signal_async(m->bus, NULL, SYSTEMD_NAME, SYSTEMD_PATH, SYSTEMD_MANAGER,
                                      "UnitRemoved", unit_went, NULL, m);
        if (r < 0)
                return r;
        return sd_bus_call_method_async(m->bus, NULL, SYSTEMD_NAME, SYSTEMD_PATH, SYSTEMD_MANAGER,
                                        "Subscribe", NULL, NULL, NULL);
}
