/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <cmocka.h>

#include "basic/cleanup.h"
#include "basic/macro.h"
#include "fast-fixture.h"

#define PORT 9001

static void *map_memory(struct bpf_map *map) {
        size_t size = (size_t) bpf_map__max_entries(map) * bpf_map__value_size(map);
        void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(map), 0);

        assert_ptr_not_equal(p, MAP_FAILED);
        return p;
}

/* The tracepoint, or what stands in for it before Linux 6.3. */
static void choose_sent(struct slicemesh_bpf *bpf) {
        struct btf *btf = btf__load_vmlinux_btf();
        bool tracepoint = btf__find_by_name_kind(btf, "btf_trace_sock_send_length", BTF_KIND_TYPEDEF) >= 0;

        (void) bpf_program__set_autoload(bpf->progs.sm_sent, tracepoint);
        (void) bpf_program__set_autoload(bpf->progs.sm_sent_message, !tracepoint);
        (void) bpf_program__set_autoload(bpf->progs.sm_sent_page, !tracepoint);
        btf__free(btf);
}

static struct slicemesh_bpf *open_programs(const FastPrograms *p) {
        struct slicemesh_bpf *bpf = slicemesh_bpf__open();
        struct bpf_program *program;

        assert_non_null(bpf);
        bpf_object__for_each_program(program, bpf->obj)
                (void) bpf_program__set_autoload(program, program == bpf->progs.sm_pass);
        (void) bpf_program__set_autoload(bpf->progs.sm_msg_caller, p->caller);
        (void) bpf_program__set_autoload(bpf->progs.sm_msg_server, p->server);
        (void) bpf_program__set_autoload(bpf->progs.sm_enrol, p->enrol);
        (void) bpf_program__set_autoload(bpf->progs.sm_relay_sock_ops, p->relay);
        (void) bpf_program__set_autoload(bpf->progs.sm_sock_release, p->release);
        (void) bpf_program__set_autoload(bpf->progs.sm_msg_accepted, p->accepted);
        if (p->sent)
                choose_sent(bpf);

        const struct {
                struct bpf_map *map;
                __u32 entries;
        } sizes[] = {
                { bpf->maps.cells, FAST_CELLS },
                { bpf->maps.services, FAST_SLOTS },
                { bpf->maps.subset_states, FAST_SLOTS },
                { bpf->maps.route_states, FAST_SLOTS },
                { bpf->maps.requests, FAST_SLOTS },
                { bpf->maps.caller_scratches, FAST_SLOTS },
                { bpf->maps.server_scratches, FAST_SLOTS },
                { bpf->maps.slots, FAST_SLOTS },
                { bpf->maps.downstreams, FAST_SLOTS },
                { bpf->maps.idle_slots, FAST_SLOTS },
                { bpf->maps.endpoint_states, FAST_SLOTS },
                { bpf->maps.service_counters, FAST_SLOTS },
                { bpf->maps.service_paths, FAST_SLOTS },
                { bpf->maps.caller_sockets, FAST_MAP_SOCKETS },
                { bpf->maps.server_sockets, FAST_MAP_SOCKETS },
                { bpf->maps.upstream_sockets, FAST_MAP_SOCKETS },
                { bpf->maps.accepted_sockets, FAST_MAP_SOCKETS },
        };
        for (size_t i = 0; i < ELEMENTSOF(sizes); i++)
                (void) bpf_map__set_max_entries(sizes[i].map, sizes[i].entries);
        return bpf;
}

static void map_tables(FastFixture *f) {
        struct slicemesh_bpf *bpf = f->bpf;

        f->tables = (struct sm_tables) {
                .slots = map_memory(bpf->maps.slots), .n_slots = FAST_SLOTS,
                .downstreams = map_memory(bpf->maps.downstreams), .n_downstreams = FAST_SLOTS,
                .idle_slots = map_memory(bpf->maps.idle_slots), .n_idle_slots = FAST_SLOTS,
                .endpoint_states = map_memory(bpf->maps.endpoint_states), .n_endpoints = FAST_SLOTS,
                .service_counters = map_memory(bpf->maps.service_counters), .n_services = FAST_SLOTS,
        };
        f->cells = map_memory(bpf->maps.cells);
        f->services = map_memory(bpf->maps.services);
        f->service_paths = map_memory(bpf->maps.service_paths);
        f->slice_paths = map_memory(bpf->maps.slice_paths);
        f->control = map_memory(bpf->maps.fast_control);
}

