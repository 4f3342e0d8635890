/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdarg.h>
#include <sys/stat.h>

#include <systemd/sd-daemon.h>

#include "../basic/cleanup.h"
#include "../basic/log.h"
#include "../basic/macro.h"
#include "../basic/time-util.h"
#include "../policy/policy-load.h"
#include "daemon-bpf.h"
#include "daemon-bus.h"
#include "daemon-fast.h"
#include "daemon-relay-link.h"
#include "daemon-reload.h"
#include "daemon-resolve.h"
#include "daemon-surroundings.h"
#include "daemon-tables.h"
#include "daemon-ungoverned.h"

/*
 * manager_start(): in the order that lets it fail before anything outlives the process. Two things are
 * decisive: the bus name is ours before a table is touched that another slicemeshd may be working on,
 * and nothing is pinned before all that can fail has not.
 */

#define SETTLE_USEC (5 * USEC_PER_SEC) /* for systemd to answer about the slices */

/* Why there is no start, also for systemd: `systemctl status` and slicemeshctl have it from there when
 * nobody else is left to ask. */
static void _printf_(1, 2) refuse(const char *format, ...) {
        _cleanup_free_ char *sentence = NULL;
        va_list ap;
        int r;

        va_start(ap, format);
        r = vasprintf(&sentence, format, ap);
        va_end(ap);
        if (r < 0) {
                sentence = NULL;
                return (void) log_oom();
        }
        log_error("%s", sentence);
        (void) sd_notifyf(false, "STATUS=%s", sentence);
}

static int check_surroundings(Manager *m) {
        const char *sentence;
        int r;

        r = surroundings_check(&sentence);
        if (r > 0)
                refuse("%s", sentence);
        if (r != 0)
                return r;
        r = surroundings_cgroup_root(&m->cgroup_root);
        return r < 0 ? log_error_errno(r, "Failed to find the cgroup hierarchy: %m") : 0;
}

static int load_policy(Manager *m) {
        int r;

        r = manager_load_policy(m);
        return r < 0 ? log_error_errno(r, "Failed to read the policy files: %m") : 0;
}

static void choose_settings(Manager *m) {
        const PolicyMesh *mesh = m->mesh;
        const char *why_not;

        *m->settings = (BpfSettings) {
                .pin_path = surroundings_pin_path(),
                .relay_port = relay_link_has_listeners(m->relay) ? mesh->relay_port : 0,
                .max_services = mesh->max_services,
                .max_endpoints = mesh->max_endpoints,
                .max_subsets = mesh->max_subsets,
                .max_routes = mesh->max_routes,
                .max_cells = (uint32_t) MIN(mesh->max_cells, (uint64_t) UINT32_MAX - 1),
                .max_connections = mesh->max_connections,
                .fast_connections = mesh->fast_connections,
                .fast_upstreams = mesh->fast_upstreams,
                .workers = manager_n_workers(mesh),
                .max_head = (unsigned) mesh->max_head,
                .fast = surroundings_fast_path(&why_not),
        };
}

static int map_tables(Manager *m) {
        uint32_t entries[_SM_TABLE_MAX];
        int fds[_SM_TABLE_MAX];

        bpf_programs_tables(m->bpf, fds, entries);
        return tables_new(fds, entries, &m->tables);
}

static int load_programs(Manager *m) {
        int r;

        choose_settings(m);
        r = bpf_programs_new(m->settings, &m->bpf);
        if (r == -EPERM) {
                refuse("The kernel does not let this process load BPF programs, in spite of its "
                       "capabilities: is it locked down, or is bpf(2) filtered?");
                return MANAGER_E_NO_PERMISSION;
        }
        if (r < 0) {
                refuse("The kernel refuses the BPF programs (%s): it is too old, or was built without "
                       "CONFIG_CGROUP_BPF. SLICEMESH_LOG=debug shows why.", strerror(-r));
                return MANAGER_E_UNAVAILABLE;
        }

        r = map_tables(m);
        if (r == -EUCLEAN) {
                log_warning("What is pinned contradicts itself: starting over with empty tables.");
                m->bpf = bpf_programs_free(m->bpf);
                r = bpf_pins_remove(m->settings->pin_path);
                if (r >= 0)
                        r = bpf_programs_new(m->settings, &m->bpf);
                if (r >= 0)
                        r = map_tables(m);
        }
        return r < 0 ? log_error_errno(r, "Failed to map the shared tables: %m") : 0;
}

