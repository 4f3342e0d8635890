/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "../abi/abi-connection.h"
#include "../basic/cleanup.h"
#include "../basic/log.h"
#include "../engine/engine-downstream.h"
#include "relay-bpf.h"
#include "relay-downstream.h"
#include "relay-slot.h"
#include "relay-upstream.h"
#include "relay-worker.h"

/*
 * The slots of one worker of two, over memory that is no map: the test plays the programs, with the engine's
 * own functions. In place of relay-upstream.c, relay-downstream.c and relay-bpf.c there is what follows.
 */
#define N 8 /* slots, and of most other things */
#define ENDPOINT 3
#define DOWNSTREAM 6
#define NOW (900 * NSEC_PER_SEC)
#define IDLE (60 * NSEC_PER_SEC)

static int memory[_SM_TABLE_MAX];
static Worker worker;
static SharedTables *tables;
static int pair[2];
static unsigned n_freed;

static struct {
        int program; /* what `enrol` returns */
        int map;
        unsigned n_runs;
        struct sm_enrolment enrolment;
        struct sm_relay_context context;
        uint32_t upstream_slot; /* in upstream_sockets; 0 = none */
} kernel;

static struct {
        unsigned n;
        uint32_t downstream, owed;
        Upstream *upstream;
        enum sm_slow why;
} taken_over;

int bpf_map_set(int map, const void *key, const void *value) {
        if (map == worker.slots.tables->relay_contexts)
                kernel.context = *(const struct sm_relay_context *) value;
        else
                kernel.upstream_slot = *(const uint32_t *) key;
        return map == worker.slots.tables->upstream_sockets ? kernel.map : 0;
}

int bpf_program_run(int program, const void *bytes, size_t size) {
        assert_int_equal(size, sizeof(kernel.enrolment));
        assert_int_equal(program, worker.slots.tables->enrol);
        kernel.enrolment = *(const struct sm_enrolment *) bytes;
        kernel.n_runs++;
        return kernel.program;
}

Upstream *upstream_free(Upstream *u) {
        timer_clear(&u->timer);
        slot_release(u);
        n_freed++;
        return NULL;
}

void downstream_take_over(Worker *w, uint32_t downstream, Upstream *u, uint32_t owed, enum sm_slow why) {
        taken_over.n++;
        taken_over.downstream = downstream;
        taken_over.owed = owed;
        taken_over.upstream = u;
        taken_over.why = why;
        u->exchange = (Exchange *) &taken_over;
}

/* As slicemeshd: the relay may only read these tables. */
static void set(int fd, size_t i, const void *entry, size_t size) {
        assert_int_equal(pwrite(fd, entry, size, (off_t) (i * size)), size);
}

static void close_memory(int fds[static _SM_TABLE_MAX]) {
        for (int i = 0; i < _SM_TABLE_MAX; i++)
                closep(&fds[i]);
}

static SharedTables *make_tables(int fds[static _SM_TABLE_MAX]) {
        static const struct sm_link_tables settings = {
                .max_connections = 1, .buffer_bytes = SM_BUFFER_MIN, .head_bytes = SM_BUFFER_MIN,
        };
        struct sm_link_tables message = settings;
        int copies[_SM_TABLE_MAX];
        SharedTables *t = NULL;

        for (int i = 0; i < _SM_TABLE_MAX; i++) {
                message.entries[i] = i == SM_TABLE_IDLE_SLOTS ? 2 * N : N;
                copies[i] = dup(fds[i]);
        }
        assert_int_equal(shared_tables_new(&message, copies, &t), 0);
        close_memory(copies);
        return t;
}

static void make_memory(int ret[static _SM_TABLE_MAX]) {
        struct sm_fast_control control = { .features = SM_FAST_REQUESTS | SM_FAST_SERVERS, .workers = 2 };
        struct sm_endpoint endpoint = { .generation = 5, .service = 1, .port = 80, .address = { 7 } };

        for (int i = 0; i < _SM_TABLE_MAX; i++) {
                ret[i] = memfd_create("table", MFD_CLOEXEC);
                assert_int_equal(ftruncate(ret[i], 2 * N * sizeof(struct sm_request_copy)), 0);
        }
        set(ret[SM_TABLE_FAST_CONTROL], 0, &control, sizeof(control));
        set(ret[SM_TABLE_ENDPOINTS], ENDPOINT, &endpoint, sizeof(endpoint));
}

