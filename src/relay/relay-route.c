/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "relay-count.h"
#include "relay-downstream.h"
#include "relay-exchange.h"
#include "relay-worker.h"

void route_read_policy(Exchange *x, const struct sm_policy *policy) {
        x->downstream->idle_time = policy->idle_timeout_ms * NSEC_PER_MSEC;
        x->policy_flags = policy->flags;
        x->connect_timeout_ms = policy->connect_timeout_ms;
        x->pool_idle_ms = policy->pool_idle_ms;
}

/* What is in force is read once; the exchange is a reader of it then. */
static enum sm_reason read_policy(Exchange *x, __u32 *ret_base) {
        const struct sm_policy *policy = shared_tables_policy(x->tables, x->service, ret_base);

        if (!policy)
                return SM_REASON_NO_SERVICE;
        route_read_policy(x, policy);
        x->epoch = x->worker->epoch;
        list_append(&x->worker->readers, &x->reader_link);
        return SM_REASON_NONE;
}

enum sm_reason route_choose(Exchange *x) {
        const struct sm_tables *t = &x->tables->tables;
        struct sm_request q;
        enum sm_reason reason;
        __u32 base;

        reason = read_policy(x, &base);
        if (reason != SM_REASON_NONE)
                return reason;
        /* What stands before the copy of a taken request is no place in A's stream. */
        if (!x->adopted &&
            fast_choice(&x->downstream->fast, t, downstream_consumed(x->downstream), base, &x->choice))
                return SM_REASON_NONE;

        exchange_fill_request(x, &q);
        reason = sm_choose_route(t, base, &q, &x->choice);
        if (reason != SM_REASON_NONE)
                return reason;
        return sm_choose_subset(t, &x->choice, &q);
}

/* The decision is complete, of which the reason is part. What was chosen counts once, however often it is
 * tried. */
static void note_decision(Exchange *x, enum sm_reason reason) {
        const struct sm_tables *t = &x->tables->tables;
        const struct sm_choice *c = &x->choice;
        struct sm_route_state *route = c->route ? sm_route_state_at(t, c->route->state) : NULL;
        struct sm_subset_state *subset = c->subset ? sm_subset_state_at(t, c->subset->state) : NULL;

        if (reason != SM_REASON_NONE)
                return;
        if (route)
                count(&route->requests, 1);
        if (subset)
                count(&subset->requests, 1);
        if (c->route->timeout_ms > 0)
                x->deadline = x->started + c->route->timeout_ms * NSEC_PER_MSEC;
        x->attempts_left = c->policy->attempts;
}

/* Does what was chosen. */
static Progress follow(Exchange *x) {
        return attempt_begin(x);
}

Progress route_begin(Exchange *x) {
        enum sm_reason reason;

        reason = route_choose(x);
        note_decision(x, reason);
        return reason == SM_REASON_NONE ? follow(x) : reply_begin(x, reason);
}
