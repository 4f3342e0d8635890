/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <linux/types.h>
#include <stdbool.h>

/*
 * Words that kernel and user space change at the same time. Each of these is a full barrier on both sides:
 * BPF (up to -mcpu=v3) has no load or store that orders, so reading is adding nothing, storing is
 * exchanging.
 */

static inline __u64 sm_load(__u64 *word) {
        return __sync_fetch_and_add(word, 0);
}

static inline __u32 sm_load_32(__u32 *word) {
        return __sync_fetch_and_add(word, 0);
}

static inline void sm_store(__u64 *word, __u64 value) {
        (void) __sync_lock_test_and_set(word, value);
}

static inline void sm_store_32(__u32 *word, __u32 value) {
        (void) __sync_lock_test_and_set(word, value);
}

/* Whether *word was `*expected` and now is `value`. *expected becomes what *word is now, either way. */
static inline bool sm_swap(__u64 *word, __u64 *expected, __u64 value) {
        __u64 found = __sync_val_compare_and_swap(word, *expected, value);
        bool same = found == *expected;

        *expected = same ? value : found;
        return same;
}