static void set_features(__u32 features) {
        struct sm_fast_control control = { .features = features, .workers = 2 };

        set(memory[SM_TABLE_FAST_CONTROL], 0, &control, sizeof(control));
}

static void set_generation(__u32 generation) {
        struct sm_endpoint endpoint = { .generation = generation, .service = 1 };

        set(memory[SM_TABLE_ENDPOINTS], ENDPOINT, &endpoint, sizeof(endpoint));
}

/* A service with one route. */
static void set_timeout(__u32 timeout_ms) {
        struct sm_policy policy = { .routes = 1, .n_routes = 1 };
        struct sm_route route = { .timeout_ms = timeout_ms };
        struct sm_service service = { .root = 1 };

        set(memory[SM_TABLE_CELLS], 1, &policy, sizeof(policy));
        set(memory[SM_TABLE_CELLS], 2, &route, sizeof(route));
        set(memory[SM_TABLE_SERVICES], 1, &service, sizeof(service));
}

static int setup(void **state) {
        make_memory(memory);
        tables = make_tables(memory);
        assert_false(shared_tables_continue(tables, NULL));
        memset(&worker, 0, sizeof(worker));
        worker.index = 1;
        worker.now = NOW;
        worker.tables = tables;
        timer_wheel_init(&worker.timers, NOW);
        slots_init(&worker.slots);
        assert_int_equal(slots_use(&worker, tables), 0);
        memset(&kernel, 0, sizeof(kernel));
        memset(&taken_over, 0, sizeof(taken_over));
        n_freed = 0;
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
        return 0;
}

static int teardown(void **state) {
        while (!list_is_empty(&worker.slots.bound))
                upstream_free(LIST_FIRST(&worker.slots.bound, Upstream, slot_link));
        slots_done(&worker.slots);
        shared_tables_unref(tables);
        close_memory(memory);
        closep(&pair[0]);
        closep(&pair[1]);
        return 0;
}

static void init(Upstream *u) {
        *u = (Upstream){
                .worker = &worker, .tables = worker.tables, .endpoint = ENDPOINT, .generation = 5,
                .socket = { .fd = pair[0], .writable = true },
        };
        list_init(&u->slot_link);
        timer_init(&u->timer, NULL);
}

static int offer(Upstream *u) {
        init(u);
        return slot_offer(u, IDLE);
}

static struct sm_slot *slot(uint32_t i) {
        return sm_slot_entry(&tables->tables, i);
}

static __u64 word_of(uint32_t i) {
        return sm_load(&slot(i)->node.word);
}

static enum sm_slot_state state_of(uint32_t i) {
        return sm_slot_state(word_of(i));
}

static struct sm_stack *stack(void) {
        return sm_idle_entry(&tables->tables, sm_idle_index(ENDPOINT, 1, 2));
}

/* D's program. */
static uint32_t pop(__u64 *ret_word) {
        return sm_stack_pop(&tables->tables, stack(), SM_STACK_SLOTS, ret_word);
}

static uint32_t take(__u64 *ret_word) {
        uint32_t i = pop(ret_word);

        assert_true(i > 0 && sm_slot_take(slot(i), ret_word, SM_SLOT_TAKEN, DOWNSTREAM));
        return i;
}

static uint32_t request(__u64 *ret_word, __u32 timeout_ms) {
        struct sm_downstream *d = sm_downstream_entry(&tables->tables, DOWNSTREAM);
        struct sm_request_copy head = { .timeout_ms = timeout_ms };
        uint32_t i = take(ret_word);

        set(memory[SM_TABLE_REQUESTS], DOWNSTREAM, &head, sizeof(head));
        sm_store(&d->state, SM_DOWNSTREAM_IDLE);
        assert_true(sm_downstream_begin(d, i, *ret_word));
        slot(i)->since = worker.now;
        slot(i)->size = 100;
        assert_true(sm_slot_wait(slot(i), ret_word));
        return i;
}

static void say(const char *bytes) {
        assert_int_equal(write(pair[1], bytes, strlen(bytes)), strlen(bytes));
}

/* What epoll tells of it. */
static void event(Upstream *u, bool readable, bool ended) {
        u->socket.readable = readable;
        u->socket.ended = ended;
        slot_ready(u);
}

/* What slicemeshd sees of it. */
static __u32 enrolled(void) {
        return sm_endpoint_state_at(&worker.slots.tables->tables, ENDPOINT)->enrolled;
}

