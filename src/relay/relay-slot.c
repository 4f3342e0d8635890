/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "../abi/abi-connection.h"
#include "../basic/log.h"
#include "../engine/engine-downstream.h"
#include "relay-bpf.h"
#include "relay-caller.h"
#include "relay-slot.h"
#include "relay-upstream.h"
#include "relay-worker.h"

#define UNREAD_MAX 16 /* requests in a row of which a server had not read all when it had answered it */

struct sm_slot *slot_entry(const Upstream *u) {
        return sm_slot_entry(&u->tables->tables, u->slot);
}

static Upstream **place_of(const Worker *w, uint32_t slot) {
        const SharedTables *t = w->slots.tables;

        if (!t || slot == 0 || slot >= t->tables.n_slots || slot % t->workers != w->index)
                return NULL;
        return &w->slots.upstreams[slot / t->workers];
}

static Upstream *upstream_of(const Worker *w, uint32_t slot) {
        Upstream **place = place_of(w, slot);

        return place ? *place : NULL;
}

void slots_done(Slots *s) {
        free(s->upstreams);
        free(s->unused);
        s->tables = shared_tables_unref(s->tables);
        s->upstreams = NULL;
        s->unused = NULL;
        s->n_unused = s->next_downstream = 0;
        s->patience = 0;
        timer_clear(&s->watch);
}

/* From now on there is no slot to be had, and nobody looks at the memory any more but for what is under
 * way in it. */
static void leave(Worker *w) {
        List bound;

        list_init(&bound);
        list_take(&bound, &w->slots.bound);
        slots_done(&w->slots);
        while (!list_is_empty(&bound)) {
                Upstream *u = LIST_FIRST(&bound, Upstream, slot_link);

                list_remove(&u->slot_link);
                slot_abandon(u);
        }
}

static int settle(Worker *w, SharedTables *t) {
        Slots *s = &w->slots;
        size_t n;

        if (w->index >= t->workers)
                return -EOPNOTSUPP;
        n = t->tables.n_slots / t->workers + 1;
        s->upstreams = calloc(n, sizeof(Upstream *));
        s->unused = calloc(n, sizeof(uint32_t));
        if (!s->upstreams || !s->unused) {
                slots_done(s);
                return -ENOMEM;
        }
        for (uint32_t i = t->tables.n_slots - 1; i > 0; i--) /* the lowest is given first */
                if (i % t->workers == w->index)
                        s->unused[s->n_unused++] = i;
        s->tables = shared_tables_ref(t);
        return 0;
}

int slots_use(Worker *w, SharedTables *t) {
        Slots *s = &w->slots;

        if (!s->tables || s->tables->memory != t->memory) {
                leave(w);
                return settle(w, t);
        }
        slots_clear(w);
        shared_tables_unref(s->tables);
        s->tables = shared_tables_ref(t);
        return 0;
}

static int fill_key(const Upstream *u, struct sm_server_key *ret) {
        const struct sm_endpoint *e = sm_endpoint_at(&u->tables->tables, u->endpoint);
        struct sockaddr_storage own;

        if (getsockname(u->socket.fd, (struct sockaddr *) &own, &(socklen_t){ sizeof(own) }) < 0)
                return -errno;
        *ret = (struct sm_server_key){ .server_port = e->port };
        memcpy(ret->server, e->address, sizeof(ret->server));
        address_store(&own, ret->peer, &ret->peer_port);
        return 0;
}

/* For people. Workers may differ, and the last word counts. */
static void tell_enrolled(const Upstream *u, enum sm_enrolled result) {
        struct sm_endpoint_state *state = sm_endpoint_state_at(&u->tables->tables, u->endpoint);

        if (state)
                __atomic_store_n(&state->enrolled, 1 + (__u32) result, __ATOMIC_RELAXED);
}

/* Whether the kernel moves the server's responses as well. What cannot be done now cannot be done later: the
 * endpoint is on another host, or in no managed slice. The exception is a server that has not read all. */
static bool enrol(Upstream *u, const struct sm_slot *slot, uint32_t i, uint32_t connection) {
        struct sm_enrolment e = { .key = slot->key, .slot = i, .connection = connection };
        Slots *s = &u->worker->slots;
        int r;

        if (!(shared_tables_features(s->tables) & SM_FAST_SERVERS))
                return false;
        r = bpf_program_run(s->tables->enrol, &e, sizeof(e));
        if (r < 0 && !s->complained) {
                log_warning_errno(r, "Cannot enrol the sockets of servers, whose responses take the way of "
                                     "the relay: %m.");
                s->complained = true;
        }
        if (r >= 0)
                tell_enrolled(u, (enum sm_enrolled) r);
        u->n_unread = r == SM_ENROLLED_UNREAD ? u->n_unread + 1 : 0;
        return r == SM_ENROLLED;
}

