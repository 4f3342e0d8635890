/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "engine-access.h"
#include "engine-eight.h"
#include "engine-head.h"

/*
 * Whether a body has a content coding (RFC 9110, section 8.4), which nobody here undoes: to predicates such
 * a body is empty. Who asks for a route sees to that, so that all come to the same.
 */

struct sm_coded {
        const struct sm_head *head;
        const __u8 *bytes;
        __u32 coded; /* result */
};

static inline int sm_coded_part(const struct sm_coded *c, __u32 at, __u64 part) {
        return sm_lower_eight(sm_copy_eight(c->bytes, at, at + 8)) == part;
}

static inline long sm_coded_step(__u32 i, void *context) {
        struct sm_coded *c = context;
        const struct sm_field *f;

        if (i >= SM_HEAD_FIELDS_MAX)
                return 1;
        f = &c->head->fields[i];
        if (f->name.length != 16 ||
            !sm_coded_part(c, f->name.offset, SM_LITERAL_PART("content-encoding", 0)) ||
            !sm_coded_part(c, f->name.offset + 8U, SM_LITERAL_PART("content-encoding", 8)))
                return 0;
        if (f->value.length == 8 && sm_coded_part(c, f->value.offset, SM_LITERAL_PART("identity", 0)))
                return 0;
        c->coded = 1;
        return 1;
}

SM_FRAME int sm_body_is_coded(const __u8 *bytes, const struct sm_head *head) {
        struct sm_coded c = { .head = head, .bytes = bytes };

        if (head->n_fields > 0)
                sm_loop(head->n_fields, sm_coded_step, &c);
        return c.coded != 0;
}