void fast_fixture_reset(FastFixture *f) {
        memset(f->tables.slots, 0, FAST_SLOTS * sizeof(struct sm_slot));
        memset(f->tables.downstreams, 0, FAST_SLOTS * sizeof(struct sm_downstream));
        memset(f->tables.idle_slots, 0, FAST_SLOTS * sizeof(struct sm_stack));
        memset(f->tables.endpoint_states, 0, FAST_SLOTS * sizeof(struct sm_endpoint_state));
        memset(f->tables.service_counters, 0, FAST_SLOTS * sizeof(struct sm_service_counters));
        memset(f->service_paths, 0, FAST_SLOTS * sizeof(struct sm_path_counters));
        memset(f->slice_paths, 0, FAST_SLOTS * sizeof(struct sm_path_counters));
        memset(f->control, 0, sizeof(*f->control));
}

/* The cgroup that a process is in, below where that hierarchy is mounted. */
static void find_home(FastFixture *f) {
        int root = (int) (strrchr(f->place.cgroup, '/') - f->place.cgroup);
        char line[128];
        FILE *file = fopen("/proc/self/cgroup", "re");

        assert_non_null(file);
        while (fgets(line, sizeof(line), file))
                if (strncmp(line, "0::", 3) == 0)
                        break;
        fclose(file);
        line[strcspn(line, "\n")] = 0;
        (void) snprintf(f->home, sizeof(f->home), "%.*s%.96s", root, f->place.cgroup, line + 3);
}

static void join(const char *cgroup) {
        _cleanup_close_ int procs = -EBADF;
        char path[160];

        (void) snprintf(path, sizeof(path), "%s/cgroup.procs", cgroup);
        procs = open(path, O_WRONLY | O_CLOEXEC);
        assert_true(procs >= 0);
        assert_int_equal(write(procs, "0", 1), 1);
}

int fast_fixture_enter(FastFixture *f, const FastPrograms *programs, const char **ret_why) {
        uint64_t id;
        __u32 slice = 1;

        if (slice_fixture_enter(&f->place, ret_why) == 0)
                return 0;
        find_home(f);
        (void) snprintf(f->relay, sizeof(f->relay), "%s-relay", f->place.cgroup);
        assert_int_equal(slice_cgroup_make(f->relay, &id), 0);

        f->bpf = open_programs(programs);
        assert_int_equal(slicemesh_bpf__load(f->bpf), 0);
        map_tables(f);
        assert_int_equal(bpf_map_update_elem(bpf_map__fd(f->bpf->maps.managed_cgroups), &f->place.cgroup_id,
                                             &slice, BPF_ANY), 0);
        return 1;
}

void fast_fixture_leave(FastFixture *f) {
        slicemesh_bpf__destroy(f->bpf);
        (void) rmdir(f->relay);
        slice_fixture_leave(&f->place);
}

void fast_attach(const struct bpf_map *map, const struct bpf_program *program) {
        enum bpf_attach_type type = bpf_program__expected_attach_type(program);

        assert_int_equal(bpf_prog_attach(bpf_program__fd(program), bpf_map__fd(map), type, 0), 0);
}

static struct bpf_link *attach_cgroup(const char *path, struct bpf_program *program) {
        _cleanup_close_ int cgroup = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        struct bpf_link *link;

        assert_true(cgroup >= 0);
        link = bpf_program__attach_cgroup(program, cgroup);
        assert_non_null(link);
        return link;
}

void fast_attach_relay(FastFixture *f) {
        f->bpf->links.sm_relay_sock_ops = attach_cgroup(f->relay, f->bpf->progs.sm_relay_sock_ops);
}

void fast_attach_release(FastFixture *f) {
        f->bpf->links.sm_sock_release = attach_cgroup(f->place.cgroup, f->bpf->progs.sm_sock_release);
}

