/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <sched.h>

#include <systemd/sd-daemon.h>

#include "../basic/array-util.h"
#include "../basic/cleanup.h"
#include "../basic/log.h"
#include "../basic/string-util.h"
#include "../policy/policy-load.h"
#include "daemon-bpf.h"
#include "daemon-bus.h"
#include "daemon-fast.h"
#include "daemon-good.h"
#include "daemon-overrides.h"
#include "daemon-relay-link.h"
#include "daemon-reload.h"
#include "daemon-tables.h"

DEFINE_TRIVIAL_CLEANUP(Policy *, policy_free)

/*
 * From policy files to what is in force. A service whose definition is broken keeps the last good one; the
 * others go on. New addresses are known before old ones are forgotten, and what a service leaves behind is
 * withdrawn last of all.
 */

int manager_keep_policy(Manager *m, Policy *policy) {
        int r;

        r = array_reserve(&m->policies, m->n_policies, sizeof(*m->policies));
        if (r < 0)
                return r;
        m->policies[m->n_policies++] = policy;
        return 0;
}

static bool policy_is_used(const Manager *m, const Policy *p) {
        size_t position = 0;
        Service *s;

        if (p == m->policy || &p->mesh == m->mesh)
                return true;
        while ((s = hashmap_next(m->services, &position)))
                if (s->model && s->model == policy_find_service(p, s->name))
                        return true;
        return false;
}

static void drop_unused_policies(Manager *m) {
        size_t n = 0;

        for (size_t i = 0; i < m->n_policies; i++)
                if (policy_is_used(m, m->policies[i]))
                        m->policies[n++] = m->policies[i];
                else
                        policy_free(m->policies[i]);
        m->n_policies = n;
}

static bool lies_in_network(const struct in6_addr *address, const PolicyMesh *mesh) {
        uint32_t a = ntohl(address->s6_addr32[3]), n = ntohl(mesh->vip_network.s6_addr32[3]);

        return IN6_IS_ADDR_V4MAPPED(address) && (a ^ n) >> (32 - mesh->vip_prefix) == 0;
}

/* A real address that is captured cannot be handed out, so it need not be claimed. */
static int find_address(Manager *m, const PolicyService *model, struct in6_addr *ret) {
        const PolicyMesh *mesh = m->mesh;
        int r;

        if (!model->has_address)
                return vip_register_get(m->vips, model->name, &mesh->vip_network, mesh->vip_prefix, ret);
        if (lies_in_network(&model->address, mesh)) {
                r = vip_register_claim(m->vips, model->name, &model->address);
                if (r < 0)
                        return r;
        }
        *ret = model->address;
        return 0;
}

/* Sets (errno) or clears (0) the problem that a service as it stands in the files is not in force. */
static void service_problem(Manager *m, const char *name, int error) {
        static const struct {
                int error;
                const char *sentence;
        } known[] = {
                { -EEXIST, "its address was given to another service before" },
                { -ENOSPC, "the tables or the network of addresses are full; raise the caps in mesh.yaml" },
                { -E2BIG, "a schedule would be too long: its names have too many addresses, or its weights "
                          "too little in common" },
        };
        _cleanup_free_ char *id = NULL, *sentence = NULL;
        const char *why = strerror(-error);

        for (size_t i = 0; i < ELEMENTSOF(known); i++)
                if (known[i].error == error)
                        why = known[i].sentence;
        if (asprintf(&id, "service-not-applied:%s", name) < 0)
                return;
        if (error < 0 &&
            asprintf(&sentence, "Service %s is not in force as its file has it: %s.", name, why) < 0)
                return;
        manager_set_problem(m, id, sentence);
}

static int apply_model(Manager *m, const PolicyService *model, Service **ret) {
        Service *s = hashmap_get(m->services, model->name);
        bool fresh = !s;
        int r;

        if (fresh) {
                r = service_new(m, model->name, &s);
                if (r < 0)
                        return r;
        }
        r = service_apply(s, model);
        if (r < 0) {
                if (fresh) {
                        service_withdraw(s);
                        service_free(s);
                }
                return r;
        }
        *ret = s;
        return fresh;
}

static void set_service_state(Service *s, ServiceState state) {
        if (s->state == state)
                return;
        s->state = state;
        service_bus_changed(s, "State");
}

/* The address is in the register, and on disk, before it is used. */
static int apply_service(Manager *m, const PolicyService *model, const struct in6_addr *address) {
        const PolicyService *before;
        Service *s = hashmap_get(m->services, model->name);
        int r, fresh;

        before = s ? s->model : NULL;
        r = fresh = apply_model(m, model, &s);
        if (r < 0)
                return r;
        if (!IN6_ARE_ADDR_EQUAL(&s->address, address) || s->port != model->port) {
                s->address = *address;
                s->port = model->port;
                service_bus_changed(s, "Address");
        }
        s->leaving = false;
        set_service_state(s, SERVICE_ACTIVE);
        if (fresh)
                service_bus_added(s);
        if (!before || (before != model && !policy_service_equal(before, model)))
                good_save_soon(s);
        return 0;
}

