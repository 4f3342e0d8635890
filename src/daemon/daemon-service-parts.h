/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "daemon-service.h"

/*
 * The parts of a service that have ids: made anew for each model, taking over the ids of those that were
 * there before under the same name or address.
 */
typedef struct ServiceParts {
        ServiceSubset *subsets; /* as in the model; endpoints that were there are shared with the old ones */
        size_t n_subsets;
        ServiceRoute *routes;
        size_t n_routes;
} ServiceParts;

/* Makes the parts of `model`. On failure nothing is left of them. */
int service_parts_make(Service *s, const PolicyService *model, ServiceParts *ret);

/* What is in `p` but not in `other` is freed and its ids are put back; the rest of `p` is forgotten. */
void service_parts_drop(Service *s, ServiceParts *p, const ServiceParts *other);

/* Frees all of it; ids stay taken. */
void service_parts_free(ServiceParts *p);

bool service_parts_have(const ServiceParts *p, const Endpoint *e);

/* The service's own parts, for comparison. */
ServiceParts service_parts(const Service *s);
