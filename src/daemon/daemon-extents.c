/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon-extents.h"

void free_extents_done(FreeExtents *f) {
        free(f->ranges);
        *f = (FreeExtents) {};
}

int free_extents_reserve(FreeExtents *f, size_t n_gaps) {
        ExtentRange *ranges;
        size_t n;

        if (n_gaps <= f->n_allocated)
                return 0;
        n = n_gaps * 2;
        ranges = reallocarray(f->ranges, n, sizeof(*ranges));
        if (!ranges)
                return -ENOMEM;
        f->ranges = ranges;
        f->n_allocated = n;
        return 0;
}

/* Index of the first range that starts after `cell`. */
static size_t free_extents_after(const FreeExtents *f, uint32_t cell) {
        size_t low = 0, high = f->n_ranges;

        while (low < high) {
                size_t middle = low + (high - low) / 2;

                if (f->ranges[middle].start > cell)
                        high = middle;
                else
                        low = middle + 1;
        }
        return low;
}

static void free_extents_insert(FreeExtents *f, size_t i, ExtentRange range) {
        memmove(f->ranges + i + 1, f->ranges + i, (f->n_ranges - i) * sizeof(range));
        f->ranges[i] = range;
        f->n_ranges++;
}

static void free_extents_remove(FreeExtents *f, size_t i) {
        f->n_ranges--;
        memmove(f->ranges + i, f->ranges + i + 1, (f->n_ranges - i) * sizeof(*f->ranges));
}

uint32_t free_extents_take(FreeExtents *f, uint32_t n) {
        for (size_t i = 0; i < f->n_ranges; i++) {
                ExtentRange *range = &f->ranges[i];
                uint32_t start = range->start;

                if (range->n < n)
                        continue;
                range->start += n;
                range->n -= n;
                if (range->n == 0)
                        free_extents_remove(f, i);
                return start;
        }
        return 0;
}

int free_extents_take_at(FreeExtents *f, uint32_t start, uint32_t n) {
        size_t i = free_extents_after(f, start);
        ExtentRange before, after;

        if (i == 0)
                return -EADDRINUSE;
        i--;
        if (start - f->ranges[i].start > f->ranges[i].n || f->ranges[i].n - (start - f->ranges[i].start) < n)
                return -EADDRINUSE;

        before = (ExtentRange) { f->ranges[i].start, start - f->ranges[i].start };
        after = (ExtentRange) { start + n, f->ranges[i].n - before.n - n };
        free_extents_remove(f, i);
        if (after.n > 0)
                free_extents_insert(f, i, after);
        if (before.n > 0)
                free_extents_insert(f, i, before);
        return 0;
}

void free_extents_give(FreeExtents *f, uint32_t start, uint32_t n) {
        size_t i = free_extents_after(f, start);
        ExtentRange *left = i > 0 ? &f->ranges[i - 1] : NULL;
        ExtentRange *right = i < f->n_ranges ? &f->ranges[i] : NULL;

        if (left && left->start + left->n == start) {
                left->n += n;
                if (right && start + n == right->start) {
                        left->n += right->n;
                        free_extents_remove(f, i);
                }
                return;
        }
        if (right && start + n == right->start) {
                right->start = start;
                right->n += n;
                return;
        }
        free_extents_insert(f, i, (ExtentRange) { start, n });
}
