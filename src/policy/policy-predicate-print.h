/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../engine/engine-access.h"

/* What of a compiled policy is for people. `base` is the cell of the policy, as in sm_service.root. Both
 * results are allocated; -ENOMEM, or -EBADMSG where the tables do not reach what they refer to. */

int policy_text_copy(const struct sm_tables *t, uint32_t base, const struct sm_text *text, char **ret);

/* The predicates at n cells (absolute) in the words of the file: "path: {prefix: /v2}", or "host: [a, b]"
 * for several that go by the same. `absent`: {present: true} as {present: false}, which is the same
 * predicate with its jumps exchanged; others are as they stand, since their opposite is not said of one
 * value. */
int policy_predicate_format(const struct sm_tables *t, uint32_t base, const uint32_t *cells, size_t n,
                            bool absent, char **ret);
