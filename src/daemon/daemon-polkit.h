/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <systemd/sd-bus.h>

#define POLKIT_ACTION_MANAGE "io.slicemesh.Mesh1.manage"

/* The calls that wait for polkit's answer. */
typedef struct PolkitQuery PolkitQuery;

/*
 * Whether the sender of `call` may do `action`: root always may, others ask polkit, and where there is no
 * polkit only root may. The loop goes on meanwhile.
 *
 * 1 = authorized. 0 = polkit is being asked: the handler returns 1 and is called again with the same
 * message, rewound, once the answer is there. Negative = refused, `error` says why.
 */
int polkit_authorize(PolkitQuery **queries, sd_bus_message *call, const char *action, sd_bus_error *error);

/* Drops all that wait; their senders get no answer. */
void polkit_queries_done(PolkitQuery **queries);
