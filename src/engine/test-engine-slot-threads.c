/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <pthread.h>
#include <sched.h>
#include <stdio.h>

#include "engine-downstream.h"
#include "test-engine.h"

/*
 * Callers, servers and the relay at once, on few slots and downstreams. Every request must be answered once,
 * and what is to be exclusive is written without atomics, so that the thread sanitizer sees it if it is not.
 */

#define SLOTS 3 /* a server each */
#define CALLERS 3
#define DOWNSTREAMS 2
#define ROUNDS 3000 /* of each caller */

static struct sm_slot slots[SLOTS + 1];
static struct sm_downstream downstreams[CALLERS + 1];
static struct sm_stack idle[2], unused;
static const struct sm_tables tables = {
        .slots = slots, .n_slots = SLOTS + 1,
        .downstreams = downstreams, .n_downstreams = CALLERS + 1,
        .idle_slots = idle, .n_idle_slots = 2,
};
static unsigned answered[CALLERS + 1]; /* requests */
static unsigned by_kernel, by_relay, bound, running;

static unsigned next(unsigned *seed) {
        *seed = *seed * 1664525 + 1013904223;
        return *seed >> 16;
}

static void count(unsigned *counter) {
        __atomic_fetch_add(counter, 1, __ATOMIC_RELAXED);
}

