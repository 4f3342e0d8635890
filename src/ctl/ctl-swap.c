/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ctl-routes.h"

typedef struct Swap {
        const char *a, *b;
        bool persist;
} Swap;

static int fill_swap(sd_bus_message *m, const void *userdata) {
        const Swap *s = userdata;

        return sd_bus_message_append(m, "ssb", s->a, s->b, (int) s->persist);
}

ExitStatus verb_swap(const Options *o, int n, char **arguments) {
        const Swap s = { .a = arguments[1], .b = arguments[2], .persist = o->persist };

        return routes_change(o, arguments[0], "Swap", fill_swap, &s);
}
