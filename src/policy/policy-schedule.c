/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../abi/abi-limits.h"
#include "../basic/cleanup.h"
#include "policy-schedule.h"

/*
 * Turns are given as by EEVDF (Stoica and Abdel-Wahab, 1995): the k-th turn of a choice with weight w out of
 * W becomes eligible at time k W/w and is due at (k + 1) W/w; among those eligible, the one that is due
 * first has its turn. With turns of equal length nobody's share is ever off by one turn or more. Those not
 * eligible yet wait in a list for their time, those eligible in a heap by due time: O(log n) a turn.
 */
typedef struct Rota {
        const unsigned *weights;
        uint64_t sum;
        uint32_t *taken; /* turns that each has had */
        uint32_t *heap;  /* the eligible */
        size_t n_heap;
        uint32_t *first; /* by time: those that become eligible then; index + 1, 0 = none */
        uint32_t *next;  /* likewise */
        size_t length;
} Rota;

static void rota_done(Rota *r) {
        free(r->taken);
        free(r->heap);
        free(r->first);
        free(r->next);
}

/* Due times are compared exactly: (k + 1) / w, where k <= 2^16 and w <= SM_WEIGHT_MAX. */
static bool rota_before(const Rota *r, uint32_t a, uint32_t b) {
        uint64_t x = (uint64_t) (r->taken[a] + 1) * r->weights[b];
        uint64_t y = (uint64_t) (r->taken[b] + 1) * r->weights[a];

        return x != y ? x < y : a < b;
}

static void rota_push(Rota *r, uint32_t choice) {
        size_t i = r->n_heap++;

        for (; i > 0 && rota_before(r, choice, r->heap[(i - 1) / 2]); i = (i - 1) / 2)
                r->heap[i] = r->heap[(i - 1) / 2];
        r->heap[i] = choice;
}

static uint32_t rota_pop(Rota *r) {
        uint32_t top = r->heap[0], last = r->heap[--r->n_heap];
        size_t i = 0, child;

        while ((child = 2 * i + 1) < r->n_heap) {
                if (child + 1 < r->n_heap && rota_before(r, r->heap[child + 1], r->heap[child]))
                        child++;
                if (!rota_before(r, r->heap[child], last))
                        break;
                r->heap[i] = r->heap[child];
                i = child;
        }
        r->heap[i] = last;
        return top;
}

/* Into the list of its time; one that becomes eligible after the end is not seen again. */
static void rota_wait(Rota *r, uint32_t choice, size_t now) {
        uint64_t at = (r->taken[choice] * r->sum + r->weights[choice] - 1) / r->weights[choice];

        if (at <= now) {
                rota_push(r, choice);
                return;
        }
        if (at >= r->length)
                return;
        r->next[choice] = r->first[at];
        r->first[at] = choice + 1;
}

static int rota_init(Rota *r, size_t n) {
        r->taken = calloc(n, sizeof(*r->taken));
        r->heap = calloc(n, sizeof(*r->heap));
        r->next = calloc(n, sizeof(*r->next));
        r->first = calloc(r->length, sizeof(*r->first));
        if (!r->taken || !r->heap || !r->next || !r->first)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++)
                r->sum += r->weights[i];
        return 0;
}

int schedule_turns(const unsigned *weights, size_t n, uint32_t *turns, size_t length, bool at_least_once) {
        _cleanup_(rota_done) Rota rota = { .weights = weights, .length = length };
        size_t now = 0;
        int r;

        r = rota_init(&rota, n);
        if (r < 0)
                return r;
        for (; at_least_once && now < n && now < length; now++) {
                turns[now] = (uint32_t) now;
                rota.taken[now]++;
        }
        for (size_t i = 0; i < n; i++)
                rota_wait(&rota, (uint32_t) i, now);
        for (; now < length; now++) {
                uint32_t choice;

                for (uint32_t waiting = rota.first[now]; waiting > 0; waiting = rota.next[waiting - 1])
                        rota_push(&rota, waiting - 1);
                /* Shares add up to the turns given, so there is always one whose share is not used up. */
                choice = rota_pop(&rota);
                turns[now] = choice;
                rota.taken[choice]++;
                rota_wait(&rota, choice, now);
        }
        return 0;
}

/* Whatever the order of a and b; 0 has every divisor. */
static unsigned greatest_common_divisor(unsigned a, unsigned b) {
        while (b > 0) {
                unsigned rest = a % b;

                a = b;
                b = rest;
        }
        return a;
}

uint64_t schedule_slots(const unsigned *weights, size_t n) {
        unsigned divisor = 0;
        uint64_t sum = 0;

        for (size_t i = 0; i < n; i++) {
                sum += weights[i];
                divisor = greatest_common_divisor(weights[i], divisor);
        }
        return divisor > 0 ? sum / divisor : 0;
}

int schedule_round_robin(const unsigned *weights, size_t n, uint32_t **ret, uint32_t *ret_n) {
        _cleanup_free_ uint32_t *turns = NULL, *choices = NULL;
        _cleanup_free_ unsigned *positive = NULL;
        uint64_t slots = schedule_slots(weights, n);
        size_t used = 0;
        int r;

        if (slots > SM_SLOTS_MAX)
                return -E2BIG;
        if (slots == 0) {
                *ret = NULL;
                *ret_n = 0;
                return 0;
        }
        positive = calloc(n, sizeof(*positive));
        choices = calloc(n, sizeof(*choices));
        turns = calloc(slots, sizeof(*turns));
        if (!positive || !choices || !turns)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++)
                if (weights[i] > 0) {
                        positive[used] = weights[i];
                        choices[used++] = (uint32_t) i;
                }
        r = used > 1 ? schedule_turns(positive, used, turns, slots, false) : 0; /* all are of the first */
        if (r < 0)
                return r;
        for (size_t i = 0; i < slots; i++)
                turns[i] = choices[turns[i]];
        *ret = TAKE_PTR(turns);
        *ret_n = (uint32_t) slots;
        return 0;
}