static unsigned get(unsigned *counter) {
        return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

static void insist(bool condition) {
        if (!condition)
                abort();
}

/* D's program; then D, until it has its answer. */
static void *caller(void *userdata) {
        __u32 me = (__u32) (size_t) userdata, i;
        const struct sm_stream in_step = { .established = 1 };
        struct sm_downstream *d = &downstreams[me];
        __u64 word;

        for (unsigned n = 0; n < ROUNDS; n++) {
                while (!sm_downstream_may_take(d, &in_step))
                        sched_yield();
                do {
                        sched_yield();
                        i = sm_stack_pop(&tables, &idle[1], SM_STACK_SLOTS, &word);
                } while (i == 0 || !sm_slot_take(&slots[i], &word, SM_SLOT_TAKEN, me));
                d->service = n;
                insist(sm_downstream_begin(d, i, word));
                insist(sm_slot_wait(&slots[i], &word));
                while (get(&answered[me]) == n)
                        sched_yield();
                insist(get(&answered[me]) == n + 1);
        }
        __atomic_fetch_sub(&running, 1, __ATOMIC_RELAXED);
        return NULL;
}

/* S's program, and the end of the call. */
static void serve(__u32 i, unsigned *seed) {
        struct sm_slot *s = &slots[i];
        __u64 word = sm_load(&s->node.word);
        __u32 d;

        if (next(seed) % 64 == 0)
                (void) sm_slot_kill(s, sm_slot_connection(word));
        if (next(seed) % 8 == 0) {
                (void) sm_slot_hand_over(s, &word, SM_REMAINING_ALL);
                return;
        }
        if (!sm_slot_respond(s, &word, 1, &d))
                return;
        insist(d >= 1 && d <= CALLERS);
        if (!sm_slot_proceed(s, &word, 1, &d))
                return; /* the relay has lost patience */
        if (next(seed) % 8 == 0)
                sched_yield();
        if (!sm_slot_finish(&tables, i, s, &word))
                return;
        count(&by_kernel);
        count(&answered[d]);
}

static void *server(void *userdata) {
        __u32 i = (__u32) (size_t) userdata;
        unsigned seed = i;

        while (get(&running) > 0) {
                serve(i, &seed);
                sched_yield();
        }
        return NULL;
}

/* The relay, for a slot that it has to itself. */
static void end_use(__u32 i, __u64 *word, unsigned *seed) {
        slots[i].key.peer_port++;
        if (next(seed) % 4 > 0)
                insist(sm_slot_put_back(&tables, i, &slots[i], word));
        else
                insist(sm_slot_drop(&slots[i], word));
}

static void look_after_downstream(__u32 me, unsigned *seed) {
        struct sm_downstream *d = &downstreams[me];
        __u64 state = sm_load(&d->state), word;
        __u32 i = sm_downstream_slot(state);

        if (sm_downstream_state(state) != SM_DOWNSTREAM_KERNEL)
                return;
        word = sm_load(&slots[i].node.word);
        if (sm_slot_generation(word) != state >> 32)
                return;
        if (sm_slot_state(word) != SM_SLOT_RELAY &&
            (next(seed) % 4 > 0 || !sm_slot_hand_over(&slots[i], &word, SM_REMAINING_ALL)))
                return;
        insist(sm_load_32(&slots[i].downstream) == me);
        insist(sm_downstream_end(d, i, word, SM_DOWNSTREAM_RELAY));
        end_use(i, &word, seed);
        d->service++;
        insist(sm_downstream_move(d, SM_DOWNSTREAM_RELAY, SM_DOWNSTREAM_IDLE));
        count(&by_relay);
        count(&answered[me]);
}

static void look_after_slot(__u32 i) {
        __u64 word = sm_load(&slots[i].node.word);

        if (sm_slot_release(&slots[i], &word) || sm_slot_state(word) == SM_SLOT_UNUSED) {
                slots[i].endpoint++;
                insist(sm_slot_bind(&tables, i, &slots[i], &word));
                count(&bound);
        }
}

static void *relay(void *userdata) {
        unsigned seed = 7;
        __u64 word;
        __u32 i;

        while (get(&running) > 0) {
                for (__u32 me = 1; me <= CALLERS; me++)
                        look_after_downstream(me, &seed);
                for (i = 1; i <= SLOTS; i++)
                        look_after_slot(i);
                if (next(&seed) % 8 == 0)
                        sm_slot_sweep(&tables, &idle[1]);
                i = sm_stack_pop(&tables, &idle[1], SM_STACK_SLOTS, &word);
                if (i > 0 && sm_slot_take(&slots[i], &word, SM_SLOT_RELAY, 0))
                        end_use(i, &word, &seed);
                sched_yield();
        }
        return NULL;
}

static void run(void *(*const functions[])(void *), const size_t *arguments, size_t n) {
        pthread_t threads[8];

        for (size_t i = 0; i < n; i++)
                assert_int_equal(pthread_create(&threads[i], NULL, functions[i], (void *) arguments[i]), 0);
        for (size_t i = 0; i < n; i++)
                assert_int_equal(pthread_join(threads[i], NULL), 0);
}

static void test_requests_are_answered_once(void **state) {
        static void *(*const functions[])(void *) = { relay,  server, server, server,
                                                      caller, caller, caller };
        static const size_t arguments[] = { 0, 1, 2, 3, 1, 2, 3 };
        bool seen[SLOTS + 1] = {};
        __u64 word;
        __u32 i;

        for (i = 1; i <= CALLERS; i++)
                downstreams[i].state = SM_DOWNSTREAM_IDLE;
        for (i = 1; i <= SLOTS; i++)
                slots[i].stack = 1;
        running = CALLERS;
        run(functions, arguments, COUNT(functions));

        for (i = 1; i <= CALLERS; i++) {
                assert_int_equal(answered[i], ROUNDS);
                assert_int_equal(downstreams[i].state, SM_DOWNSTREAM_IDLE);
        }
        assert_int_equal(by_kernel + by_relay, CALLERS * ROUNDS);
        assert_true(by_kernel > 0 && by_relay > 0 && bound > SLOTS);

        /* every slot is in the stack or the relay's, and none is there twice */
        while ((i = sm_stack_pop(&tables, &idle[1], SM_STACK_SLOTS, &word)) > 0) {
                assert_false(seen[i]);
                seen[i] = true;
        }
        for (i = 1; i <= SLOTS; i++) {
                enum sm_slot_state end = sm_slot_state(slots[i].node.word);

                if (seen[i])
                        assert_true(end == SM_SLOT_FREE || end == SM_SLOT_DEAD);
                else
                        assert_true(end == SM_SLOT_GONE || end == SM_SLOT_UNUSED);
        }
}

/* What sock_ops tells the relay of a new connection. */
static struct { __u64 word; __u32 index, _pad; } records[CALLERS + 1];
static unsigned adopted;

static void *socket_owner(void *userdata) {
        size_t me = (size_t) userdata;
        unsigned seed = (unsigned) me;
        __u64 word;
        __u32 i;

        for (unsigned n = 0; n < ROUNDS; n++) {
                while ((i = sm_downstream_new(&tables, &unused, &word)) == 0)
                        sched_yield();
                downstreams[i].cookie = me;
                sm_store_32(&records[me].index, 0);
                sm_store(&records[me].word, word);
                sm_store_32(&records[me].index, i);
                /* now and then until somebody was adopted; if nobody else, then this one */
                for (unsigned before = get(&adopted); n % 64 == 0 && get(&adopted) == before;)
                        sched_yield();
                if (next(&seed) % 2)
                        sched_yield();
                insist(downstreams[i].cookie == me);
                sm_downstream_release(&tables, &unused, i, &downstreams[i], SM_OWNER_SOCKET);
        }
        __atomic_fetch_sub(&running, 1, __ATOMIC_RELAXED);
        return NULL;
}

/* Whatever the record says by now: word and index may even be of different connections. */
static void *acceptor(void *userdata) {
        unsigned seed = 5;

        while (get(&running) > 0) {
                __u32 me = 1 + next(&seed) % CALLERS, i = sm_load_32(&records[me].index);
                __u64 word = sm_load(&records[me].word);

                sched_yield();
                if (i == 0 || !sm_downstream_adopt(&downstreams[i], &word))
                        continue;
                downstreams[i].worker = me;
                count(&adopted);
                if (next(&seed) % 2)
                        sched_yield();
                insist(downstreams[i].worker == me);
                sm_downstream_release(&tables, &unused, i, &downstreams[i], SM_OWNER_RELAY);
        }
        return NULL;
}

static void test_downstreams_are_used_once(void **state) {
        static void *(*const functions[])(void *) = { acceptor, socket_owner, socket_owner, socket_owner };
        static const size_t arguments[] = { 0, 1, 2, 3 };
        __u64 word;

        memset(downstreams, 0, sizeof(downstreams));
        for (__u32 i = 1; i <= DOWNSTREAMS; i++)
                assert_true(sm_stack_push(&tables, &unused, SM_STACK_DOWNSTREAMS, i));
        running = CALLERS;
        run(functions, arguments, COUNT(functions));
        assert_true(adopted >= ROUNDS / 64);
        for (__u32 i = 1; i <= DOWNSTREAMS; i++)
                assert_int_not_equal(sm_stack_pop(&tables, &unused, SM_STACK_DOWNSTREAMS, &word), 0);
        assert_int_equal(sm_stack_pop(&tables, &unused, SM_STACK_DOWNSTREAMS, &word), 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_requests_are_answered_once),
                cmocka_unit_test(test_downstreams_are_used_once),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
