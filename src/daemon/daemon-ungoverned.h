/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "daemon-manager.h"

/*
 * How many connections to services go past the mesh, for each slice: those that were open before its cgroup
 * was managed, or their address a service's. Nobody can take hold of them; they are counted until they end.
 */

int ungoverned_new(Manager *m, UngovernedCount **ret);
UngovernedCount *ungoverned_free(UngovernedCount *u);

/* There may be some that were none before: counts as soon as the event loop has nothing else to do, then at
 * intervals until there are none left. */
void ungoverned_recount(UngovernedCount *u);
