/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "ctl-mesh.h"
#include "ctl-verb.h"

/* Calls a method of the service with a message that `fill` completes, and prints where the routes go that
 * it has changed. */
ExitStatus routes_change(const Options *o, const char *service, const char *method,
                         int (*fill)(sd_bus_message *m, const void *userdata), const void *userdata);
