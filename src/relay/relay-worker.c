/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <unistd.h>

#include "../basic/cleanup.h"
#include "../basic/log.h"
#include "relay-downstream.h"
#include "relay-exchange.h"
#include "relay-head-write.h"
#include "relay-listener.h"
#include "relay-slot.h"
#include "relay-upstream.h"
#include "relay-worker.h"

#define EVENTS_AT_ONCE 256
#define HOUSEKEEPING_INTERVAL NSEC_PER_SEC
#define BUFFER_CAPACITY_INITIAL 4096 /* before there are tables, when nothing is served */

static void set_tables(Worker *w, SharedTables *t) {
        const struct sm_link_tables *s = &t->settings;
        int r;

        r = slots_use(w, t);
        if (r < 0 && r != -EOPNOTSUPP)
                log_warning_errno(r, "Worker %u goes without the kernel's fast path: %m.", w->index);
        pool_clear(&w->pool); /* ids may mean other endpoints now */
        shared_tables_unref(w->tables);
        w->tables = t;
        buffer_pool_resize(&w->buffers, MAX(s->buffer_bytes, s->head_bytes + HEAD_GROWTH_MAX));
}

static void remove_listener(Worker *w, uint64_t inode) {
        for (List *l = w->listeners.next, *next; l != &w->listeners; l = next) {
                Listener *listener = CONTAINER_OF(l, Listener, link);

                next = l->next;
                if (listener->inode == inode)
                        listener_free(listener);
        }
}

static void remove_listeners(Worker *w) {
        while (!list_is_empty(&w->listeners))
                listener_free(LIST_FIRST(&w->listeners, Listener, link));
}

static void add_listener(Worker *w, int fd) {
        int r = w->stop_deadline == 0 ? listener_new(w, fd) : -ESHUTDOWN;

        if (r < 0) {
                (void) log_warning_errno(r, "Worker %u cannot listen, ignoring: %m.", w->index);
                close(fd);
        }
}

static void stop(Worker *w, nsec_t deadline) {
        w->stop_deadline = deadline;
        remove_listeners(w);
        pool_clear(&w->pool);
        for (List *l = w->downstreams.next, *next; l != &w->downstreams; l = next) {
                next = l->next;
                downstream_stop(CONTAINER_OF(l, Downstream, link));
        }
        timer_set(&w->timers, &w->housekeeping, MIN(deadline, w->now + HOUSEKEEPING_INTERVAL));
}

static void answer_ping(Worker *w, const Mail *ping) {
        Mail pong = { .type = MAIL_PONG, .worker = w->index, .sequence = ping->sequence };

        if (w->epoch != ping->epoch)
                slots_renew(w); /* before slicemeshd learns that the epoch has passed */
        w->epoch = ping->epoch;
        pong.epoch = w->epoch;
        if (!list_is_empty(&w->readers))
                pong.epoch = LIST_FIRST(&w->readers, Exchange, reader_link)->epoch;
        (void) mailbox_put(&w->shared->inbox, &pong); /* a full box: the next ping is answered */
}

static void read_mail(Worker *w) {
        Mail m;

        w->has_mail = false;
        while (mailbox_take(&w->inbox, &m) >= 0)
                switch (m.type) {

                case MAIL_TABLES:
                        set_tables(w, m.tables);
                        break;

                case MAIL_LISTENER:
                        add_listener(w, m.fd);
                        break;

                case MAIL_UNLISTEN:
                        remove_listener(w, m.inode);
                        break;

                case MAIL_PING:
                        answer_ping(w, &m);
                        break;

                case MAIL_STOP:
                        stop(w, m.deadline);
                        break;

                default:
                        break;
                }
}

static void on_mail(Socket *s) {
        /* Read after the batch: it may remove what a later event of the batch points to. */
        CONTAINER_OF(s, Worker, mail)->has_mail = true;
}

/* Objects that are not in use: one of each kind may stay. */
static bool has_spare(const Worker *w) {
        return w->buffers.n_free > 0 || w->downstream_slab.n_free > 1 || w->upstream_slab.n_free > 1 ||
                w->exchange_slab.n_free > 1 || w->mirrors.slab.n_free > 1;
}

static void abort_all(Worker *w) {
        for (List *l = w->downstreams.next, *next; l != &w->downstreams; l = next) {
                next = l->next;
                downstream_abort(CONTAINER_OF(l, Downstream, link));
        }
}

static void on_housekeeping(Timer *t, nsec_t now) {
        Worker *w = CONTAINER_OF(t, Worker, housekeeping);

        buffer_pool_trim(&w->buffers);
        slab_trim(&w->downstream_slab, w->downstream_slab.n_free / 2);
        slab_trim(&w->upstream_slab, w->upstream_slab.n_free / 2);
        slab_trim(&w->exchange_slab, w->exchange_slab.n_free / 2);
        slab_trim(&w->mirrors.slab, w->mirrors.slab.n_free / 2);
        slots_look_over(w);
        slots_recover(w);
        if (w->stop_deadline > 0 && now >= w->stop_deadline)
                abort_all(w);
}

/* While all requests are the kernel's, there is nothing to keep house for, and the worker sleeps. */
static void plan_housekeeping(Worker *w) {
        nsec_t next = w->now + HOUSEKEEPING_INTERVAL;

        if (w->housekeeping.deadline > 0 || (w->stop_deadline == 0 && !has_spare(w)))
                return;
        if (w->stop_deadline > w->now)
                next = MIN(next, w->stop_deadline);
        timer_set(&w->timers, &w->housekeeping, next);
}