static void test_local_server(void **state) {
        static Upstream u;

        kernel.program = SM_ENROLLED;
        assert_int_equal(offer(&u), 0);
        assert_int_equal(u.slot, 1); /* worker 1 of 2 has the odd ones */
        assert_int_equal(state_of(1), SM_SLOT_FREE);
        assert_int_equal((__u32) stack()->head, 1);
        assert_int_equal(slot(1)->stack, sm_idle_index(ENDPOINT, 1, 2));
        assert_int_equal(slot(1)->endpoint, ENDPOINT);
        assert_int_equal(slot(1)->local, 1);
        assert_int_equal(enrolled(), 1 + SM_ENROLLED);
        assert_int_equal(kernel.upstream_slot, 0);
        assert_int_equal(kernel.enrolment.slot, 1);
        assert_int_equal(kernel.enrolment.connection, sm_slot_connection(word_of(1)));
        assert_int_equal(kernel.enrolment.key.server_port, 80);
        assert_int_equal(kernel.enrolment.key.server[0], 7);
        assert_memory_equal(&kernel.enrolment.key, &slot(1)->key, sizeof(struct sm_server_key));
        assert_int_equal(kernel.context.slot, 1);
        assert_int_equal(kernel.context.connection, sm_slot_connection(word_of(1)));
}

static void test_remote_server(void **state) {
        static Upstream u;

        kernel.program = SM_ENROLLED_NOT_HERE;
        assert_int_equal(offer(&u), 0);
        assert_int_equal(slot(1)->local, 0);
        assert_int_equal(enrolled(), 1 + SM_ENROLLED_NOT_HERE);
        assert_int_equal(kernel.upstream_slot, 1);
        assert_int_equal(kernel.context.slot, 1);
}

static void test_features(void **state) {
        static Upstream u[2];

        set_features(0);
        assert_int_equal(offer(&u[0]), -EOPNOTSUPP);
        assert_int_equal(u[0].slot, 0);
        set_features(SM_FAST_REQUESTS);
        assert_int_equal(offer(&u[0]), 0);
        assert_int_equal(kernel.n_runs, 0);
        assert_int_equal(kernel.upstream_slot, 1);
        set_features(0); /* what is bound goes on: the programs look at the features themselves */
        assert_ptr_equal(slot_take(&worker, ENDPOINT), &u[0]);
        assert_int_equal(slot_offer(&u[0], IDLE), 0);
        assert_int_equal(offer(&u[1]), -EOPNOTSUPP);
}

static void test_no_more_slots(void **state) {
        static Upstream u[N / 2 + 1];

        for (size_t i = 0; i < N / 2; i++)
                assert_int_equal(offer(&u[i]), 0);
        assert_int_equal(u[N / 2 - 1].slot, N - 1);
        assert_int_equal(offer(&u[N / 2]), -ENOSPC);
        upstream_free(slot_take(&worker, ENDPOINT));
        assert_int_equal(offer(&u[N / 2]), 0);
        assert_int_equal(u[N / 2].slot, N - 1);
}

static void test_socket_that_does_not_fit(void **state) {
        static Upstream u[2];
        __u64 before = word_of(1);

        kernel.program = SM_ENROLLED_BUSY;
        kernel.map = -E2BIG;
        assert_int_equal(offer(&u[0]), -E2BIG);
        assert_int_equal(slot_offer(&u[0], IDLE), -EOPNOTSUPP);
        assert_int_equal(kernel.n_runs, 1);
        kernel.map = 0;
        assert_int_equal(offer(&u[1]), 0);
        assert_int_equal(sm_slot_connection(word_of(1)), sm_slot_connection(before) + 2);
        assert_int_equal(kernel.context.connection, sm_slot_connection(before) + 2);
}

static void use_again(Upstream *u) {
        assert_ptr_equal(slot_take(&worker, ENDPOINT), u);
        assert_int_equal(slot_offer(u, IDLE), 0);
}

static void test_server_that_has_not_read(void **state) {
        static Upstream u;

        kernel.program = SM_ENROLLED_UNREAD;
        assert_int_equal(offer(&u), 0);
        use_again(&u);
        assert_int_equal(slot(1)->local, 0);
        assert_int_equal(kernel.upstream_slot, 1);
        assert_int_equal(enrolled(), 1 + SM_ENROLLED_UNREAD);

        kernel.program = SM_ENROLLED;
        use_again(&u);
        assert_int_equal(slot(1)->local, 1);
        assert_int_equal(kernel.enrolment.slot, 1);
        assert_int_equal(kernel.enrolment.connection, sm_slot_connection(word_of(1)));
        assert_int_equal(enrolled(), 1 + SM_ENROLLED);
        assert_int_equal(kernel.n_runs, 3);
        use_again(&u);
        assert_int_equal(kernel.n_runs, 3);
}

