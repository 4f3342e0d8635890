/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "../basic/cleanup.h"
#include "../basic/macro.h"
#include "../basic/parse-util.h"
#include "../basic/time-util.h"
#include "daemon-bus.h"
#include "daemon-tables.h"

Endpoint *endpoint_free(Endpoint *e) {
        if (!e)
                return NULL;
        free(e->text);
        free(e);
        return NULL;
}

const char *endpoint_state(const Endpoint *e) {
        const struct sm_endpoint_state *state =
                sm_endpoint_state_at(tables_view(e->service->manager->tables), e->id);

        if (e->admin == ENDPOINT_DISABLED)
                return "disabled";
        if (e->admin == ENDPOINT_DRAIN)
                return state && SM_READ_ONCE(state->in_flight) > 0 ? "draining" : "drained";
        return state && SM_READ_ONCE(state->avoid_until) > now_nsec() ? "avoided" : "up";
}

int endpoint_address_string(const Endpoint *e, char **ret) {
        char buffer[ADDRESS_PORT_STRLEN];
        char *s;

        s = strdup(address_port_to_string(&e->address, e->port, buffer));
        if (!s)
                return -ENOMEM;
        *ret = s;
        return 0;
}

/* Tells the bus of a state that it has not heard of. 1 = the state will end by itself. */
static int endpoint_tell(Endpoint *e) {
        const char *state = endpoint_state(e);

        if (e->told && !streq(e->told, state))
                endpoint_bus_changed(e, "State");
        e->told = state;
        return streq(state, "avoided") || streq(state, "draining");
}

size_t endpoints_watch(Manager *m) {
        size_t position = 0, n_passing = 0;
        Service *s;

        while ((s = hashmap_next(m->services, &position)))
                for (size_t i = 0; i < s->n_subsets; i++)
                        for (size_t j = 0; j < s->subsets[i].n_endpoints; j++)
                                n_passing += (size_t) endpoint_tell(s->subsets[i].endpoints[j]);
        return n_passing;
}
