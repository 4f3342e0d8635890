/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "engine-compare.h"
#include "engine-decode.h"

/*
 * The normal form of a path (RFC 3986, section 6.2.2): %XX of unreserved characters is decoded, the digits
 * of all others are capital letters, of several slashes in a row one is left, and then dot segments are
 * removed (section 5.2.4), never above the root. A path that does not begin with '/', such as "*", stays as
 * it is.
 *
 * What two recipients may take for different paths is refused, unless the policy keeps it: %2F and %5C
 * (SM_POLICY_KEEP_SLASHES), %00 (SM_POLICY_KEEP_NULS). A '%' without two digits behind it is always refused:
 * decoding what stands next to it could make it an escape.
 */

enum sm_path_kind {
        SM_PATH_NORMAL,
        SM_PATH_NOT_NORMAL,
        SM_PATH_AMBIGUOUS, /* to be refused */
};

/* RFC 3986, section 2.3 */
static inline int sm_is_unreserved(__u32 c) {
        return sm_set_has(SM_DIGITS_LOW | SM_CHAR_BIT('-') | SM_CHAR_BIT('.'),
                          SM_LETTERS_HIGH | SM_CHAR_BIT('_') | SM_CHAR_BIT('~'), (__u8) c);
}

static inline int sm_path_may_keep(__u32 c, __u32 flags) {
        if (c == '/' || c == '\\')
                return (flags & SM_POLICY_KEEP_SLASHES) != 0;
        return c != 0 || (flags & SM_POLICY_KEEP_NULS) != 0;
}

static inline int sm_is_lower_hex(__u8 c) {
        return c >= 'a';
}

/* At a '%'. */
static inline enum sm_path_kind sm_path_judge_escape(const __u8 *bytes, __u32 at, __u32 end, __u32 flags) {
        __u8 high = at + 2 < end ? sm_copy_byte(bytes, at + 1) : 0;
        __u8 low = at + 2 < end ? sm_copy_byte(bytes, at + 2) : 0;
        __u32 c;

        if (!sm_is_hex(high) || !sm_is_hex(low))
                return SM_PATH_AMBIGUOUS;
        c = sm_hex_value(high) << 4 | sm_hex_value(low);
        if (!sm_path_may_keep(c, flags))
                return SM_PATH_AMBIGUOUS;
        return sm_is_unreserved(c) || sm_is_lower_hex(high) || sm_is_lower_hex(low) ? SM_PATH_NOT_NORMAL :
                                                                                      SM_PATH_NORMAL;
}

/* At a '/': what is between it and the next one. */
static inline enum sm_path_kind sm_path_judge_segment(const __u8 *bytes, __u32 at, __u32 end) {
        __u8 c = at + 1 < end ? sm_copy_byte(bytes, at + 1) : 0;

        if (c == '/')
                return SM_PATH_NOT_NORMAL;
        if (c != '.')
                return SM_PATH_NORMAL;
        c = at + 2 < end ? sm_copy_byte(bytes, at + 2) : '/';
        if (c == '.')
                c = at + 3 < end ? sm_copy_byte(bytes, at + 3) : '/';
        return c == '/' ? SM_PATH_NOT_NORMAL : SM_PATH_NORMAL;
}

/* Up to the next byte that matters, at most SM_WINDOW of them at once. */
static inline long sm_path_step(__u32 i, void *context) {
        struct sm_match *m = context;
        struct sm_work *w = m->w;
        enum sm_path_kind kind;
        __u32 n;

        if (w->path_at >= w->path_end)
                return 1;
        n = sm_run_until(m->bytes, w->path_at, w->path_end, SM_STOPS('/', '%', 0));
        w->path_at += n;
        if (w->path_at >= w->path_end)
                return 1;
        if (n == SM_WINDOW)
                return 0;
        if (sm_copy_byte(m->bytes, w->path_at) == '%')
                kind = sm_path_judge_escape(m->bytes, w->path_at, w->path_end, w->path_flags);
        else
                kind = sm_path_judge_segment(m->bytes, w->path_at, w->path_end);
        w->path_at++;
        if (kind != SM_PATH_NORMAL)
                w->path_kind = kind;
        return kind == SM_PATH_AMBIGUOUS;
}

SM_FRAME enum sm_path_kind sm_path_judge_range(const __u8 *bytes, __u32 offset, __u32 length, __u32 flags,
                                               struct sm_work *work) {
        struct sm_match m = { .w = work, .bytes = bytes };

        if (length == 0 || sm_copy_byte(bytes, offset) != '/')
                return SM_PATH_NORMAL;
        work->path_at = offset;
        work->path_end = offset + length;
        work->path_flags = flags;
        work->path_kind = SM_PATH_NORMAL;
        sm_loop(length, sm_path_step, &m);
        return (enum sm_path_kind) work->path_kind;
}

/* `flags` are those of the policy. */
static inline enum sm_path_kind sm_path_judge(const __u8 *bytes, struct sm_span path, __u32 flags,
                                              struct sm_work *work) {
        return sm_path_judge_range(bytes, path.offset, path.length, flags, work);
}
