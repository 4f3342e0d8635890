/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "ctl-mesh.h"

enum {
        ENDPOINT_E_NONE = 1,      /* nothing matches */
        ENDPOINT_E_AMBIGUOUS = 2, /* several do */
};

/*
 * The endpoint that a person means by "[SUBSET/]ENDPOINT": its text in the policy or its address, or else
 * its host without the port, or else the beginning of one of them. The first of these that matches anything
 * decides. Addresses of one name count as one endpoint: what is changed is the entry in the policy.
 */
int endpoint_find(const MeshService *s, const char *pattern, const MeshEndpoint **ret);

/* Calls a method of each endpoint: finds them all first, so that a typing error changes nothing. `weight` is
 * the first argument unless it is NULL. */
ExitStatus endpoints_call(const Options *o, const char *service, char **patterns, size_t n,
                          const char *method, const uint32_t *weight);
