/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "daemon-bpf.h"

/* What the daemon-bpf*.c files share. */

struct slicemesh_bpf; /* the generated skeleton */
struct ring_buffer;

struct BpfPrograms {
        struct slicemesh_bpf *skeleton;
        char *pin_path; /* of all layouts */
        char *layout;   /* directory of this one */
        bool taken_over, pinned;
        uint32_t entries[_SM_TABLE_MAX];
        const struct sm_slice_state *slice_states; /* mapped, SM_SLICES_MAX */
        struct sm_fast_control *fast_control;      /* mapped */
        int fast_error; /* why the fast path's programs are not loaded; 0: they are */

        struct ring_buffer *events;
        bpf_event_handler_t event_handler;
        void *event_userdata;
};

/* Directories of a bpffs: making one that is there, and removing one that is not, is no failure. */
int bpf_pin_make_directory(const char *path);
int bpf_pin_remove(const char *path);
int bpf_pin_remove_tree(const char *path);

/* Calls `each` with the path and name of every directory in `path`; a missing `path` has none. */
typedef void (*bpf_pin_each_t)(const char *path, const char *name, void *userdata);
int bpf_pin_each(const char *path, bpf_pin_each_t each, void *userdata);

/* The fast path's share of bpf_programs_new(): before loading, whether its programs are to be loaded; and
 * after it, what is in its maps. */
void bpf_fast_choose(BpfPrograms *b, bool fast);
int bpf_fast_prepare(BpfPrograms *b, const BpfSettings *s);
void bpf_fast_done(BpfPrograms *b);
