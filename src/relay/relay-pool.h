/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "relay-list.h"
#include "relay-timer.h"

typedef struct Upstream Upstream;

#define POOL_BUCKETS 256
#define POOL_MAX 1024 /* idle upstream connections of one worker; the longest idle is closed for a new one */

/* A worker's idle upstream connections: those of an endpoint are used last in, first out, so that those
 * which are not needed grow old and close. What is in the struct are those that have no slot: the kernel
 * may not use them (relay-slot.h). */
typedef struct Pool {
        List buckets[POOL_BUCKETS]; /* by endpoint */
        List by_age;                /* the longest idle first */
        size_t n;
} Pool;

void pool_init(Pool *p);

/* An idle connection to the endpoint as it is now, NULL if there is none. */
Upstream *pool_take(Pool *p, uint32_t endpoint, uint32_t generation);

/* Takes over the connection until `deadline`. */
void pool_put(Pool *p, Upstream *u, nsec_t deadline);

/* Forgets a connection that is about to be freed; does nothing if it is not in the pool. */
void pool_remove(Pool *p, Upstream *u);

/* Closes up to `n` that are idle the longest; or all. */
void pool_shrink(Pool *p, size_t n);
void pool_clear(Pool *p);