/* It is not asked for ever, nor about anything else again. */
static void test_server_that_never_reads(void **state) {
        static Upstream u[2];

        kernel.program = SM_ENROLLED_UNREAD;
        offer(&u[0]);
        for (unsigned i = 0; i < 20; i++)
                use_again(&u[0]);
        assert_int_equal(kernel.n_runs, 16);
        assert_int_equal(slot(u[0].slot)->local, 0);
        upstream_free(&u[0]);

        kernel.n_runs = 0;
        offer(&u[1]);
        kernel.program = SM_ENROLLED_BLOCKING;
        for (unsigned i = 0; i < 3; i++)
                use_again(&u[1]);
        assert_int_equal(kernel.n_runs, 2);
}

static void test_program_that_cannot_run(void **state) {
        static Upstream u;

        log_set_max_level(LOG_CRIT);
        kernel.program = -EPERM;
        assert_int_equal(offer(&u), 0);
        assert_int_equal(slot(1)->local, 0);
}

static void test_take_and_put_back(void **state) {
        static Upstream u[2];
        __u64 word;

        offer(&u[0]);
        offer(&u[1]);
        assert_null(slot_take(&worker, ENDPOINT + 1));
        assert_ptr_equal(slot_take(&worker, ENDPOINT), &u[1]);
        assert_int_equal(state_of(u[1].slot), SM_SLOT_RELAY);
        assert_ptr_equal(slot_take(&worker, ENDPOINT), &u[0]);
        assert_null(slot_take(&worker, ENDPOINT));
        assert_int_equal(slot_offer(&u[0], IDLE), 0);
        assert_int_equal(slot_offer(&u[1], IDLE), 0);
        assert_int_equal(take(&word), u[1].slot);
        assert_int_equal(kernel.n_runs, 2);
        assert_int_equal(n_freed, 0);
}

static void test_take_passes_over_what_is_of_no_use(void **state) {
        static Upstream u[3];

        for (unsigned i = 0; i < 3; i++)
                offer(&u[i]);
        assert_true(sm_slot_kill(slot(u[2].slot), sm_slot_connection(word_of(u[2].slot)))); /* FIN */
        u[1].socket.readable = true; /* and of this one no program has told */
        assert_ptr_equal(slot_take(&worker, ENDPOINT), &u[0]);
        assert_int_equal(n_freed, 2);
        assert_int_equal(state_of(3), SM_SLOT_UNUSED);
        assert_int_equal(state_of(5), SM_SLOT_UNUSED);
        set_generation(6);
        slot_offer(&u[0], IDLE);
        assert_null(slot_take(&worker, ENDPOINT));
        assert_int_equal(n_freed, 3);
}

static void test_response_by_tcp(void **state) {
        static Upstream u;
        __u64 word;

        kernel.program = SM_ENROLLED_NOT_HERE;
        offer(&u);
        event(&u, false, false); /* of room to write, say */
        assert_int_equal(n_freed, 0);
        request(&word, 0);
        event(&u, false, false);
        assert_int_equal(taken_over.n, 0);
        event(&u, true, false);
        assert_int_equal(taken_over.n, 1);
        assert_ptr_equal(taken_over.upstream, &u);
        assert_int_equal(taken_over.downstream, DOWNSTREAM);
        assert_int_equal(taken_over.owed, SM_REMAINING_ALL);
        assert_int_equal(taken_over.why, SM_SLOW_NONE);
        assert_int_equal(state_of(1), SM_SLOT_RELAY);
        assert_int_equal(u.written - u.written_before, 100);
        assert_false(u.bypassed);
        assert_true(u.reused);
}

static void test_response_and_end_by_tcp(void **state) {
        static Upstream u;
        __u64 word;

        kernel.program = SM_ENROLLED_NOT_HERE;
        offer(&u);
        request(&word, 0);
        say("HTTP/1.1 200");
        event(&u, true, true);
        assert_int_equal(taken_over.owed, SM_REMAINING_ALL);
        assert_int_equal(taken_over.why, SM_SLOW_NONE);
}

