/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../abi/abi-action.h"
#include "../abi/abi-route.h"

/* Routes of the policy model: what a request must be like, where it goes and what else is done with it. */

typedef struct PolicyOrigin {
        const char *file; /* interned, lives as long as the Policy */
        unsigned line, column;
} PolicyOrigin;

/* Fractions are in millionths of a percent, in which everything that can be written is exact. */
#define POLICY_WHOLE 100000000u

/* How the parts of a match go together, in the words that the file has for it. */
typedef enum PolicyJoin {
        MATCH_KEYS,   /* a mapping: all of its keys */
        MATCH_ALL,    /* all: [...] */
        MATCH_ANY,    /* any: [...] */
        MATCH_NOT,    /* not: {...}; one child, of MATCH_KEYS */
        MATCH_VALUES, /* a list of values for one key: any of them */
        MATCH_CALLER, /* {slice: a, unit: b, user: c}: all that it names */
        MATCH_LEAF,
        _POLICY_JOIN_MAX,
} PolicyJoin;

typedef struct PolicyMatch PolicyMatch;

struct PolicyMatch {
        uint8_t join;  /* PolicyJoin */
        uint8_t kind;  /* of a leaf: enum sm_predicate_kind, */
        uint8_t op;    /* enum sm_predicate_op, */
        bool absent;   /* SM_OP_PRESENT the other way around, */
        uint16_t first; /* bytes of the body that are looked at; of a network: its prefix length */
        PolicyOrigin origin;
        union {
                struct {
                        PolicyMatch *children;
                        size_t n_children;
                };
                struct {
                        char *name; /* of the field (lower case), cookie, parameter; pointer; NULL = none */
                        char *text; /* NULL = none; a user is written as in the file */
                };
        };
        union {
                struct {
                        int64_t low, high; /* of a range; low: uid, or fraction of POLICY_WHOLE */
                };
                struct in6_addr network; /* of SM_MATCH_SOURCE, IPv4 mapped */
        };
};

typedef struct PolicySplit {
        size_t subset; /* index */
        unsigned weight;
} PolicySplit;

typedef struct PolicyEdit {
        enum sm_edit_kind kind;
        char *name; /* as written */
        char *value; /* NULL of SM_EDIT_REMOVE */
} PolicyEdit;

typedef struct PolicyEdits {
        PolicyEdit *items;
        size_t n_items;
} PolicyEdits;

/* `respond`, `redirect` and `fault: {abort}`. */
typedef struct PolicyAnswer {
        unsigned status;
        unsigned fraction; /* of the requests; of an abort only */
        char *body, *content_type; /* NULL = none */
        PolicyEdits fields;        /* SM_EDIT_ADD */
        bool redirect;
        char *url;                   /* Location as it is, or */
        char *prefix, *host, *scheme; /* what of the request's URL changes, NULL = not that */
} PolicyAnswer;

typedef struct PolicyActions {
        PolicyAnswer *answer, *abort; /* NULL = none */
        unsigned delay_fraction;
        uint64_t delay_usec; /* 0 = none */
        bool mirror;
        size_t mirror_subset; /* index */
        unsigned mirror_fraction;
        uint64_t mirror_max; /* bytes of a body */
        char *rewrite_prefix, *rewrite_host; /* NULL = stays */
        PolicyEdits request, response;
} PolicyActions;

typedef struct PolicyRoute {
        char *name;
        PolicyMatch *match;  /* NULL = any request */
        PolicySplit *splits; /* one for `to:`, none where the answer is the mesh's own */
        size_t n_splits;
        enum sm_split_by split_by;
        enum sm_hash_source split_hash; /* of SM_SPLIT_BY_KEY */
        char *split_hash_name;          /* header in lower case, or cookie */
        bool shadow;
        uint64_t timeout_usec;  /* 0 = none */
        PolicyActions *actions; /* NULL = none */
        PolicyOrigin origin;
} PolicyRoute;

/* Whether paths are brought into normal form: where a route looks at or rewrites them, or said so. */
typedef enum NormalizePaths {
        NORMALIZE_AUTO,
        NORMALIZE_ALWAYS,
        NORMALIZE_NEVER,
        _NORMALIZE_MAX,
} NormalizePaths;

/* What becomes of %2F, %5C and of %00 in them. */
typedef enum EncodedPaths { ENCODED_REFUSE, ENCODED_KEEP, _ENCODED_MAX } EncodedPaths;

/* `match` in the words of the file on one line, without outer braces: "host: a, path: {prefix: /x}"; "any
 * request" for NULL. Allocated. */
int policy_match_format(const PolicyMatch *match, char **ret);

uint64_t fraction_to_share(unsigned fraction); /* of 2^32 */
unsigned share_to_fraction(uint64_t share);    /* exactly what that was made of */

/* A share of a split: a weight of at most SM_WEIGHT_MAX, or a percentage, of which `ret` is permille. */
int split_weight_from_string(const char *s, bool *ret_percent, unsigned *ret);

/* "5%", "0.01%" */
#define FRACTION_STRLEN 16
const char *fraction_to_string(unsigned fraction, char buffer[static FRACTION_STRLEN]);