static int connect_bus(Manager *m) {
        int r;

        r = sd_bus_open_system_with_description(&m->bus, "slicemeshd");
        if (r < 0)
                return log_error_errno(r, "Failed to connect to the system bus: %m");
        /* systemd starts us anew when there is a bus again; traffic goes on meanwhile. */
        r = sd_bus_set_exit_on_disconnect(m->bus, true);
        if (r >= 0)
                r = sd_bus_attach_event(m->bus, m->event, SD_EVENT_PRIORITY_NORMAL);
        if (r < 0)
                return log_error_errno(r, "Failed to attach the bus to the event loop: %m");
        r = manager_bus_setup(m);
        if (r == -EEXIST) {
                refuse("The bus name " SM_BUS_NAME " is taken: another slicemeshd is running.");
                return MANAGER_E_TAKEN;
        }
        return r < 0 ? log_error_errno(r, "Failed to set up the bus objects: %m") : 0;
}

static int open_resolver(Manager *m) {
        int r;

        r = resolver_new(m->event, manager_names_changed, m, &m->resolver);
        return r < 0 ? log_error_errno(r, "Failed to set up the resolver: %m") : 0;
}

/* Without its port there is no relay, and http services refuse; but tcp services need none. */
static int open_listeners(Manager *m) {
        _cleanup_free_ char *sentence = NULL;
        Listeners *listeners = NULL;
        int r;

        m->started = *m->mesh;
        r = listeners_open(m->started.relay_port, manager_n_workers(&m->started), &listeners);
        if (r == -EADDRINUSE) {
                if (asprintf(&sentence, "Port %u of 127.0.0.1 or ::1, which is for the relay, is taken by "
                             "another program: connections to http services are refused. Choose another one "
                             "in mesh.yaml, `relay: {port: ...}`, and restart slicemeshd.",
                             m->started.relay_port) < 0)
                        return log_oom();
                manager_set_problem(m, "relay-port-taken", sentence);
        } else if (r < 0)
                return log_error_errno(r, "Failed to bind the relay's sockets: %m");

        r = relay_link_new(m, surroundings_relay_socket(), listeners, &m->relay);
        if (r < 0) {
                listeners_free(listeners);
                return log_error_errno(r, "Failed to set up the link to the relay: %m");
        }
        return 0;
}

static int load_register(Manager *m) {
        _cleanup_free_ char *path = NULL;
        unsigned line = 0;
        int r;

        if (mkdir(m->state_directory, 0755) < 0 && errno != EEXIST)
                return log_error_errno(-errno, "Failed to create %s: %m", m->state_directory);
        if (asprintf(&path, "%s/addresses", m->state_directory) < 0)
                return log_oom();
        r = vip_register_load(path, &m->vips, &line);
        if (r == -EBADMSG)
                return log_error_errno(r, "%s:%u: the register of service addresses is damaged. It is not "
                                       "overwritten; repair or remove the line.", path, line);
        return r < 0 ? log_error_errno(r, "Failed to read %s: %m", path) : 0;
}

static int adopt_services(Manager *m) {
        const struct sm_tables *t = tables_view(m->tables);
        int r;

        for (uint32_t i = 1; i < t->n_services; i++) {
                Service *s;

                if (t->services[i].root == 0)
                        continue;
                r = service_adopt(m, i, &s);
                if (r < 0)
                        return log_error_errno(r, "Failed to take over a service: %m");
        }
        return 0;
}

static int tell_event(sd_event_source *s, int fd, uint32_t revents, void *userdata) {
        Manager *m = userdata;
        int r;

        r = bpf_events_read(m->bpf);
        if (r < 0)
                log_warning_errno(r, "Failed to read what the programs tell, ignoring: %m");
        return 0;
}

static void handle_event(const struct sm_link_event *event, void *userdata) {
        manager_endpoint_event(userdata, event);
}

