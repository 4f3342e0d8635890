/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "../basic/cleanup.h"
#include "../policy/policy.h"
#include "ctl-mesh.h"

/*
 * Policy files read by slicemeshctl itself, without slicemeshd.
 */
DEFINE_TRIVIAL_CLEANUP(Policy *, policy_free)

/* From one directory that is laid out like /etc/slicemesh, or from all of those below `root`; at most one
 * of them may be given. Says what is wrong if nothing can be read; errors in the files are in the policy. */
ExitStatus load_policy(const char *directory, const char *root, Policy **ret);

/* The errors as the bus has them, for what prints those. The texts stay the policy's. */
int policy_errors_view(const Policy *p, MeshErrors *ret);
