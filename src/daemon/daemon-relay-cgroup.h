/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "daemon-manager.h"

/*
 * Where the relay lives, as systemd says: slicemeshd cannot look into the /proc of another user's process
 * (ProtectProc=). The handler is called once and later, unless the question is withdrawn before: with the
 * cgroup of the service that the process belongs to, or with NULL if there is none, or if it lies in a
 * managed slice. It may free the question.
 */
typedef struct RelayCgroup RelayCgroup;
typedef void (*relay_cgroup_handler_t)(const char *cgroup, void *userdata);

int relay_cgroup_ask(Manager *m, pid_t pid, relay_cgroup_handler_t handler, void *userdata,
                     RelayCgroup **ret);
RelayCgroup *relay_cgroup_free(RelayCgroup *c);