static int open_events(Manager *m) {
        int fd, r;

        r = bpf_events_open(m->bpf, handle_event, m, &fd);
        if (r >= 0)
                r = sd_event_add_io(m->event, &m->bpf_events, fd, EPOLLIN, tell_event, m);
        return r < 0 ? log_error_errno(r, "Failed to listen to the programs: %m") : 0;
}

/* Puts the policy in force, and pins it. */
static int take_over(Manager *m) {
        _cleanup_free_ char *directory = NULL;
        Policy *good = NULL;
        int r;

        r = adopt_services(m);
        if (r < 0)
                return r;
        r = asprintf(&directory, "%s/good", m->state_directory) < 0 ? -ENOMEM : 0;
        if (r >= 0)
                r = policy_load_good(directory, &good);
        if (r < 0)
                log_warning_errno(r, "Failed to read the last good policies, ignoring: %m");
        if (good && manager_keep_policy(m, good) < 0) {
                policy_free(good);
                good = NULL;
        }
        r = bpf_programs_pin(m->bpf);
        if (r < 0)
                return log_error_errno(r, "Failed to pin maps below %s: %m", m->settings->pin_path);
        r = fast_new(m, &m->fast);
        if (r < 0)
                return log_error_errno(r, "Failed to set up the fast path: %m");
        fast_configure(m);
        r = ungoverned_new(m, &m->ungoverned);
        if (r < 0)
                return log_error_errno(r, "Failed to set up the count of ungoverned connections: %m");
        manager_report_policy(m);
        m->revision = 1;
        r = manager_apply_with_good(m, good);
        return r < 0 ? log_error_errno(r, "Failed to put the policy in force: %m") : 0;
}

static bool slices_have_settled(const Manager *m) {
        size_t position = 0;
        Slice *s;

        while ((s = hashmap_next(m->slices, &position)))
                if (!s->settled)
                        return false;
        return true;
}

/* Who comes after us, by After=slicemeshd.service, finds its slice attached. */
static int wait_for_slices(Manager *m) {
        usec_t deadline = now_nsec() / NSEC_PER_USEC + SETTLE_USEC, now;
        int r, code;

        while (!slices_have_settled(m) && sd_event_get_exit_code(m->event, &code) == -ENODATA) {
                now = now_nsec() / NSEC_PER_USEC;
                if (now >= deadline) {
                        log_warning("systemd has not told of all slices in time, going on.");
                        break;
                }
                r = sd_event_run(m->event, deadline - now);
                if (r < 0)
                        return log_error_errno(r, "Failed to run the event loop: %m");
        }
        return 0;
}

/* Slices and maps of an earlier policy. A broken mesh.yaml is no reason to let any of them go. */
static void remove_leftovers(Manager *m) {
        _cleanup_free_ uint64_t *keep = calloc(hashmap_size(m->slices) + 1, sizeof(*keep));
        size_t position = 0, n = 0;
        Slice *s;

        if (!keep || m->policy->mesh_broken)
                return;
        while ((s = hashmap_next(m->slices, &position)))
                keep[n++] = s->cgroup_id;
        bpf_slices_prune(m->bpf, keep, n);
        bpf_programs_remove_others(m->bpf);
}

static int start_for_good(Manager *m) {
        int r;

        r = slices_subscribe(m);
        if (r < 0)
                return log_error_errno(r, "Failed to have systemd tell of units: %m");
        r = take_over(m);
        if (r < 0)
                return r;
        r = wait_for_slices(m);
        if (r < 0)
                return r;
        remove_leftovers(m);
        return 0;
}

int manager_start(Manager *m) {
        static int (*const steps[])(Manager *m) = {
                check_surroundings, load_policy,   load_register, connect_bus,
                open_listeners,     load_programs, open_events,   open_resolver,
        };
        int r;

        for (size_t i = 0; i < ELEMENTSOF(steps); i++) {
                r = steps[i](m);
                if (r != 0)
                        return r;
        }
        r = start_for_good(m);
        if (r < 0 && !bpf_programs_taken_over(m->bpf))
                bpf_programs_unpin(m->bpf);
        return r;
}
