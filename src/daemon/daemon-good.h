/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "daemon-service.h"

/*
 * The last good policies, for a start with broken files. Each takes two syncs of a disk: they are written
 * once nothing else is to be done, so that neither the policy in force nor the bus waits for them.
 */

/* The model that the service has got now, or gets until then. */
void good_save_soon(Service *s);

/* What waits to be written. */
void good_save_now(Manager *m);

/* What the services in force have in common with `good` need not be written again. */
void good_is_saved(Manager *m, const Policy *good);

void good_remove(Manager *m, const char *name);
