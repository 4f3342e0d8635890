/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdarg.h>

#include "../basic/macro.h"
#include "policy.h"

/* How the parts of the loader put errors on a policy's list; reading it is in policy.h. */

/* Message: a sentence. `service` and `key` may be NULL. */
int policy_error_add(Policy *p, const PolicyOrigin *origin, const char *service, const char *key,
                     const char *format, ...) _printf_(5, 6);
int policy_error_addv(Policy *p, const PolicyOrigin *origin, const char *service, const char *key,
                      const char *format, va_list ap) _printf_(5, 0);

void policy_error_done(PolicyError *e);

/* In order of file, line and column. */
void policy_errors_sort(Policy *p);

/* A copy that lives as long as the policy; NULL if out of memory. */
const char *policy_intern(Policy *p, const char *s);
struct PolicyStrings *policy_strings_free(struct PolicyStrings *s);

/* Moves services, errors and strings of `part` to the end of those of `p`. */
int policy_take_part(Policy *p, Policy *part);
