/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "relay-pool.h"
#include "relay-upstream.h"
#include "relay-worker.h"

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

void pool_shrink(Pool *p, size_t n) {
        for (; n > 0 && p->n > 0; n--)
                upstream_free(LIST_FIRST(&p->by_age, Upstream, age_link));
}

void pool_put(Pool *p, Upstream *u, nsec_t deadline) {
        if (p->n >= POOL_MAX)
                pool_shrink(p, 1);
        list_prepend(&p->buckets[u->endpoint % POOL_BUCKETS], &u->pool_link);
        list_append(&p->by_age, &u->age_link);
        p->n++;
        timer_set(&u->worker->timers, &u->timer, deadline);
}