/* Addresses that could not be recorded are not used: after the next start they might be another's. */
static void save_addresses(Manager *m, int *results) {
        _cleanup_free_ char *sentence = NULL;
        const Policy *p = m->policy;
        int r;

        r = vip_register_save(m->vips);
        if (r < 0) {
                for (size_t i = 0; i < p->n_services; i++)
                        if (!p->services[i]->has_address && !hashmap_get(m->services, p->services[i]->name))
                                results[i] = r;
                if (asprintf(&sentence, "Addresses of services cannot be saved in %s (%s): who has none yet "
                             "gets none.", m->state_directory, strerror(-r)) < 0)
                        return;
        }
        manager_set_problem(m, "addresses-not-saved", sentence);
}

static int apply_services(Manager *m) {
        _cleanup_free_ struct in6_addr *addresses = calloc(m->policy->n_services + 1, sizeof(*addresses));
        _cleanup_free_ int *results = calloc(m->policy->n_services + 1, sizeof(*results));
        const Policy *p = m->policy;
        int r;

        if (!addresses || !results)
                return -ENOMEM;
        for (size_t i = 0; i < p->n_services; i++)
                results[i] = find_address(m, p->services[i], &addresses[i]);
        save_addresses(m, results);

        m->commit_pending = false;
        for (size_t i = 0; i < p->n_services; i++) {
                r = results[i];
                if (r >= 0) {
                        r = apply_service(m, p->services[i], &addresses[i]);
                        if (r == -ENOSPC)
                                m->commit_pending = true;
                }
                service_problem(m, p->services[i]->name, r);
        }
        return 0;
}

/* Whether the files have errors that may be why they do not define the service. */
static bool service_is_broken(const Manager *m, const char *name, const PolicyService *model) {
        const Policy *p = m->policy;

        for (size_t i = 0; i < p->n_errors; i++)
                if (streq_null(p->errors[i].service, name))
                        return true;
        /* Which file the last good policy from before a restart came from is not known. */
        if (!model || startswith(model->origin.file, m->state_directory))
                return p->broken_files && p->broken_files[0];
        return strv_contains(p->broken_files, model->origin.file);
}

/* A service that is in force, or was before a restart, but that the files do not define now. 1 = it
 * stays. */
static int keep_stale(Manager *m, Service *s, const Policy *good) {
        const PolicyService *model = s->model;
        struct in6_addr address;
        int r;

        if (!service_is_broken(m, s->name, model))
                return 0;
        if (!model) {
                model = good ? policy_find_service(good, s->name) : NULL;
                if (!model)
                        return 0;
                r = find_address(m, model, &address);
                if (r >= 0)
                        r = apply_service(m, model, &address);
                if (r < 0)
                        return log_warning_errno(r, "Failed to keep the good policy of %s: %m", s->name);
        }
        set_service_state(s, SERVICE_STALE);
        return 1;
}

/* Whether a service that was found in the tables could not be given the model that it has now. */
static bool has_unfit(const Manager *m) {
        size_t position = 0;
        Service *s;

        while ((s = hashmap_next(m->services, &position)))
                if (!s->model && policy_find_service(m->policy, s->name))
                        return true;
        return false;
}

/* Those that were in force before a boot are in no table any more, only among the good ones. */
static void revive_stale(Manager *m, const Policy *good) {
        struct in6_addr address;
        Service *s;
        int r;

        for (size_t i = 0; i < good->n_services; i++) {
                const PolicyService *model = good->services[i];

                if (hashmap_get(m->services, model->name) || policy_find_service(m->policy, model->name) ||
                    !service_is_broken(m, model->name, NULL))
                        continue;
                r = find_address(m, model, &address);
                if (r >= 0)
                        r = vip_register_save(m->vips);
                if (r >= 0)
                        r = apply_service(m, model, &address);
                service_problem(m, model->name, r);
                s = hashmap_get(m->services, model->name);
                if (s)
                        set_service_state(s, SERVICE_STALE);
        }
}

/* Marks the services that go; they are withdrawn once nobody can find their addresses any more. */
static size_t find_gone(Manager *m, const Policy *good, Service **ret) {
        size_t position = 0, n = 0;
        Service *s;

        while ((s = hashmap_next(m->services, &position))) {
                if (policy_find_service(m->policy, s->name) && s->model)
                        continue; /* in force, if perhaps as it was before */
                if (keep_stale(m, s, good) > 0)
                        continue;
                s->leaving = true;
                ret[n++] = s;
        }
        return n;
}

static void withdraw_gone(Manager *m, Service **gone, size_t n) {
        for (size_t i = 0; i < n; i++) {
                Service *s = gone[i];

                for (size_t j = 0; j < s->n_subsets; j++)
                        for (size_t k = 0; k < s->subsets[j].n_endpoints; k++)
                                endpoint_bus_removed(s->subsets[j].endpoints[k]);
                service_bus_removed(s);
                service_problem(m, s->name, 0);
                good_remove(m, s->name);
                service_withdraw(s);
                service_free(s);
        }
}

