/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "../engine/engine-downstream.h"
#include "relay-bpf.h"
#include "relay-downstream.h"
#include "relay-fast.h"
#include "relay-worker.h"

/* So that the program on A sees what is sent, and knows which it is. Without that all answers go by TCP. */
static void enrol(const Downstream *d) {
        const Fast *f = &d->fast;
        struct sm_relay_context context = { .downstream = f->index };
        __u64 fd = (__u64) d->socket.fd;

        if (!(shared_tables_features(f->tables) & SM_FAST_REPLIES))
                return;
        if (bpf_map_set(f->tables->relay_contexts, &d->socket.fd, &context) >= 0)
                (void) bpf_map_set(f->tables->accepted_sockets, &f->index, &fd);
}

void fast_adopt(Downstream *d, const struct sm_caller *caller) {
        SharedTables *t = d->worker->tables;
        struct sm_downstream *shared = sm_downstream_entry(&t->tables, caller->socket.downstream);
        __u64 word = caller->downstream_word;
        Fast *f = &d->fast;

        list_init(&f->link);
        f->slow = caller->socket.slow;
        if (d->refused)
                f->slow = SM_SLOW_FULL;
        if (caller->socket.downstream == 0 || !shared || d->refused || d->worker->index >= t->workers)
                return; /* the last: there are no stacks of its slots */
        if (!sm_downstream_adopt(shared, &word)) {
                f->slow = SM_SLOW_CALLER_GONE;
                return;
        }
        f->tables = shared_tables_ref(t);
        f->shared = shared;
        f->index = caller->socket.downstream;
        list_append(&d->worker->fast[f->index % FAST_BUCKETS], &f->link);
        enrol(d);
        sm_store(&shared->inject_until, 0);
        sm_store_32(&shared->worker, d->worker->index);
        fast_open(f);
}

Downstream *fast_find(Worker *w, const SharedTables *t, uint32_t index) {
        List *bucket = &w->fast[index % FAST_BUCKETS];

        for (List *l = bucket->next; l != bucket; l = l->next) {
                Downstream *d = CONTAINER_OF(l, Downstream, fast.link);

                if (d->fast.index == index && d->fast.tables->memory == t->memory)
                        return d;
        }
        return NULL;
}

static enum sm_downstream_state state_of(const Fast *f) {
        return f->shared ? sm_downstream_state(sm_load(&f->shared->state)) : SM_DOWNSTREAM_CLOSED;
}

uint64_t fast_kernel(const Fast *f) {
        uint64_t state = f->shared ? sm_load(&f->shared->state) : 0;

        return sm_downstream_state(state) == SM_DOWNSTREAM_KERNEL ? state : 0;
}

bool fast_close(Fast *f) {
        return state_of(f) == SM_DOWNSTREAM_CLOSED ||
                sm_downstream_move(f->shared, SM_DOWNSTREAM_RELAY, SM_DOWNSTREAM_CLOSED) ||
                sm_downstream_move(f->shared, SM_DOWNSTREAM_IDLE, SM_DOWNSTREAM_CLOSED);
}

void fast_open(Fast *f) {
        if (f->shared)
                (void) sm_downstream_move(f->shared, SM_DOWNSTREAM_CLOSED, SM_DOWNSTREAM_IDLE);
}

void fast_release(Fast *f) {
        SharedTables *t = f->tables;

        if (!t)
                return;
        list_remove(&f->link);
        sm_downstream_release(&t->tables, t->free_downstreams, f->index, f->shared, SM_OWNER_RELAY);
        f->shared = NULL;
        f->tables = shared_tables_unref(t);
}

nsec_t fast_used(const Fast *f) {
        return f->shared ? sm_load(&f->shared->used) : 0;
}

enum sm_slow fast_reason(const Fast *f) {
        enum sm_slow slow = f->shared ? sm_load_32(&f->shared->slow) : f->slow;

        return slow > SM_SLOW_NONE && slow < _SM_SLOW_MAX ? slow : SM_SLOW_NOT_IN_STEP;
}

bool fast_choice(const Fast *f, const struct sm_tables *t, uint64_t at, uint32_t base,
                 struct sm_choice *ret) {
        const struct sm_downstream *s = f->shared;

        return s && sm_load(&f->shared->chosen_at) == at && s->chosen_root == base &&
                sm_choice_restore(t, base, s->chosen_route, s->chosen_subset, s->chosen_endpoint,
                                  s->chosen_effects, ret) &&
                ret->policy->revision == s->chosen_revision;
}

bool fast_take_over(Fast *f, uint32_t slot, uint64_t word) {
        return f->shared && sm_downstream_end(f->shared, slot, word, SM_DOWNSTREAM_RELAY);
}

/* Bytes that were sent on A, but for those that its program has redirected. */
static uint64_t by_tcp(const Downstream *d) {
        return d->socket.sent - sm_load(&d->fast.shared->injected);
}

void fast_begin_answer(Downstream *d, uint64_t size) {
        Fast *f = &d->fast;

        if (state_of(f) == SM_DOWNSTREAM_RELAY && size <= SM_FAST_MAX &&
            by_tcp(d) == sm_load(&f->shared->written))
                sm_store(&f->shared->inject_until, sm_load(&f->shared->injected) + size);
}

void fast_promise(Downstream *d, uint64_t size) {
        struct sm_downstream *s = d->fast.shared;

        if (!s || state_of(&d->fast) != SM_DOWNSTREAM_IDLE)
                return;
        sm_store(&s->written, by_tcp(d) + size);
        sm_store(&s->answered, downstream_consumed(d));
}

void fast_publish(Downstream *d) {
        Fast *f = &d->fast;

        if (!f->shared)
                return;
        sm_store(&f->shared->written, by_tcp(d));
        sm_store(&f->shared->answered, downstream_consumed(d));
        sm_store(&f->shared->inject_until, 0);
        (void) sm_downstream_move(f->shared, SM_DOWNSTREAM_RELAY, SM_DOWNSTREAM_IDLE);
}
