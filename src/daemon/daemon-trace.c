/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fts.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "../abi/abi-trace.h"
#include "../basic/cleanup.h"
#include "../basic/log.h"
#include "../basic/time-util.h"
#include "../policy/policy-trace.h"
#include "daemon-bus-object.h"
#include "daemon-tables.h"
#include "daemon-trace.h"

#define LOOK_USEC (USEC_PER_SEC / 4) /* at what the relay counts of what it could not tell */

struct Trace {
        char *client; /* its name on the bus; NULL: there is only one, at the other end */
        sd_bus_track *track;
        sd_event_source *timer;
        nsec_t deadline;
        uint64_t count; /* that were asked for */
        uint64_t told;
        uint64_t cgroup; /* the last one that was looked for, and its path; NULL: not found */
        char *cgroup_path;
};

static Trace *trace_free(Trace *t) {
        if (!t)
                return NULL;
        sd_bus_track_unref(t->track);
        sd_event_source_disable_unref(t->timer);
        free(t->client);
        free(t->cgroup_path);
        free(t);
        return NULL;
}

DEFINE_TRIVIAL_CLEANUP(Trace *, trace_free)

static uint64_t lost(const Service *s) {
        const struct sm_service_counters *c =
                sm_service_counters_at(tables_view(s->manager->tables), s->id);

        return c ? __atomic_load_n(&c->traces_lost, __ATOMIC_RELAXED) : 0;
}

static int send_signal(const Service *s, const char *member, const char *types, ...) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        _cleanup_free_ char *path = service_bus_path(s);
        va_list ap;
        int r;

        if (!path)
                return -ENOMEM;
        r = sd_bus_message_new_signal(s->manager->bus, &m, path, service_bus_object.interface, member);
        if (r < 0)
                return r;
        va_start(ap, types);
        r = sd_bus_message_appendv(m, types, ap);
        va_end(ap);
        if (r >= 0 && s->trace->client)
                r = sd_bus_message_set_destination(m, s->trace->client);
        return r < 0 ? r : sd_bus_send(s->manager->bus, m, NULL);
}

void trace_stop(Service *s, const char *why) {
        int r;

        if (!s->trace)
                return;
        tables_set_trace(s->manager->tables, s->id, 0);
        r = send_signal(s, "TraceEnded", "tts", s->trace->told, lost(s), why);
        if (r < 0)
                log_warning_errno(r, "Failed to tell that tracing %s has ended, ignoring: %m", s->name);
        log_info("Traced %" PRIu64 " requests of %s.", s->trace->told, s->name);
        s->trace = trace_free(s->trace);
}

static int on_client_gone(sd_bus_track *track, void *userdata) {
        Service *s = userdata;

        trace_stop(s, "gone");
        return 0;
}

/* What is lost counts as well: nobody is to wait for it. */
static void check_end(Service *s) {
        if (s->trace->told + lost(s) >= s->trace->count)
                trace_stop(s, "complete");
        else if (now_nsec() >= s->trace->deadline)
                trace_stop(s, "time");
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata) {
        Service *s = userdata;

        (void) sd_event_source_set_time_relative(source, LOOK_USEC);
        (void) sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
        check_end(s);
        return 0;
}

static int follow_client(Service *s, Trace *t, sd_bus_message *call) {
        const char *sender = sd_bus_message_get_sender(call);
        int r;

        if (!sender)
                return 0;
        t->client = strdup(sender);
        if (!t->client)
                return -ENOMEM;
        r = sd_bus_track_new(s->manager->bus, &t->track, on_client_gone, s);
        return r < 0 ? r : sd_bus_track_add_sender(t->track, call);
}

