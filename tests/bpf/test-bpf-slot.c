/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/mman.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "engine/engine-hash.h"
#include "engine/test-engine.h"
#include "slot-case.h"
#include "slot.skel.h"

/*
 * Slots and downstreams in the kernel and in user space: the same scripts leave the same bytes, and both
 * sides at once, on the same memory, lose and double nothing.
 */

#define SLOTS 4 /* of each kind, and the unused index 0 */
#define IDLE 2
#define SCRIPTS 3000
#define CYCLES 200000

static struct slot_bpf *programs;

typedef struct Memory {
        struct sm_slot slots[SLOTS + 1];
        struct sm_downstream downstreams[SLOTS + 1];
        struct sm_stack idle[IDLE], unused;
} Memory;

static struct sm_tables tables_of(struct sm_slot *slots, struct sm_downstream *downstreams,
                                  struct sm_stack *idle) {
        return (struct sm_tables) {
                .slots = slots, .n_slots = SLOTS + 1,
                .downstreams = downstreams, .n_downstreams = SLOTS + 1,
                .idle_slots = idle, .n_idle_slots = IDLE,
        };
}

static struct { /* of the maps */
        struct sm_slot *slots;
        struct sm_downstream *downstreams;
        struct sm_stack *idle, *unused;
} maps;

static void memory_start(Memory *m) {
        struct sm_tables t = tables_of(m->slots, m->downstreams, m->idle);

        memset(m, 0, sizeof(*m));
        for (__u32 i = 1; i <= SLOTS; i++) {
                __u64 word = 0;

                m->slots[i].stack = i == SLOTS ? IDLE : 1; /* one has no stack */
                assert_true(sm_slot_bind(&t, i, &m->slots[i], &word));
                m->downstreams[i].state = SM_DOWNSTREAM_IDLE;
                if (i == 1)
                        m->downstreams[i].node.word = SM_OWNER_NOBODY;
                else
                        assert_true(sm_stack_push(&t, &m->unused, SM_STACK_DOWNSTREAMS, i));
        }
}

static void memory_to_maps(const Memory *m) {
        memcpy(maps.slots, m->slots, sizeof(m->slots));
        memcpy(maps.downstreams, m->downstreams, sizeof(m->downstreams));
        memcpy(maps.idle, m->idle, sizeof(m->idle));
        memcpy(maps.unused, &m->unused, sizeof(m->unused));
}

static void run_program(const struct bpf_program *p, int repeat) {
        static const __u8 packet[64];
        LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = packet, .data_size_in = sizeof(packet),
                    .repeat = repeat);

        assert_int_equal(bpf_prog_test_run_opts(bpf_program__fd(p), &options), 0);
        assert_int_equal(options.retval, 0);
}

static void compare(const struct slot_script *s, struct slot_trace *native) {
        struct slot_trace kernel = {};
        struct sm_tables t;
        __u32 zero = 0;
        Memory m;

        memory_start(&m);
        memory_to_maps(&m);
        assert_int_equal(bpf_map_update_elem(bpf_map__fd(programs->maps.script), &zero, s, BPF_ANY), 0);
        assert_int_equal(bpf_map_update_elem(bpf_map__fd(programs->maps.trace), &zero, &kernel, BPF_ANY), 0);
        run_program(programs->progs.slot_script, 1);
        assert_int_equal(bpf_map_lookup_elem(bpf_map__fd(programs->maps.trace), &zero, &kernel), 0);

        memset(native, 0, sizeof(*native));
        t = tables_of(m.slots, m.downstreams, m.idle);
        for (__u32 i = 0; i < s->n; i++)
                native->results[i] = slot_op_run(&t, &m.unused, &s->ops[i],
                                                 &native->hands[s->ops[i].hand % SLOT_HANDS]);
        assert_memory_equal(&kernel, native, sizeof(kernel));
        assert_memory_equal(maps.slots, m.slots, sizeof(m.slots));
        assert_memory_equal(maps.downstreams, m.downstreams, sizeof(m.downstreams));
        assert_memory_equal(maps.idle, m.idle, sizeof(m.idle));
        assert_memory_equal(maps.unused, &m.unused, sizeof(m.unused));
}

