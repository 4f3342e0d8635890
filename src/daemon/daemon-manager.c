/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <sys/stat.h>

#include "../abi/abi-link.h"
#include "../basic/array-util.h"
#include "../basic/cleanup.h"
#include "../basic/log.h"
#include "../basic/string-util.h"
#include "../basic/time-util.h"
#include "daemon-bpf.h"
#include "daemon-bus.h"
#include "daemon-fast.h"
#include "daemon-good.h"
#include "daemon-relay-link.h"
#include "daemon-resolve.h"
#include "daemon-tables.h"
#include "daemon-ungoverned.h"

#define WATCH_USEC (1 * USEC_PER_SEC)

DEFINE_TRIVIAL_CLEANUP(Manager *, manager_free)

int manager_new(sd_event *event, const char *root, Manager **ret) {
        _cleanup_(manager_freep) Manager *m = calloc(1, sizeof(*m));

        if (!m)
                return -ENOMEM;
        m->event = sd_event_ref(event);
        m->root = root;
        m->services = hashmap_new();
        m->slices = hashmap_new();
        m->settings = calloc(1, sizeof(*m->settings));
        if (!m->services || !m->slices || !m->settings)
                return -ENOMEM;
        if (asprintf(&m->state_directory, "%s/var/lib/slicemesh", root ?: "") < 0) {
                m->state_directory = NULL;
                return -ENOMEM;
        }
        *ret = TAKE_PTR(m);
        return 0;
}

static void free_objects(Manager *m) {
        size_t position = 0;
        Service *service;
        Slice *slice;

        while (m->services && (service = hashmap_next(m->services, &position)))
                service_free(service);
        position = 0;
        while (m->slices && (slice = hashmap_next(m->slices, &position)))
                slice_free(slice);
        hashmap_free(m->services);
        hashmap_free(m->slices);
}

Manager *manager_free(Manager *m) {
        if (!m)
                return NULL;
        good_save_now(m);
        free_objects(m);
        relay_link_free(m->relay);
        resolver_free(m->resolver);
        sd_event_source_disable_unref(m->bpf_events);
        sd_event_source_disable_unref(m->watch);
        tables_free(m->tables);
        fast_free(m->fast);
        ungoverned_free(m->ungoverned);
        bpf_programs_free(m->bpf);
        if (m->bus)
                manager_bus_done(m);
        vip_register_free(m->vips);
        for (size_t i = 0; i < m->n_policies; i++)
                policy_free(m->policies[i]);
        free(m->policies);
        for (size_t i = 0; i < m->n_problems; i++) {
                free(m->problems[i].id);
                free(m->problems[i].sentence);
        }
        free(m->problems);
        free(m->lingering);
        free(m->cgroup_root);
        free(m->state_directory);
        free(m->settings);
        sd_event_unref(m->event);
        free(m);
        return NULL;
}

static Problem *find_problem(Manager *m, const char *id) {
        for (size_t i = 0; i < m->n_problems; i++)
                if (streq(m->problems[i].id, id))
                        return &m->problems[i];
        return NULL;
}

static void clear_problem(Manager *m, Problem *p) {
        log_notice("No longer the case: %s", p->sentence);
        free(p->id);
        free(p->sentence);
        *p = m->problems[--m->n_problems];
}

static int add_problem(Manager *m, const char *id, const char *sentence) {
        _cleanup_free_ char *own_id = strdup(id), *own_sentence = strdup(sentence);
        int r;

        if (!own_id || !own_sentence)
                return -ENOMEM;
        r = array_reserve(&m->problems, m->n_problems, sizeof(*m->problems));
        if (r < 0)
                return r;
        m->problems[m->n_problems++] = (Problem) { TAKE_PTR(own_id), TAKE_PTR(own_sentence) };
        return 0;
}

void manager_set_problem(Manager *m, const char *id, const char *sentence) {
        Problem *p = find_problem(m, id);
        size_t before = m->n_problems;
        int r = 0;

        if (!sentence && !p)
                return;
        if (sentence && p && streq(p->sentence, sentence))
                return;
        if (!sentence)
                clear_problem(m, p);
        else {
                log_warning("%s", sentence);
                r = p ? strdup_to(&p->sentence, sentence) : add_problem(m, id, sentence);
        }
        if (r < 0)
                (void) log_oom();
        manager_bus_changed(m, "Problems");
        if ((before == 0) != (m->n_problems == 0))
                manager_bus_changed(m, "State");
}

const char *manager_state(const Manager *m) {
        return m->n_problems > 0 ? "degraded" : "running";
}

RelayState manager_relay_state(const Manager *m) {
        return m->relay ? relay_link_state(m->relay) : RELAY_DOWN;
}

Service *manager_find_service(const Manager *m, uint32_t id) {
        size_t position = 0;
        Service *s;

        while ((s = hashmap_next(m->services, &position)))
                if (s->id == id)
                        return s;
        return NULL;
}

static Endpoint *find_endpoint(const Service *s, uint32_t id) {
        for (size_t i = 0; i < s->n_subsets; i++)
                for (size_t j = 0; j < s->subsets[i].n_endpoints; j++)
                        if (s->subsets[i].endpoints[j]->id == id)
                                return s->subsets[i].endpoints[j];
        return NULL;
}

void manager_endpoint_event(Manager *m, const struct sm_link_event *event) {
        Service *s = manager_find_service(m, event->service);
        Endpoint *e = s ? find_endpoint(s, event->endpoint) : NULL;
        _cleanup_free_ char *address = NULL;

        if (!e || endpoint_address_string(e, &address) < 0)
                return;
        if (event->event == SM_EVENT_ENDPOINT_AVOIDED)
                log_notice("Endpoint %s of %s fails, avoiding it for a while: %s", address, s->name,
                           strerror(event->detail));
        else
                log_info("Endpoint %s of %s is back.", address, s->name);
        manager_watch(m);
}

int manager_refresh_service(Manager *m, Service *s) {
        int r;

        r = service_commit(s);
        if (r < 0)
                return r;
        manager_watch(m);
        if (m->relay)
                relay_link_epoch_grew(m->relay);
        return 0;
}

static int on_watch_timer(sd_event_source *s, uint64_t usec, void *userdata) {
        manager_watch(userdata);
        return 0;
}

void manager_watch(Manager *m) {
        size_t n = endpoints_watch(m) + slices_watch(m);
        int r = 0;

        if (n == 0)
                return;
        if (!m->watch)
                r = sd_event_add_time_relative(m->event, &m->watch, CLOCK_MONOTONIC, WATCH_USEC, 0,
                                               on_watch_timer, m);
        else
                r = sd_event_source_set_time_relative(m->watch, WATCH_USEC);
        if (r >= 0)
                r = sd_event_source_set_enabled(m->watch, SD_EVENT_ONESHOT);
        if (r < 0)
                log_warning_errno(r, "Failed to watch endpoints and slices, ignoring: %m");
}

void manager_epoch_passed(Manager *m) {
        int r;

        if (!m->commit_pending)
                return;
        r = manager_apply(m);
        if (r < 0)
                log_warning_errno(r, "Failed to put the rest of the policy in force, ignoring: %m");
}

void manager_detach(Manager *m) {
        const char *path = m->settings->pin_path;
        int r;

        if (m->relay)
                relay_link_stop(m->relay);
        r = bpf_pins_remove(path);
        if (r < 0)
                log_warning_errno(r, "Failed to remove the pins below %s, ignoring: %m", path);
        else
                log_info("Detached from all slices.");
}
