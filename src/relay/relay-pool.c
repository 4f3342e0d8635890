/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "relay-pool.h"
#include "relay-slot.h"
#include "relay-upstream.h"
#include "relay-worker.h"

static Worker *worker_of(Pool *p) {
        return CONTAINER_OF(p, Worker, pool);
}

void pool_init(Pool *p) {
        for (unsigned i = 0; i < POOL_BUCKETS; i++)
                list_init(&p->buckets[i]);
        list_init(&p->by_age);
        p->n = 0;
}

void pool_remove(Pool *p, Upstream *u) {
        if (list_is_empty(&u->pool_link))
                return;
        list_remove(&u->pool_link);
        list_remove(&u->age_link);
        p->n--;
}

Upstream *pool_take(Pool *p, uint32_t endpoint, uint32_t generation) {
        List *bucket = &p->buckets[endpoint % POOL_BUCKETS];
        Upstream *slotted = slot_take(worker_of(p), endpoint);

        if (slotted)
                return slotted;
        for (List *l = bucket->next, *next; l != bucket; l = next) {
                Upstream *u = CONTAINER_OF(l, Upstream, pool_link);

                next = l->next;
                if (u->endpoint != endpoint)
                        continue;
                if (u->generation != generation) {
                        upstream_free(u); /* the id means another endpoint now */
                        continue;
                }
                pool_remove(p, u);
                return u;
        }
        return NULL;
}

static void close_oldest(Pool *p) {
        upstream_free(LIST_FIRST(&p->by_age, Upstream, age_link));
}

void pool_shrink(Pool *p, size_t n) {
        for (; n > 0 && p->n > 0; n--)
                close_oldest(p);
        slots_shrink(worker_of(p), n);
}

void pool_clear(Pool *p) {
        while (p->n > 0)
                close_oldest(p);
        slots_clear(worker_of(p));
}

void pool_put(Pool *p, Upstream *u, nsec_t deadline) {
        Worker *w = worker_of(p);

        if (slot_offer(u, deadline - w->now) >= 0)
                return;
        if (p->n >= POOL_MAX)
                close_oldest(p);
        list_prepend(&p->buckets[u->endpoint % POOL_BUCKETS], &u->pool_link);
        list_append(&p->by_age, &u->age_link);
        p->n++;
        timer_set(&w->timers, &u->timer, deadline);
}
