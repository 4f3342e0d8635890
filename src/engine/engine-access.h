/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stddef.h>

#include "../abi/abi-action.h"
#include "../abi/abi-downstream.h"
#include "../abi/abi-route.h"
#include "../abi/abi-state.h"

/*
 * How engine code reaches the tables: the one place that differs between the kernel and user space.
 *
 * Each accessor returns NULL for an index outside its array, and callers must take NULL as "no such
 * thing": the verifier insists on it, and natively it keeps a torn or hostile table from being followed
 * out of bounds. Under BPF the tables are maps and `t` is unused; the including program defines the maps
 * and the accessors in bpf/engine-maps.h.
 *
 * sm_loop() calls `step(i, context)` for i = 0 ... n - 1 until it returns non-zero. Under BPF that is
 * bpf_loop(), whose callback the verifier of Linux before 6.7 walks only once: a step may therefore set what
 * the context holds, but must never branch on what an earlier step has set.
 */
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define sm_little_endian(x) __builtin_bswap64(x)
#else
#define sm_little_endian(x) (x)
#endif

/* Or the compiler concludes from earlier checks that one is not needed, which the verifier of 6.1 does
 * not follow. */
#define sm_forget(x) asm volatile("" : "+r"(x))

/* A function with a frame of its own: the stack of BPF is 512 bytes for all that are active, and the
 * compiler adds up what it inlines. */
#define SM_FRAME static __attribute__((noinline, unused))

#define SM_WINDOW 32 /* bytes of a message that are looked at together */

#ifdef __bpf__

#include "../../bpf/engine-maps.h"

#define sm_loop(n, step, context) bpf_loop(n, step, context, 0)

/* Byte `i` of a head, which the kernel side copies into SM_HEAD_KERNEL_MAX bytes of a map's value. */
static inline __u8 sm_byte_at(const __u8 *bytes, __u32 i) {
        sm_forget(i);
        return i < SM_HEAD_KERNEL_MAX ? bytes[i] : 0;
}

/* Eight of them, of which those from `end` on are of no meaning. */
static inline __u64 sm_eight_at(const __u8 *bytes, __u32 i, __u32 end) {
        sm_forget(i);
        return i <= SM_HEAD_KERNEL_MAX - 8 ? sm_little_endian(*(const __u64 *) (bytes + i)) : 0;
}

/* Of what a request is matched by: its head, and in the kernel its body behind it, in struct
 * sm_request_copy. What is beyond counts as 0. */
static inline __u8 sm_copy_byte(const __u8 *bytes, __u32 i) {
        sm_forget(i);
        return i < SM_REQUEST_KEPT_MAX ? bytes[i] : 0;
}

static inline __u64 sm_copy_eight(const __u8 *bytes, __u32 i, __u32 end) {
        __u32 at = i < SM_REQUEST_KEPT_MAX - 8 ? i : SM_REQUEST_KEPT_MAX - 8, beyond = i - at;

        sm_forget(at);
        if (at > SM_REQUEST_KEPT_MAX - 8 || beyond > 7)
                return 0;
        return sm_little_endian(*(const __u64 *) (bytes + at)) >> (8 * beyond);
}

/* What offsets into the body are relative to, and its first byte there. */
#define sm_body_bytes(q) ((q)->bytes)
#define sm_body_offset(q) ((q)->head->length)

/* Regular expressions are the relay's. */
#define SM_REGEX_TEXT_MAX 0
#define sm_regex_is_there(t) 0
#define sm_regex_run(t, cell, bytes, length) 0

/* Copies SM_WINDOW bytes of a message of `size` bytes from `position` on, or as many as there are. 0, or
 * negative. Defined by the including program, in bpf/message.h. */
static inline int sm_message_read(void *message, __u32 position, __u32 size, __u8 *ret);

#else

#include "engine-native.h"

#endif

/* Words that others change meanwhile. */
#define SM_READ_ONCE(x) (*(const volatile __typeof__(x) *) &(x))

static inline __u32 sm_count_up(__u32 *word) {
        return __sync_fetch_and_add(word, 1);
}

/* Slot `i` of a schedule or list of ids that starts at cell `slots`; -1 if the table does not reach
 * there. */
static inline __s64 sm_slot_at(const struct sm_tables *t, __u32 slots, __u32 i) {
        const struct sm_cell *c = sm_cell_at(t, slots + i / SM_SLOTS_PER_CELL);

        return c ? (__s64) ((const __u32 *) c->bytes)[i % SM_SLOTS_PER_CELL] : -1;
}

/* Byte `i` of text that starts at cell `cell`. */
static inline __s32 sm_text_at(const struct sm_tables *t, __u32 cell, __u32 i) {
        const struct sm_cell *c = sm_cell_at(t, cell + i / SM_CELL_SIZE);

        return c ? c->bytes[i % SM_CELL_SIZE] : -1;
}

/* The struct that a cell holds, or the first of several. */
static inline const void *sm_cell_of(const struct sm_tables *t, __u32 cell) {
        const struct sm_cell *c = sm_cell_at(t, cell);

        return c ? c->bytes : NULL;
}
