/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "../policy/policy-compile.h"
#include "daemon-manager.h"

/* What a start and a reload share; see daemon-reload.c. */

/* The policy belongs to the manager now, until nothing in force is of it any more. */
int manager_keep_policy(Manager *m, Policy *policy);

/* Reads the files; what they say becomes m->policy. Changes made over the bus of what they do not list
 * any more are forgotten. */
int manager_load_policy(Manager *m);

/* Tells the journal and the bus of the errors in the files. */
void manager_report_policy(Manager *m);

/* `good`: the last good policies from before a start, for services whose files are broken; or NULL. */
int manager_apply_with_good(Manager *m, const Policy *good);

/* Slices that are to be managed and are not yet; and the other way round. */
int manager_add_slices(Manager *m);
void manager_remove_slices(Manager *m);

/* All of them, by name, for policies that go by slices. The list is the caller's, the names are not. */
int manager_bind_slices(Manager *m, BoundSlice **ret, size_t *ret_n);

/* The resolver's handler, and what it said of names that no service uses any more. */
void manager_names_changed(const char *host, const struct in6_addr *addresses, size_t n, const char *error,
                           void *userdata);
void manager_forget_names(Manager *m);

unsigned manager_n_workers(const PolicyMesh *mesh);
