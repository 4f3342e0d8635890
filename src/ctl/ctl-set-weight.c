/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "../abi/abi-limits.h"
#include "../basic/parse-util.h"
#include "ctl-endpoint.h"
#include "ctl-i18n.h"
#include "ctl-terminal.h"

static int parse_weight(const char *text, uint32_t *ret) {
        uint64_t weight;
        int r;

        r = parse_unsigned(text, &weight);
        if (r < 0)
                return r;
        if (weight > SM_WEIGHT_MAX)
                return -ERANGE;
        *ret = (uint32_t) weight;
        return 0;
}

ExitStatus verb_set_weight(const Options *o, int n, char **arguments) {
        uint32_t weight;

        if (parse_weight(arguments[2], &weight) < 0) {
                print_error(_("\"%s\" is no weight: a whole number from 0 to %d is."), arguments[2],
                            SM_WEIGHT_MAX);
                return STATUS_USAGE;
        }
        return endpoints_call(o, arguments[0], arguments + 1, 1, "SetWeight", &weight);
}
