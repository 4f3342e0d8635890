/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>

#include "../abi/abi-state.h"
#include "daemon-manager.h"

/* A managed slice: named by the policy, attached whenever systemd has a cgroup for it. */
struct Slice {
        Manager *manager;
        char *name;       /* "shop.slice" */
        uint32_t id;      /* in slice_states and slice_paths; kept while slicemeshd runs */
        char *cgroup;     /* "/shop.slice", NULL while the unit is not active */
        uint64_t cgroup_id;
        bool attached;
        uint32_t ungoverned; /* connections to services that go past the mesh */
        bool ungoverned_told;
        char *problem; /* why it could not be attached, NULL if nothing is the matter */

        char *unit; /* object path of systemd's */
        sd_bus_slot *changes, *query;
        bool query_again; /* something changed while a query was on its way */
        bool settled;     /* attached, or it is known why not: start-up need not wait for it */
};

/* The manager lists it. */
int slice_new(Manager *m, const char *name, Slice **ret);

/* Takes it off the manager's list; what is attached stays. */
Slice *slice_free(Slice *s);

/* Is not managed any more: captures nothing from here on. What counts connections down stays attached
 * until the open ones have ended. To be freed next. */
void slice_release(Slice *s);

/* Detaches from slices that were released, where the last connection has ended. How many others there
 * are. */
size_t slices_watch(Manager *m);

/* Follows the unit: has it started, asks systemd where its cgroup is, attaches, re-attaches under a new id,
 * detaches. */
int slice_follow(Slice *s);

/* Has systemd tell of units that come and go. Once, before any slice_follow(). */
int slices_subscribe(Manager *m);

/* For daemon-ungoverned.c. Tells the bus, and the journal the first time after attaching that there are
 * some. */
void slice_set_ungoverned(Slice *s, uint32_t n);

/* What the BPF programs counted for it; NULL before they are loaded. */
const struct sm_slice_state *slice_counters(const Slice *s);
