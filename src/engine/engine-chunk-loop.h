/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "engine-access.h"
#include "engine-chunk.h"

/*
 * The chunk parser's driver for the kernel: whether all of a chunked body is in a message. It steps through
 * what frames the body, passes over the data, and sees the message through a small window.
 *
 *   sm_chunk_walk_start(walk, position, size);              position of the body, size of the message
 *   sm_loop(SM_CHUNK_WALK_MAX, sm_chunk_walk_steps, &loop); walk->result is as of sm_chunk_parse()
 */

#define SM_CHUNK_WALK_MAX 1024 /* bytes that frame the body: those of a good hundred chunks */

/* Not on the stack: see struct sm_head_parser. */
struct sm_chunk_walk {
        struct sm_chunk chunk;
        __u64 data;     /* bytes of it so far */
        __u32 position; /* in the message */
        __u32 size;     /* of the message */
        __u32 seen;     /* position of the window */
        __s32 result;   /* 0 also if there is more framing than may be */
        __u8 window[SM_WINDOW];
};

struct sm_chunk_loop {
        struct sm_chunk_walk *walk;
        void *message; /* for sm_message_read() */
};

static inline void sm_chunk_walk_start(struct sm_chunk_walk *w, __u32 position, __u32 size) {
        sm_chunk_start(&w->chunk, SM_CHUNK_WALK_MAX);
        w->data = 0;
        w->position = position;
        w->size = size;
        w->seen = position - SM_WINDOW; /* nothing yet */
        w->result = 0;
}

/* Whether there is a byte behind the data. */
static inline int sm_chunk_walk_data(struct sm_chunk_walk *w) {
        if (w->chunk.size >= w->size - w->position)
                return 0;
        w->data += w->chunk.size;
        w->position += (__u32) w->chunk.size;
        w->chunk.size = 0;
        w->chunk.state = SM_CHUNK_DATA_CR;
        return 1;
}

static inline long sm_chunk_walk_steps(__u32 i, void *context) {
        struct sm_chunk_loop *l = context;
        struct sm_chunk_walk *w = l->walk;
        int r;

        if (w->position >= w->size || (w->chunk.state == SM_CHUNK_DATA && !sm_chunk_walk_data(w)))
                return 1;
        if (w->position - w->seen >= SM_WINDOW) {
                if (sm_message_read(l->message, w->position, w->size, w->window) < 0)
                        return 1;
                w->seen = w->position;
        }
        r = sm_chunk_step(&w->chunk, w->window[(w->position - w->seen) % SM_WINDOW]);
        w->position++;
        w->result = r < 0 ? r : w->chunk.state == SM_CHUNK_DONE;
        return w->result != 0;
}
