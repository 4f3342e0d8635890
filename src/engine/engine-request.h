/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "engine-access.h"
#include "engine-head.h"

/* What is known of a request when a route is chosen, and what the choice works on. */

struct sm_request {
        const __u8 *bytes;          /* of the head; in the kernel of a struct sm_request_copy */
        const struct sm_head *head; /* NULL for a connection of a tcp service: it has only a caller */
        const __u8 *source;         /* caller's address, 16 bytes; NULL if it is not known */
        const __u8 *body;           /* what is there of it, without its transfer coding; in the kernel it is
                                     * the bytes behind the head */
        struct sm_work *work;       /* to be used meanwhile, whatever is in there; NULL as `head` is */
        __u64 cgroup;        /* of the caller's unit, mixed into a hash by source */
        __u64 unit;          /* sm_unit_hash() of its name, 0 = none */
        __u32 uid;
        __u32 random; /* fresh for each request */
        __u32 body_length;
        __u16 body_complete; /* there will be no more */
        __u16 slice;
};
_Static_assert(SM_SLICES_MAX < 1 << 16, "slices fit");

/* Whether a predicate holds. */
enum sm_verdict {
        SM_VERDICT_NO,
        SM_VERDICT_YES,
        SM_VERDICT_UNDECIDED, /* by who asks, or not with what there is of the body */
};

/* Where a predicate's or subset's text stands: inline, or in cells of its own. */
struct sm_text_place {
        __u32 cell;  /* absolute */
        __u32 start; /* byte in there, a multiple of 8 */
        __u32 length;
};

enum sm_coding {
        SM_CODING_NONE,
        SM_CODING_FORM, /* %XX, and + for a space: of queries and forms */
        SM_CODING_JSON, /* of a JSON string, without its quotation marks; it is known to be one */
};

/*
 * The state of everything that goes over the bytes of a request in steps. Not on the stack: in the kernel
 * there is not enough of it, and what is read from elsewhere is nothing that the verifier takes for a
 * constant (see engine-access.h).
 */
struct sm_search { /* engine-search.h */
        __u32 base;   /* cell of the policy */
        __u32 routes; /* cell, absolute */
        __u32 n_routes;
        __u32 index;     /* of the route; in the end the one that was found */
        __u32 predicate; /* of that route: the one that is next */
        __u32 cell;      /* of that predicate, absolute */
        __u32 found;
        __u32 undecided; /* 1 + the predicate, of route `index`, that could not be decided */
        __u32 shadows;   /* shadow routes that match, a bit for each */
        __u32 _pad;
};

struct sm_compare { /* engine-compare.h */
        struct sm_text_place text;
        __u32 offset;
        __u32 fold;   /* regardless of case; the text is in lower case */
        __u32 differ; /* result */
};

struct sm_find { /* engine-find.h */
        struct sm_text_place name;
        __u32 field;
        __u32 start, equals, at, end; /* of the pair that is being read; equals: 1 + offset of '=' */
        __u32 coding;                 /* enum sm_coding of names and values */
        __u32 open;                   /* more may come behind `end` */
        __u32 verdict;                /* result */
        __u32 value_offset, value_length;
};

struct sm_judge { /* engine-judge.h */
        struct sm_text_place text;
        __u32 at, end;         /* raw bytes still to come */
        __u32 pending;         /* decoded bytes, the next one lowest */
        __u32 n_pending;
        __u32 coding;          /* enum sm_coding */
        __u32 op;              /* enum sm_predicate_op, or one of engine-judge.h */
        __u32 n;               /* decoded bytes so far */
        __u32 skip;            /* of these so many are not compared */
        __u32 cursor;          /* in the text */
        __u32 differ;
        __u32 negative;
        __u32 digits;
        __u64 magnitude;
};

struct sm_json { /* engine-json*.h */
        __u32 state;
        __u32 at, end;
        __u32 level;   /* containers that are open */
        __u64 objects; /* a bit for each of them, the innermost lowest: it is an object, not an array */
        __u32 matched; /* tokens of the pointer that led here */
        __u32 token;   /* byte of the pointer where the next one begins, with '/' */
        __u32 next;    /* byte behind that one */
        __u32 target;  /* element that it stands for, in an array */
        __u32 element;
        __u32 start;   /* of the string or scalar that is being read */
        __u32 is_key;
        __u32 found;   /* enum sm_json_found */
        __u32 found_start, found_end;
        __u32 taken;   /* the value that is being read is the one */
        __u32 _pad;
};

struct sm_work {
        struct sm_search search;
        struct sm_compare compare;
        struct sm_find find;
        struct sm_judge judge;
        struct sm_json json;
        __u64 hash; /* engine-key.h */
        __u32 key_found;
        __u32 _pad;
        __u32 path_at, path_end, path_flags, path_kind; /* engine-path.h */
};

/* What the steps are given: on the stack of who starts the search. */
struct sm_match {
        const struct sm_tables *t;
        const struct sm_request *q;
        struct sm_work *w;
        const __u8 *bytes;            /* of the head or the body */
        const struct sm_predicate *p; /* NULL where only a value is looked for */
};
