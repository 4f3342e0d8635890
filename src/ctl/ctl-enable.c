/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ctl-endpoint.h"

ExitStatus verb_enable(const Options *o, int n, char **arguments) {
        return endpoints_call(o, arguments[0], arguments + 1, (size_t) n - 1, "Enable", NULL);
}
