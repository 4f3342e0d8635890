/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "../basic/cleanup.h"
#include "../basic/macro.h"
#include "daemon-bpf-programs.h"
#include "slicemesh.skel.h"

#define SOCKETS_AT_ONCE 512 /* about a millisecond */

int bpf_ungoverned_open(const BpfPrograms *b, int *ret_fd) {
        _cleanup_close_ int link = -EBADF;
        int fd;

        link = bpf_link_create(bpf_program__fd(b->skeleton->progs.sm_ungoverned), 0, BPF_TRACE_ITER, NULL);
        if (link < 0)
                return link;
        fd = bpf_iter_create(link);
        if (fd < 0)
                return fd;
        *ret_fd = fd;
        return 0;
}

int bpf_ungoverned_read(int fd, uint32_t counts[static SM_SLICES_MAX]) {
        uint32_t slices[SOCKETS_AT_ONCE];
        ssize_t n;

        n = read(fd, slices, sizeof(slices));
        if (n < 0)
                return -errno;
        for (size_t i = 0; i < (size_t) n / sizeof(*slices); i++)
                if (slices[i] > 0 && slices[i] < SM_SLICES_MAX)
                        counts[slices[i]]++;
        return n > 0;
}
