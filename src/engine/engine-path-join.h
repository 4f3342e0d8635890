/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <linux/types.h>

/*
 * A path the first `skip` bytes of which give way to a prefix, as abi-action.h says: exactly one slash is in
 * between, unless nothing is left of the path. So the rest of a path never becomes "//host".
 */
struct sm_path_join {
        __u32 keep;  /* bytes of the prefix */
        __u32 slash; /* one follows them */
        __u32 from;  /* where what follows that begins in the path */
};

static inline struct sm_path_join sm_path_join(const __u8 *prefix, __u32 prefix_length, const __u8 *path,
                                               __u32 length, __u32 skip) {
        struct sm_path_join j = { .keep = prefix_length, .from = skip };

        if (skip >= length) {
                j.from = length;
                return j;
        }
        while (j.from < length && path[j.from] == '/')
                j.from++;
        if (j.keep > 0 && prefix[j.keep - 1] == '/')
                j.keep--;
        j.slash = 1;
        return j;
}
