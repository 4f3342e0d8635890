/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>

#include "../basic/cleanup.h"
#include "../basic/macro.h"
#include "../engine/engine-reply.h"
#include "../engine/engine-stack.h"
#include "daemon-bpf-fast.h"
#include "daemon-bpf-programs.h"
#include "slicemesh.skel.h"

#define PROGRAM(name) offsetof(struct slicemesh_bpf, progs.name)
#define MAP(name) offsetof(struct slicemesh_bpf, maps.name)

static struct bpf_program *program_at(const BpfPrograms *b, size_t offset) {
        return *(struct bpf_program *const *) ((const char *) b->skeleton + offset);
}

static int map_fd_at(const BpfPrograms *b, size_t offset) {
        return bpf_map__fd(*(struct bpf_map *const *) ((const char *) b->skeleton + offset));
}

#define OF_CALLERS (SM_FAST_REQUESTS | SM_FAST_ANSWERS)

/* What a map does to each socket that is put into it. */
static const struct {
        uint32_t feature;
        size_t map, program;
        enum bpf_attach_type type;
} verdicts[] = {
        { OF_CALLERS, MAP(caller_sockets), PROGRAM(sm_msg_caller), BPF_SK_MSG_VERDICT },
        { OF_CALLERS, MAP(caller_sockets), PROGRAM(sm_pass), BPF_SK_SKB_STREAM_VERDICT },
        { SM_FAST_SERVERS, MAP(server_sockets), PROGRAM(sm_msg_server), BPF_SK_MSG_VERDICT },
        { SM_FAST_SERVERS, MAP(server_sockets), PROGRAM(sm_pass), BPF_SK_SKB_STREAM_VERDICT },
        { SM_FAST_REPLIES, MAP(accepted_sockets), PROGRAM(sm_msg_accepted), BPF_SK_MSG_VERDICT },
};

/* The end of send(): whichever of these the kernel has. Pinned by name. */
static const struct {
        const char *pin;
        size_t program;
        const char *type; /* in the kernel's own types, if it has what the program is attached to */
        __u32 kind;
} ends[] = {
        { "sent", PROGRAM(sm_sent), "btf_trace_sock_send_length", BTF_KIND_TYPEDEF },
        { "sent-message", PROGRAM(sm_sent_message), "tcp_bpf_sendmsg", BTF_KIND_FUNC },
        { "sent-page", PROGRAM(sm_sent_page), "tcp_bpf_sendpage", BTF_KIND_FUNC },
};

static const size_t others[] = { PROGRAM(sm_enrol), PROGRAM(sm_relay_sock_ops) };

/* The tracepoint alone, or both of the others. A kernel that does not describe its types has none. */
static void choose_ends(BpfPrograms *b) {
        struct btf *kernel = btf__load_vmlinux_btf();
        bool has[ELEMENTSOF(ends)];

        for (size_t i = 0; i < ELEMENTSOF(ends); i++)
                has[i] = kernel && btf__find_by_name_kind(kernel, ends[i].type, ends[i].kind) >= 0;
        btf__free(kernel);
        (void) bpf_program__set_autoload(program_at(b, ends[0].program), has[0]);
        for (size_t i = 1; i < ELEMENTSOF(ends); i++)
                (void) bpf_program__set_autoload(program_at(b, ends[i].program),
                                                 !has[0] && has[1] && has[2]);
}

void bpf_fast_choose(BpfPrograms *b, bool fast) {
        for (size_t i = 0; i < ELEMENTSOF(verdicts); i++)
                (void) bpf_program__set_autoload(program_at(b, verdicts[i].program), fast);
        for (size_t i = 0; i < ELEMENTSOF(others); i++)
                (void) bpf_program__set_autoload(program_at(b, others[i]), fast);
        if (fast)
                return choose_ends(b);
        for (size_t i = 0; i < ELEMENTSOF(ends); i++)
                (void) bpf_program__set_autoload(program_at(b, ends[i].program), false);
}

int bpf_fast_loaded(const BpfPrograms *b) {
        return b->fast_error;
}

struct sm_fast_control *bpf_fast_control(const BpfPrograms *b) {
        return b->fast_control;
}

static int map_shared(const struct bpf_map *map, void **ret) {
        size_t size = (size_t) bpf_map__value_size(map) * bpf_map__max_entries(map);
        void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(map), 0);

        if (p == MAP_FAILED)
                return -errno;
        *ret = p;
        return 0;
}

static void unmap_shared(const struct bpf_map *map, void *p) {
        if (p)
                (void) munmap(p, (size_t) bpf_map__value_size(map) * bpf_map__max_entries(map));
}

