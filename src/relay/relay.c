/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <systemd/sd-daemon.h>

#include "../basic/cleanup.h"
#include "../basic/log.h"
#include "../basic/regex.h"
#include "relay-manager.h"
#include "relay-sandbox.h"

static const char *arg_socket;
static bool arg_sandbox = true;
static bool arg_regex_jit;

static int help(void) {
        printf("slicemesh-relay [OPTIONS...]\n\n"
               "Carries the traffic of slicemesh. Started by systemd when slicemeshd connects.\n\n"
               "  -h --help         Show this help\n"
               "     --version      Show the version\n"
               "     --socket=PATH  Listen for slicemeshd there, instead of on the socket\n"
               "                    passed by systemd\n"
               "     --regex-jit    Make machine code of regular expressions, in memory that is\n"
               "                    both writable and executable\n"
               "     --no-sandbox   Keep all rights, for sanitizers and debuggers\n"
               "     --debug        Log more\n");
        return 0;
}

/* 1: go on, 0: done. */
static int parse_argv(int argc, char *argv[]) {
        enum { ARG_VERSION = 0x100, ARG_SOCKET, ARG_REGEX_JIT, ARG_NO_SANDBOX, ARG_DEBUG };
        static const struct option options[] = {
                { "help", no_argument, NULL, 'h' },
                { "version", no_argument, NULL, ARG_VERSION },
                { "socket", required_argument, NULL, ARG_SOCKET },
                { "regex-jit", no_argument, NULL, ARG_REGEX_JIT },
                { "no-sandbox", no_argument, NULL, ARG_NO_SANDBOX },
                { "debug", no_argument, NULL, ARG_DEBUG },
                {},
        };

        for (int c; (c = getopt_long(argc, argv, "h", options, NULL)) >= 0;)
                switch (c) {

                case 'h':
                        return help();

                case ARG_VERSION:
                        puts("slicemesh " SLICEMESH_VERSION);
                        return 0;

                case ARG_SOCKET:
                        arg_socket = optarg;
                        break;

                case ARG_REGEX_JIT:
                        arg_regex_jit = true;
                        break;

                case ARG_NO_SANDBOX:
                        arg_sandbox = false;
                        break;

                case ARG_DEBUG:
                        log_set_max_level(LOG_DEBUG);
                        break;

                default:
                        return -EINVAL;
                }
        return optind < argc ? log_full_errno(LOG_ERR, -EINVAL, "This program takes no arguments.") : 1;
}

static int listen_at(const char *path) {
        _cleanup_close_ int fd = -EBADF;
        struct sockaddr_un address = { .sun_family = AF_UNIX };

        if (strlen(path) >= sizeof(address.sun_path))
                return -ENAMETOOLONG;
        strcpy(address.sun_path, path);
        fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
                return -errno;
        (void) unlink(path); /* of an earlier run */
        if (bind(fd, (struct sockaddr *) &address, sizeof(address)) < 0 || listen(fd, 8) < 0)
                return -errno;
        return TAKE_FD(fd);
}

static int listening_socket(void) {
        int r;

        if (arg_socket) {
                r = listen_at(arg_socket);
                return r < 0 ? log_error_errno(r, "Cannot listen at %s: %m.", arg_socket) : r;
        }
        r = sd_listen_fds(true);
        if (r < 0)
                return log_error_errno(r, "Cannot tell which sockets systemd passed: %m.");
        if (r != 1 || sd_is_socket_unix(SD_LISTEN_FDS_START, SOCK_SEQPACKET, 1, NULL, 0) <= 0)
                return log_error_errno(-EINVAL, "Need one listening SOCK_SEQPACKET socket from systemd, "
                                                "see slicemesh-relay.socket, or --socket=PATH.");
        return SD_LISTEN_FDS_START;
}

static int enter_sandbox(void) {
        int r;

        if (!arg_sandbox) {
                log_warning("Running without sandbox, as asked for.");
                return 0;
        }
        r = sandbox_enter(arg_regex_jit);
        if (r < 0)
                return log_error_errno(r, "Cannot enter the sandbox: %m.");
        r = sandbox_verify();
        if (r < 0)
                return log_error_errno(r, "The sandbox lets something through: %m.");
        return 0;
}

/* Whether regular expressions become machine code. It is tried here, as it is for the unit to allow it. */
static bool may_accelerate(void) {
        pcre2_code *code;
        RegexError error;
        bool may;

        if (!arg_regex_jit || regex_compile("a", 1, &code, &error) < 0)
                return false;
        may = regex_accelerate(code);
        pcre2_code_free(code);
        if (!may)
                log_warning("Memory that is writable and executable is denied, so regular expressions are "
                            "interpreted. MemoryDenyWriteExecute=no in the unit would allow it.");
        return may;
}

static int setup_signals(void) {
        sigset_t set;

        if (signal(SIGPIPE, SIG_IGN) == SIG_ERR) /* the journal may be restarted */
                return -errno;

        sigemptyset(&set);
        sigaddset(&set, SIGTERM);
        sigaddset(&set, SIGINT);
        return sigprocmask(SIG_BLOCK, &set, NULL) < 0 ? -errno : 0;
}

DEFINE_TRIVIAL_CLEANUP(Manager *, manager_free)

static int run(void) {
        _cleanup_(manager_freep) Manager *m = NULL;
        int r, listening;

        listening = listening_socket();
        if (listening < 0)
                return listening;
        r = enter_sandbox();
        if (r < 0)
                return r;
        r = setup_signals();
        if (r < 0)
                return log_error_errno(r, "Cannot set up signals: %m.");
        r = manager_new(listening, may_accelerate(), &m);
        if (r < 0)
                return log_error_errno(r, "Cannot set up: %m.");
        (void) sd_notify(false, "READY=1\nSTATUS=Waiting for slicemeshd.");
        r = manager_run(m);
        if (r < 0)
                TAKE_PTR(m); /* its workers have not been told to stop: the end of the process stops them */
        return r < 0 ? log_error_errno(r, "The event loop failed: %m.") : 0;
}

int main(int argc, char *argv[]) {
        int r;

        r = parse_argv(argc, argv);
        if (r > 0)
                r = run();
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
