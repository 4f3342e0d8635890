/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "basic/cleanup.h"
#include "sockmap-user.skel.h"

/*
 * usage: sockmap-user CGROUP COMMAND [ARGUMENT...]
 *
 * Another program of the host that puts sockets into a sockmap: while the command runs, those of the
 * cgroup's processes, or of its own cgroup's if that is ".". A cgroup's programs run before those of the
 * ones that it is in.
 */

static int open_cgroup(const char *name) {
        _cleanup_close_ int top = open("/sys/fs/cgroup", O_PATH | O_CLOEXEC);
        char line[256], path[256] = ""; /* below `top` */
        FILE *f;

        if (strcmp(name, ".") != 0)
                return open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        f = fopen("/proc/self/cgroup", "re");
        if (!f)
                return -1;
        while (fgets(line, sizeof(line), f)) /* there may be some of cgroup v1 */
                (void) sscanf(line, "0::/%255s", path);
        fclose(f);
        return openat(top, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static int run(char **argv) {
        int status = 0;
        pid_t pid = fork();

        if (pid == 0) {
                execvp(argv[0], argv);
                _exit(127);
        }
        if (pid < 0 || waitpid(pid, &status, 0) < 0)
                return -errno;
        return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

static int attach(struct sockmap_user_bpf *bpf, int cgroup) {
        int r;

        r = bpf_prog_attach(bpf_program__fd(bpf->progs.let_pass), bpf_map__fd(bpf->maps.sockets),
                            BPF_SK_MSG_VERDICT, 0);
        if (r < 0)
                return r;
        bpf->links.put_socket = bpf_program__attach_cgroup(bpf->progs.put_socket, cgroup);
        return bpf->links.put_socket ? 0 : -errno;
}

int main(int argc, char **argv) {
        _cleanup_close_ int cgroup = -EBADF;
        struct sockmap_user_bpf *bpf;
        int r;

        if (argc < 3)
                return EXIT_FAILURE;
        cgroup = open_cgroup(argv[1]);
        bpf = sockmap_user_bpf__open_and_load();
        r = cgroup < 0 || !bpf ? -errno : attach(bpf, cgroup);
        if (r < 0)
                fprintf(stderr, "sockmap-user: %s\n", strerror(-r));
        else
                r = run(argv + 2);
        sockmap_user_bpf__destroy(bpf);
        return r < 0 ? EXIT_FAILURE : r;
}
