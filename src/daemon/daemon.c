/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <sysexits.h>

#include <systemd/sd-daemon.h>

#include "../basic/cleanup.h"
#include "../basic/log.h"
#include "../basic/macro.h"
#include "../basic/time-util.h"
#include "daemon-bpf.h"
#include "daemon-bus.h"
#include "daemon-job.h"
#include "daemon-surroundings.h"

DEFINE_TRIVIAL_CLEANUP(Manager *, manager_free)

static const char *arg_root = NULL;
static const char *arg_introspect = NULL;
static bool arg_detach = false;

static void help(void) {
        puts("slicemeshd [OPTIONS]\n"
             "\n"
             "The daemon of slicemesh: governs the connections of slices by the policy in\n"
             "/etc/slicemesh. Started by systemd; slicemeshctl(1) speaks to it.\n"
             "\n"
             "  -h --help                  Show this help\n"
             "     --version               Show the version\n"
             "     --root=DIR              Look for etc/slicemesh and var/lib below DIR\n"
             "     --detach                Remove all programs and maps from the kernel and\n"
             "                             exit: no connection is governed any more\n"
             "     --bus-introspect=PATH   Show the bus interfaces of an object and exit\n"
             "\n"
             "Exit status: 0 stopped; 69 the kernel or the system lacks what it takes;\n"
             "77 not permitted; 75 another slicemeshd is running; 64 wrong usage; 1 anything\n"
             "else. The journal says why.");
}

/* 0 = done, 1 = go on, negative errno. */
static int parse_argv(int argc, char **argv) {
        enum { ARG_VERSION = 0x100, ARG_ROOT, ARG_DETACH, ARG_BUS_INTROSPECT };
        static const struct option options[] = {
                { "help", no_argument, NULL, 'h' },
                { "version", no_argument, NULL, ARG_VERSION },
                { "root", required_argument, NULL, ARG_ROOT },
                { "detach", no_argument, NULL, ARG_DETACH },
                { "bus-introspect", required_argument, NULL, ARG_BUS_INTROSPECT },
                {},
        };
        int c;

        while ((c = getopt_long(argc, argv, "h", options, NULL)) >= 0)
                switch (c) {
                case 'h':
                        help();
                        return 0;
                case ARG_VERSION:
                        puts("slicemesh " SLICEMESH_VERSION);
                        return 0;
                case ARG_ROOT:
                        arg_root = optarg;
                        break;
                case ARG_DETACH:
                        arg_detach = true;
                        break;
                case ARG_BUS_INTROSPECT:
                        arg_introspect = optarg;
                        break;
                default:
                        return -EINVAL;
                }
        if (optind < argc)
                return log_error_errno(-EINVAL, "slicemeshd takes no arguments.");
        return 1;
}

static int on_reload(sd_event_source *s, const struct signalfd_siginfo *si, void *userdata) {
        Manager *m = userdata;
        int r;

        (void) sd_notifyf(false, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64, now_nsec() / NSEC_PER_USEC);
        r = manager_reload(m);
        if (r < 0)
                log_warning_errno(r, "Failed to reload the policy, going on with the one in force: %m");
        (void) sd_notify(false, "READY=1");
        return 0;
}

/* Stopped for good, or only to be started again? In doubt traffic goes on. */
static int on_terminate(sd_event_source *s, const struct signalfd_siginfo *si, void *userdata) {
        Manager *m = userdata;

        (void) sd_notify(false, "STOPPING=1");
        if (job_is_stop(m->bus) > 0)
                manager_detach(m);
        else
                log_info("Leaving the slices attached: traffic goes on under the policy in force.");
        return sd_event_exit(m->event, EXIT_SUCCESS);
}

static int watch_signals(Manager *m) {
        static const struct {
                int signal;
                sd_event_signal_handler_t handler;
        } signals[] = { { SIGHUP, on_reload }, { SIGTERM, on_terminate }, { SIGINT, on_terminate } };
        sigset_t set;
        int r;

        sigemptyset(&set);
        for (size_t i = 0; i < ELEMENTSOF(signals); i++)
                sigaddset(&set, signals[i].signal);
        if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
                return -errno;
        for (size_t i = 0; i < ELEMENTSOF(signals); i++) {
                r = sd_event_add_signal(m->event, NULL, signals[i].signal, signals[i].handler, m);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int run(void) {
        static const int statuses[_MANAGER_E_MAX] = {
                [MANAGER_E_UNAVAILABLE] = EX_UNAVAILABLE,
                [MANAGER_E_NO_PERMISSION] = EX_NOPERM,
                [MANAGER_E_TAKEN] = EX_TEMPFAIL,
        };
        _cleanup_(manager_freep) Manager *m = NULL;
        _cleanup_(sd_event_unrefp) sd_event *event = NULL;
        int r;

        r = sd_event_default(&event);
        if (r >= 0)
                r = manager_new(event, arg_root, &m);
        if (r >= 0)
                r = watch_signals(m);
        if (r < 0) {
                (void) log_error_errno(r, "Failed to set up: %m");
                return EXIT_FAILURE;
        }
        r = manager_start(m);
        if (r != 0)
                return r < 0 ? EXIT_FAILURE : statuses[r];

        r = sd_event_set_watchdog(event, true);
        if (r < 0)
                log_warning_errno(r, "Failed to set up the watchdog, ignoring: %m");
        (void) sd_notify(false, "READY=1");
        r = sd_event_loop(event);
        if (r < 0)
                (void) log_error_errno(r, "The event loop failed: %m");
        return r < 0 ? EXIT_FAILURE : r;
}

static int detach(void) {
        int r;

        r = bpf_pins_remove(surroundings_pin_path());
        if (r < 0) {
                (void) log_error_errno(r, "Failed to remove what is pinned: %m");
                return r == -EPERM || r == -EACCES ? EX_NOPERM : EXIT_FAILURE;
        }
        puts(r > 0 ? "Detached from all slices." : "Nothing was attached.");
        return EXIT_SUCCESS;
}

int main(int argc, char **argv) {
        const char *level = getenv("SLICEMESH_LOG");
        int r;

        if (level && streq(level, "debug"))
                log_set_max_level(LOG_DEBUG);
        r = parse_argv(argc, argv);
        if (r <= 0)
                return r < 0 ? EX_USAGE : EXIT_SUCCESS;
        if (arg_introspect) {
                r = bus_introspect(arg_introspect, stdout);
                if (r < 0)
                        (void) log_error_errno(r, "No bus object can have the path %s: %m", arg_introspect);
                return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
        }
        return arg_detach ? detach() : run();
}
