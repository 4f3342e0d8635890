/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "relay-timer.h"

static uint64_t tick_of(nsec_t deadline) {
        return (deadline + TIMER_TICK - 1) / TIMER_TICK;
}

void timer_wheel_init(TimerWheel *w, nsec_t now) {
        w->tick = now / TIMER_TICK;
        for (unsigned i = 0; i < ELEMENTSOF(w->busy); i++)
                w->busy[i] = 0;
        for (unsigned i = 0; i < TIMER_SLOTS; i++)
                list_init(&w->slots[i]);
}

static void timer_file(TimerWheel *w, Timer *t, uint64_t tick) {
        unsigned slot = tick % TIMER_SLOTS;

        t->tick = tick;
        list_append(&w->slots[slot], &t->link);
        w->busy[slot / 64] |= UINT64_C(1) << slot % 64;
}

void timer_init(Timer *t, void (*expired)(Timer *t, nsec_t now)) {
        list_init(&t->link);
        t->deadline = 0;
        t->expired = expired;
}

void timer_set(TimerWheel *w, Timer *t, nsec_t deadline) {
        uint64_t tick = MAX(tick_of(deadline), w->tick + 1);

        t->deadline = deadline;
        if (!list_is_empty(&t->link)) {
                if (t->tick <= tick)
                        return;
                list_remove(&t->link);
        }
        timer_file(w, t, tick);
}

void timer_clear(Timer *t) {
        t->deadline = 0;
        list_remove(&t->link);
}

static void run_slot(TimerWheel *w, nsec_t now) {
        unsigned slot = w->tick % TIMER_SLOTS;
        List due;

        list_init(&due);
        list_take(&due, &w->slots[slot]);
        w->busy[slot / 64] &= ~(UINT64_C(1) << slot % 64);

        while (!list_is_empty(&due)) {
                Timer *t = LIST_FIRST(&due, Timer, link);

                list_remove(&t->link);
                if (t->tick > w->tick)
                        timer_file(w, t, t->tick); /* of a later turn */
                else if (t->deadline == 0)
                        continue;
                else if (t->deadline > now)
                        timer_file(w, t, MAX(tick_of(t->deadline), w->tick + 1)); /* was put off meanwhile */
                else {
                        t->deadline = 0;
                        t->expired(t, now);
                }
        }
}

void timer_wheel_run(TimerWheel *w, nsec_t now) {
        uint64_t until = now / TIMER_TICK;

        /* After a long sleep one whole turn finds everything; filed ticks in the past are due at once. */
        if (until > w->tick + TIMER_SLOTS)
                w->tick = until - TIMER_SLOTS;
        while (w->tick < until) {
                unsigned slot;

                w->tick++;
                slot = w->tick % TIMER_SLOTS;
                if (w->busy[slot / 64] & UINT64_C(1) << slot % 64)
                        run_slot(w, now);
        }
}

int timer_wheel_timeout(const TimerWheel *w, nsec_t now) {
        for (uint64_t tick = w->tick + 1; tick <= w->tick + TIMER_SLOTS; tick++) {
                unsigned slot = tick % TIMER_SLOTS;
                uint64_t word = w->busy[slot / 64];
                nsec_t at;

                if (word == 0) {
                        tick += 63 - slot % 64; /* on to the next word */
                        continue;
                }
                if (!(word & UINT64_C(1) << slot % 64))
                        continue;
                at = tick * TIMER_TICK; /* at most a turn from now, or long ago */
                return at <= now ? 0 : (int) ((at - now + NSEC_PER_MSEC - 1) / NSEC_PER_MSEC);
        }
        return -1;
}
