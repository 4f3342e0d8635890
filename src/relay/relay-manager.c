/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <systemd/sd-daemon.h>

#include "../basic/cleanup.h"
#include "../basic/log.h"
#include "relay-manager.h"
#include "relay-trace.h"

void manager_start_ping(Manager *m) {
        Mail mail = { .type = MAIL_PING, .sequence = ++m->ping.sequence, .epoch = m->ping.epoch };

        m->ping.n_awaited = 0;
        m->ping.lowest_epoch = m->ping.epoch;
        for (unsigned i = 0; i < SM_WORKERS_MAX; i++)
                if (m->workers[i]) {
                        m->ping.n_awaited++; /* for ever if its box is full: then it hangs */
                        (void) mailbox_put(&m->workers[i]->inbox, &mail);
                }
}

static int answer_ping(Manager *m) {
        struct sm_link_pong pong = {
                .cookie = m->ping.cookie,
                .epoch = m->ping.lowest_epoch,
                .connections = atomic_load(&m->shared.connections),
                .upstreams = atomic_load(&m->shared.upstreams),
        };

        m->ping.asked = false;
        for (unsigned i = 0; i < SM_WORKERS_MAX; i++)
                if (m->workers[i])
                        pong.memory += atomic_load(&m->workers[i]->memory);
        return link_send(m->link, SM_LINK_PONG, &pong);
}

static int on_ping(void *userdata, const struct sm_link_ping *message) {
        Manager *m = userdata;

        m->ping.asked = true;
        m->ping.cookie = message->cookie;
        m->ping.epoch = message->epoch;
        manager_start_ping(m);
        return m->ping.n_awaited == 0 ? answer_ping(m) : 0;
}

static void on_pong(Manager *m, const Mail *mail) {
        if (mail->sequence != m->ping.sequence)
                return; /* of an earlier round */
        m->ping.lowest_epoch = MIN(m->ping.lowest_epoch, mail->epoch);
        m->ping.n_awaited--;
        if (m->ping.n_awaited > 0)
                return;
        m->ping.answered = true;
        if (m->ping.asked)
                (void) answer_ping(m); /* slicemeshd may have gone */
}

void manager_stop(Manager *m, nsec_t deadline) {
        Mail mail = { .type = MAIL_STOP, .deadline = deadline };

        m->stopping = true;
        (void) sd_notify(false, "STOPPING=1\nSTATUS=Finishing what is in flight.");
        for (unsigned i = 0; i < SM_WORKERS_MAX; i++)
                if (m->workers[i])
                        (void) mailbox_put(&m->workers[i]->inbox, &mail); /* full: systemd will end it */
        if (m->n_workers == m->n_stopped)
                (void) sd_event_exit(m->event, 0);
}

static int on_stop(void *userdata, const struct sm_link_stop *message) {
        manager_stop(userdata, now_nsec() + message->drain_ms * NSEC_PER_MSEC);
        return 0;
}

static int on_start(void *userdata) {
        Manager *m = userdata;
        int r;

        r = manager_on_start(m);
        if (r >= 0)
                (void) sd_notifyf(false, "STATUS=Serving with %u workers, regular expressions %s.",
                                  m->n_workers, m->shared.accelerate ? "as machine code" : "interpreted");
        return r;
}

static int on_signal(sd_event_source *s, const struct signalfd_siginfo *si, void *userdata) {
        Manager *m = userdata;
        uint32_t drain_ms = m->tables ? m->tables->settings.drain_ms : 0;

        log_info("Stopping.");
        if (m->stopping)
                drain_ms = 0; /* a second one hurries */
        manager_stop(m, now_nsec() + drain_ms * NSEC_PER_MSEC);
        return 0;
}

static void read_mail(Manager *m, const Mail *mail) {
        switch (mail->type) {

        case MAIL_PONG:
                on_pong(m, mail);
                break;

        case MAIL_EVENT:
                (void) link_send(m->link, SM_LINK_EVENT, &mail->event); /* if anybody is there */
                break;

        case MAIL_TRACE:
                trace_tell(m->link, m->tables, mail->trace);
                break;

        case MAIL_STOPPED:
                if (++m->n_stopped == m->n_workers)
                        (void) sd_event_exit(m->event, 0);
                break;

        default:
                break;
        }
}

static int on_mail(sd_event_source *s, int fd, uint32_t revents, void *userdata) {
        Manager *m = userdata;
        Mail mail;

        while (mailbox_take(&m->shared.inbox, &mail) >= 0)
                read_mail(m, &mail);
        return 0;
}

/* systemd is told that we live only if all workers do. There may be a round under way whenever we look:
 * slicemeshd begins one with every change of the policy. */
static int on_watchdog(sd_event_source *s, uint64_t usec, void *userdata) {
        Manager *m = userdata;

        if (m->ping.n_awaited == 0 || m->ping.answered)
                (void) sd_notify(false, "WATCHDOG=1");
        m->ping.answered = false;
        if (m->ping.n_awaited == 0)
                manager_start_ping(m);
        (void) sd_event_source_set_time_relative(s, m->watchdog_interval);
        return sd_event_source_set_enabled(s, SD_EVENT_ONESHOT);
}

static int add_watchdog(Manager *m) {
        uint64_t usec;
        int r;

        r = sd_watchdog_enabled(false, &usec);
        if (r <= 0)
                return r;
        m->watchdog_interval = usec / 4;
        return sd_event_add_time_relative(m->event, &m->watchdog, CLOCK_MONOTONIC, m->watchdog_interval, 0,
                                          on_watchdog, m);
}

static const LinkHandlers handlers = {
        .tables = manager_on_tables,
        .listener = manager_on_listener,
        .start = on_start,
        .ping = on_ping,
        .stop = on_stop,
};

static int manager_init(Manager *m, int listening) {
        int r;

        r = mailbox_init(&m->shared.inbox);
        if (r < 0)
                return r;
        r = sd_event_new(&m->event);
        if (r < 0)
                return r;
        r = sd_event_add_io(m->event, NULL, m->shared.inbox.wake, EPOLLIN, on_mail, m);
        if (r < 0)
                return r;
        r = sd_event_add_signal(m->event, NULL, SIGTERM, on_signal, m);
        if (r < 0)
                return r;
        r = sd_event_add_signal(m->event, NULL, SIGINT, on_signal, m);
        if (r < 0)
                return r;
        r = add_watchdog(m);
        if (r < 0)
                return r;
        return link_new(m->event, listening, &handlers, m, &m->link);
}

int manager_new(int listening, bool accelerate, Manager **ret) {
        Manager *m;
        int r;

        m = calloc(1, sizeof(Manager));
        if (!m)
                return -ENOMEM;
        m->shared.inbox.wake = -EBADF;
        m->shared.accelerate = accelerate;
        r = manager_init(m, listening);
        if (r < 0) {
                manager_free(m);
                return r;
        }
        *ret = m;
        return 0;
}

Manager *manager_free(Manager *m) {
        if (!m)
                return NULL;
        for (unsigned i = 0; i < SM_WORKERS_MAX; i++)
                worker_join_free(m->workers[i]);
        manager_forget_setup(m);
        shared_tables_unref(m->tables);
        link_free(m->link);
        sd_event_source_disable_unref(m->watchdog);
        sd_event_unref(m->event);
        mailbox_done(&m->shared.inbox);
        free(m);
        return NULL;
}

int manager_run(Manager *m) {
        return sd_event_loop(m->event);
}
