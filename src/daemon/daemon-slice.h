/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>

#include "../abi/abi-state.h"
#include "daemon-manager.h"

/* A managed slice: named by the policy, attached whenever systemd has a cgroup for it. */
struct Slice {
        Manager *manager;
        char *name;       /* "shop.slice" */
        uint32_t id;      /* in slice_states; kept while slicemeshd runs */
        char *cgroup;     /* "/shop.slice", NULL while the unit is not active */
        uint64_t cgroup_id;
        bool attached;
        char *problem; /* why it could not be attached, NULL if nothing is the matter */
};

int slice_new(Manager *m, const char *name, Slice **ret);
Slice *slice_free(Slice *s);

/* Follows the unit: asks systemd where its cgroup is, attaches, re-attaches under a new id, detaches. */
int slice_follow(Slice *s);

/* What the BPF programs counted for it; NULL before they are loaded. */
const struct sm_slice_state *slice_counters(const Slice *s);
