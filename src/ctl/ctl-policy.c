/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ctl-i18n.h"
#include "ctl-policy.h"
#include "ctl-terminal.h"

ExitStatus load_policy(const char *directory, const char *root, Policy **ret) {
        int r;

        if (directory && root) {
                print_error(_("A directory and --root exclude each other."));
                return STATUS_USAGE;
        }
        r = directory ? policy_load_directory(directory, ret) : policy_load(root, ret);
        if (r == -ENOMEM)
                print_oom();
        else if (r < 0)
                print_error(_("Cannot read the policy in %s: %s."), directory ?: root ?: "/", strerror(-r));
        return r < 0 ? STATUS_FAILURE : STATUS_OK;
}

int policy_errors_view(const Policy *p, MeshErrors *ret) {
        MeshErrors errors = {};

        if (p->n_errors > 0) {
                errors.list = calloc(p->n_errors, sizeof(*errors.list));
                if (!errors.list)
                        return -ENOMEM;
        }
        for (; errors.n < p->n_errors; errors.n++) {
                const PolicyError *e = &p->errors[errors.n];

                errors.list[errors.n] = (MeshError) {
                        .file = e->origin.file,
                        .line = e->origin.line,
                        .column = e->origin.column,
                        .service = e->service ?: "",
                        .key = e->key ?: "",
                        .message = e->message,
                };
        }
        *ret = errors;
        return 0;
}