static void test_end_instead_of_response(void **state) {
        static Upstream u;
        __u64 word;

        kernel.program = SM_ENROLLED;
        offer(&u);
        request(&word, 0);
        shutdown(pair[1], SHUT_WR);
        event(&u, true, true);
        assert_int_equal(taken_over.owed, SM_REMAINING_ALL);
        assert_int_equal(taken_over.why, SM_SLOW_UPSTREAM_DIED);
        assert_true(u.bypassed);
        assert_int_equal(u.written, 0);
}

static void test_end_within_response(void **state) {
        static Upstream u;
        uint32_t i, d;
        __u64 word;

        kernel.program = SM_ENROLLED;
        offer(&u);
        i = request(&word, 0);
        assert_true(sm_slot_respond(slot(i), &word, 10, &d));
        event(&u, true, false);
        assert_int_equal(taken_over.n, 0);
        event(&u, true, true);
        assert_int_equal(taken_over.n, 1);
        assert_int_equal(taken_over.owed, SM_REMAINING_UNKNOWN);
        assert_int_equal(taken_over.why, SM_SLOW_UPSTREAM_DIED);
}

static void test_handed_over_by_program(void **state) {
        static Upstream u;
        uint32_t i;
        __u64 word;

        kernel.program = SM_ENROLLED;
        offer(&u);
        i = request(&word, 0);
        slot(i)->slow = SM_SLOW_INTERIM;
        assert_true(sm_slot_hand_over(slot(i), &word, 17));
        event(&u, true, false);
        assert_int_equal(taken_over.owed, 17);
        assert_int_equal(taken_over.why, SM_SLOW_INTERIM);
}

static void test_end_while_idle(void **state) {
        static Upstream u[2];
        __u64 before = word_of(1);

        offer(&u[0]);
        offer(&u[1]);
        event(&u[0], true, true);
        assert_int_equal(n_freed, 1);
        assert_int_equal(u[0].slot, 0);
        assert_int_equal(state_of(1), SM_SLOT_UNUSED);
        assert_ptr_equal(slot_take(&worker, ENDPOINT), &u[1]); /* it stayed in the stack */
        assert_int_equal(offer(&u[0]), 0);
        assert_int_equal(u[0].slot, 1);
        assert_int_equal(sm_slot_connection(word_of(1)), sm_slot_connection(before) + 2);
}

static void test_dead_in_a_programs_hands(void **state) {
        static Upstream u;
        __u64 word;

        offer(&u);
        assert_int_equal(pop(&word), 1);
        event(&u, true, true);
        assert_int_equal(n_freed, 0);
        assert_int_equal(state_of(1), SM_SLOT_DEAD);
        assert_in_range(u.timer.deadline, NOW, NOW + SLOT_TAKEN_INTERVAL);
        assert_false(sm_slot_take(slot(1), &word, SM_SLOT_TAKEN, DOWNSTREAM));
        slot_expired(&u, u.timer.deadline);
        assert_int_equal(n_freed, 1);
        assert_int_equal(state_of(1), SM_SLOT_UNUSED);
}

static void test_end_while_taken(void **state) {
        static Upstream u;
        __u64 word;

        offer(&u);
        assert_int_equal(take(&word), 1);
        event(&u, true, true);
        assert_int_equal(state_of(1), SM_SLOT_TAKEN);
        assert_in_range(u.timer.deadline, NOW, NOW + SLOT_TAKEN_INTERVAL);
        assert_true(sm_slot_put_back(&tables->tables, 1, slot(1), &word)); /* and on to the relay */
        slot_expired(&u, u.timer.deadline);
        assert_int_equal(n_freed, 1);
}

static void test_timers_run_out_together(void **state) {
        static Upstream u[2];

        offer(&u[0]);
        worker.now = NOW + IDLE / 20;
        offer(&u[1]);
        worker.now = NOW + IDLE / 10;
        assert_int_equal(slot_offer(slot_take(&worker, ENDPOINT), IDLE), 0);
        slot_expired(&u[0], NOW + IDLE);
        assert_int_equal(u[0].slot, 0);
        assert_int_equal(u[1].timer.deadline % (IDLE / 8), 0);
        assert_in_range(u[1].timer.deadline, NOW + IDLE / 10 + IDLE, NOW + IDLE / 10 + IDLE * 9 / 8);
}

