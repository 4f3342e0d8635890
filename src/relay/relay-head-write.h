/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <limits.h>
#include <stdbool.h>

#include "../abi/abi-action.h"
#include "../engine/engine-head.h"
#include "relay-buffer.h"
#include "relay-text.h"

/*
 * Heads on their way through: what concerns one connection only is dropped, what ours needs is added, all
 * else keeps its order, its case and its bytes. What engine-plain.h calls plain keeps all of them.
 */

/* Bytes that a head may grow by, so that a buffer of the longest head and this holds the rewritten one. */
#define HEAD_GROWTH_MAX (1024 + SM_CHANGES_MAX)

/*
 * What a route changes in the fields of a head. One after the other is applied to what came in and passes;
 * what the relay adds on its own account, it adds to the result. Fields that are added stand behind those
 * that came in.
 */
typedef struct FieldChange {
        enum sm_edit_kind kind;
        Text name, value;
} FieldChange;

typedef struct FieldChanges {
        const FieldChange *items;
        size_t n;
} FieldChanges;

typedef struct RequestEdit {
        bool upgrade;              /* ask for the upgrade that the caller asks for */
        bool count_hops;           /* Max-Forwards, which must be there and not 0, is counted down */
        bool via;                  /* append to Via */
        const char *forwarded_for; /* append to X-Forwarded-For; NULL: do not */
        const char *host;          /* for a request without Host, which HTTP/1.0 allows */
        FieldChanges changes;
        Text new_host;             /* instead of the authority that it came with */
        Text new_prefix;           /* instead of the first `skip` bytes of the path, if it is one */
        uint32_t skip;
} RequestEdit;

typedef enum ResponseConnection {
        RESPONSE_DEFAULT,    /* nothing is said */
        RESPONSE_CLOSE,      /* Connection: close */
        RESPONSE_KEEP_ALIVE, /* to an HTTP/1.0 client that asked for it */
        RESPONSE_UPGRADE,    /* of a 101, or of a 426 which names what it wants */
} ResponseConnection;

typedef struct ResponseEdit {
        ResponseConnection connection;
        bool chunked;  /* the body that follows has this coding */
        bool bodiless; /* by its status: nothing may be said about a body (RFC 9110, section 8.6) */
        bool via;
        FieldChanges changes;
} ResponseEdit;

/* What Max-Forwards says, if there is a number in it. */
#define HOP_COUNT_NONE UINT_MAX
unsigned head_hop_count(const uint8_t *bytes, const struct sm_head *head);

/* Append to `out`. -ENOBUFS: it has too little room. */

/* The path behind the first `skip` bytes, put behind another beginning: with exactly one slash in between,
 * so that no rest of a path can be taken for an authority ("//host"). */
int head_write_path(Buffer *out, Text prefix, Text path, uint32_t skip);

int head_write_request(Buffer *out, const uint8_t *bytes, const struct sm_head *head,
                       const RequestEdit *edit);
int head_write_response(Buffer *out, const uint8_t *bytes, const struct sm_head *head,
                        const ResponseEdit *edit);
