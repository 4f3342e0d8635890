/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "relay-timer.h"

/* Time is what the tests say it is. */
#define START (1000 * NSEC_PER_SEC)

typedef struct Alarm {
        Timer timer;
        unsigned n;
        nsec_t at;
        Timer *other; /* cleared when this one expires */
        TimerWheel *again; /* in which it is set anew, a second later */
} Alarm;

static void on_alarm(Timer *t, nsec_t now) {
        Alarm *a = CONTAINER_OF(t, Alarm, timer);

        a->n++;
        a->at = now;
        if (a->other)
                timer_clear(a->other);
        if (a->again)
                timer_set(a->again, t, now + NSEC_PER_SEC);
}

static void alarm_init(Alarm *a) {
        *a = (Alarm){};
        timer_init(&a->timer, on_alarm);
}

/* Does what an event loop does, without the waiting. */
static void run_until(TimerWheel *w, nsec_t *now, nsec_t end) {
        for (;;) {
                int ms = timer_wheel_timeout(w, *now);

                if (ms < 0 || *now + (nsec_t) ms * NSEC_PER_MSEC > end)
                        break;
                *now += (nsec_t) ms * NSEC_PER_MSEC;
                timer_wheel_run(w, *now);
        }
        *now = end;
        timer_wheel_run(w, end);
}

static void test_expires_in_time(void **state) {
        static const nsec_t spans[] = {
                1, NSEC_PER_MSEC, 10 * NSEC_PER_MSEC, 9999 * NSEC_PER_MSEC, 10 * NSEC_PER_SEC,
                11 * NSEC_PER_SEC, 1000 * NSEC_PER_SEC,
        };
        TimerWheel w;

        for (unsigned i = 0; i < ELEMENTSOF(spans); i++) {
                nsec_t now = START + 3 * NSEC_PER_MSEC, set = now;
                Alarm a;

                timer_wheel_init(&w, now);
                alarm_init(&a);
                timer_set(&w, &a.timer, now + spans[i]);
                run_until(&w, &now, set + 2000 * NSEC_PER_SEC);
                assert_int_equal(a.n, 1);
                assert_true(a.at >= set + spans[i]);
                assert_true(a.at <= set + spans[i] + 2 * TIMER_TICK);
                assert_int_equal(timer_wheel_timeout(&w, now), -1);
        }
}

static void test_put_off_and_brought_forward(void **state) {
        nsec_t now = START;
        TimerWheel w;
        Alarm a;

        timer_wheel_init(&w, now);
        alarm_init(&a);
        timer_set(&w, &a.timer, START + NSEC_PER_SEC);
        timer_set(&w, &a.timer, START + 5 * NSEC_PER_SEC);
        run_until(&w, &now, START + 4 * NSEC_PER_SEC);
        assert_int_equal(a.n, 0);
        timer_set(&w, &a.timer, START + 20 * NSEC_PER_SEC);
        timer_set(&w, &a.timer, START + 4500 * NSEC_PER_MSEC);
        run_until(&w, &now, START + 30 * NSEC_PER_SEC);
        assert_int_equal(a.n, 1);
        assert_true(a.at < START + 4600 * NSEC_PER_MSEC);
}

static void test_clear(void **state) {
        nsec_t now = START;
        TimerWheel w;
        Alarm a, b;

        timer_wheel_init(&w, now);
        alarm_init(&a);
        alarm_init(&b);
        a.other = &b.timer; /* of the same slot, so in the list that is being worked on */
        timer_set(&w, &a.timer, START + NSEC_PER_SEC);
        timer_set(&w, &b.timer, START + NSEC_PER_SEC);
        run_until(&w, &now, START + 2 * NSEC_PER_SEC);
        assert_int_equal(a.n, 1);
        assert_int_equal(b.n, 0);
        timer_clear(&b.timer);
        timer_clear(&b.timer);
}

static void test_set_from_within(void **state) {
        nsec_t now = START;
        TimerWheel w;
        Alarm a;

        timer_wheel_init(&w, now);
        alarm_init(&a);
        a.again = &w;
        timer_set(&w, &a.timer, START);
        run_until(&w, &now, START + 10 * NSEC_PER_SEC);
        assert_in_range(a.n, 9, 11);
        timer_clear(&a.timer);
}

static void test_sleeps_until_what_is_far_off(void **state) {
        nsec_t now = START;
        TimerWheel w;
        Alarm a, b;

        timer_wheel_init(&w, now);
        alarm_init(&a);
        alarm_init(&b);
        timer_set(&w, &a.timer, START + 60 * NSEC_PER_SEC);
        timer_set(&w, &b.timer, START + 90 * NSEC_PER_SEC);
        assert_true(timer_wheel_timeout(&w, now) > 59000); /* and not once each turn */
        timer_set(&w, &a.timer, START + 61 * NSEC_PER_SEC);
        now += 59995 * NSEC_PER_MSEC;
        timer_wheel_run(&w, now);
        assert_int_equal(a.n, 0);
        run_until(&w, &now, START + 62 * NSEC_PER_SEC);
        assert_int_equal(a.n, 1);
        assert_int_equal(b.n, 0);
        timer_set(&w, &b.timer, START + 63 * NSEC_PER_SEC); /* out of the list, into the wheel */
        run_until(&w, &now, START + 64 * NSEC_PER_SEC);
        assert_int_equal(b.n, 1);

        timer_set(&w, &a.timer, START + 600 * NSEC_PER_SEC);
        timer_clear(&a.timer);
        run_until(&w, &now, START + 700 * NSEC_PER_SEC);
        assert_int_equal(a.n, 1);
        assert_int_equal(timer_wheel_timeout(&w, now), -1);
}

static void test_long_sleep(void **state) {
        Alarm alarms[100];
        TimerWheel w;

        timer_wheel_init(&w, START);
        for (unsigned i = 0; i < ELEMENTSOF(alarms); i++) {
                alarm_init(&alarms[i]);
                timer_set(&w, &alarms[i].timer, START + i * NSEC_PER_SEC);
        }
        timer_wheel_run(&w, START + 3600 * NSEC_PER_SEC); /* as after a suspend of the machine */
        for (unsigned i = 0; i < ELEMENTSOF(alarms); i++)
                assert_int_equal(alarms[i].n, 1);
        assert_int_equal(timer_wheel_timeout(&w, START + 3600 * NSEC_PER_SEC), -1);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_expires_in_time),
                cmocka_unit_test(test_put_off_and_brought_forward),
                cmocka_unit_test(test_clear),
                cmocka_unit_test(test_set_from_within),
                cmocka_unit_test(test_sleeps_until_what_is_far_off),
                cmocka_unit_test(test_long_sleep),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
