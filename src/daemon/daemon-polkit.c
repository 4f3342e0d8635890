/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include "../basic/cleanup.h"
#include "../basic/log.h"
#include "../basic/time-util.h"
#include "daemon-polkit.h"

#define QUERIES_MAX 64
#define ALLOW_INTERACTION UINT32_C(1) /* CheckAuthorization's flag AllowUserInteraction */
#define TIMEOUT_USEC (25 * USEC_PER_SEC)
#define TIMEOUT_INTERACTIVE_USEC (2 * USEC_PER_MINUTE) /* somebody has to type a password */

struct PolkitQuery {
        PolkitQuery **queries, *next;
        sd_bus_message *call;
        sd_bus_slot *slot;
        sd_event_source *forget; /* set once answered */
        bool authorized, challenge, absent;
};

static void polkit_query_free(PolkitQuery *q) {
        for (PolkitQuery **p = q->queries; *p; p = &(*p)->next)
                if (*p == q) {
                        *p = q->next;
                        break;
                }
        sd_event_source_disable_unref(q->forget);
        sd_bus_slot_unref(q->slot);
        sd_bus_message_unref(q->call);
        free(q);
}

void polkit_queries_done(PolkitQuery **queries) {
        while (*queries)
                polkit_query_free(*queries);
}

static int sender_is_root(sd_bus_message *call) {
        _cleanup_(sd_bus_creds_unrefp) sd_bus_creds *creds = NULL;
        uid_t uid;
        int r;

        r = sd_bus_query_sender_creds(call, SD_BUS_CREDS_EUID, &creds);
        if (r < 0)
                return r;
        r = sd_bus_creds_get_euid(creds, &uid);
        return r < 0 ? r : uid == 0;
}

/* The call was dispatched again and nobody took the answer: its object is gone. */
static int on_forget(sd_event_source *s, void *userdata) {
        polkit_query_free(userdata);
        return 0;
}

static int polkit_query_answer(PolkitQuery *q, sd_bus_message *reply) {
        int authorized, challenge, r;
        sd_bus *bus = sd_bus_message_get_bus(reply);

        if (sd_bus_message_is_method_error(reply, NULL))
                q->absent = true;
        else {
                r = sd_bus_message_enter_container(reply, 'r', "bba{ss}");
                if (r < 0)
                        return r;
                r = sd_bus_message_read(reply, "bb", &authorized, &challenge);
                if (r < 0)
                        return r;
                q->authorized = authorized;
                q->challenge = challenge;
        }

        /* Idle sources run when the bus has nothing to dispatch any more, the call included. */
        r = sd_event_add_defer(sd_bus_get_event(bus), &q->forget, on_forget, q);
        if (r < 0)
                return r;
        r = sd_event_source_set_priority(q->forget, SD_EVENT_PRIORITY_IDLE);
        if (r < 0)
                return r;
        r = sd_bus_message_rewind(q->call, true);
        if (r < 0)
                return r;
        return sd_bus_enqueue_for_read(bus, q->call);
}

static int on_polkit_answer(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        PolkitQuery *q = userdata;
        int r;

        r = polkit_query_answer(q, reply);
        if (r < 0) {
                log_error_errno(r, "Failed to handle polkit's answer: %m");
                (void) sd_bus_reply_method_errno(q->call, r, NULL);
                polkit_query_free(q);
        }
        return 1;
}

static int polkit_query_send(PolkitQuery *q, const char *action) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        sd_bus *bus = sd_bus_message_get_bus(q->call);
        bool interactive = sd_bus_message_get_allow_interactive_authorization(q->call) > 0;
        int r;

        r = sd_bus_message_new_method_call(bus, &m, "org.freedesktop.PolicyKit1",
                                           "/org/freedesktop/PolicyKit1/Authority",
                                           "org.freedesktop.PolicyKit1.Authority", "CheckAuthorization");
        if (r < 0)
                return r;
        /* The details are for polkit rules: action.lookup("path"). */
        r = sd_bus_message_append(m, "(sa{sv})sa{ss}us",
                                  "system-bus-name", 1, "name", "s", sd_bus_message_get_sender(q->call),
                                  action,
                                  2, "path", sd_bus_message_get_path(q->call),
                                  "method", sd_bus_message_get_member(q->call),
                                  interactive ? ALLOW_INTERACTION : 0, "");
        if (r < 0)
                return r;
        return sd_bus_call_async(bus, &q->slot, m, on_polkit_answer, q,
                                 interactive ? TIMEOUT_INTERACTIVE_USEC : TIMEOUT_USEC);
}

static int polkit_query_start(PolkitQuery **queries, sd_bus_message *call, const char *action) {
        PolkitQuery *q;
        int r;

        q = calloc(1, sizeof(*q));
        if (!q)
                return -ENOMEM;
        q->queries = queries;
        q->next = *queries;
        *queries = q;
        q->call = sd_bus_message_ref(call);

        r = polkit_query_send(q, action);
        if (r < 0)
                polkit_query_free(q);
        return r;
}

static int polkit_query_conclude(PolkitQuery *q, sd_bus_error *error) {
        bool authorized = q->authorized, challenge = q->challenge, absent = q->absent;

        polkit_query_free(q);
        if (authorized)
                return 1;
        if (absent)
                return sd_bus_error_set(
                        error, SD_BUS_ERROR_ACCESS_DENIED,
                        "Only root may do this: polkit, which could allow others to, does not answer.");
        if (challenge)
                return sd_bus_error_set(error, SD_BUS_ERROR_INTERACTIVE_AUTHORIZATION_REQUIRED,
                                        "Interactive authentication is required.");
        return sd_bus_error_set(error, SD_BUS_ERROR_ACCESS_DENIED, "Polkit does not allow this.");
}

int polkit_authorize(PolkitQuery **queries, sd_bus_message *call, const char *action, sd_bus_error *error) {
        size_t n = 0;
        int r;

        for (PolkitQuery *q = *queries; q; q = q->next, n++)
                if (q->call == call)
                        return polkit_query_conclude(q, error);

        r = sender_is_root(call);
        if (r != 0)
                return r;
        if (n >= QUERIES_MAX)
                return sd_bus_error_set(error, SD_BUS_ERROR_LIMITS_EXCEEDED,
                                        "Too many calls wait for polkit's answer already.");
        r = polkit_query_start(queries, call, action);
        return r < 0 ? r : 0;
}