/* What the programs look for when they have the slot, or its connection. */
static int prepare(Upstream *u, struct sm_slot *slot, uint32_t i, uint32_t connection) {
        struct sm_relay_context context = { .slot = i, .connection = connection };
        __u64 fd = (__u64) u->socket.fd;
        int r;

        slot->endpoint = u->endpoint;
        slot->stack = sm_idle_index(u->endpoint, u->worker->index, u->tables->workers);
        r = fill_key(u, &slot->key);
        if (r < 0)
                return r;
        r = bpf_map_set(u->tables->relay_contexts, &u->socket.fd, &context);
        if (r < 0)
                return r;
        slot->local = enrol(u, slot, i, connection);
        return slot->local ? 0 : bpf_map_set(u->tables->upstream_sockets, &i, &fd);
}

static int give(Upstream *u) {
        Worker *w = u->worker;
        Slots *s = &w->slots;
        uint32_t i = s->unused[s->n_unused - 1];
        struct sm_slot *slot = sm_slot_entry(&s->tables->tables, i);
        __u64 word = sm_load(&slot->node.word);
        int r;

        r = prepare(u, slot, i, (__u16) (sm_slot_connection(word) + 1));
        if (r < 0) {
                sm_slot_reset(slot); /* no U is ever of the connection that the kernel was told of */
                u->slotless = true;
                return r;
        }
        if (!sm_slot_bind(&s->tables->tables, i, slot, &word))
                return -EUCLEAN;
        s->n_unused--;
        *place_of(w, i) = u;
        list_append(&s->bound, &u->slot_link);
        u->slot = i;
        slots_watch(u);
        return 0;
}

static int put_back(Upstream *u) {
        struct sm_slot *slot = slot_entry(u);
        __u64 word = sm_load(&slot->node.word);

        if (u->n_unread > 0 && u->n_unread < UNREAD_MAX)
                slot->local = enrol(u, slot, u->slot, sm_slot_connection(word));
        return sm_slot_put_back(&u->tables->tables, u->slot, slot, &word) ? 0 : -EUCLEAN;
}

int slot_offer(Upstream *u, nsec_t idle) {
        Worker *w = u->worker;
        Slots *s = &w->slots;
        int r;

        if (!s->tables || u->tables != s->tables)
                return -EOPNOTSUPP;
        if (u->slot > 0)
                r = put_back(u);
        else if (u->slotless || !(shared_tables_features(s->tables) & SM_FAST_REQUESTS))
                r = -EOPNOTSUPP;
        else
                r = s->n_unused > 0 ? give(u) : -ENOSPC;
        if (r < 0)
                return r;
        u->idle_since = w->now;
        u->idle_time = idle;
        slot_set_timer(u, w->now + idle);
        return 0;
}

static bool is_usable(const Upstream *u, uint32_t endpoint) {
        const struct sm_endpoint *e = sm_endpoint_at(&u->tables->tables, endpoint);

        return e && u->endpoint == endpoint && u->generation == e->generation && !slot_has_event(u);
}

Upstream *slot_take(Worker *w, uint32_t endpoint) {
        const struct sm_tables *t = w->slots.tables ? &w->slots.tables->tables : NULL;
        struct sm_stack *stack;
        struct sm_slot *slot;
        Upstream *u;
        __u64 word;
        uint32_t i;
        bool taken;

        stack = t ? sm_idle_entry(t, sm_idle_index(endpoint, w->index, w->slots.tables->workers)) : NULL;
        while (stack && (i = sm_stack_pop(t, stack, SM_STACK_SLOTS, &word)) > 0) {
                slot = sm_slot_entry(t, i);
                taken = sm_slot_take(slot, &word, SM_SLOT_RELAY, 0);
                u = upstream_of(w, i);
                if (!u)
                        continue;
                u->bypassed = false;
                if (taken && is_usable(u, endpoint))
                        return u;
                upstream_free(u); /* popped: DEAD, and GONE now, or dropped */
        }
        return NULL;
}

Upstream *slot_hand_over(Worker *w, uint32_t slot, uint64_t downstream_state) {
        Upstream *u = upstream_of(w, slot);
        struct sm_slot *e;
        __u64 word;

        if (!u)
                return NULL;
        e = slot_entry(u);
        word = sm_load(&e->node.word);
        while (sm_downstream_kernel(slot, word) == downstream_state && !upstream_is_used(u))
                switch (sm_slot_state(word)) {

                case SM_SLOT_WAITING:
                case SM_SLOT_RESPONDING:
                        (void) sm_slot_hand_over(e, &word, SM_REMAINING_UNKNOWN);
                        break;

                case SM_SLOT_RELAY: /* now, or S's program was faster, but nothing has come to U */
                        slot_note_request(u);
                        return u;

                default:
                        return NULL;
                }
        return NULL;
}

void slot_release(Upstream *u) {
        Worker *w = u->worker;
        Slots *s = &w->slots;
        struct sm_slot *slot;
        bool released;
        __u64 word;

        if (u->slot == 0)
                return;
        slot = slot_entry(u);
        word = sm_load(&slot->node.word);
        (void) sm_slot_drop(slot, &word);
        released = sm_slot_release(slot, &word);
        if (upstream_of(w, u->slot) == u) { /* else it is of tables that were left */
                *place_of(w, u->slot) = NULL;
                if (released)
                        s->unused[s->n_unused++] = u->slot;
        }
        list_remove(&u->slot_link);
        u->slot = 0;
}
