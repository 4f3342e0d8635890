/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <linux/bpf.h>
#include <linux/capability.h>
#include <linux/membarrier.h>
#include <linux/seccomp.h>
#include <linux/securebits.h>
#include <linux/sockios.h>
#include <seccomp.h>

#include "../basic/cleanup.h"
#include "../basic/macro.h"
#include "relay-sandbox.h"

/* What is called with any argument. */
static const int allowed[] = {
        /* traffic */
        SCMP_SYS(accept4), SCMP_SYS(close), SCMP_SYS(connect), SCMP_SYS(getpeername),
        SCMP_SYS(getsockname), SCMP_SYS(getsockopt), SCMP_SYS(read), SCMP_SYS(recvfrom), SCMP_SYS(recvmsg),
        SCMP_SYS(sendmsg), SCMP_SYS(sendto), SCMP_SYS(setsockopt), SCMP_SYS(shutdown), SCMP_SYS(write),
        /* the event loops */
        SCMP_SYS(epoll_create1), SCMP_SYS(epoll_ctl), SCMP_SYS(epoll_pwait), SCMP_SYS(epoll_pwait2),
        SCMP_SYS(epoll_wait), SCMP_SYS(eventfd2), SCMP_SYS(signalfd4), SCMP_SYS(timerfd_create),
        SCMP_SYS(timerfd_settime),
        /* time */
        SCMP_SYS(clock_gettime), SCMP_SYS(clock_nanosleep), SCMP_SYS(gettimeofday),
        SCMP_SYS(nanosleep),
        /* memory */
        SCMP_SYS(brk), SCMP_SYS(madvise), SCMP_SYS(mremap), SCMP_SYS(munmap),
        /* threads and signals */
        SCMP_SYS(exit), SCMP_SYS(exit_group), SCMP_SYS(futex), SCMP_SYS(getpid), SCMP_SYS(gettid),
        SCMP_SYS(restart_syscall), SCMP_SYS(rseq), SCMP_SYS(rt_sigaction), SCMP_SYS(rt_sigprocmask),
        SCMP_SYS(rt_sigreturn), SCMP_SYS(sched_yield), SCMP_SYS(set_robust_list), SCMP_SYS(tgkill),
        /* asked for by libc and libsystemd */
        SCMP_SYS(fcntl), SCMP_SYS(fstat), SCMP_SYS(geteuid), SCMP_SYS(getrandom), SCMP_SYS(getuid),
        SCMP_SYS(newfstatat),
};

/* What is called with certain arguments only. */
static const struct {
        int call;
        struct scmp_arg_cmp only;
} allowed_if[] = {
        { SCMP_SYS(socket), { 0, SCMP_CMP_EQ, AF_INET, 0 } },
        { SCMP_SYS(socket), { 0, SCMP_CMP_EQ, AF_INET6, 0 } },
        { SCMP_SYS(socket), { 0, SCMP_CMP_EQ, AF_UNIX, 0 } }, /* sd_notify(3) */
        { SCMP_SYS(bpf), { 0, SCMP_CMP_EQ, BPF_MAP_LOOKUP_AND_DELETE_ELEM, 0 } },
        { SCMP_SYS(bpf), { 0, SCMP_CMP_EQ, BPF_MAP_UPDATE_ELEM, 0 } },
        { SCMP_SYS(bpf), { 0, SCMP_CMP_EQ, BPF_PROG_TEST_RUN, 0 } },
        { SCMP_SYS(clone), { 0, SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD } }, /* no processes */
        { SCMP_SYS(ioctl), { 1, SCMP_CMP_EQ, SIOCOUTQ, 0 } },
        { SCMP_SYS(membarrier), { 0, SCMP_CMP_EQ, MEMBARRIER_CMD_GLOBAL, 0 } },
        { SCMP_SYS(mmap), { 2, SCMP_CMP_MASKED_EQ, PROT_EXEC, 0 } },
        { SCMP_SYS(mprotect), { 2, SCMP_CMP_MASKED_EQ, PROT_EXEC, 0 } },
        { SCMP_SYS(prlimit64), { 2, SCMP_CMP_EQ, 0, 0 } }, /* to ask, not to set */
        { SCMP_SYS(prctl), { 0, SCMP_CMP_EQ, PR_GET_NO_NEW_PRIVS, 0 } },
        { SCMP_SYS(prctl), { 0, SCMP_CMP_EQ, PR_GET_SECCOMP, 0 } },
        { SCMP_SYS(prctl), { 0, SCMP_CMP_EQ, PR_SET_VMA, 0 } }, /* malloc names its arenas, in later versions */
};

/* What PCRE2 maps for its machine code: nothing of a file, and nothing that becomes executable later. */
static int allow_machine_code(scmp_filter_ctx filter) {
        return seccomp_rule_add_exact(filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 2,
                                      SCMP_A2(SCMP_CMP_EQ, PROT_READ | PROT_WRITE | PROT_EXEC),
                                      SCMP_A3(SCMP_CMP_EQ, MAP_PRIVATE | MAP_ANONYMOUS));
}

