/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdint.h>

#include "../basic/time-util.h"
#include "../engine/engine-route.h"
#include "relay-list.h"
#include "relay-tables.h"

struct sm_caller;
typedef struct Downstream Downstream;
typedef struct Worker Worker;

#define FAST_BUCKETS 1024 /* of a worker's downstreams, by index */

/*
 * What a caller's connection shares with the programs (docs/fast-path.md): who answers it, and how far the
 * relay is. A connection without that is the relay's alone; then there is nothing to close, to publish or to
 * keep, and all of these are no-ops.
 */
typedef struct Fast {
        SharedTables *tables;         /* of when it was adopted; NULL: it is the relay's alone */
        struct sm_downstream *shared; /* in these */
        uint32_t index;
        enum sm_slow slow; /* why it is the relay's alone */
        List link;         /* in its bucket */
} Fast;

/* By accept: from now on the kernel may take requests from it. */
void fast_adopt(Downstream *d, const struct sm_caller *caller);

/* The worker's connection with that index in the memory of these tables, NULL if there is none. */
Downstream *fast_find(Worker *w, const SharedTables *t, uint32_t index);

/* Whether the kernel answers a request of it, so that nothing is to be sent; and over which slot: the state
 * in whole, 0 if it does not. */
uint64_t fast_kernel(const Fast *f);

/* Before the connection is closed: the kernel takes no more of it. False: it has taken one already, and the
 * connection must be kept until that is over. */
bool fast_close(Fast *f);

/* Undoes that. */
void fast_open(Fast *f);

/* The connection is closed. */
void fast_release(Fast *f);

/* When the kernel last took a request, 0 = never; CLOCK_MONOTONIC. */
nsec_t fast_used(const Fast *f);

/* Why what was last received of it came to the relay. */
enum sm_slow fast_reason(const Fast *f);

/* What the kernel has chosen for the request at that place of the stream, under the policy in force, which
 * is at cell `base`, before it let it go to the relay. False: nothing. */
bool fast_choice(const Fast *f, const struct sm_tables *t, uint64_t at, uint32_t base,
                 struct sm_choice *ret);

/* The kernel has let go of the slot named, whose word this is: the relay answers what was taken. False: it
 * was not that slot's. */
bool fast_take_over(Fast *f, uint32_t slot, uint64_t word);

/* The answer to what was taken over is about to be sent, so many bytes in all: they need not go by TCP if
 * they are few, and nothing of it has gone that way yet. */
void fast_begin_answer(Downstream *d, uint64_t size);

/* So many bytes are about to be sent, the last of an answer to a request that came by A: the kernel may take
 * the next request as soon as the caller has read them, which may be before the relay gets to say more. */
void fast_promise(Downstream *d, uint64_t size);

/* At the end of an exchange after which there can be another, with all of it sent. */
void fast_publish(Downstream *d);