void worker_make_ready(Worker *w, List *ready_link) {
        if (list_is_empty(ready_link))
                list_append(&w->ready, ready_link);
}

static void run_ready(Worker *w) {
        List now;

        list_init(&now);
        list_take(&now, &w->ready); /* those that get ready again have their turn after the next events */
        while (!list_is_empty(&now)) {
                Downstream *d = LIST_FIRST(&now, Downstream, ready_link);

                list_remove(&d->ready_link);
                downstream_run(d);
        }
}

static void run_once(Worker *w) {
        struct epoll_event events[EVENTS_AT_ONCE];
        int n, timeout = list_is_empty(&w->ready) ? timer_wheel_timeout(&w->timers, now_nsec()) : 0;

        n = epoll_wait(w->epoll, events, ELEMENTSOF(events), timeout);
        w->now = now_nsec();
        for (int i = 0; i < n; i++) {
                Socket *s = events[i].data.ptr;

                if (s->fd >= 0) /* else closed in this batch; its memory stays till the end of it */
                        socket_event(s, events[i].events);
        }
        run_ready(w);
        timer_wheel_run(&w->timers, w->now);
        if (w->has_mail)
                read_mail(w);

        slab_settle(&w->downstream_slab);
        slab_settle(&w->upstream_slab);
        slab_settle(&w->exchange_slab);
        slab_settle(&w->mirrors.slab);
        plan_housekeeping(w);
        atomic_store_explicit(&w->memory, buffer_pool_bytes(&w->buffers), memory_order_relaxed);
}

/* With no downstream left, nothing is under way; and who still has a slot in his hands finds out that it is
 * not there any more. */
static void close_upstreams(Worker *w) {
        mirrors_clear(&w->mirrors);
        pool_clear(&w->pool);
        while (!list_is_empty(&w->slots.bound))
                slot_abandon(LIST_FIRST(&w->slots.bound, Upstream, slot_link));
}

static void *worker_thread(void *userdata) {
        Worker *w = userdata;
        Mail stopped = { .type = MAIL_STOPPED, .worker = w->index };

        while (w->stop_deadline == 0 || !list_is_empty(&w->downstreams))
                run_once(w);
        close_upstreams(w);
        while (mailbox_put(&w->shared->inbox, &stopped) < 0)
                usleep(1000); /* the main thread is behind with reading */
        return NULL;
}

uint32_t worker_random(Worker *w) {
        /* xorshift32, by Marsaglia: spreads load, guards nothing */
        w->random ^= w->random << 13;
        w->random ^= w->random >> 17;
        w->random ^= w->random << 5;
        return w->random;
}

static Worker *worker_free(Worker *w) {
        remove_listeners(w);
        mailbox_done(&w->inbox);
        closep(&w->epoll);
        slots_done(&w->slots);
        regex_cache_done(&w->regexes);
        shared_tables_unref(w->tables);
        buffer_pool_done(&w->buffers);
        slab_done(&w->downstream_slab);
        slab_done(&w->upstream_slab);
        slab_done(&w->exchange_slab);
        mirrors_done(&w->mirrors);
        free(w);
        return NULL;
}

static void worker_init(Worker *w, unsigned index, WorkerShared *shared) {
        *w = (Worker){ .index = index, .shared = shared, .epoll = -EBADF, .now = now_nsec() };
        list_init(&w->readers);
        list_init(&w->listeners);
        list_init(&w->downstreams);
        for (size_t i = 0; i < ELEMENTSOF(w->fast); i++)
                list_init(&w->fast[i]);
        list_init(&w->ready);
        pool_init(&w->pool);
        slots_init(&w->slots);
        regex_cache_init(&w->regexes, shared->accelerate);
        mirrors_init(&w->mirrors);
        timer_wheel_init(&w->timers, w->now);
        timer_init(&w->housekeeping, on_housekeeping);
        buffer_pool_init(&w->buffers, BUFFER_CAPACITY_INITIAL);
        slab_init(&w->downstream_slab, sizeof(Downstream));
        slab_init(&w->upstream_slab, sizeof(Upstream));
        slab_init(&w->exchange_slab, sizeof(Exchange));
        if (getrandom(&w->random, sizeof(w->random), GRND_NONBLOCK) < 0 || w->random == 0)
                w->random = (uint32_t) w->now | 1;
}

static int worker_start(Worker *w) {
        int r;

        w->epoll = epoll_create1(EPOLL_CLOEXEC);
        if (w->epoll < 0)
                return -errno;
        socket_init(&w->mail, w->inbox.wake, on_mail);
        r = socket_register(&w->mail, w->epoll);
        if (r < 0)
                return r;
        return -pthread_create(&w->thread, NULL, worker_thread, w);
}

int worker_new(unsigned index, WorkerShared *shared, Worker **ret) {
        Worker *w;
        int r;

        w = malloc(sizeof(Worker));
        if (!w)
                return -ENOMEM;
        worker_init(w, index, shared);
        r = mailbox_init(&w->inbox);
        if (r < 0) {
                free(w);
                return r;
        }
        r = worker_start(w);
        if (r < 0) {
                worker_free(w);
                return r;
        }
        *ret = w;
        return 0;
}

Worker *worker_join_free(Worker *w) {
        if (!w)
                return NULL;
        pthread_join(w->thread, NULL);
        return worker_free(w);
}