void fast_attach_sent(FastFixture *f) {
        struct {
                struct bpf_program *program;
                struct bpf_link **link;
        } hooks[] = {
                { f->bpf->progs.sm_sent, &f->bpf->links.sm_sent },
                { f->bpf->progs.sm_sent_message, &f->bpf->links.sm_sent_message },
                { f->bpf->progs.sm_sent_page, &f->bpf->links.sm_sent_page },
        };

        for (size_t i = 0; i < ELEMENTSOF(hooks); i++) {
                if (!bpf_program__autoload(hooks[i].program))
                        continue;
                *hooks[i].link = bpf_program__attach(hooks[i].program);
                assert_non_null(*hooks[i].link);
        }
}

/* As a key has it. */
static void tell_address(const struct sockaddr_storage *name, __u8 ret[static 16], __be16 *ret_port) {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *) name;
        const struct sockaddr_in *v4 = (const struct sockaddr_in *) name;

        *ret_port = v4->sin_port; /* at the same place in both */
        if (name->ss_family == AF_INET6) {
                memcpy(ret, &v6->sin6_addr, 16);
                return;
        }
        memset(ret, 0, 10);
        memset(ret + 10, 0xff, 2);
        memcpy(ret + 12, &v4->sin_addr, 4);
}

Connection connection_new(FastFixture *f, const char *address, const char *cgroup, int accept_flags) {
        _cleanup_close_ int listener = -EBADF;
        struct sockaddr_storage near, far;
        socklen_t size = sizeof(near);
        Connection c = {};

        join(cgroup ?: f->home);
        listener = listen_on(address, PORT);
        join(f->relay);
        assert_int_equal(getsockname(listener, (struct sockaddr *) &near, &size), 0);
        c.near = socket(near.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        join(f->home);
        assert_true(c.near >= 0);
        assert_true(connect(c.near, (struct sockaddr *) &near, size) == 0 || errno == EINPROGRESS);
        c.far = accept4(listener, NULL, NULL, SOCK_CLOEXEC | accept_flags);
        assert_true(c.far >= 0);

        size = sizeof(near);
        assert_int_equal(getsockname(c.near, (struct sockaddr *) &near, &size), 0);
        assert_int_equal(getsockname(c.far, (struct sockaddr *) &far, &size), 0);
        tell_address(&near, c.key.peer, &c.key.peer_port);
        tell_address(&far, c.key.server, &c.key.server_port);
        return c;
}

void connection_close(Connection *c) {
        close(TAKE_FD(c->near));
        close(TAKE_FD(c->far));
}

int socket_put(const struct bpf_map *map, const void *key, int fd) {
        uint64_t value = (uint64_t) fd;

        return bpf_map_update_elem(bpf_map__fd(map), key, &value, BPF_ANY);
}

int storage_set(const struct bpf_map *map, int fd, const void *value) {
        return bpf_map_update_elem(bpf_map__fd(map), &fd, value, BPF_ANY);
}

void await_readable(int fd) {
        struct pollfd p = { .fd = fd, .events = POLLIN };

        assert_int_equal(poll(&p, 1, 5000), 1);
}

void read_exactly(int fd, void *buffer, size_t size) {
        for (size_t n = 0; n < size;) {
                ssize_t k;

                await_readable(fd);
                k = recv(fd, (char *) buffer + n, size - n, 0);
                assert_true(k > 0);
                n += (size_t) k;
        }
}

void send_exactly(int fd, const void *buffer, size_t size) {
        assert_int_equal(send(fd, buffer, size, MSG_NOSIGNAL), size);
}

__u64 slot_make(FastFixture *f, __u32 slot, enum sm_slot_state state, __u32 remaining) {
        struct sm_slot *s = &f->tables.slots[slot];
        __u64 word = sm_slot_word(1 << 16, remaining, state);

        s->stack = slot;
        s->downstream = slot;
        sm_store(&s->node.word, word);
        if (state == SM_SLOT_WAITING || state == SM_SLOT_RESPONDING)
                sm_store(&f->tables.downstreams[slot].state, sm_downstream_kernel(slot, word));
        return word;
}

void assert_slot_becomes(FastFixture *f, __u32 slot, enum sm_slot_state state) {
        for (int ms = 0; ms < 5000; ms++) {
                if (sm_slot_state(sm_load(&f->tables.slots[slot].node.word)) == state)
                        return;
                (void) usleep(1000);
        }
        assert_int_equal(sm_slot_state(sm_load(&f->tables.slots[slot].node.word)), state);
}
