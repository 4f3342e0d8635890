/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdlib.h>

#include "policy-schema.h"

/* Prints what docs/policy.md has below its marker; not installed. */
int main(void) {
        policy_schema_print_reference(stdout);
        return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