/* A request from one end to the other, twice: by the kernel, then handed over. */
static void test_a_request(void **state) {
        static const struct slot_script s = {
                .ops = {
                        { SLOT_OP_MAY_TAKE, .downstream = 1 },
                        { SLOT_OP_TAKE, .downstream = 1, .state = SM_SLOT_TAKEN },
                        { SLOT_OP_BEGIN, .downstream = 1 },
                        { SLOT_OP_MAY_TAKE, .downstream = 1 },
                        { SLOT_OP_WAIT },
                        { SLOT_OP_RESPOND, .argument = 7 },
                        { SLOT_OP_PROCEED, .argument = 7 },
                        { SLOT_OP_FINISH },
                        { SLOT_OP_MAY_TAKE, .downstream = 1 },
                        { SLOT_OP_TAKE, .downstream = 1, .state = SM_SLOT_TAKEN },
                        { SLOT_OP_BEGIN, .downstream = 1 },
                        { SLOT_OP_WAIT },
                        { SLOT_OP_HAND_OVER, .argument = SM_REMAINING_ALL },
                        { SLOT_OP_END, .downstream = 1, .state = SM_DOWNSTREAM_RELAY },
                        { SLOT_OP_PUT_BACK },
                        { SLOT_OP_MOVE, .downstream = 1, .state = SM_DOWNSTREAM_IDLE,
                          .argument = SM_DOWNSTREAM_RELAY },
                },
                .n = 16,
        };
        static const __u64 expected[] = { 1, 3, 1, 0, 1, 1, 1, 1, 1, 3, 1, 1, 1, 1, 1, 1 };
        struct slot_trace trace;

        compare(&s, &trace);
        for (size_t i = 0; i < COUNT(expected); i++)
                assert_int_equal(trace.results[i], expected[i]);
}

/* A fixed sequence: the same on every run. */
static __u32 next(__u64 *seed) {
        *seed += 0x9e3779b97f4a7c15ULL;
        return (__u32) (sm_hash_finish(*seed) >> 32);
}

static void test_scripts_at_random(void **state) {
        static const __u8 order[] = {
                SLOT_OP_TAKE, SLOT_OP_BEGIN, SLOT_OP_WAIT, SLOT_OP_RESPOND, SLOT_OP_PROCEED, SLOT_OP_FINISH,
        };
        unsigned succeeded[_SLOT_OP_MAX] = {};
        struct slot_trace trace;
        __u64 seed = 1;

        for (int n = 0; n < SCRIPTS; n++) {
                struct slot_script s = { .n = SLOT_OPS };

                for (__u32 i = 0; i < s.n; i++) {
                        __u32 r = next(&seed);

                        /* half of them in the order that makes sense, or there would be few that succeed */
                        s.ops[i] = (struct slot_op) {
                                .kind = (__u8) (r % 2 ? order[i % COUNT(order)] : (r >> 1) % _SLOT_OP_MAX),
                                .hand = r >> 8 & 1,
                                .downstream = r >> 9 & 3,
                                .state = r >> 12 & 1 ? SM_SLOT_TAKEN : r >> 13 & 3,
                                .argument = r >> 16 & 3,
                        };
                }
                compare(&s, &trace);
                for (__u32 i = 0; i < s.n; i++)
                        succeeded[s.ops[i].kind] += trace.results[i] > 0 && trace.results[i] < 94;
        }
        for (unsigned kind = 0; kind < _SLOT_OP_MAX; kind++)
                if (succeeded[kind] < 10 && kind != SLOT_OP_READ && kind != SLOT_OP_LET_GO) {
                        print_error("%u: %u\n", kind, succeeded[kind]);
                        fail();
                }
}

static unsigned stop;

/* The relay's side of slot_cycle. */
static void *cycle_natively(void *userdata) {
        struct sm_tables t = tables_of(maps.slots, maps.downstreams, maps.idle);
        __u64 taken = 0, word;
        __u32 i;

        while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
                if (taken % 16 == 0)
                        sm_slot_sweep(&t, &maps.idle[1]);
                i = sm_stack_pop(&t, &maps.idle[1], SM_STACK_SLOTS, &word);
                if (i == 0)
                        continue;
                if (!sm_slot_take(&maps.slots[i], &word, SM_SLOT_RELAY, 0))
                        abort();
                maps.slots[i].key.server_port++;
                taken++;
                if (!sm_slot_put_back(&t, i, &maps.slots[i], &word))
                        abort();
        }
        *(__u64 *) userdata = taken;
        return NULL;
}

