/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "relay-head-write.h"

/*
 * What a route changes in heads, copied out of the policy: the request's may be written once more, and the
 * response's is written, when the policy has been let go of.
 */
typedef struct Changes {
        Text host, prefix; /* of the request, as in RequestEdit */
        uint32_t skip;
        FieldChanges request, response;
        FieldChange fields[]; /* of both; the texts are behind them */
} Changes;

/* Of the policy at that cell; allocated. *ret is NULL if the actions change nothing. -ENOMEM; -EBADMSG: the
 * table does not hold what the actions say. */
int changes_new(const struct sm_tables *t, __u32 base, const struct sm_actions *a, Changes **ret);