static int filter_fill(scmp_filter_ctx filter, bool machine_code) {
        int r;

        for (size_t i = 0; i < ELEMENTSOF(allowed); i++) {
                r = seccomp_rule_add_exact(filter, SCMP_ACT_ALLOW, allowed[i], 0);
                if (r < 0 && r != -EDOM) /* EDOM: the architecture has no such call */
                        return r;
        }
        for (size_t i = 0; i < ELEMENTSOF(allowed_if); i++) {
                struct scmp_arg_cmp only = allowed_if[i].only;

                r = seccomp_rule_add_exact(filter, SCMP_ACT_ALLOW, allowed_if[i].call, 1, only);
                if (r < 0)
                        return r;
        }
        r = machine_code ? allow_machine_code(filter) : 0;
        if (r < 0)
                return r;
        /* Its arguments are in memory, where a filter does not see them; libc then calls clone(2). */
        return seccomp_rule_add_exact(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
}

/* Other calls fail with EPERM: libraries then go another way or without, where killing them would end all
 * traffic. */
static int filter_system_calls(bool machine_code) {
        scmp_filter_ctx filter;
        int r;

        filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
        if (!filter)
                return -ENOMEM;
        r = filter_fill(filter, machine_code);
        if (r >= 0)
                r = seccomp_load(filter); /* sets no_new_privs first */
        seccomp_release(filter);
        return r;
}

static int drop_capabilities(void) {
        struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
        struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {};

        /* Without CAP_SETPCAP there is nothing in these sets that could be regained: no_new_privs sees to
         * that. */
        for (int i = 0; i <= CAP_LAST_CAP; i++)
                (void) prctl(PR_CAPBSET_DROP, i);
        (void) prctl(PR_SET_SECUREBITS,
                     SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP |
                             SECBIT_NO_SETUID_FIXUP_LOCKED | SECBIT_KEEP_CAPS_LOCKED |
                             SECBIT_NO_CAP_AMBIENT_RAISE | SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED);
        if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
                return -errno;
        return RET_NERRNO(syscall(SYS_capset, &header, none));
}

/* What the unit says of these is not for us to change there, and good enough: errors are ignored. */
static void limit_resources(void) {
        struct rlimit files, none = { 0, 0 };

        if (getrlimit(RLIMIT_NOFILE, &files) >= 0) {
                files.rlim_cur = files.rlim_max; /* epoll knows no FD_SETSIZE */
                (void) setrlimit(RLIMIT_NOFILE, &files);
        }
        (void) setrlimit(RLIMIT_CORE, &none); /* it would hold what callers and services told each other */
        (void) setrlimit(RLIMIT_MEMLOCK, &none);
}

int sandbox_enter(bool machine_code) {
        int r;

        limit_resources();
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
                return -errno;
        r = drop_capabilities();
        if (r < 0)
                return r;
        return filter_system_calls(machine_code);
}

static int try_open(void) {
        return RET_NERRNO(open("/proc/self/status", O_RDONLY | O_CLOEXEC));
}

static int try_exec(void) {
        return RET_NERRNO(execve("/", (char *[]){ NULL }, (char *[]){ NULL }));
}

static int try_netlink(void) {
        return RET_NERRNO(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 0));
}

static int try_map_create(void) {
        union bpf_attr attr = {
                .map_type = BPF_MAP_TYPE_ARRAY,
                .key_size = 4,
                .value_size = 4,
                .max_entries = 1,
        };

        return RET_NERRNO(syscall(SYS_bpf, BPF_MAP_CREATE, &attr, sizeof(attr)));
}

static int try_process(void) {
        pid_t pid = fork();

        if (pid == 0)
                _exit(EXIT_FAILURE);
        return pid < 0 ? -errno : 0;
}

static int try_code(void) {
        void *p = mmap(NULL, 1, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        return p == MAP_FAILED ? -errno : 0;
}

static int try_capget(void) {
        struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
        struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3] = {};

        return RET_NERRNO(syscall(SYS_capget, &header, sets));
}

int sandbox_verify(void) {
        static int (*const forbidden[])(void) = {
                try_open, try_exec, try_netlink, try_map_create, try_process, try_code, try_capget,
        };

        if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
                return -ENOTRECOVERABLE;
        if (prctl(PR_GET_SECCOMP, 0, 0, 0, 0) != SECCOMP_MODE_FILTER)
                return -ENOTRECOVERABLE;
        for (size_t i = 0; i < ELEMENTSOF(forbidden); i++)
                if (forbidden[i]() != -EPERM)
                        return -ENOTRECOVERABLE;
        return 0;
}
