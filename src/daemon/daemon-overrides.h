/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>

#include "../policy/policy.h"

/*
 * What an administrator changed over the bus, kept as drop-ins that the policy loader reads like any
 * other: etc/slicemesh/services/NAME.d/50-bus.yaml when it is to persist, else
 * run/slicemesh/services/NAME.d/90-bus.yaml, which wins over the former. A change that is to persist
 * also takes the same setting out of the file below run/. Written to a temporary file, synced, renamed.
 *
 * -EINVAL for a name that no policy can hold, -EEXIST if a file of that name was not written by us (it is
 * left alone), -EBADMSG if it was, but has been changed since to something else than we write.
 */
int override_set_weight(const char *root, const char *service, const char *subset, const char *endpoint,
                        unsigned weight, bool persist);
int override_set_admin(const char *root, const char *service, const char *subset, const char *endpoint,
                       EndpointAdmin admin, bool persist);
int override_set_balance(const char *root, const char *service, const char *subset, enum sm_balance balance,
                         bool persist);

/* Where each of these routes, which are of the service, goes by now, and perhaps what it mirrors to: all of
 * them or none. */
int override_set_routes(const char *root, const PolicyService *s, PolicyRoute *const *routes, size_t n,
                        bool mirrors, bool persist);

/* After a load: takes endpoints, subsets and routes that the policy does not list any more out of our files,
 * where they are errors. 1 = something was taken out, and logged: load again, and ask again, as an error
 * names only one of the files that have it. 0 = nothing. */
int override_forget(const Policy *p);
