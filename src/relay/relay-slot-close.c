/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "../engine/engine-slot.h"
#include "relay-slot.h"
#include "relay-upstream.h"
#include "relay-worker.h"

nsec_t slot_used(const Upstream *u) {
        return MAX(slot_entry(u)->since, u->idle_since);
}

bool slot_kill(Upstream *u) {
        struct sm_slot *slot = slot_entry(u);

        return sm_slot_kill(slot, sm_slot_connection(sm_load(&slot->node.word)));
}

/* Out of its stack, if it is in there, and closed. False: a program has it in hand, and makes it GONE. */
static bool close_dead(Upstream *u) {
        const struct sm_tables *t = &u->tables->tables;
        struct sm_slot *slot = slot_entry(u);

        sm_slot_sweep(t, sm_idle_entry(t, slot->stack));
        if (sm_slot_state(sm_load(&slot->node.word)) != SM_SLOT_GONE) {
                timer_set(&u->worker->timers, &u->timer, u->worker->now + SLOT_TAKEN_INTERVAL);
                return false;
        }
        upstream_free(u);
        return true;
}

bool slot_close_if_gone(Upstream *u) {
        if (upstream_is_used(u))
                return false;
        switch (sm_slot_state(sm_load(&slot_entry(u)->node.word))) {

        case SM_SLOT_DEAD:
                return close_dead(u);

        case SM_SLOT_GONE:
        case SM_SLOT_UNUSED: /* another relay has reset it, which cannot be */
                upstream_free(u);
                return true;

        default:
                return false;
        }
}

void slots_look_over(Worker *w) {
        for (List *l = w->slots.bound.next, *next; l != &w->slots.bound; l = next) {
                next = l->next;
                (void) slot_close_if_gone(CONTAINER_OF(l, Upstream, slot_link));
        }
}

static Upstream *idle_longest(Slots *s) {
        Upstream *longest = NULL;

        for (List *l = s->bound.next; l != &s->bound; l = l->next) {
                Upstream *u = CONTAINER_OF(l, Upstream, slot_link);

                if (sm_slot_state(sm_load(&slot_entry(u)->node.word)) == SM_SLOT_FREE &&
                    (!longest || slot_used(u) < slot_used(longest)))
                        longest = u;
        }
        return longest;
}

void slots_shrink(Worker *w, size_t n) {
        Upstream *u;

        for (; n > 0 && (u = idle_longest(&w->slots)); n--)
                (void) slot_kill(u);
        slots_look_over(w);
}

void slots_clear(Worker *w) {
        for (List *l = w->slots.bound.next; l != &w->slots.bound; l = l->next)
                (void) slot_kill(CONTAINER_OF(l, Upstream, slot_link));
        slots_look_over(w);
}
