/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "../basic/time-util.h"
#include "relay-count.h"
#include "relay-health.h"
#include "relay-worker.h"

#define AVOID_FIRST NSEC_PER_SEC /* doubled with each failure in a row */
#define AVOID_MAX (30 * NSEC_PER_SEC)
#define DOUBLINGS_MAX 5 /* 2^5 s is more than the maximum */

static void report(Worker *w, const SharedTables *t, enum sm_event event, uint32_t endpoint, int detail) {
        Mail m = {
                .type = MAIL_EVENT,
                .worker = w->index,
                .event = {
                        .event = event,
                        .service = sm_endpoint_at(&t->tables, endpoint)->service,
                        .endpoint = endpoint,
                        .detail = detail,
                },
        };

        (void) mailbox_put(&w->shared->inbox, &m); /* a full box loses it; the table tells as well */
}

void endpoint_failed(Worker *w, const SharedTables *t, uint32_t endpoint, int error) {
        struct sm_endpoint_state *s = sm_endpoint_state_at(&t->tables, endpoint);
        uint32_t before;
        nsec_t span;

        if (!s)
                return;
        before = __atomic_fetch_add(&s->failures_in_row, 1, __ATOMIC_RELAXED);
        count(&s->failures, 1);
        span = MIN(AVOID_FIRST << MIN(before, (uint32_t) DOUBLINGS_MAX), AVOID_MAX);
        __atomic_store_n(&s->avoid_until, w->now + span, __ATOMIC_RELAXED);
        if (before == 0)
                report(w, t, SM_EVENT_ENDPOINT_AVOIDED, endpoint, -error);
}

void endpoint_succeeded(Worker *w, const SharedTables *t, uint32_t endpoint) {
        struct sm_endpoint_state *s = sm_endpoint_state_at(&t->tables, endpoint);

        if (!s || __atomic_load_n(&s->failures_in_row, __ATOMIC_RELAXED) == 0)
                return;
        if (__atomic_exchange_n(&s->failures_in_row, 0, __ATOMIC_RELAXED) == 0)
                return; /* another thread was first */
        __atomic_store_n(&s->avoid_until, 0, __ATOMIC_RELAXED);
        report(w, t, SM_EVENT_ENDPOINT_BACK, endpoint, 0);
}
