/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdio.h>

#include "policy.h"

/* One item of the list `routes`, for policy_service_dump(). */
void dump_route(FILE *f, const PolicyService *s, const PolicyRoute *r);
