/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "abi-policy.h"

/* What becomes of the requests of a route beside going to a subset. */

/* An answer of the mesh's own. Complete but for Connection, and what a redirect takes from the request. */
struct sm_answer {
        struct sm_text head; /* from the status line on, whole lines, without the empty one */
        struct sm_text body;
        __u16 status;
        __u16 flags; /* enum sm_answer_flags */
        struct sm_text location; /* of a redirect; what follows it is the path behind... */
        __u32 skip;              /* ...so many bytes, with exactly one slash in between */
        __u8 _pad[32];
};
_Static_assert(sizeof(struct sm_answer) == SM_CELL_SIZE, "an answer is one cell");

enum sm_answer_flags {
        SM_ANSWER_REDIRECT = 1 << 0, /* Location is written behind `head` */
        SM_ANSWER_PATH = 1 << 1,     /* location is followed by the rest of the path */
        SM_ANSWER_QUERY = 1 << 2,    /* and by the query */
        SM_ANSWER_HOST = 1 << 3,     /* "http://" and the request's own authority go before location */
};

enum sm_edit_kind {
        SM_EDIT_ADD,    /* one more field */
        SM_EDIT_SET,    /* in place of all of that name */
        SM_EDIT_REMOVE, /* all of that name */
        _SM_EDIT_MAX,
};

struct sm_edit {
        __u8 kind; /* enum sm_edit_kind */
        __u8 _pad[3];
        __u32 _pad1;
        struct sm_text name; /* as it is to be written */
        struct sm_text value;
        __u8 _pad2[40];
};
_Static_assert(sizeof(struct sm_edit) == SM_CELL_SIZE, "an edit is one cell");

/* What else is done with the requests of a route. Shares are of 2^32. */
struct sm_actions {
        __u32 answer; /* cell of struct sm_answer: instead of an endpoint's; 0 = none */
        __u32 abort;  /* the same, for abort_share of the requests */
        __u64 abort_share;
        __u64 delay_share;
        __u32 delay_ms;
        __u32 mirror_subset; /* index */
        __u64 mirror_share;
        __u32 mirror_max;        /* bytes of a body that are mirrored; larger ones are not */
        __u32 edits;             /* cell of the first of consecutive struct sm_edit: the request's, ... */
        __u16 n_request_edits;
        __u16 n_response_edits;  /* ... then the response's */
        __u32 flags;             /* enum sm_action_flags */
        struct sm_text host;     /* what Host becomes */
        struct sm_text prefix;   /* what the first `skip` bytes of the path become; if more of it is left,
                                  * exactly one slash is in between */
        __u32 skip;
        __u8 _pad[52];
};
_Static_assert(sizeof(struct sm_actions) == 2 * SM_CELL_SIZE, "actions are two cells");

enum sm_action_flags {
        SM_ACTION_REWRITE_PATH = 1 << 0,
        SM_ACTION_REWRITE_HOST = 1 << 1,
};

/* What the dice said of one request (sm_choose_effects()); kept where the decision is. */
enum sm_effect {
        SM_EFFECT_ABORT = 1 << 0,
        SM_EFFECT_DELAY = 1 << 1,
        SM_EFFECT_MIRROR = 1 << 2,
};
