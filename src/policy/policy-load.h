/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdio.h>

#include "policy.h"

/* Beside policy_load() and policy_load_directory() of policy.h. */

/* A file with services, in memory; `name` is what errors call it. */
int policy_load_memory(const char *name, const char *data, size_t size, Policy **ret);

/*
 * The last good policies, which slicemeshd keeps over its restart: one file NAME.yaml for each service in
 * `directory`, without drop-ins. What is saved loads back to an equal model, but for the origins.
 */
int policy_save_good(const char *directory, const PolicyService *s);
int policy_remove_good(const char *directory, const char *name); /* fine if there is none */
int policy_load_good(const char *directory, Policy **ret);

int policy_service_dump(const PolicyService *s, FILE *f);
bool policy_service_equal(const PolicyService *a, const PolicyService *b); /* origins apart */
