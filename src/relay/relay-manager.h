/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <systemd/sd-event.h>

#include "relay-link.h"
#include "relay-tables.h"
#include "relay-worker.h"

/* A listener that slicemeshd has named. */
typedef struct ListenerRecord {
        unsigned worker;
        uint64_t inode;
        int fd;     /* -EBADF once the worker has it */
        bool named; /* since slicemeshd connected: the others are over with START */
} ListenerRecord;

#define LISTENERS_MAX (2 * SM_WORKERS_MAX) /* one for each address family */

/* One PING to all workers: proof that they are alive, and how far they are. */
typedef struct PingRound {
        uint64_t sequence, epoch, lowest_epoch;
        unsigned n_awaited;
        bool answered; /* some round was by all, since systemd was told */
        bool asked;    /* slicemeshd waits for the PONG with that cookie */
        uint64_t cookie;
} PingRound;

/* The main thread: what slicemeshd says becomes mail to the workers, and the other way round. */
typedef struct Manager {
        sd_event *event;
        Link *link;
        WorkerShared shared;
        SharedTables *tables, *next_tables; /* NULL: none; the next ones are in force from START on */
        Worker *workers[SM_WORKERS_MAX];
        unsigned n_workers, n_stopped;
        ListenerRecord listeners[LISTENERS_MAX];
        size_t n_listeners;
        bool stopping;
        PingRound ping;
        sd_event_source *watchdog;
        uint64_t watchdog_interval; /* µs */
} Manager;

/* `listening` is taken over on success; `accelerate`: regular expressions may become machine code. */
int manager_new(int listening, bool accelerate, Manager **ret);
Manager *manager_free(Manager *m); /* waits for the workers, which must have been told to stop */

/* To the end of what SM_LINK_STOP or SIGTERM began. */
int manager_run(Manager *m);

void manager_stop(Manager *m, nsec_t deadline);
void manager_start_ping(Manager *m);

/* What slicemeshd asks for: relay-setup.c for what comes before traffic. */
int manager_on_tables(void *userdata, const struct sm_link_tables *message, int *fds);
int manager_on_listener(void *userdata, const struct sm_link_listener *message, int *fds);
int manager_on_start(void *userdata);

/* Closes what waited for START. */
void manager_forget_setup(Manager *m);
