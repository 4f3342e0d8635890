/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "../basic/cleanup.h"
#include "../basic/macro.h"
#include "daemon-bpf-programs.h"
#include "slicemesh.skel.h"

/* In the order of attaching: what follows a connection is there before the first one is captured. */
static const struct {
        const char *name;
        enum bpf_attach_type type;
        size_t program; /* offset of its struct bpf_program * in the skeleton */
        bool captures;
} hooks[] = {
        { "sock_ops", BPF_CGROUP_SOCK_OPS, offsetof(struct slicemesh_bpf, progs.sm_sock_ops), false },
        { "sock_release", BPF_CGROUP_INET_SOCK_RELEASE, offsetof(struct slicemesh_bpf, progs.sm_sock_release), false },
        { "getpeername4", BPF_CGROUP_INET4_GETPEERNAME, offsetof(struct slicemesh_bpf, progs.sm_getpeername4), false },
        { "getpeername6", BPF_CGROUP_INET6_GETPEERNAME, offsetof(struct slicemesh_bpf, progs.sm_getpeername6), false },
        { "connect4", BPF_CGROUP_INET4_CONNECT, offsetof(struct slicemesh_bpf, progs.sm_connect4), true },
        { "connect6", BPF_CGROUP_INET6_CONNECT, offsetof(struct slicemesh_bpf, progs.sm_connect6), true },
};

static int hook_program_fd(const BpfPrograms *b, size_t hook) {
        const void *program = (const char *) b->skeleton + hooks[hook].program;

        return bpf_program__fd(*(struct bpf_program *const *) program);
}

static int slice_directory(const BpfPrograms *b, uint64_t cgroup_id, char **ret) {
        return asprintf(ret, "%s/slices/%" PRIu64, b->layout, cgroup_id) < 0 ? -ENOMEM : 0;
}

static int hook_path(const char *directory, size_t hook, char **ret) {
        return asprintf(ret, "%s/%s", directory, hooks[hook].name) < 0 ? -ENOMEM : 0;
}

static void hook_unpin(const char *directory, size_t hook) {
        _cleanup_free_ char *path = NULL;

        if (hook_path(directory, hook, &path) >= 0)
                (void) bpf_pin_remove(path);
}

static int set_context(BpfPrograms *b, uint64_t cgroup_id, uint32_t slice) {
        const struct sm_slice_context context = { .slice = slice };
        int fd = bpf_map__fd(b->skeleton->maps.slice_contexts);

        /* The entry was made by attaching; there is nothing to create here. */
        return bpf_map_update_elem(fd, &cgroup_id, &context, BPF_EXIST);
}

/* What is in there may be enrolled as a server, or not any more. */
static int set_managed(const BpfPrograms *b, uint64_t cgroup_id, uint32_t slice) {
        int fd = bpf_map__fd(b->skeleton->maps.managed_cgroups), r;

        if (slice > 0)
                return bpf_map_update_elem(fd, &cgroup_id, &slice, BPF_ANY);
        r = bpf_map_delete_elem(fd, &cgroup_id);
        return r == -ENOENT ? 0 : r;
}

/* 1 = attached anew, 0 = the link was there and runs the current program now. */
static int hook_attach(BpfPrograms *b, const char *directory, size_t hook, int cgroup_fd) {
        _cleanup_free_ char *path = NULL;
        _cleanup_close_ int fd = -EBADF;
        int program = hook_program_fd(b, hook), r;

        r = hook_path(directory, hook, &path);
        if (r < 0)
                return r;
        fd = bpf_obj_get(path);
        if (fd >= 0) {
                if (bpf_link_update(fd, program, NULL) >= 0)
                        return 0;
                close(TAKE_FD(fd)); /* nothing that is of use to us */
                r = bpf_pin_remove(path);
                if (r < 0)
                        return r;
        }
        fd = bpf_link_create(program, cgroup_fd, hooks[hook].type, NULL);
        if (fd < 0)
                return fd;
        r = bpf_obj_pin(fd, path);
        return r < 0 ? r : 1;
}

int bpf_slice_attach(BpfPrograms *b, const char *cgroup, uint64_t cgroup_id, uint32_t slice) {
        _cleanup_close_ int cgroup_fd = open(cgroup, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        _cleanup_free_ char *directory = NULL;
        bool fresh[ELEMENTSOF(hooks)] = {};
        int r;

        if (cgroup_fd < 0)
                return -errno;
        r = slice_directory(b, cgroup_id, &directory);
        if (r < 0)
                return r;
        r = bpf_pin_make_directory(directory);
        if (r < 0)
                return r;

        for (size_t i = 0; i < ELEMENTSOF(hooks); i++) {
                r = hook_attach(b, directory, i, cgroup_fd);
                if (r < 0)
                        goto fail;
                fresh[i] = r > 0;
        }
        /* Callers' units are looked for below what is managed, as soon as connections are captured. */
        r = set_managed(b, cgroup_id, slice);
        if (r >= 0)
                r = set_context(b, cgroup_id, slice);
        if (r >= 0)
                return 0;
fail:
        for (size_t i = 0; i < ELEMENTSOF(hooks); i++)
                if (fresh[i])
                        hook_unpin(directory, i);
        (void) rmdir(directory);
        return r;
}

void bpf_slice_release(BpfPrograms *b, uint64_t cgroup_id) {
        _cleanup_free_ char *directory = NULL;

        (void) set_context(b, cgroup_id, 0);
        (void) set_managed(b, cgroup_id, 0);
        if (slice_directory(b, cgroup_id, &directory) < 0)
                return;
        for (size_t i = 0; i < ELEMENTSOF(hooks); i++)
                if (hooks[i].captures)
                        hook_unpin(directory, i);
}

void bpf_slice_forget(BpfPrograms *b, uint64_t cgroup_id) {
        _cleanup_free_ char *directory = NULL;

        (void) set_managed(b, cgroup_id, 0);
        if (slice_directory(b, cgroup_id, &directory) >= 0)
                (void) bpf_pin_remove_tree(directory);
}

typedef struct Keep {
        const BpfPrograms *b;
        const uint64_t *ids;
        size_t n;
} Keep;

static void remove_unless_kept(const char *path, const char *name, void *userdata) {
        const Keep *keep = userdata;
        uint64_t id = strtoull(name, NULL, 10);

        for (size_t i = 0; i < keep->n; i++)
                if (keep->ids[i] == id)
                        return;
        (void) set_managed(keep->b, id, 0);
        (void) bpf_pin_remove_tree(path);
}

void bpf_slices_prune(BpfPrograms *b, const uint64_t *keep, size_t n_keep) {
        _cleanup_free_ char *slices = NULL;

        if (asprintf(&slices, "%s/slices", b->layout) < 0)
                return;
        (void) bpf_pin_each(slices, remove_unless_kept, &(Keep) { b, keep, n_keep });
}
