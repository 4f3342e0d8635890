/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/bpf.h>

#include "relay-bpf.h"

int bpf_map_set(int map, const void *key, const void *value) {
        union bpf_attr attr = {};

        attr.map_fd = (__u32) map;
        attr.key = (uintptr_t) key;
        attr.value = (uintptr_t) value;
        attr.flags = BPF_ANY;
        return syscall(SYS_bpf, BPF_MAP_UPDATE_ELEM, &attr, sizeof(attr)) < 0 ? -errno : 0;
}

int bpf_program_run(int program, const void *bytes, size_t size) {
        union bpf_attr attr = {};

        attr.test.prog_fd = (__u32) program;
        attr.test.data_in = (uintptr_t) bytes;
        attr.test.data_size_in = (__u32) size;
        attr.test.repeat = 1;
        if (syscall(SYS_bpf, BPF_PROG_TEST_RUN, &attr, sizeof(attr)) < 0)
                return -errno;
        return (int) attr.test.retval;
}
