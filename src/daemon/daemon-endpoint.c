/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "../basic/cleanup.h"
#include "../basic/parse-util.h"
#include "../basic/time-util.h"
#include "daemon-endpoint.h"
#include "daemon-service.h"
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
