/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdint.h>

#include "../basic/time-util.h"
#include "relay-list.h"

/*
 * A timer wheel. Setting a timer to a later time, which every request does, only stores the new deadline:
 * the wheel finds it when the old one comes and files it anew. What is not due within a turn is in a list,
 * so that nobody has to wake up for it every time that the wheel comes round.
 */
#define TIMER_TICK (10 * NSEC_PER_MSEC) /* a timer expires up to so much late */
#define TIMER_SLOTS 1024                /* a turn is 10 s */

typedef struct Timer Timer;
struct Timer {
        List link;
        nsec_t deadline; /* 0 = not set, though it may still be filed */
        uint64_t tick;   /* under which it is filed */
        void (*expired)(Timer *t, nsec_t now); /* may set or clear any timer, and free its owner */
};

typedef struct TimerWheel {
        uint64_t tick;                    /* all up to this one have been looked at */
        uint64_t busy[TIMER_SLOTS / 64]; /* slots that may hold something */
        List slots[TIMER_SLOTS];
        List later;
        uint64_t review; /* the tick before the first of those is due; UINT64_MAX: there are none */
} TimerWheel;

void timer_wheel_init(TimerWheel *w, nsec_t now);
void timer_wheel_run(TimerWheel *w, nsec_t now);

/* Until the next time the wheel must be run, as epoll_wait(2) takes it: milliseconds, -1 = for ever. */
int timer_wheel_timeout(const TimerWheel *w, nsec_t now);

void timer_init(Timer *t, void (*expired)(Timer *t, nsec_t now));
void timer_set(TimerWheel *w, Timer *t, nsec_t deadline);

/* Takes it out of the wheel, as it must be before its owner is freed. */
void timer_clear(Timer *t);
