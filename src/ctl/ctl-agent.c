/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../basic/macro.h"
#include "ctl-agent.h"

#define AGENT "/usr/bin/pkttyagent"
#define READY_TIMEOUT_MS 5000

static pid_t agent_pid;

/* In the child. The agent closes `ready` when it has registered itself. */
static void become_agent(int ready) {
        char text[16];

        snprintf(text, sizeof(text), "%d", ready);
        (void) prctl(PR_SET_PDEATHSIG, SIGTERM);
        if (fcntl(ready, F_SETFD, 0) >= 0)
                execl(AGENT, AGENT, "--notify-fd", text, "--fallback", NULL);
        _exit(EXIT_FAILURE);
}

void agent_open(const Options *o) {
        int fds[2];

        if (o->no_ask_password || geteuid() == 0 || !isatty(STDIN_FILENO) || access(AGENT, X_OK) < 0 ||
            pipe2(fds, O_CLOEXEC) < 0)
                return;

        agent_pid = fork();
        if (agent_pid == 0)
                become_agent(fds[1]);
        close(fds[1]);
        /* Without it, slicemeshd would answer before there is anybody to ask. */
        (void) poll(&(struct pollfd) { .fd = fds[0], .events = POLLHUP }, 1, READY_TIMEOUT_MS);
        close(fds[0]);
}

void agent_close(void) {
        if (agent_pid <= 0)
                return;
        (void) kill(agent_pid, SIGTERM);
        (void) kill(agent_pid, SIGCONT);
        while (waitpid(agent_pid, NULL, 0) < 0 && errno == EINTR)
                ;
        agent_pid = 0;
}
