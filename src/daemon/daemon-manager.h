/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>

#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#include "../basic/hashmap.h"
#include "../policy/policy-vip.h"
#include "../policy/policy.h"

struct sm_link_event;
typedef struct BpfPrograms BpfPrograms;       /* daemon-bpf.h */
typedef struct BpfSettings BpfSettings;       /* likewise */
typedef struct FastPath FastPath;             /* daemon-fast.c */
typedef struct Tables Tables;                 /* daemon-tables.h */
typedef struct LingeringSlice LingeringSlice; /* daemon-slice.c */
typedef struct RelayLink RelayLink;           /* daemon-relay-link.h */
typedef struct Resolver Resolver;             /* daemon-resolve.h */
typedef struct PolkitQuery PolkitQuery;       /* daemon-polkit.h */
typedef struct UngovernedCount UngovernedCount; /* daemon-ungoverned.c */
typedef struct Manager Manager;
typedef struct Service Service;
typedef struct Slice Slice;

typedef enum RelayState {
        RELAY_DOWN,
        RELAY_STARTING,
        RELAY_RUNNING,
        _RELAY_STATE_MAX,
} RelayState;

/* Something that keeps the mesh from being whole. At most one of each identifier at a time. */
typedef struct Problem {
        /* "policy-errors", "service-not-applied:NAME", "name-unresolved:HOST", "slice-unattached:NAME",
         * "relay-down", "relay-port-taken", "restart-needed", "addresses-not-saved" */
        char *id;
        char *sentence; /* for people: what is the matter and what it means for traffic */
} Problem;

/* The root object: owns every other one. */
struct Manager {
        sd_event *event;
        sd_bus *bus;                 /* closed by manager_bus_done() */
        PolkitQuery *authorizations; /* calls that wait for polkit */
        const char *root;            /* where etc/slicemesh and its like are looked for; NULL = "/" */

        Policy *policy;    /* of the last load, with its errors */
        Policy **policies; /* that one, and older ones that something in force still belongs to */
        size_t n_policies;
        const PolicyMesh *mesh; /* in force */
        bool commit_pending;    /* something did not fit into the tables: tried again after an epoch */
        uint64_t revision;
        Hashmap *services; /* name -> Service */
        Hashmap *slices;   /* name -> Slice */
        Problem *problems;
        size_t n_problems;

        VipRegister *vips;
        BpfPrograms *bpf;
        FastPath *fast; /* NULL before the programs are pinned */
        UngovernedCount *ungoverned; /* likewise */
        Tables *tables;
        RelayLink *relay;
        Resolver *resolver;
        sd_event_source *bpf_events, *watch, *saving;
        LingeringSlice *lingering; /* not managed any more, but with open connections */
        size_t n_lingering;

        char *cgroup_root;     /* where cgroup2 is mounted */
        char *state_directory; /* ROOT/var/lib/slicemesh */
        BpfSettings *settings; /* that programs and maps were made with */
        PolicyMesh started;    /* the numbers of `mesh` as they were at start-up */
};

/* What manager_start() may come to beside a negative errno: it has been logged. */
enum {
        _MANAGER_E_SUCCESS,
        MANAGER_E_UNAVAILABLE,   /* the kernel or the system lacks what it takes */
        MANAGER_E_NO_PERMISSION, /* this process may not do it */
        MANAGER_E_TAKEN,         /* another slicemeshd has the bus name */
        _MANAGER_E_MAX,
};

int manager_new(sd_event *event, const char *root, Manager **ret);
Manager *manager_free(Manager *m);

/* Checks the surroundings, loads and attaches, loads the policy, connects to the relay. Fails only where
 * no traffic could be governed at all, leaves nothing behind then, and logs why; anything less becomes a
 * Problem. */
int manager_start(Manager *m);

/* Leaves the mesh: nothing stays attached or pinned. Without this, traffic goes on under the policy in
 * force. */
void manager_detach(Manager *m);

/* Reads the policy anew and commits what changed. Errors of the policy are in m->policy, not returned. */
int manager_reload(Manager *m);

/* Puts the policy of the last load in force, as far as it is not: again after what did not fit may do
 * now. */
int manager_apply(Manager *m);
void manager_epoch_passed(Manager *m);

/* Looks at what changes by itself, and goes on once a second while there is something of the kind. */
void manager_watch(Manager *m);

/* The relay or sock_ops noticed that an endpoint fails, or is back. */
void manager_endpoint_event(Manager *m, const struct sm_link_event *event);

/* Commits one service again under the model that is in force: an override or an address changed. */
int manager_refresh_service(Manager *m, Service *s);

/* The addresses of all services, as the programs look them up. */
int manager_set_vips(Manager *m);

/* Sets, replaces (sentence) or clears (NULL) a problem; tells the journal and the bus of a change. */
void manager_set_problem(Manager *m, const char *id, const char *sentence);
const char *manager_state(const Manager *m);
Service *manager_find_service(const Manager *m, uint32_t id); /* NULL: there is none */
RelayState manager_relay_state(const Manager *m);
