/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "policy-yaml.h"

/* From trees of nodes to the model. */

/* Moves `endpoints`, `balance` and `hash` at the top of a service into its subset `default`, where
 * drop-ins may change them; not if there are subsets as well, which is an error that the walk reports. */
int policy_desugar(Arena *a, PolicyNode *root);

/* NULL if there is none, or it cannot be one. */
const char *policy_document_name(const PolicyNode *root);

/* *ret is NULL if it has no name; if it has errors, it is there but must not be used. */
int policy_build_service(Policy *p, const PolicyNode *root, bool partial, PolicyService **ret);
int policy_build_mesh(Policy *p, const PolicyNode *root); /* NULL: all defaults */

/* Between services: names, addresses and caps. Services that an error names are taken out. */
int policy_check(Policy *p);
