/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../basic/cleanup.h"
#include "ctl-terminal.h"

#define PAGER_WORDS_MAX 16

static pid_t pager_pid;

static const char *wanted_pager(void) {
        const char *e = getenv("SYSTEMD_PAGER") ?: getenv("PAGER");

        return e ?: "less";
}

static bool pager_is_useful(const Options *o) {
        const char *term = getenv("TERM"), *pager = wanted_pager();

        return !o->no_pager && !o->json && isatty(STDOUT_FILENO) && term && !streq(term, "dumb") && *pager &&
                !streq(pager, "cat");
}

/* Splits at white space; no shell gets to see it. */
static void exec_pager(const char *command) {
        char *words[PAGER_WORDS_MAX + 1] = {}, *copy = strdup(command), *rest = copy;
        size_t n = 0;

        while (copy && n < PAGER_WORDS_MAX) {
                char *word = strsep(&rest, " \t");

                if (!word)
                        break;
                if (*word)
                        words[n++] = word;
        }
        if (n > 0)
                execvp(words[0], words);
        free(copy);
}

/* In the child. Falls back to what is surely there, so that the output is not lost. */
static void become_pager(int fd) {
        static const char *const fallbacks[] = { "less", "more", "cat" };

        (void) prctl(PR_SET_PDEATHSIG, SIGTERM);
        if (dup2(fd, STDIN_FILENO) < 0)
                _exit(EXIT_FAILURE);
        (void) setenv("LESS", getenv("SYSTEMD_LESS") ?: "FRSXMK", 1);
        (void) setenv("LESSCHARSET", terminal_utf8() ? "utf-8" : "iso8859", 0);
        (void) setenv("LESSSECURE", "1", 1); /* no shell out of a command run with sudo */

        exec_pager(wanted_pager());
        for (size_t i = 0; i < ELEMENTSOF(fallbacks); i++)
                exec_pager(fallbacks[i]);
        _exit(EXIT_FAILURE);
}

void pager_open(const Options *o) {
        int fds[2];
        pid_t pid;

        (void) terminal_colors(); /* remembered before standard output becomes a pipe */
        (void) terminal_columns();
        if (pager_pid > 0 || !pager_is_useful(o) || pipe2(fds, O_CLOEXEC) < 0)
                return;

        fflush(stdout);
        pid = fork();
        if (pid == 0)
                become_pager(fds[0]);
        if (pid > 0 && dup2(fds[1], STDOUT_FILENO) >= 0)
                pager_pid = pid;
        close(fds[0]);
        close(fds[1]);
}

void pager_close(void) {
        if (pager_pid <= 0)
                return;
        (void) fclose(stdout); /* the end of its input */
        while (waitpid(pager_pid, NULL, 0) < 0 && errno == EINTR)
                ;
        pager_pid = 0;
}
