/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdint.h>

#include "relay-tables.h"

typedef struct Worker Worker;

/* An endpoint that connections fail to is avoided for a while, by all who read endpoint_states;
 * slicemeshd is told when that begins and when it is over. `error` is a negative errno. */
void endpoint_failed(Worker *w, const SharedTables *t, uint32_t endpoint, int error);
void endpoint_succeeded(Worker *w, const SharedTables *t, uint32_t endpoint);
