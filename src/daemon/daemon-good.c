/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <sys/stat.h>

#include "../basic/cleanup.h"
#include "../basic/log.h"
#include "../policy/policy-load.h"
#include "daemon-good.h"

enum { SAVED_AT_ONCE = 16 }; /* before the event loop looks whether there is something better to do */

static void good_save(Service *s) {
        _cleanup_free_ char *directory = NULL;
        int r;

        s->unsaved = false;
        r = asprintf(&directory, "%s/good", s->manager->state_directory) < 0 ? -ENOMEM : 0;
        if (r >= 0 && mkdir(directory, 0755) < 0 && errno != EEXIST)
                r = -errno;
        if (r >= 0)
                r = policy_save_good(directory, s->model);
        if (r < 0)
                log_warning_errno(r, "Failed to save the policy of %s for the next start, ignoring: %m",
                                  s->name);
}

/* Whether that were all. */
static bool good_save_some(Manager *m, size_t n) {
        size_t position = 0;
        Service *s;

        while ((s = hashmap_next(m->services, &position))) {
                if (!s->unsaved)
                        continue;
                if (n-- == 0)
                        return false;
                good_save(s);
        }
        return true;
}

static int on_idle(sd_event_source *source, void *userdata) {
        Manager *m = userdata;

        if (good_save_some(m, SAVED_AT_ONCE))
                m->saving = sd_event_source_disable_unref(m->saving);
        return 0;
}

void good_save_soon(Service *s) {
        Manager *m = s->manager;
        int r;

        s->unsaved = true;
        if (m->saving)
                return;
        r = sd_event_add_defer(m->event, &m->saving, on_idle, m);
        if (r >= 0)
                r = sd_event_source_set_enabled(m->saving, SD_EVENT_ON);
        if (r >= 0)
                r = sd_event_source_set_priority(m->saving, SD_EVENT_PRIORITY_IDLE);
        if (r < 0) {
                m->saving = sd_event_source_disable_unref(m->saving);
                good_save(s);
        }
}

void good_save_now(Manager *m) {
        if (m->saving)
                (void) good_save_some(m, SIZE_MAX);
        m->saving = sd_event_source_disable_unref(m->saving);
}

void good_is_saved(Manager *m, const Policy *good) {
        for (size_t i = 0; i < good->n_services; i++) {
                Service *s = hashmap_get(m->services, good->services[i]->name);

                if (s && s->model && policy_service_equal(s->model, good->services[i]))
                        s->unsaved = false;
        }
}

void good_remove(Manager *m, const char *name) {
        _cleanup_free_ char *directory = NULL;

        if (asprintf(&directory, "%s/good", m->state_directory) >= 0)
                (void) policy_remove_good(directory, name);
}