static void test_idle_time(void **state) {
        static Upstream u;
        uint32_t i;
        __u64 word;

        offer(&u);
        assert_int_equal(u.timer.deadline, NOW + IDLE);
        worker.now = NOW + IDLE / 2;
        i = request(&word, 0);
        slot_expired(&u, NOW + IDLE);
        assert_int_equal(state_of(i), SM_SLOT_WAITING);
        assert_int_equal(u.timer.deadline, NOW + IDLE / 2 + IDLE);
        slot_expired(&u, NOW + 3 * IDLE); /* a slow one, but in use */
        assert_int_equal(state_of(i), SM_SLOT_WAITING);
        assert_int_equal(u.timer.deadline, NOW + 4 * IDLE);
        assert_true(sm_slot_respond(slot(i), &word, 0, &(__u32){ 0 }));
        assert_true(sm_slot_finish(&tables->tables, i, slot(i), &word));
        slot_expired(&u, NOW + 4 * IDLE);
        assert_int_equal(n_freed, 1);
        assert_int_equal((__u32) stack()->head, 0);
}

static void run_until(nsec_t now) {
        worker.now = now;
        timer_wheel_run(&worker.timers, now);
}

static void test_patience(void **state) {
        static Upstream u[2];
        uint32_t i;
        __u64 word;

        set_timeout(1000);
        offer(&u[0]);
        offer(&u[1]);
        assert_int_equal(worker.slots.watch.deadline, NOW + NSEC_PER_SEC);
        worker.now = NOW + NSEC_PER_SEC / 2;
        i = request(&word, 1000);
        run_until(NOW + NSEC_PER_SEC + TIMER_TICK);
        assert_int_equal(taken_over.n, 0);
        assert_int_equal(worker.slots.watch.deadline, NOW + NSEC_PER_SEC * 3 / 2);
        run_until(NOW + NSEC_PER_SEC * 3 / 2 + TIMER_TICK);
        assert_int_equal(taken_over.n, 1);
        assert_ptr_equal(taken_over.upstream, &u[1]);
        assert_int_equal(taken_over.owed, SM_REMAINING_ALL);
        assert_int_equal(taken_over.why, SM_SLOW_PATIENCE);
        assert_int_equal(state_of(i), SM_SLOT_RELAY);
        assert_true(worker.slots.watch.deadline > 0);
}

static void test_patience_with_a_response(void **state) {
        static Upstream u;
        uint32_t i;
        __u64 word;

        set_timeout(1000);
        offer(&u);
        i = request(&word, 1000);
        assert_true(sm_slot_respond(slot(i), &word, 10, &(__u32){ 0 }));
        run_until(NOW + 3 * NSEC_PER_SEC);
        assert_int_equal(taken_over.owed, SM_REMAINING_UNKNOWN);
        assert_int_equal(taken_over.why, SM_SLOW_PATIENCE);
}

static void test_patience_without_end(void **state) {
        static Upstream u;
        __u64 word;

        set_timeout(0);
        offer(&u);
        assert_int_equal(worker.slots.watch.deadline, 0); /* nobody wakes up for nothing */
        request(&word, 0);
        set_timeout(500);
        slots_renew(&worker);
        assert_int_equal(worker.slots.watch.deadline, NOW + NSEC_PER_SEC / 2);
        run_until(NOW + 10 * NSEC_PER_SEC);
        assert_int_equal(taken_over.n, 0); /* the request has what its route had then */
        set_timeout(0);
        slots_renew(&worker);
        run_until(NOW + 20 * NSEC_PER_SEC);
        assert_int_equal(worker.slots.watch.deadline, 0);
}

static void test_hand_over(void **state) {
        struct sm_downstream *d = sm_downstream_entry(&tables->tables, DOWNSTREAM);
        static Upstream u;
        uint32_t i;
        __u64 word, first;

        offer(&u);
        i = request(&word, 0);
        first = sm_load(&d->state);
        assert_null(slot_hand_over(&worker, i + 1, first)); /* the other worker's */
        assert_true(sm_slot_respond(slot(i), &word, 0, &(__u32){ 0 }));
        assert_true(sm_slot_finish(&tables->tables, i, slot(i), &word));
        assert_null(slot_hand_over(&worker, i, first)); /* it was answered */
        request(&word, 0);
        assert_null(slot_hand_over(&worker, i, first));
        assert_ptr_equal(slot_hand_over(&worker, i, sm_load(&d->state)), &u);
        assert_int_equal(state_of(i), SM_SLOT_RELAY);
        u.exchange = (Exchange *) &taken_over;
        assert_null(slot_hand_over(&worker, i, sm_load(&d->state)));
        assert_int_equal(taken_over.n, 0);
        upstream_free(&u);
        assert_int_equal(state_of(i), SM_SLOT_UNUSED);
}

