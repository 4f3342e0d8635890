/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "abi-policy.h"

/*
 * The rules of a policy: what a request must be like, and where it goes then. What else is done with it is
 * in abi-action.h. Cells and texts are referred to as abi-policy.h says.
 */

#define SM_SHADOWS_MAX 32 /* shadow routes of one service */

enum sm_split_by {
        SM_SPLIT_IN_TURN,   /* struct sm_schedule of subset indexes: exact over any window of n requests */
        SM_SPLIT_AT_RANDOM, /* the same slots */
        SM_SPLIT_BY_KEY,    /* struct sm_share: the same key to the same subset while shares do not change */
        _SM_SPLIT_MAX,
};

/* First match wins. A route without predicates matches everything. */
struct sm_route {
        __u32 state;      /* id of struct sm_route_state */
        __u32 predicates; /* cell of the first of n_predicates consecutive ones */
        __u16 n_predicates;
        __u8 shadow; /* 1 + its number: a match counts, and the search goes on; 0 = it is in force */
        __u8 _pad0;
        struct sm_schedule split; /* n == 1 for a plain `to:`; 0 where the answer is the mesh's own */
        __u32 timeout_ms;         /* whole request; 0 = none */
        struct sm_text name;
        struct sm_text origin; /* "file:line" of the rule, for explain and trace */
        __u32 actions;         /* cell of struct sm_actions; 0 = none */
        __u8 split_by;         /* enum sm_split_by */
        __u8 split_hash;       /* enum sm_hash_source, of SM_SPLIT_BY_KEY */
        __u8 _pad1[2];
        struct sm_text split_hash_name; /* header (lower case) or cookie */
        __u8 _pad2[8];
};
_Static_assert(sizeof(struct sm_route) == SM_CELL_SIZE, "a route is one cell");

/*
 * A subset's part of a sticky split. Of all subsets with a weight the one wins for which
 * -log2(u(key, seed)) / weight is least, u being uniform in (0, 1] (weighted rendezvous hashing): a key
 * moves only to a subset whose weight was raised, or away from one whose weight was lowered.
 */
struct sm_share {
        __u64 seed; /* hash of the subset's name */
        __u32 subset;
        __u32 weight; /* 0 = never */
};
_Static_assert(sizeof(struct sm_share) * 4 == SM_CELL_SIZE, "four shares are one cell");

enum sm_predicate_kind {
        SM_MATCH_HOST,
        SM_MATCH_PATH,     /* in normal form, where the policy says so */
        SM_MATCH_METHOD,   /* exact, case-sensitive */
        SM_MATCH_HEADER,   /* any field of that name */
        SM_MATCH_COOKIE,   /* any cookie of that name */
        SM_MATCH_QUERY,    /* any parameter of that name, both decoded as forms are: %41, + for a space */
        SM_MATCH_SLICE,    /* low = slice id */
        SM_MATCH_UNIT,     /* low = sm_unit_hash() of the name of the caller's unit */
        SM_MATCH_USER,     /* low = uid */
        SM_MATCH_SOURCE,   /* inline_bytes = network, 16 bytes, low = prefix length in those */
        SM_MATCH_FRACTION, /* low of 2^32 requests, at random */
        SM_MATCH_CONTENT,  /* the first `first` bytes of the body contain the text */
        SM_MATCH_FORM,     /* likewise field `name` of an application/x-www-form-urlencoded body */
        SM_MATCH_JSON,     /* likewise the string, number or literal at JSON pointer `name` (RFC 6901) */
        _SM_MATCH_MAX,
};

enum sm_predicate_op {
        SM_OP_EXACT,
        SM_OP_PREFIX,  /* of a path: on segment boundaries, so /v2 matches /v2 and /v2/x but not /v20 */
        SM_OP_SUFFIX,  /* of a host: the text starts with a dot and needs at least one label before it */
        SM_OP_PRESENT, /* whatever the value */
        SM_OP_RANGE,   /* the value is a decimal number from `low` to `high`, both included */
        SM_OP_REGEX,   /* PCRE2, anywhere in the value unless anchored; the relay's alone */
        _SM_OP_MAX,
};

/* Where to go on when a predicate holds, and when it does not: an index of the route's predicates that is
 * greater than its own, or the result. So all, any and not are but orders of jumps. */
#define SM_GOTO_MATCHED 0xffff
#define SM_GOTO_FAILED 0xfffe
#define SM_GOTO_UNDECIDED 0xfffd /* in no policy: who asks cannot decide, or not yet */
#define SM_PREDICATES_MAX 256 /* of one route */

#define SM_BODY_LOOK_MAX 16384 /* what sm_predicate.first can be */

#define SM_PREDICATE_INLINE 24

struct sm_predicate {
        __u8 kind; /* enum sm_predicate_kind */
        __u8 op;   /* enum sm_predicate_op */
        __u16 first; /* bytes of the body that are looked at; the rest of it makes no difference */
        __u16 yes, no;
        struct sm_text name; /* of the field (lower case), cookie, parameter, or pointer */
        struct sm_text text; /* text.cell == 0: in `inline_bytes`; hosts are lower case */
        __s64 low, high;
        __u8 inline_bytes[SM_PREDICATE_INLINE];
};
_Static_assert(sizeof(struct sm_predicate) == SM_CELL_SIZE, "a predicate is one cell");
