/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stddef.h>
#include <stdint.h>

/*
 * Which cells of the `cells` array are free: ranges in order, never adjacent to each other, so that what
 * is given back grows together again. Placement is first fit, which keeps the used part low and dense.
 */
typedef struct ExtentRange {
        uint32_t start, n;
} ExtentRange;

typedef struct FreeExtents {
        ExtentRange *ranges;
        size_t n_ranges, n_allocated;
} FreeExtents;

void free_extents_done(FreeExtents *f);

/* Makes sure that `n_gaps` ranges have room, so that giving back cannot fail. */
int free_extents_reserve(FreeExtents *f, size_t n_gaps);

/* The start of n cells; 0 if no range is large enough. */
uint32_t free_extents_take(FreeExtents *f, uint32_t n);

/* Takes exactly these cells; -EADDRINUSE, with nothing changed, unless all of them are free. Needs room
 * for one range. */
int free_extents_take_at(FreeExtents *f, uint32_t start, uint32_t n);

/* The cells must be in use, and room for one range reserved. */
void free_extents_give(FreeExtents *f, uint32_t start, uint32_t n);