static void test_both_sides_at_once(void **state) {
        __u64 by_relay = 0, turns = 0, uses = 0, word = 0;
        struct slot_trace trace = {};
        struct sm_tables t;
        pthread_t thread;
        __u32 zero = 0;
        Memory m;

        memory_start(&m);
        memory_to_maps(&m);
        t = tables_of(maps.slots, maps.downstreams, maps.idle);
        assert_int_equal(bpf_map_update_elem(bpf_map__fd(programs->maps.trace), &zero, &trace, BPF_ANY), 0);
        assert_int_equal(pthread_create(&thread, NULL, cycle_natively, &by_relay), 0);
        run_program(programs->progs.slot_cycle, CYCLES);
        __atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_int_equal(bpf_map_lookup_elem(bpf_map__fd(programs->maps.trace), &zero, &trace), 0);
        assert_true(trace.taken > 0 && by_relay > 0);
        for (int n = 1; n < SLOTS; n++) {
                __u32 i = sm_stack_pop(&t, &maps.idle[1], SM_STACK_SLOTS, &word);

                assert_in_range(i, 1, SLOTS - 1);
                assert_int_equal(sm_slot_state(word), SM_SLOT_FREE);
        }
        assert_int_equal(sm_stack_pop(&t, &maps.idle[1], SM_STACK_SLOTS, &word), 0);
        /* What was counted inside of a use without atomics came out right, so no two were inside at once. */
        for (__u32 i = 1; i < SLOTS; i++) {
                turns += sm_slot_generation(maps.slots[i].node.word);
                uses += maps.slots[i].key.server_port;
        }
        assert_int_equal((__u16) uses, (__u16) (trace.taken + by_relay));
        assert_int_equal((__u16) turns, (__u16) uses);
}

static void *map_memory(const struct bpf_map *map, size_t size) {
        void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(map), 0);

        assert_ptr_not_equal(p, MAP_FAILED);
        return p;
}

static int setup(void **state) {
        maps.slots = map_memory(programs->maps.slots, sizeof(((Memory *) 0)->slots));
        maps.downstreams = map_memory(programs->maps.downstreams, sizeof(((Memory *) 0)->downstreams));
        maps.idle = map_memory(programs->maps.idle_slots, sizeof(((Memory *) 0)->idle));
        maps.unused = map_memory(programs->maps.free_downstreams, sizeof(((Memory *) 0)->unused));
        return 0;
}

/* Only the maps of slots, of the tests' size. 0 or negative errno. */
static int load(void) {
        struct bpf_map *map;

        programs = slot_bpf__open();
        if (!programs)
                return -errno;
        bpf_object__for_each_map(map, programs->obj)
                (void) bpf_map__set_autocreate(map, false);

        struct {
                struct bpf_map *map;
                __u32 entries;
        } used[] = {
                { programs->maps.script, 1 },
                { programs->maps.trace, 1 },
                { programs->maps.slots, SLOTS + 1 },
                { programs->maps.downstreams, SLOTS + 1 },
                { programs->maps.idle_slots, IDLE },
                { programs->maps.free_downstreams, 1 },
        };
        for (size_t i = 0; i < COUNT(used); i++) {
                (void) bpf_map__set_autocreate(used[i].map, true);
                (void) bpf_map__set_max_entries(used[i].map, used[i].entries);
        }
        return slot_bpf__load(programs);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_a_request),
                cmocka_unit_test(test_scripts_at_random),
                cmocka_unit_test(test_both_sides_at_once),
        };
        int r;

        r = load();
        if (r == -EPERM) {
                printf("skipped: loading BPF programs is not permitted; it takes CAP_BPF, CAP_NET_ADMIN\n");
                return 77;
        }
        if (r < 0) {
                fprintf(stderr, "Cannot load the programs: %s.\n", strerror(-r));
                return 1;
        }
        r = cmocka_run_group_tests(tests, setup, NULL);
        slot_bpf__destroy(programs);
        return r;
}
