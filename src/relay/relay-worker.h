/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "../engine/engine-request.h"
#include "relay-buffer.h"
#include "relay-fast.h"
#include "relay-list.h"
#include "relay-mailbox.h"
#include "relay-mirror.h"
#include "relay-pool.h"
#include "relay-regex.h"
#include "relay-slab.h"
#include "relay-slot.h"
#include "relay-socket.h"
#include "relay-timer.h"

/* What all workers count together, and where they report to. */
typedef struct WorkerShared {
        Mailbox inbox; /* of the main thread */
        _Atomic unsigned connections; /* of callers */
        _Atomic unsigned upstreams;
        bool accelerate; /* regular expressions may become machine code; does not change */
} WorkerShared;

/*
 * A thread with its own listeners, connections and memory. Nothing of it is touched by another thread but
 * `inbox` and `memory`.
 */
typedef struct Worker {
        unsigned index;
        pthread_t thread;
        WorkerShared *shared;
        Mailbox inbox;
        _Atomic size_t memory; /* bytes in buffers */

        int epoll;
        Socket mail; /* inbox.wake */
        bool has_mail;
        nsec_t now; /* when the current batch of events was received */
        uint32_t random;
        SharedTables *tables;
        nsec_t stop_deadline; /* 0 = serving */

        /* Exchanges that hold places inside of policies, the oldest first: what was retired in their
         * epoch or later must not be reused yet. */
        List readers;
        uint64_t epoch;

        List listeners;
        List downstreams;
        List fast[FAST_BUCKETS]; /* those that the kernel knows, by index */
        List ready; /* downstreams to go on with although no event is due */
        Pool pool;
        Slots slots;
        RegexCache regexes;
        struct sm_work matching; /* while a choice is made */
        uint8_t body[SM_BODY_LOOK_MAX]; /* likewise, of a chunked one the data */
        Mirrors mirrors;

        TimerWheel timers;
        Timer housekeeping;
        BufferPool buffers;
        Slab downstream_slab, upstream_slab, exchange_slab;
} Worker;

/* Starts the thread. The worker does nothing before it was sent tables, and a listener. */
int worker_new(unsigned index, WorkerShared *shared, Worker **ret);

/* Waits for the thread to end, which MAIL_STOP makes it. */
Worker *worker_join_free(Worker *w);

/* Runs the downstream once more before the worker sleeps. */
void worker_make_ready(Worker *w, List *ready_link);

uint32_t worker_random(Worker *w);

static inline const struct sm_tables *worker_tables(const Worker *w) {
        return &w->tables->tables;
}

static inline const struct sm_link_tables *worker_settings(const Worker *w) {
        return &w->tables->settings;
}
