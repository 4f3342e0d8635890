/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "../basic/cleanup.h"
#include "../basic/log.h"
#include "../basic/string-util.h"
#include "daemon-reload.h"
#include "daemon-service.h"

/*
 * Endpoints by name: their addresses follow the resolver, and a name that cannot be resolved is a problem
 * for as long as a service uses it.
 */

#define PROBLEM_PREFIX "name-unresolved:"

static bool name_is_used(const Manager *m, const char *host) {
        size_t position = 0;
        Service *s;

        while ((s = hashmap_next(m->services, &position)))
                if (s->model && service_uses_name(s, host))
                        return true;
        return false;
}

static void set_name_problem(Manager *m, const char *host, size_t n, const char *error) {
        _cleanup_free_ char *id = NULL, *sentence = NULL;

        if (asprintf(&id, PROBLEM_PREFIX "%s", host) < 0)
                return;
        if (error && asprintf(&sentence, "%s cannot be resolved: %s. %s", host, error,
                              n > 0 ? "Its last addresses stay in force." :
                                      "Until then there is no such endpoint.") < 0)
                return;
        manager_set_problem(m, id, sentence);
}

void manager_names_changed(const char *host, const struct in6_addr *addresses, size_t n, const char *error,
                           void *userdata) {
        Manager *m = userdata;
        size_t position = 0;
        Service *s;
        int r;

        set_name_problem(m, host, n, error);
        while ((s = hashmap_next(m->services, &position))) {
                if (!s->model || !service_uses_name(s, host))
                        continue;
                r = manager_refresh_service(m, s);
                if (r < 0)
                        log_warning_errno(r, "Failed to use the addresses of %s, ignoring: %m", host);
        }
}

void manager_forget_names(Manager *m) {
        for (size_t i = m->n_problems; i > 0; i--) {
                const char *host = startswith(m->problems[i - 1].id, PROBLEM_PREFIX);

                if (host && !name_is_used(m, host))
                        set_name_problem(m, host, 0, NULL);
        }
}