/* Every downstream is nobody's yet. */
static int fill_free_downstreams(BpfPrograms *b) {
        const struct bpf_map *map = b->skeleton->maps.downstreams;
        const struct bpf_map *stack_map = b->skeleton->maps.free_downstreams;
        struct sm_tables t = { .n_downstreams = bpf_map__max_entries(map) };
        void *downstreams = NULL, *stack = NULL;
        int r;

        r = map_shared(map, &downstreams);
        if (r >= 0)
                r = map_shared(stack_map, &stack);
        t.downstreams = downstreams;
        for (__u32 i = t.n_downstreams; r >= 0 && i-- > 1;)
                r = sm_stack_push(&t, stack, SM_STACK_DOWNSTREAMS, i) ? 0 : -EUCLEAN;
        unmap_shared(stack_map, stack);
        unmap_shared(map, downstreams);
        return r;
}

static int fill_replies(BpfPrograms *b) {
        int map = bpf_map__fd(b->skeleton->maps.replies), r = 0;

        for (enum sm_reason reason = 0; r >= 0 && reason < _SM_REASON_MAX; reason++)
                for (int head = 0; r >= 0 && head < 2; head++) {
                        __u32 index = SM_REPLY_INDEX(reason, head);
                        struct sm_reply reply;

                        if (sm_reply_texts[reason].status == 0)
                                continue;
                        sm_reply_make(&reply, reason, head ? SM_REPLY_HEAD : 0);
                        r = bpf_map_update_elem(map, &index, &reply, BPF_ANY);
                }
        return r;
}

int bpf_fast_prepare(BpfPrograms *b, const BpfSettings *s) {
        void *control;
        int r;

        if (!b->taken_over) {
                r = fill_free_downstreams(b);
                if (r < 0)
                        return r;
        }
        r = fill_replies(b);
        if (r < 0)
                return r;
        r = map_shared(b->skeleton->maps.fast_control, &control);
        if (r < 0)
                return r;
        b->fast_control = control;
        b->fast_control->workers = s->workers;
        b->fast_control->head_max = s->max_head;
        return 0;
}

void bpf_fast_done(BpfPrograms *b) {
        if (b->fast_control)
                unmap_shared(b->skeleton->maps.fast_control, b->fast_control);
}

/* Puts the link where an earlier one may be, which is gone then. There is a moment with both. */
static int pin_link(const BpfPrograms *b, int link, const char *name) {
        _cleanup_free_ char *path = NULL, *fresh = NULL;
        int r;

        if (asprintf(&path, "%s/fast/%s", b->layout, name) < 0 || asprintf(&fresh, "%s-new", path) < 0)
                return -ENOMEM;
        r = bpf_pin_remove(fresh);
        if (r < 0 && r != -ENOENT)
                return r;
        r = bpf_obj_pin(link, fresh);
        if (r < 0)
                return r;
        r = RET_NERRNO(rename(fresh, path));
        if (r < 0)
                (void) bpf_pin_remove(fresh);
        return r;
}

/*
 * A link of this kind cannot be given another program: for a moment both are called, one after the other.
 * sm_slot_finish() succeeds for one of them, and that one alone counts.
 */
static int attach_end(BpfPrograms *b, size_t i) {
        _cleanup_close_ int link = -EBADF;

        link = bpf_raw_tracepoint_open(NULL, bpf_program__fd(program_at(b, ends[i].program)));
        return link < 0 ? link : pin_link(b, link, ends[i].pin);
}

static int attach_ends(BpfPrograms *b) {
        int r = -ENOENT;

        for (size_t i = 0; i < ELEMENTSOF(ends); i++) {
                if (!bpf_program__autoload(program_at(b, ends[i].program)))
                        continue;
                r = attach_end(b, i);
                if (r < 0)
                        return r;
        }
        return r;
}

int bpf_fast_attach(BpfPrograms *b, uint32_t *ret_features) {
        uint32_t features = SM_FAST_ALL;
        int r, error = 0;

        if (b->fast_error < 0) {
                *ret_features = 0;
                return b->fast_error;
        }
        r = attach_ends(b);
        if (r < 0) {
                features &= ~(uint32_t) SM_FAST_SERVERS;
                error = r;
        }
        for (size_t i = 0; i < ELEMENTSOF(verdicts); i++) {
                /* in the place of an earlier one; sockets that are in the map keep that */
                r = bpf_prog_attach(bpf_program__fd(program_at(b, verdicts[i].program)),
                                    map_fd_at(b, verdicts[i].map), verdicts[i].type, 0);
                if (r < 0) {
                        features &= ~verdicts[i].feature;
                        error = error ?: r;
                }
        }
        *ret_features = features;
        return error;
}

int bpf_fast_attach_relay(BpfPrograms *b, const char *cgroup) {
        _cleanup_close_ int fd = open(cgroup, O_RDONLY | O_DIRECTORY | O_CLOEXEC), link = -EBADF;

        if (fd < 0)
                return -errno;
        link = bpf_link_create(bpf_program__fd(b->skeleton->progs.sm_relay_sock_ops), fd,
                               BPF_CGROUP_SOCK_OPS, NULL);
        return link < 0 ? link : pin_link(b, link, "relay");
}
