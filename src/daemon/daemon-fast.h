/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "../abi/abi-slot.h"
#include "../abi/abi-slow.h"
#include "daemon-manager.h"

/*
 * Whether the kernel serves requests: what of the fast path is there, whether it is switched on, and what to
 * tell people where it is not. Nothing here is a problem of the mesh: without the fast path the relay serves
 * every request, by the same rules.
 */

/* Attaches what bpf_programs_new() has loaded; fast_configure() then sets it going. Never fails for what
 * this kernel lacks. */
int fast_new(Manager *m, FastPath **ret);
FastPath *fast_free(FastPath *f);

/* enum sm_fast_feature: what is in use now; and what would be, were it switched on. */
uint32_t fast_features(const Manager *m);
uint32_t fast_available(const Manager *m);

/* The switch. It is one word in shared memory, and connections that are open follow it at their next
 * request. It holds over a restart of slicemeshd, until it is switched again or mesh.yaml says something
 * else than it did before. */
bool fast_is_enabled(const Manager *m);
void fast_set_enabled(Manager *m, bool enabled);

/* What mesh.yaml says now. */
void fast_configure(Manager *m);

/* Why fast_features() is not all of them: SM_SLOW_OFF, SM_SLOW_UNAVAILABLE, or SM_SLOW_NONE if it is.
 * *ret_sentence is for people, NULL with SM_SLOW_NONE, and good until the event loop goes on. */
enum sm_slow fast_why(const Manager *m, const char **ret_sentence);

/* The relay that has come lives in this cgroup, below m->cgroup_root; NULL: nobody knows in which. To be
 * called before it starts to carry traffic. */
void fast_relay_came(Manager *m, const char *cgroup);

/* It does, or it has gone: its upstream connections are looked after, or not. */
void fast_relay_runs(Manager *m, bool runs);
