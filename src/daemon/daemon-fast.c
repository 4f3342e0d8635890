/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdarg.h>

#include "../basic/cleanup.h"
#include "../basic/log.h"
#include "../basic/macro.h"
#include "../engine/engine-atomic.h"
#include "daemon-bpf-fast.h"
#include "daemon-bpf-probe.h"
#include "daemon-bus.h"
#include "daemon-fast.h"
#include "daemon-surroundings.h"

enum { POLICY_UNKNOWN, POLICY_ENABLED, POLICY_DISABLED }; /* sm_fast_control.policy */

struct FastPath {
        struct sm_fast_control *control;
        uint32_t attached;     /* features that are in working order */
        char *lacking;         /* why that is not all of them */
        const char *unwatched; /* why nobody sees upstream connections end; NULL: the relay's program does */
        bool runs;             /* the relay */
};

DEFINE_TRIVIAL_CLEANUP(FastPath *, fast_free)

FastPath *fast_free(FastPath *f) {
        if (!f)
                return NULL;
        free(f->lacking);
        free(f);
        return NULL;
}

uint32_t fast_available(const Manager *m) {
        const FastPath *f = m->fast;

        return f && f->runs && !f->unwatched ? f->attached : 0;
}

bool fast_is_enabled(const Manager *m) {
        return m->fast && !m->fast->control->disabled;
}

uint32_t fast_features(const Manager *m) {
        return fast_is_enabled(m) ? fast_available(m) : 0;
}

enum sm_slow fast_why(const Manager *m, const char **ret_sentence) {
        const FastPath *f = m->fast;

        if (fast_features(m) == SM_FAST_ALL) {
                *ret_sentence = NULL;
                return SM_SLOW_NONE;
        }
        if (f && f->control->disabled) {
                *ret_sentence = f->control->policy == POLICY_DISABLED
                                        ? "It is switched off in mesh.yaml, `fast-path: {enabled: false}`."
                                        : "An administrator has switched it off.";
                return SM_SLOW_OFF;
        }
        *ret_sentence = f && f->lacking                ? f->lacking
                        : f && f->runs && f->unwatched ? f->unwatched
                                                       : "The relay is not running.";
        return SM_SLOW_UNAVAILABLE;
}

static void apply(Manager *m) {
        struct sm_fast_control *control = m->fast->control;
        const char *sentence;

        sm_store_32(&control->slow, fast_why(m, &sentence));
        sm_store_32(&control->features, fast_features(m));
        manager_bus_fast_changed(m);
}

void fast_set_enabled(Manager *m, bool enabled) {
        if (!m->fast)
                return;
        if (fast_is_enabled(m) != enabled)
                log_notice("The fast path is switched %s.", enabled ? "on" : "off");
        m->fast->control->disabled = !enabled;
        apply(m);
}

/* What mesh.yaml says counts when it changes, at the first start above all. */
void fast_configure(Manager *m) {
        uint32_t policy = m->mesh->fast ? POLICY_ENABLED : POLICY_DISABLED;
        bool enabled = fast_is_enabled(m);

        if (!m->fast)
                return;
        if (m->fast->control->policy != policy)
                enabled = m->mesh->fast;
        m->fast->control->policy = policy;
        fast_set_enabled(m, enabled);
}

void fast_relay_came(Manager *m, const char *cgroup) {
        FastPath *f = m->fast;
        int r = 0;

        if (!f || f->attached == 0)
                return;
        f->unwatched = "The relay does not run as a service of systemd, in a cgroup of its own and outside "
                       "of the managed slices.";
        if (cgroup) {
                _cleanup_free_ char *directory = NULL;

                f->unwatched = "The program that watches the relay's connections could not be attached.";
                r = asprintf(&directory, "%s%s", m->cgroup_root, cgroup) < 0 ? -ENOMEM : 0;
                if (r >= 0)
                        r = bpf_fast_attach_relay(m->bpf, directory);
                if (r >= 0)
                        f->unwatched = NULL;
        }
        if (f->unwatched)
                log_warning("The fast path is not used: %s%s%s", f->unwatched, r < 0 ? " " : "",
                            r < 0 ? strerror(-r) : "");
        apply(m);
}

void fast_relay_runs(Manager *m, bool runs) {
        if (!m->fast)
                return;
        m->fast->runs = runs;
        apply(m);
}

static int _printf_(2, 3) say(char **ret, const char *format, ...) {
        va_list ap;
        int r;

        va_start(ap, format);
        r = vasprintf(ret, format, ap);
        va_end(ap);
        return r < 0 ? -ENOMEM : 0;
}

/* "fionread, order" */
static char *join_failed(const BpfProbes *p) {
        _cleanup_free_ char *text = strdup("");

        for (size_t i = 0; text && i < p->n_failed; i++) {
                char *longer = NULL;

                if (say(&longer, "%s%s%s", text, i > 0 ? ", " : "", p->failed[i]) < 0)
                        return NULL;
                free(text);
                text = longer;
        }
        return TAKE_PTR(text);
}

static int attach_probed(Manager *m, FastPath *f, const BpfProbes *p) {
        _cleanup_free_ char *failed = join_failed(p);
        int r;

        if (!failed)
                return -ENOMEM;
        r = bpf_fast_attach(m->bpf, &f->attached);
        f->attached &= p->features;
        if (!(f->attached & SM_FAST_REQUESTS))
                f->attached = 0; /* the others are of no use alone */
        if (p->n_failed > 0)
                return say(&f->lacking, "The kernel has failed these probes: %s.", failed);
        if (r < 0)
                return say(&f->lacking, "%s of its programs can be attached (%s).",
                           f->attached ? "Not all" : "None", strerror(-r));
        return 0;
}

/* Attaches what is there, and says why that is not all. */
static int attach(Manager *m, FastPath *f) {
        const char *sentence;
        BpfProbes probes = {};
        int r;

        if (!surroundings_fast_path(&sentence))
                return say(&f->lacking, "%s", sentence);
        r = bpf_fast_loaded(m->bpf);
        if (r < 0)
                return say(&f->lacking,
                           "The kernel refuses its programs (%s). SLICEMESH_LOG=debug shows why.",
                           strerror(-r));
        r = bpf_probe_run(&probes);
        if (r < 0)
                return say(&f->lacking, "What this kernel does could not be tried out (%s).", strerror(-r));
        return attach_probed(m, f, &probes);
}

int fast_new(Manager *m, FastPath **ret) {
        _cleanup_(fast_freep) FastPath *f = calloc(1, sizeof(*f));
        int r;

        if (!f)
                return -ENOMEM;
        f->control = bpf_fast_control(m->bpf);
        /* The relay that the slicemeshd before this one knew is taken to be there still: connections that
         * are opened until it has greeted us would else be its own for good. */
        f->runs = f->control->features != 0;
        r = attach(m, f);
        if (r < 0)
                return r;
        if (f->lacking)
                log_notice("The fast path is %s: %s", f->attached ? "used in part" : "not used", f->lacking);
        *ret = TAKE_PTR(f);
        return 0;
}
