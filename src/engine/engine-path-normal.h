/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "engine-path.h"

/* Bringing a path into normal form, in memory: for programs in user space. */

/* Where what is written of a path ends when its last segment is over, which begins at `segment`. */
static inline __u32 sm_path_end_segment(const __u8 *out, __u32 segment, __u32 n) {
        if (n - segment == 1 && out[segment] == '.')
                return segment;
        if (n - segment != 2 || out[segment] != '.' || out[segment + 1] != '.')
                return n;
        if (segment > 1)
                segment--; /* the slash before it; not the root */
        while (out[segment - 1] != '/')
                segment--;
        return segment;
}

/* Writes what is at `at` behind out[n]; returns how many bytes that took, at most as many as are written. */
static inline __u32 sm_path_copy_one(const __u8 *path, __u32 at, __u8 *out, __u32 *n) {
        __u32 c;

        if (path[at] != '%') {
                out[(*n)++] = path[at];
                return 1;
        }
        c = sm_hex_value(path[at + 1]) << 4 | sm_hex_value(path[at + 2]);
        if (sm_is_unreserved(c)) {
                out[(*n)++] = (__u8) c;
                return 3;
        }
        out[*n] = '%';
        for (__u32 i = 1; i < 3; i++)
                out[*n + i] = sm_is_lower_hex(path[at + i]) ? path[at + i] & ~0x20U : path[at + i];
        *n += 3;
        return 3;
}

/*
 * Brings a path of sm_path_judge() that is not ambiguous into normal form, in place. Returns its length,
 * which is no more than before.
 */
static inline __u32 sm_path_normalise(__u8 *path, __u32 length) {
        __u32 n = 0, at = 0, segment = 0;

        if (length == 0 || path[0] != '/')
                return length;
        while (at < length) {
                if (path[at] != '/') {
                        at += sm_path_copy_one(path, at, path, &n);
                        continue;
                }
                at++;
                if (n > 0)
                        n = sm_path_end_segment(path, segment, n);
                if (n == 0 || path[n - 1] != '/')
                        path[n++] = '/';
                segment = n;
        }
        return sm_path_end_segment(path, segment, n);
}
