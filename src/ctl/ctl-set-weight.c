/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdlib.h>

#include "../abi/abi-limits.h"
#include "ctl-endpoint.h"
#include "ctl-i18n.h"
#include "ctl-terminal.h"

static int parse_weight(const char *text, uint32_t *ret) {
        unsigned long weight;
        char *end;

        if (*text < '0' || *text > '9')
                return -EINVAL;
        errno = 0;
        weight = strtoul(text, &end, 10);
        if (*end || errno != 0 || weight > SM_WEIGHT_MAX)
                return -EINVAL;
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