static void test_hand_over_what_was_handed_over(void **state) {
        struct sm_downstream *d = sm_downstream_entry(&tables->tables, DOWNSTREAM);
        static Upstream u;
        uint32_t i;
        __u64 word;

        offer(&u);
        i = request(&word, 0);
        assert_true(sm_slot_hand_over(slot(i), &word, SM_REMAINING_UNKNOWN)); /* U is not told */
        assert_ptr_equal(slot_hand_over(&worker, i, sm_load(&d->state)), &u);
        assert_int_equal(taken_over.n, 0);
}

static void test_endpoint_that_is_another(void **state) {
        static Upstream u[2];
        uint32_t i;
        __u64 word;

        offer(&u[0]);
        offer(&u[1]);
        i = request(&word, 0);
        slots_renew(&worker);
        assert_int_equal(n_freed, 0);
        set_generation(6);
        slots_renew(&worker);
        assert_int_equal(n_freed, 1);
        assert_int_equal(u[0].slot, 0);
        assert_int_equal(state_of(i), SM_SLOT_WAITING);
        assert_int_equal(pop(&word), 0); /* nothing of the old one is to be had */
}

static void test_shrink(void **state) {
        static Upstream u[4];

        for (unsigned i = 0; i < 4; i++) {
                worker.now = NOW + i;
                offer(&u[i]);
        }
        slot(u[0].slot)->since = NOW + 10; /* by the kernel, which the relay was not told */
        assert_ptr_equal(slot_take(&worker, ENDPOINT), &u[3]);
        slots_shrink(&worker, 2);
        assert_int_equal(n_freed, 2);
        assert_int_equal(u[1].slot, 0);
        assert_int_equal(u[2].slot, 0);
        slots_clear(&worker);
        assert_int_equal(u[0].slot, 0);
        assert_int_equal(u[3].slot, 7); /* in use */
}

static void test_gone_without_an_event(void **state) {
        static Upstream u;
        __u64 word;

        offer(&u);
        take(&word);
        assert_true(sm_slot_drop(slot(1), &word)); /* U was not where it should be */
        slots_look_over(&worker);
        assert_int_equal(n_freed, 1);
        assert_int_equal(state_of(1), SM_SLOT_UNUSED);
}

static void test_same_memory(void **state) {
        SharedTables *again = make_tables(memory);
        static Upstream u[2];
        uint32_t i;
        __u64 word;

        assert_true(shared_tables_continue(again, tables));
        offer(&u[0]);
        offer(&u[1]);
        i = request(&word, 0);
        assert_int_equal(slots_use(&worker, again), 0);
        assert_int_equal(u[0].slot, 0);
        assert_int_equal(state_of(i), SM_SLOT_WAITING);
        assert_int_equal(taken_over.n, 0);
        event(&u[1], true, false);
        assert_int_equal(taken_over.n, 1);
        assert_int_equal(slot_offer(&u[1], IDLE), -EOPNOTSUPP); /* ids were of the tables before */
        upstream_free(&u[1]);
        assert_int_equal(worker.slots.n_unused, N / 2);
        shared_tables_unref(again);
}

static void test_other_memory(void **state) {
        int other_memory[_SM_TABLE_MAX];
        SharedTables *other;
        static Upstream u[3];
        __u64 word;

        make_memory(other_memory);
        other = make_tables(other_memory);
        close_memory(other_memory);
        assert_false(shared_tables_continue(other, tables));
        for (unsigned i = 0; i < 3; i++)
                offer(&u[i]);
        request(&word, 0);
        take(&word);
        assert_int_equal(slots_use(&worker, other), 0);
        assert_int_equal(taken_over.n, 1); /* u[2], whose response is still to come */
        assert_int_equal(taken_over.owed, SM_REMAINING_ALL);
        assert_int_equal(taken_over.why, SM_SLOW_OFF);
        assert_int_equal(n_freed, 2);
        assert_false(sm_slot_wait(slot(3), &word)); /* too late for u[1] */
        assert_int_equal(worker.slots.n_unused, N / 2);
        upstream_free(&u[2]);
        assert_int_equal(worker.slots.n_unused, N / 2);
        worker.tables = other;
        assert_int_equal(offer(&u[0]), 0);
        upstream_free(&u[0]);
        slots_done(&worker.slots);
        shared_tables_unref(other);
}

