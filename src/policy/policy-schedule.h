/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The slots of schedules (abi-policy.h). Pure and deterministic. */

/*
 * Fills `turns` with whose turn it is, for each of `length` turns: at every point of the sequence a choice
 * has had its share by weight to within less than one turn. All weights are above 0. With `at_least_once`
 * the first n turns go to each one once, however small its share, and the others make up for it.
 */
int schedule_turns(const unsigned *weights, size_t n, uint32_t *turns, size_t length, bool at_least_once);

/* The weights divided by their greatest common divisor, added up. */
uint64_t schedule_slots(const unsigned *weights, size_t n);

/* In turn by weight: each choice weight/gcd times. Choices of weight 0 have no slot. *ret is allocated;
 * NULL with *ret_n = 0 if no choice has a weight. -E2BIG: more than SM_SLOTS_MAX slots. */
int schedule_round_robin(const unsigned *weights, size_t n, uint32_t **ret, uint32_t *ret_n);

/*
 * A Maglev table (Eisenbud et al., 2016), weighted: the same whatever the order of the choices, and little
 * different when one comes, goes or gets another weight. Its size goes by how many choices there are, those
 * of weight 0 included, so that draining one of them does not change it.
 */
typedef struct MaglevChoice {
        struct in6_addr address; /* with the port, what it is ranked by */
        uint16_t port;
        unsigned weight; /* 0: no slot */
} MaglevChoice;

int schedule_maglev(const MaglevChoice *choices, size_t n, uint32_t **ret, uint32_t *ret_n);