int manager_apply_with_good(Manager *m, const Policy *good) {
        _cleanup_free_ Service **gone = NULL;
        size_t n_gone;
        int r;

        r = apply_services(m);
        if (r >= 0 && m->commit_pending && has_unfit(m)) {
                /* At a start: rather than withdraw what is in force, use the room that an epoch nobody
                 * knows of was waited for. */
                tables_epoch_passed(m->tables, tables_epoch(m->tables));
                r = apply_services(m);
        }
        if (r < 0)
                return r;
        if (good) {
                good_is_saved(m, good);
                revive_stale(m, good);
        }
        gone = calloc(hashmap_size(m->services) + 1, sizeof(Service *));
        if (!gone)
                return -ENOMEM;
        n_gone = find_gone(m, good, gone);
        r = manager_add_slices(m);
        if (r >= 0)
                r = manager_set_vips(m);
        if (r >= 0)
                withdraw_gone(m, gone, n_gone);
        manager_remove_slices(m);
        manager_forget_names(m);
        drop_unused_policies(m);
        manager_watch(m);
        (void) sd_notifyf(false, "STATUS=%zu services, %zu slices.", hashmap_size(m->services),
                          hashmap_size(m->slices));
        if (m->relay)
                relay_link_epoch_grew(m->relay);
        return r;
}

int manager_apply(Manager *m) {
        return manager_apply_with_good(m, NULL);
}

unsigned manager_n_workers(const PolicyMesh *mesh) {
        cpu_set_t cpus;

        if (mesh->relay_workers > 0)
                return MIN(mesh->relay_workers, (unsigned) SM_WORKERS_MAX);
        if (sched_getaffinity(0, sizeof(cpus), &cpus) < 0)
                return 1;
        return MIN((unsigned) CPU_COUNT(&cpus), (unsigned) SM_WORKERS_MAX);
}

/* What the sizes of maps, the listeners and the relay were made with: only a restart can change it. */
static void check_restart_needed(Manager *m) {
        const PolicyMesh *now = m->mesh, *then = &m->started;
        bool same = now->relay_port == then->relay_port && now->relay_workers == then->relay_workers &&
                    now->max_connections == then->max_connections && now->max_head == then->max_head &&
                    now->max_buffer == then->max_buffer && now->drain_usec == then->drain_usec &&
                    now->max_services == then->max_services && now->max_endpoints == then->max_endpoints &&
                    now->max_subsets == then->max_subsets && now->max_routes == then->max_routes &&
                    now->max_cells == then->max_cells &&
                    now->fast_connections == then->fast_connections &&
                    now->fast_upstreams == then->fast_upstreams;

        manager_set_problem(m, "restart-needed", same ? NULL :
                            "mesh.yaml says otherwise of the relay, the fast path or the caps than when "
                            "slicemeshd was started: that takes effect at its next start.");
}

void manager_report_policy(Manager *m) {
        _cleanup_free_ char *sentence = NULL;
        const Policy *p = m->policy;

        for (size_t i = 0; i < p->n_errors; i++) {
                _cleanup_free_ char *text = NULL;

                if (policy_error_format(&p->errors[i], &text) >= 0)
                        log_warning("%s", text);
        }
        if (p->n_errors > 0 &&
            asprintf(&sentence, "The policy files have %zu error%s. What is concerned stays as it was.",
                     p->n_errors, p->n_errors == 1 ? "" : "s") < 0)
                return;
        manager_set_problem(m, "policy-errors", sentence);
}

/* It becomes that of the last load. */
static int take_policy(Manager *m, Policy *policy) {
        int r;

        r = manager_keep_policy(m, policy);
        if (r < 0)
                return r;
        m->policy = policy;
        /* The first one counts in any case: it has the defaults at least. */
        if (!policy->mesh_broken || !m->mesh)
                m->mesh = &policy->mesh;
        return 0;
}

int manager_load_policy(Manager *m) {
        _cleanup_(policy_freep) Policy *policy = NULL;
        int r;

        do {
                policy = policy_free(policy);
                r = policy_load(m->root, &policy);
                if (r < 0)
                        return r;
                r = override_forget(policy);
        } while (r > 0);
        if (r < 0)
                log_warning_errno(r, "Failed to forget changes of what is listed no more, ignoring: %m");

        r = take_policy(m, policy);
        if (r >= 0)
                TAKE_PTR(policy);
        return r;
}

int manager_reload(Manager *m) {
        int r;

        r = manager_load_policy(m);
        if (r < 0)
                return r;
        check_restart_needed(m);
        fast_configure(m);
        manager_report_policy(m);
        r = manager_apply(m);
        m->revision++;
        manager_bus_reloaded(m);
        return r;
}
