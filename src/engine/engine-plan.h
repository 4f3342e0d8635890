/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "../abi/abi-action.h"
#include "../abi/abi-reply.h"

/* What a route's actions make of a request in the kernel: for the caller's program, which follows it, and
 * for `explain`, which tells. */

enum sm_plan {
        SM_PLAN_FORWARD, /* nothing */
        SM_PLAN_ANSWER,  /* by the route's own answer */
        SM_PLAN_ABORT,   /* likewise, by fault injection */
        SM_PLAN_EFFECT,  /* the dice gave it something that the relay does */
        SM_PLAN_RELAY,   /* the relay does it with every request of the route */
};

/* `effects`: enum sm_effect. */
static inline enum sm_plan sm_plan_make(const struct sm_actions *a, __u32 effects) {
        if (effects & SM_EFFECT_DELAY)
                return SM_PLAN_EFFECT;
        if (effects & SM_EFFECT_ABORT)
                return SM_PLAN_ABORT;
        if (a->answer > 0)
                return SM_PLAN_ANSWER;
        if (a->flags || a->n_request_edits || a->n_response_edits)
                return SM_PLAN_RELAY;
        return effects & SM_EFFECT_MIRROR ? SM_PLAN_EFFECT : SM_PLAN_FORWARD;
}

#define SM_ANSWER_LOCATION "Location: "

/* Bytes of the line that says where a redirect leads. */
static inline __u32 sm_answer_location_size(const struct sm_answer *answer) {
        if (!(answer->flags & SM_ANSWER_REDIRECT))
                return 0;
        return sizeof(SM_ANSWER_LOCATION) - 1 + answer->location.length + 2;
}

/* Whether the kernel can give the answer: nothing of the request goes into it, and it is short enough. */
static inline int sm_answer_is_fast(const struct sm_answer *answer, int is_head) {
        __u32 head = answer->head.length, body = is_head ? 0 : answer->body.length;
        __u32 location = sm_answer_location_size(answer);

        return !(answer->flags & ~SM_ANSWER_REDIRECT) && head <= SM_REPLY_MAX && body <= SM_REPLY_MAX &&
               location <= SM_REPLY_MAX && head + location + 2 + body <= SM_REPLY_MAX - 8;
}