int trace_start(Service *s, sd_bus_message *call, uint32_t count) {
        _cleanup_(trace_freep) Trace *t = NULL;
        int r;

        if (s->trace)
                return -EBUSY;
        t = calloc(1, sizeof(*t));
        if (!t)
                return -ENOMEM;
        t->count = count;
        t->deadline = now_nsec() + TRACE_LONGEST_USEC * NSEC_PER_USEC;
        r = follow_client(s, t, call);
        if (r < 0)
                return r;
        r = sd_event_add_time_relative(s->manager->event, &t->timer, CLOCK_MONOTONIC, LOOK_USEC, 0, on_timer,
                                       s);
        if (r < 0)
                return r;
        s->trace = TAKE_PTR(t);
        tables_set_trace(s->manager->tables, s->id, count);
        log_info("Tracing %" PRIu32 " requests of %s.", count, s->name);
        return 0;
}

static const Slice *find_slice(const Manager *m, uint32_t id) {
        size_t position = 0;
        const Slice *s;

        while ((s = hashmap_next(m->slices, &position)))
                if (s->id == id)
                        return s;
        return NULL;
}

/* An id is the number of the directory. */
static char *find_cgroup(const char *root, const char *below, uint64_t id) {
        _cleanup_free_ char *top = NULL;
        char *paths[2] = {}, *found = NULL;
        FTSENT *e;
        FTS *f;

        if (asprintf(&top, "%s%s", root, below) < 0) {
                top = NULL;
                return NULL;
        }
        paths[0] = top;
        f = fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
        while (f && !found && (e = fts_read(f)))
                if (e->fts_info == FTS_D && e->fts_statp->st_ino == id)
                        found = strdup(e->fts_path + strlen(root));
        if (f)
                fts_close(f);
        return found;
}

static const char *cgroup_path(Service *s, const Slice *slice, uint64_t id) {
        const Manager *m = s->manager;
        Trace *t = s->trace;

        if (t->cgroup != id) {
                free(t->cgroup_path);
                t->cgroup_path = m->cgroup_root ? find_cgroup(m->cgroup_root, slice->cgroup, id) : NULL;
                t->cgroup = id;
        }
        return t->cgroup_path;
}

static int tell(Service *s, const struct sm_link_trace *told) {
        const Slice *slice = find_slice(s->manager, told->slice);
        const TraceNames names = {
                .service = s->name,
                .slice = slice ? slice->name : NULL,
                .cgroup = slice && slice->cgroup ? cgroup_path(s, slice, told->cgroup) : NULL,
        };
        _cleanup_free_ char *json = NULL;
        int r;

        r = policy_trace_to_json(tables_view(s->manager->tables), &names, told, &json);
        return r < 0 ? r : send_signal(s, "Traced", "s", json);
}

void trace_take(Service *s, const struct sm_link_trace *told) {
        int r;

        if (!s->trace)
                return; /* it has ended since */
        r = tell(s, told);
        if (r < 0)
                log_warning_errno(r, "Failed to tell of a traced request of %s, ignoring: %m", s->name);
        s->trace->told++;
        check_end(s);
}

int trace_bus_method(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        Service *s = userdata;
        uint32_t count;
        int r;

        r = sd_bus_message_read(call, "u", &count);
        if (r < 0)
                return r;
        if (count > SM_TRACES_MAX)
                return sd_bus_error_setf(error, BUS_ERROR_OUT_OF_RANGE,
                                         "At most %d requests are traced at once.", SM_TRACES_MAX);
        if (s->model->protocol == SM_PROTOCOL_TCP)
                return sd_bus_error_setf(error, BUS_ERROR_INVALID_REQUEST,
                                         "Service %s is tcp: it has connections, but no requests.", s->name);
        r = bus_authorize(s->manager, call, error);
        if (r <= 0)
                return r < 0 ? r : 1;
        if (count == 0)
                trace_stop(s, "stopped");
        else {
                r = trace_start(s, call, count);
                if (r == -EBUSY)
                        return sd_bus_error_setf(error, BUS_ERROR_TRACE_IN_USE,
                                                 "Service %s is being traced for somebody else.", s->name);
                if (r < 0)
                        return r;
        }
        return sd_bus_reply_method_return(call, NULL);
}
