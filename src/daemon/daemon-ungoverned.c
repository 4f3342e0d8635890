/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <string.h>

#include "../basic/cleanup.h"
#include "../basic/log.h"
#include "../basic/macro.h"
#include "../basic/time-util.h"
#include "daemon-bpf.h"
#include "daemon-slice.h"
#include "daemon-ungoverned.h"

#define INTERVAL_USEC (5 * USEC_PER_SEC)
#define SHARE 100 /* of one CPU's time, at most one part in so many */

struct UngovernedCount {
        Manager *manager;
        sd_event_source *timer; /* of the next step: at once while a count is under way */
        int fd;                 /* where that one has got to, -EBADF between two */
        bool again;             /* something changed meanwhile */
        nsec_t spent;           /* CPU time, on that one */
        uint32_t counts[SM_SLICES_MAX];
};

UngovernedCount *ungoverned_free(UngovernedCount *u) {
        if (!u)
                return NULL;
        sd_event_source_disable_unref(u->timer);
        closep(&u->fd);
        free(u);
        return NULL;
}

static void schedule(UngovernedCount *u, usec_t delay) {
        int r;

        r = sd_event_source_set_time_relative(u->timer, delay);
        if (r >= 0)
                r = sd_event_source_set_enabled(u->timer, SD_EVENT_ONESHOT);
        if (r < 0)
                log_warning_errno(r, "Failed to have ungoverned connections counted, ignoring: %m");
}

static nsec_t cpu_nsec(void) {
        struct timespec ts;

        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
        return (nsec_t) ts.tv_sec * NSEC_PER_SEC + (nsec_t) ts.tv_nsec;
}

/* 1 = goes on, 0 = those were all. */
static int count_some(UngovernedCount *u) {
        nsec_t start = cpu_nsec();
        int r;

        if (u->fd < 0) {
                r = bpf_ungoverned_open(u->manager->bpf, &u->fd);
                if (r < 0)
                        return r;
                memset(u->counts, 0, sizeof(u->counts));
                u->spent = 0;
        }
        r = bpf_ungoverned_read(u->fd, u->counts);
        u->spent += cpu_nsec() - start;
        return r;
}

static void publish(const UngovernedCount *u) {
        size_t position = 0;
        Slice *s;

        while ((s = hashmap_next(u->manager->slices, &position)))
                if (s->attached) /* else it will be counted when it is */
                        slice_set_ungoverned(s, u->counts[s->id]);
}

static bool some_are_left(const Manager *m) {
        size_t position = 0;
        const Slice *s;

        while ((s = hashmap_next(m->slices, &position)))
                if (s->ungoverned > 0)
                        return true;
        return false;
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata) {
        UngovernedCount *u = userdata;
        int r;

        r = count_some(u);
        if (r > 0) {
                schedule(u, 0);
                return 0;
        }
        if (r < 0)
                log_warning_errno(r, "Failed to count ungoverned connections, ignoring: %m");
        else
                publish(u);
        closep(&u->fd);
        u->fd = -EBADF;
        if (u->again)
                schedule(u, 0);
        else if (some_are_left(u->manager))
                schedule(u, MAX(INTERVAL_USEC, u->spent / NSEC_PER_USEC * SHARE));
        u->again = false;
        return 0;
}

int ungoverned_new(Manager *m, UngovernedCount **ret) {
        UngovernedCount *u = calloc(1, sizeof(*u));
        int r;

        if (!u)
                return -ENOMEM;
        u->manager = m;
        u->fd = -EBADF;
        r = sd_event_add_time_relative(m->event, &u->timer, CLOCK_MONOTONIC, 0, 1, on_timer, u);
        if (r >= 0)
                r = sd_event_source_set_priority(u->timer, SD_EVENT_PRIORITY_IDLE);
        if (r >= 0)
                r = sd_event_source_set_enabled(u->timer, SD_EVENT_OFF);
        if (r < 0) {
                ungoverned_free(u);
                return r;
        }
        *ret = u;
        return 0;
}

void ungoverned_recount(UngovernedCount *u) {
        if (!u)
                return;
        if (u->fd >= 0)
                u->again = true;
        else
                schedule(u, 0);
}
