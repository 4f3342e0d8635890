/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "../abi/abi-trace.h"
#include "../engine/engine-access.h"

/* Who a traced request is of; NULL where it is not known. */
typedef struct TraceNames {
        const char *service;
        const char *slice;
        const char *cgroup; /* path of the caller's control group */
} TraceNames;

/* JSON text of what the relay told of a request, as docs/policy.md describes; what the signal Traced
 * carries. If the policy that it was decided by is not in the tables any more, its words are missing. */
int policy_trace_to_json(const struct sm_tables *t, const TraceNames *names,
                         const struct sm_link_trace *trace, char **ret);
