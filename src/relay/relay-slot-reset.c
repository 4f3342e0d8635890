/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <linux/membarrier.h>

#include "../engine/engine-downstream.h"
#include "relay-slot.h"
#include "relay-worker.h"

#define PROGRAMS_TIME (100 * NSEC_PER_MSEC) /* they run for microseconds if nobody interrupts them */
#define DOWNSTREAMS_AT_ONCE 512

/* This command waits for a grace period of RCU, and programs are readers of it. The kernel lacks it where
 * processors run without a tick (nohz_full). */
static void wait_for_programs(void) {
        struct timespec ts = { .tv_nsec = PROGRAMS_TIME };

        if (syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) < 0)
                (void) nanosleep(&ts, NULL);
}

void slots_reset(SharedTables *t) {
        struct sm_tables *tables = &t->tables;

        if (tables->n_slots <= 1 && tables->n_downstreams <= 1)
                return; /* no fast path: slicemeshd has no room for it */
        for (__u32 i = 1; i < tables->n_slots; i++)
                sm_slot_reset(&tables->slots[i]);
        for (__u32 i = 1; i < tables->n_downstreams; i++)
                sm_downstream_reset(tables, t->free_downstreams, i, &tables->downstreams[i]);
        wait_for_programs();
        for (__u32 i = 0; i < tables->n_idle_slots; i++)
                if ((__u32) SM_READ_ONCE(tables->idle_slots[i].head) > 0)
                        (void) sm_stack_take_all(&tables->idle_slots[i]);
}

void slots_recover(Worker *w) {
        Slots *s = &w->slots;
        uint32_t first, workers, n;

        if (!s->tables)
                return;
        workers = s->tables->workers;
        first = w->index > 0 ? w->index : workers; /* 0 is none */
        n = s->tables->tables.n_downstreams;
        for (uint32_t k = 0; k < MIN(n, DOWNSTREAMS_AT_ONCE); k++) {
                bool started = s->next_downstream >= first && s->next_downstream < n;
                uint32_t i = started ? s->next_downstream : first;
                struct sm_downstream *d = sm_downstream_entry(&s->tables->tables, i);
                __u64 word = d ? SM_READ_ONCE(d->node.word) : 0;

                s->next_downstream = i + workers;
                if (sm_downstream_owners(word) == SM_OWNER_NOBODY)
                        (void) sm_downstream_recover(&s->tables->tables, s->tables->free_downstreams, i, d,
                                                     &word);
        }
}
