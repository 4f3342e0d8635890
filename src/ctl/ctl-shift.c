/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../abi/abi-limits.h"
#include "../policy/policy-route.h"
#include "ctl-i18n.h"
#include "ctl-routes.h"
#include "ctl-terminal.h"

typedef struct Share {
        char *subset;
        uint32_t weight; /* of percentages: permille */
} Share;

typedef struct Shift {
        const Options *options;
        Share *shares;
        size_t n;
} Shift;

static void shift_done(Shift *s) {
        for (size_t i = 0; i < s->n; i++)
                free(s->shares[i].subset);
        free(s->shares);
}

static ExitStatus parse_share(Shift *s, const char *text, unsigned *percents) {
        const char *equals = strchr(text, '=');
        Share share = {};
        bool percent;

        if (!equals || equals == text || split_weight_from_string(equals + 1, &percent, &share.weight) < 0) {
                print_error(_("\"%s\" is no share: SUBSET=WEIGHT is, with a whole number from 0 to %d or a "
                              "percentage like 12.5%%."), text, SM_WEIGHT_MAX);
                return STATUS_USAGE;
        }
        share.subset = strndup(text, (size_t) (equals - text));
        if (!share.subset) {
                print_oom();
                return STATUS_FAILURE;
        }
        *percents += percent;
        s->shares[s->n++] = share;
        return STATUS_OK;
}

static ExitStatus check_percents(const Shift *s, unsigned percents) {
        unsigned sum = 0;

        if (percents == 0)
                return STATUS_OK;
        for (size_t i = 0; i < s->n; i++)
                sum += s->shares[i].weight;
        if (percents < s->n)
                print_error(_("Give either weights or percentages, not both."));
        else if (sum != 1000)
                print_error(_("The percentages make %u.%u%%, not 100%%."), sum / 10, sum % 10);
        else
                return STATUS_OK;
        return STATUS_USAGE;
}

static int fill_shift(sd_bus_message *m, const void *userdata) {
        const Shift *s = userdata;
        int r;

        r = sd_bus_message_append(m, "s", s->options->route ?: "");
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'a', "(su)");
        for (size_t i = 0; r >= 0 && i < s->n; i++)
                r = sd_bus_message_append(m, "(su)", s->shares[i].subset, s->shares[i].weight);
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        return r < 0 ? r : sd_bus_message_append(m, "b", (int) s->options->persist);
}

ExitStatus verb_shift(const Options *o, int n, char **arguments) {
        _cleanup_(shift_done) Shift s = { .options = o };
        ExitStatus status = STATUS_OK;
        unsigned percents = 0;

        s.shares = calloc((size_t) n, sizeof(*s.shares));
        if (!s.shares) {
                print_oom();
                return STATUS_FAILURE;
        }
        for (int i = 1; status == STATUS_OK && i < n; i++)
                status = parse_share(&s, arguments[i], &percents);
        if (status == STATUS_OK)
                status = check_percents(&s, percents);
        return status == STATUS_OK ? routes_change(o, arguments[0], "SetSplit", fill_shift, &s) : status;
}
