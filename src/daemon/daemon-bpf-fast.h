/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "../abi/abi-slot.h"
#include "daemon-bpf.h"

/*
 * The fast path's programs (docs/fast-path.md). They belong to no slice, but to the maps of sockets, to the
 * end of send(), and to the relay's cgroup. What is attached is pinned beside the maps and outlives
 * slicemeshd; the next one puts its programs in the place of those that it finds.
 */

/* 0, or the negative errno with which the kernel refused them; then bpf_programs_new() has gone on without.
 * -EOPNOTSUPP: BpfSettings.fast was not set. */
int bpf_fast_loaded(const BpfPrograms *b);

/* Attaches all but the relay's; once. *ret_features is what is in working order (enum sm_fast_feature), on
 * failure too; the errno is that of the first thing that is not. */
int bpf_fast_attach(BpfPrograms *b, uint32_t *ret_features);

/* To the cgroup that the relay is alone in, in place of an earlier relay's. */
int bpf_fast_attach_relay(BpfPrograms *b, const char *cgroup);

/* What the programs and the relay read; slicemeshd alone writes it. Mapped, and `b`'s. */
struct sm_fast_control *bpf_fast_control(const BpfPrograms *b);
