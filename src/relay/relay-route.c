/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdlib.h>

#include "../engine/engine-path-normal.h"
#include "relay-changes.h"
#include "relay-count.h"
#include "relay-downstream.h"
#include "relay-mirror.h"
#include "relay-steps.h"
#include "relay-trace.h"
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

/* What was chosen before, if that policy is still in force: no cursor moves, no dice are thrown again.
 * Likewise what the kernel has chosen for this request; but what stands before the copy of a taken one is no
 * place in A's stream. */
static bool choose_as_before(Exchange *x, __u32 base) {
        const struct sm_tables *t = &x->tables->tables;
        const struct sm_choice before = x->choice;

        if (before.base == base && before.policy == NULL && before.undecided == 0)
                return sm_choice_restore(t, base, before.route_index, before.subset_index, 0, before.effects,
                                         &x->choice) &&
                        x->choice.policy->revision == x->revision;
        return !x->adopted &&
                fast_choice(&x->downstream->fast, t, downstream_consumed(x->downstream), base, &x->choice);
}

static const struct sm_actions *actions_of(const Exchange *x) {
        const struct sm_route *route = x->choice.route;

        if (!route || route->actions == 0)
                return NULL;
        return sm_cell_of(&x->tables->tables, x->choice.base + route->actions);
}

/* In place: what is matched is what is sent. The kernel chooses only for paths that are normal already. */
static enum sm_reason normalise_path(Exchange *x) {
        uint8_t *bytes = buffer_at(x->downstream->in);
        struct sm_span *path = &x->head.path;

        if (!(x->policy_flags & SM_POLICY_NORMAL_PATHS))
                return SM_REASON_NONE;
        switch (sm_path_judge(bytes, *path, x->policy_flags, &x->worker->matching)) {

        case SM_PATH_AMBIGUOUS:
                return SM_REASON_AMBIGUOUS_PATH;

        case SM_PATH_NOT_NORMAL:
                path->length = (__u16) sm_path_normalise(bytes + path->offset, path->length);
                break;

        case SM_PATH_NORMAL:
                break;
        }
        return SM_REASON_NONE;
}

static enum sm_reason choose_anew(Exchange *x, __u32 base) {
        const struct sm_tables *t = &x->tables->tables;
        const struct sm_actions *a;
        struct sm_request q;
        enum sm_reason reason;

        reason = normalise_path(x);
        if (reason != SM_REASON_NONE)
                return reason;
        exchange_fill_request(x, &q);
        reason = look_choose_route(x, base, &q);
        if (reason != SM_REASON_NONE || x->choice.undecided)
                return reason;
        sm_choose_effects(t, &x->choice, &q);
        a = actions_of(x);
        if (a && (a->answer || (x->choice.effects & SM_EFFECT_ABORT)))
                return SM_REASON_NONE;
        return sm_choose_subset(t, &x->choice, &q);
}

/* Copied, as heads are written when the policy may have gone. */
static enum sm_reason copy_changes(Exchange *x) {
        const struct sm_actions *a = actions_of(x);
        int r;

        free(x->changes);
        x->changes = NULL;
        if (!a)
                return SM_REASON_NONE;
        r = changes_new(&x->tables->tables, x->choice.base, a, &x->changes);
        if (r < 0)
                return r == -ENOMEM ? SM_REASON_OVERLOADED : SM_REASON_INTERNAL;
        return SM_REASON_NONE;
}

enum sm_reason route_choose(Exchange *x) {
        enum sm_reason reason;
        __u32 base;

        reason = read_policy(x, &base);
        if (reason != SM_REASON_NONE)
                return reason;
        if (!choose_as_before(x, base))
                reason = choose_anew(x, base);
        if (reason != SM_REASON_NONE || x->choice.undecided)
                return reason;
        x->revision = x->choice.policy->revision;
        return copy_changes(x);
}

/* The decision is complete, of which the reason is part. What was chosen counts once, however often it is
 * tried. */
static void note_decision(Exchange *x, enum sm_reason reason) {
        const struct sm_tables *t = &x->tables->tables;
        const struct sm_choice *c = &x->choice;
        struct sm_route_state *route = c->route ? sm_route_state_at(t, c->route->state) : NULL;
        bool goes = c->subset && !(c->effects & SM_EFFECT_ABORT);
        struct sm_subset_state *subset = goes ? sm_subset_state_at(t, c->subset->state) : NULL;

        sm_count_shadows(t, c); /* not of what the kernel has chosen: it has counted them */
        trace_choice(x, reason);
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

Progress route_follow(Exchange *x) {
        const struct sm_actions *a = actions_of(x);
        struct sm_route_state *state = sm_route_state_at(&x->tables->tables, x->choice.route->state);

        if (a && (x->choice.effects & SM_EFFECT_ABORT)) {
                if (state)
                        count(&state->aborted, 1);
                return reply_begin_answer(x, SM_REASON_FAULT_INJECTED, a->abort);
        }
        if (a && a->answer)
                return reply_begin_answer(x, SM_REASON_ANSWERED, a->answer);
        if (a && (x->choice.effects & SM_EFFECT_MIRROR))
                mirror_begin(x, a);
        return attempt_begin(x);
}

/* The policy is let go of meanwhile: it may take a while. */
static Progress delay(Exchange *x, nsec_t span) {
        struct sm_route_state *state = sm_route_state_at(&x->tables->tables, x->choice.route->state);

        if (state)
                count(&state->delayed, 1);
        exchange_release_choice(x);
        x->resume = x->worker->now + span;
        x->state = EXCHANGE_DELAYED;
        return EXCHANGE_WAITS;
}

Progress route_wait(Exchange *x) {
        enum sm_reason reason;

        if (x->worker->now < x->resume)
                return EXCHANGE_WAITS;
        reason = route_choose(x);
        return reason == SM_REASON_NONE ? route_follow(x) : reply_begin(x, reason);
}

Progress route_begin(Exchange *x) {
        const struct sm_actions *a;
        enum sm_reason reason;

        reason = route_choose(x);
        if (reason == SM_REASON_NONE && x->choice.undecided)
                return look_begin(x);
        x->looked = true; /* if it has to be chosen anew, nothing is waited for */
        note_decision(x, reason);
        if (reason != SM_REASON_NONE)
                return reply_begin(x, reason);
        a = actions_of(x);
        if (a && (x->choice.effects & SM_EFFECT_DELAY))
                return delay(x, a->delay_ms * NSEC_PER_MSEC);
        return route_follow(x);
}
