/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdbool.h>

#include "../engine/engine-plain.h"
#include "../engine/engine-plan.h"
#include "policy-fast.h"

static const struct {
        const char *text, *sentence;
        bool whole;
} limits[_FAST_LIMIT_MAX] = {
#define FAST_LIMIT_ROW(id, text, whole, sentence) [FAST_LIMIT_##id] = { text, sentence, whole },
        FAST_LIMIT_LIST(FAST_LIMIT_ROW)
#undef FAST_LIMIT_ROW
};

const char *fast_limit_text(FastLimit l) {
        return limits[l].text;
}

const char *fast_limit_sentence(FastLimit l) {
        return limits[l].sentence;
}

/* Cells of the extent that the policy is the first of. */
static const void *cell_of(const struct sm_policy *policy, uint32_t cell) {
        return ((const struct sm_cell *) policy)[cell].bytes;
}

static void find_match_limits(const struct sm_policy *policy, const struct sm_route *route, bool *applies) {
        for (uint32_t i = 0; i < route->n_predicates; i++) {
                const struct sm_predicate *p = cell_of(policy, route->predicates + i);

                if (p->kind >= SM_MATCH_CONTENT)
                        applies[FAST_LIMIT_BODY] = true;
                else if (p->op == SM_OP_REGEX)
                        applies[FAST_LIMIT_REGEX] = true;
        }
}

static void find_route_limits(const struct sm_policy *policy, bool *applies) {
        for (uint32_t i = 0; i < policy->n_routes; i++) {
                const struct sm_route *route = cell_of(policy, policy->routes + i);
                const struct sm_actions *a = route->actions ? cell_of(policy, route->actions) : NULL;

                find_match_limits(policy, route, applies);
                if (!a || route->shadow > 0)
                        continue;
                applies[FAST_LIMIT_REWRITE] |= a->flags != 0 || a->n_request_edits + a->n_response_edits > 0;
                applies[FAST_LIMIT_MIRROR] |= a->mirror_share > 0;
                applies[FAST_LIMIT_DELAY] |= a->delay_share > 0;
        }
}

size_t fast_limits(const struct sm_policy *policy, bool remote, FastLimit ret[static _FAST_LIMIT_MAX]) {
        bool tcp = policy->protocol == SM_PROTOCOL_TCP;
        bool applies[_FAST_LIMIT_MAX] = {
                [FAST_LIMIT_TCP] = tcp,
                [FAST_LIMIT_NEVER] = !tcp && (policy->flags & SM_POLICY_FAST_NEVER),
                [FAST_LIMIT_FORWARDED_FOR] = !tcp && (policy->flags & SM_POLICY_FORWARDED_FOR),
                [FAST_LIMIT_VIA] = !tcp && (policy->flags & SM_POLICY_VIA),
                [FAST_LIMIT_BLOCKING] = !(policy->flags & SM_POLICY_FAST_ALWAYS),
                [FAST_LIMIT_REMOTE] = remote,
        };
        bool whole = false;
        size_t n = 0;

        find_route_limits(policy, applies);
        for (FastLimit l = 0; l < _FAST_LIMIT_MAX; l++)
                whole |= applies[l] && limits[l].whole;
        for (FastLimit l = 0; l < _FAST_LIMIT_MAX; l++)
                if (applies[l] && (limits[l].whole || !whole))
                        ret[n++] = l;
        return n;
}

/* In the order of the caller's program (bpf/caller.bpf.c). */
enum sm_slow fast_request(const struct sm_policy *policy, const struct sm_head *head) {
        if (policy->flags & SM_POLICY_FAST_NEVER)
                return SM_SLOW_NEVER;
        if (head->length > SM_HEAD_KERNEL_MAX)
                return SM_SLOW_TOO_LARGE;
        if (head->flags & SM_HEAD_CHUNKED)
                return SM_SLOW_CODED;
        if (head->flags & SM_HEAD_LENGTH && head->content_length > (__u64) (SM_FAST_MAX - head->length))
                return SM_SLOW_TOO_LARGE;
        return sm_request_is_plain(head, policy->flags) ? SM_SLOW_NONE : SM_SLOW_REWRITTEN;
}

enum sm_slow fast_actions(const struct sm_tables *t, uint32_t base, const struct sm_route *route,
                          bool is_head) {
        const struct sm_actions *a = route->actions ? sm_cell_of(t, base + route->actions) : NULL;
        const uint64_t always = 1ULL << 32;
        const struct sm_answer *answer;
        uint32_t effects, cell;

        if (!a)
                return SM_SLOW_NONE;
        effects = (a->delay_share >= always ? SM_EFFECT_DELAY : 0) |
                  (a->abort_share >= always ? SM_EFFECT_ABORT : 0) |
                  (a->mirror_share >= always ? SM_EFFECT_MIRROR : 0);
        switch (sm_plan_make(a, effects)) {

        case SM_PLAN_FORWARD:
                return SM_SLOW_NONE;

        case SM_PLAN_ABORT:
                cell = a->abort;
                break;

        case SM_PLAN_ANSWER:
                cell = a->answer;
                break;

        default:
                return SM_SLOW_ACTION;
        }
        answer = sm_cell_of(t, base + cell);
        return answer && sm_answer_is_fast(answer, is_head) ? SM_SLOW_NONE : SM_SLOW_ACTION;
}