static void test_more_workers_than_stacks(void **state) {
        static Upstream u;

        worker.slots.tables = shared_tables_unref(worker.slots.tables);
        worker.index = 2;
        assert_int_equal(slots_use(&worker, tables), -EOPNOTSUPP);
        assert_int_equal(offer(&u), -EOPNOTSUPP);
        assert_null(slot_take(&worker, ENDPOINT));
}

static void test_new_relay(void **state) {
        struct sm_downstream *d = tables->tables.downstreams;
        static Upstream u[2];
        __u64 word, freed, taken;

        offer(&u[0]);
        offer(&u[1]);
        request(&word, 0);
        assert_int_equal(pop(&freed), 1);
        d[1].node.word = 7ULL << 32 | SM_OWNER_SOCKET | SM_OWNER_RELAY;
        d[1].state = SM_DOWNSTREAM_IDLE;
        d[2].node.word = 7ULL << 32 | SM_OWNER_RELAY;
        sm_stack_push(&tables->tables, stack(), SM_STACK_SLOTS, 1);
        taken = word;

        slots_reset(tables);
        for (uint32_t i = 1; i < N; i++)
                assert_int_equal(state_of(i), SM_SLOT_UNUSED);
        assert_int_equal((__u32) stack()->head, 0);
        assert_false(sm_slot_take(slot(1), &freed, SM_SLOT_TAKEN, DOWNSTREAM));
        assert_false(sm_slot_respond(slot(3), &taken, 0, &(__u32){ 0 }));
        assert_int_equal(sm_downstream_owners(d[1].node.word), SM_OWNER_SOCKET);
        assert_int_equal(d[1].state, SM_DOWNSTREAM_CLOSED);
        assert_int_equal(d[DOWNSTREAM].state, SM_DOWNSTREAM_CLOSED);
        assert_int_equal((__u32) tables->free_downstreams->head, 2);
}

static void test_recover(void **state) {
        struct sm_downstream *d = tables->tables.downstreams;

        d[3].node.word = 7ULL << 32 | SM_OWNER_NOBODY;
        d[4].node.word = 7ULL << 32 | SM_OWNER_NOBODY; /* for the other worker to find */
        d[5].node.word = 7ULL << 32 | SM_OWNER_RELAY;
        slots_recover(&worker);
        assert_int_equal((__u32) tables->free_downstreams->head, 3);
        assert_int_equal(sm_downstream_owners(d[3].node.word), 0);
        assert_int_equal(sm_downstream_owners(d[4].node.word), SM_OWNER_NOBODY);
        slots_recover(&worker);
        assert_int_equal((__u32) tables->free_downstreams->head, 3);
        assert_int_equal(d[3].node.next, 0);
}

#define SLOT_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
        static const struct CMUnitTest tests[] = {
                SLOT_TEST(test_local_server),
                SLOT_TEST(test_remote_server),
                SLOT_TEST(test_features),
                SLOT_TEST(test_no_more_slots),
                SLOT_TEST(test_socket_that_does_not_fit),
                SLOT_TEST(test_server_that_has_not_read),
                SLOT_TEST(test_server_that_never_reads),
                SLOT_TEST(test_program_that_cannot_run),
                SLOT_TEST(test_take_and_put_back),
                SLOT_TEST(test_take_passes_over_what_is_of_no_use),
                SLOT_TEST(test_response_by_tcp),
                SLOT_TEST(test_response_and_end_by_tcp),
                SLOT_TEST(test_end_instead_of_response),
                SLOT_TEST(test_end_within_response),
                SLOT_TEST(test_handed_over_by_program),
                SLOT_TEST(test_end_while_idle),
                SLOT_TEST(test_dead_in_a_programs_hands),
                SLOT_TEST(test_end_while_taken),
                SLOT_TEST(test_timers_run_out_together),
                SLOT_TEST(test_idle_time),
                SLOT_TEST(test_patience),
                SLOT_TEST(test_patience_with_a_response),
                SLOT_TEST(test_patience_without_end),
                SLOT_TEST(test_hand_over),
                SLOT_TEST(test_hand_over_what_was_handed_over),
                SLOT_TEST(test_endpoint_that_is_another),
                SLOT_TEST(test_shrink),
                SLOT_TEST(test_gone_without_an_event),
                SLOT_TEST(test_same_memory),
                SLOT_TEST(test_other_memory),
                SLOT_TEST(test_more_workers_than_stacks),
                SLOT_TEST(test_new_relay),
                SLOT_TEST(test_recover),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
