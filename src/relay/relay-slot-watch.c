/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "../engine/engine-downstream.h"
#include "relay-slot.h"
#include "relay-upstream.h"
#include "relay-worker.h"

#define PATIENCE_DIVISOR 8 /* a request waits up to an eighth of its timeout, or a tick, too long */

/* When the request that is under way has taken too long; UINT64_MAX: there is none, or its route does not
 * limit it. ret_word: of that request. */
static nsec_t end_of_patience(const Upstream *u, __u64 *ret_word) {
        struct sm_slot *slot = slot_entry(u);
        const SharedTables *t = u->tables;
        __u64 word = sm_load(&slot->node.word);
        __u32 downstream, timeout;
        nsec_t since;

        if (sm_slot_state(word) != SM_SLOT_WAITING && sm_slot_state(word) != SM_SLOT_RESPONDING)
                return UINT64_MAX;
        downstream = sm_load_32(&slot->downstream);
        since = sm_load(&slot->since);
        timeout = downstream < t->tables.n_downstreams ? t->requests[downstream].timeout_ms : 0;
        *ret_word = sm_load(&slot->node.word);
        if (sm_slot_generation(*ret_word) != sm_slot_generation(word) || timeout == 0)
                return UINT64_MAX; /* all of these may be another request's */
        return since + timeout * NSEC_PER_MSEC;
}

/*
 * The kernel does not tell the relay when it takes a request. So the relay looks as often as the shortest
 * timeout: a request that may come to take too long is seen once before, and then looked at again in time.
 */
static void on_watch(Timer *t, nsec_t now) {
        Slots *s = CONTAINER_OF(t, Slots, watch);
        Worker *w = CONTAINER_OF(s, Worker, slots);
        nsec_t due, next = now + s->patience;
        List bound;
        __u64 word = 0;

        list_init(&bound);
        list_take(&bound, &s->bound); /* to take one over may free others */
        while (!list_is_empty(&bound)) {
                Upstream *u = LIST_FIRST(&bound, Upstream, slot_link);

                list_remove(&u->slot_link);
                list_append(&s->bound, &u->slot_link);
                due = upstream_is_used(u) ? UINT64_MAX : end_of_patience(u, &word);
                if (due <= now)
                        (void) slot_end_request(u, &word, SM_SLOW_PATIENCE);
                else
                        next = MIN(next, due);
        }
        if (s->patience > 0 && !list_is_empty(&s->bound))
                timer_set(&w->timers, t, MAX(next, now + s->patience / PATIENCE_DIVISOR));
}

void slots_init(Slots *s) {
        *s = (Slots){};
        list_init(&s->bound);
        timer_init(&s->watch, on_watch);
}

/* UINT64_MAX: no route has one. */
static nsec_t shortest_timeout(const SharedTables *t, __u32 service) {
        const struct sm_policy *policy;
        const struct sm_route *route;
        nsec_t shortest = UINT64_MAX;
        __u32 base;

        policy = shared_tables_policy(t, service, &base);
        for (__u32 i = 0; policy && i < policy->n_routes; i++) {
                route = sm_cell_of(&t->tables, base + policy->routes + i);
                if (route && route->timeout_ms > 0)
                        shortest = MIN(shortest, route->timeout_ms * NSEC_PER_MSEC);
        }
        return shortest;
}

static nsec_t patience_with(const Upstream *u) {
        const struct sm_endpoint *e = sm_endpoint_at(&u->tables->tables, u->endpoint);

        return e ? shortest_timeout(u->tables, e->service) : UINT64_MAX;
}

static void set_patience(Worker *w, nsec_t patience) {
        Slots *s = &w->slots;

        s->patience = patience == UINT64_MAX ? 0 : patience;
        if (s->patience > 0 && (s->watch.deadline == 0 || s->watch.deadline > w->now + s->patience))
                timer_set(&w->timers, &s->watch, w->now + s->patience);
}

void slots_watch(Upstream *u) {
        Slots *s = &u->worker->slots;

        set_patience(u->worker, MIN(s->patience > 0 ? s->patience : UINT64_MAX, patience_with(u)));
}

void slots_renew(Worker *w) {
        nsec_t patience = UINT64_MAX;

        for (List *l = w->slots.bound.next; l != &w->slots.bound; l = l->next) {
                Upstream *u = CONTAINER_OF(l, Upstream, slot_link);
                const struct sm_endpoint *e = sm_endpoint_at(&u->tables->tables, u->endpoint);

                if (e->generation != u->generation)
                        (void) slot_kill(u);
                else
                        patience = MIN(patience, patience_with(u));
        }
        slots_look_over(w);
        set_patience(w, patience);
}
