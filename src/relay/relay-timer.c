/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <limits.h>

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
        list_init(&w->later);
        w->review = UINT64_MAX;
}

static void timer_file(TimerWheel *w, Timer *t, uint64_t tick) {
        unsigned slot = tick % TIMER_SLOTS;

        t->tick = tick;
        if (tick > w->tick + TIMER_SLOTS) {
                list_append(&w->later, &t->link);
                w->review = MIN(w->review, tick - 1);
                return;
        }
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
                if (t->deadline == 0)
                        continue;
                else if (t->deadline > now)
                        timer_file(w, t, MAX(tick_of(t->deadline), w->tick + 1)); /* was put off meanwhile */
                else {
                        t->deadline = 0;
                        t->expired(t, now);
                }
        }
}

/* By now some may have been put off, or cleared. Those that stay are not due for a turn. */
static void review(TimerWheel *w) {
        List later;

        list_init(&later);
        list_take(&later, &w->later);
        w->review = UINT64_MAX;
        while (!list_is_empty(&later)) {
                Timer *t = LIST_FIRST(&later, Timer, link);

                list_remove(&t->link);
                if (t->deadline > 0)
                        timer_file(w, t, MAX(tick_of(t->deadline), w->tick + 1));
        }
}

void timer_wheel_run(TimerWheel *w, nsec_t now) {
        uint64_t until = now / TIMER_TICK;

        /* After a long sleep one whole turn finds everything that was filed. */
        if (until > w->tick + TIMER_SLOTS)
                w->tick = until - TIMER_SLOTS;
        while (w->tick < until) {
                unsigned slot;

                w->tick++;
                if (w->tick >= w->review)
                        review(w);
                slot = w->tick % TIMER_SLOTS;
                if (w->busy[slot / 64] & UINT64_C(1) << slot % 64)
                        run_slot(w, now);
        }
}

static int timeout_until(uint64_t tick, nsec_t now) {
        nsec_t at = tick * TIMER_TICK;

        return at <= now ? 0 : (int) MIN((at - now + NSEC_PER_MSEC - 1) / NSEC_PER_MSEC, (nsec_t) INT_MAX);
}

int timer_wheel_timeout(const TimerWheel *w, nsec_t now) {
        for (uint64_t tick = w->tick + 1; tick <= w->tick + TIMER_SLOTS; tick++) {
                unsigned slot = tick % TIMER_SLOTS;
                uint64_t word = w->busy[slot / 64];

                if (tick >= w->review)
                        break;
                if (word == 0) {
                        tick += 63 - slot % 64; /* on to the next word */
                        continue;
                }
                if (word & UINT64_C(1) << slot % 64)
                        return timeout_until(tick, now);
        }
        return w->review < UINT64_MAX ? timeout_until(w->review, now) : -1;
}
