/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdlib.h>

#include "../basic/cleanup.h"
#include "../basic/macro.h"
#include "../basic/own-address.h"
#include "../basic/parse-util.h"
#include "../basic/time-util.h"
#include "policy-explain-parts.h"
#include "policy-predicate-print.h"

static int compare_ids(const void *a, const void *b) {
        uint32_t x = *(const uint32_t *) a, y = *(const uint32_t *) b;

        return x < y ? -1 : x > y;
}

static int read_slots(const struct sm_tables *t, uint32_t cell, uint32_t n, uint32_t **ret) {
        _cleanup_free_ uint32_t *slots = NULL;

        slots = calloc((size_t) n + 1, sizeof(*slots));
        if (!slots)
                return -ENOMEM;
        for (uint32_t i = 0; i < n; i++) {
                __s64 slot = sm_slot_at(t, cell, i);

                if (slot < 0)
                        return -EBADMSG;
                slots[i] = (uint32_t) slot;
        }
        *ret = TAKE_PTR(slots);
        return 0;
}

/* How many of the sorted slots are `id`. */
static uint32_t count_slots(const uint32_t *sorted, uint32_t n, uint32_t id) {
        uint32_t low = 0, high = n, first;

        while (low < high) {
                uint32_t middle = low + (high - low) / 2;

                if (sorted[middle] < id)
                        low = middle + 1;
                else
                        high = middle;
        }
        first = low;
        while (low < n && sorted[low] == id)
                low++;
        return low - first;
}

static unsigned permille(uint64_t part, uint64_t whole) {
        return whole > 0 ? (unsigned) ((part * 1000 + whole / 2) / whole) : 0;
}

static ExplainPlace place_of(const Question *q, const struct in6_addr *address) {
        if (address_is_loopback(address))
                return PLACE_HERE;
        if (!q->asked->is_own)
                return PLACE_UNKNOWN;
        return q->asked->is_own(address) ? PLACE_HERE : PLACE_ELSEWHERE;
}

static int explain_candidate(const Question *q, uint32_t id, ExplainCandidate *c) {
        const struct sm_endpoint *e = sm_endpoint_at(&q->tables, id);
        const struct sm_endpoint_state *state = sm_endpoint_state_at(&q->tables, id);
        struct in6_addr address;

        if (!e || !state)
                return -EBADMSG;
        memcpy(&address, e->address, sizeof(address));
        address_port_to_string(&address, ntohs(e->port), c->address);
        c->endpoint = id;
        c->place = place_of(q, &address);
        c->avoided = SM_READ_ONCE(state->avoid_until) > now_nsec();
        c->in_flight = SM_READ_ONCE(state->in_flight);
        return 0;
}

static int explain_candidates(ExplainSubset *s, const Question *q, const struct sm_subset *subset) {
        _cleanup_free_ uint32_t *slots = NULL, *ids = NULL;
        int r;

        r = read_slots(&q->tables, q->base + subset->schedule.slots, subset->schedule.n, &slots);
        if (r >= 0)
                r = read_slots(&q->tables, q->base + subset->endpoints, subset->n_endpoints, &ids);
        if (r < 0)
                return r;
        qsort(slots, subset->schedule.n, sizeof(*slots), compare_ids);
        s->candidates = calloc((size_t) subset->n_endpoints + 1, sizeof(*s->candidates));
        if (!s->candidates)
                return -ENOMEM;
        for (uint32_t i = 0; i < subset->n_endpoints; i++) {
                ExplainCandidate *c = &s->candidates[s->n_candidates++];

                r = explain_candidate(q, ids[i], c);
                if (r < 0)
                        return r;
                c->share_permille = permille(count_slots(slots, subset->schedule.n, ids[i]),
                                             subset->schedule.n);
        }
        return 0;
}

int explain_key(const Question *q, uint32_t source, const struct sm_text *name, char **ret) {
        static const char *const sources[_SM_HASH_MAX] = {
                [SM_HASH_SOURCE_ADDRESS] = "source",
                [SM_HASH_HEADER] = "header ",
                [SM_HASH_COOKIE] = "cookie ",
        };
        _cleanup_free_ char *text = NULL;
        int r;

        if (source >= _SM_HASH_MAX)
                return -EBADMSG;
        r = policy_text_copy(&q->tables, q->base, name, &text);
        if (r < 0)
                return r;
        if (asprintf(ret, "%s%s", sources[source], text) < 0) {
                *ret = NULL;
                return -ENOMEM;
        }
        return 0;
}

/* A request without what the hash is taken of goes at random. What `source` goes by, the cgroup, is known of
 * real callers only. */
static bool has_key(const Question *q, uint32_t source) {
        __u64 key;

        return source != SM_HASH_SOURCE_ADDRESS && sm_key_of_request(&q->request, source, &key);
}

static int explain_hash(ExplainSubset *s, Question *q, const struct sm_subset *subset) {
        struct sm_choice choice = { .policy = q->policy, .subset = subset, .base = q->base };
        int r;

        r = explain_key(q, subset->hash, &subset->hash_name, &s->hash);
        if (r < 0)
                return r;
        sm_key_of_subset(&q->tables, q->base, subset, &q->request);
        if (!has_key(q, subset->hash))
                return 0;
        (void) sm_choose_endpoint(&q->tables, &choice, &q->request, now_nsec(), NULL, 0);
        s->picked = choice.endpoint;
        return 0;
}

static int explain_subset(ExplainOutcome *o, Question *q, uint32_t index, unsigned share) {
        ExplainSubset *s = &o->subsets[o->n_subsets++];
        const struct sm_subset *subset;
        int r;

        subset = sm_cell_of(&q->tables, q->base + q->policy->subsets + index);
        if (!subset || index >= q->policy->n_subsets || subset->balance >= _SM_BALANCE_MAX)
                return -EBADMSG;
        s->share_permille = share;
        s->balance = balance_to_string(subset->balance);
        r = policy_text_copy(&q->tables, q->base, &subset->name, &s->name);
        if (r >= 0)
                r = explain_candidates(s, q, subset);
        if (r < 0 || subset->balance != SM_BALANCE_CONSISTENT_HASH)
                return r;
        return explain_hash(s, q, subset);
}

/* Each subset of the split once, in order of index. */
static int explain_turns(ExplainOutcome *o, Question *q, const struct sm_route *route) {
        _cleanup_free_ uint32_t *slots = NULL;
        uint32_t n = route->split.n;
        int r;

        r = read_slots(&q->tables, q->base + route->split.slots, n, &slots);
        if (r < 0)
                return r;
        qsort(slots, n, sizeof(*slots), compare_ids);
        for (uint32_t i = 0, same; r >= 0 && i < n; i += same) {
                same = count_slots(slots, n, slots[i]);
                r = explain_subset(o, q, slots[i], permille(same, n));
        }
        return r;
}

static const struct sm_share *share_at(const Question *q, const struct sm_route *route, uint32_t i) {
        uint32_t cell = q->base + route->split.slots + i / SM_SHARES_PER_CELL;
        const struct sm_cell *c = sm_cell_at(&q->tables, cell);

        return c ? (const struct sm_share *) c->bytes + i % SM_SHARES_PER_CELL : NULL;
}

static int explain_shares(ExplainOutcome *o, Question *q, const struct sm_route *route) {
        __s64 chosen = -1;
        uint64_t sum = 0;
        int r;

        r = explain_key(q, route->split_hash, &route->split_hash_name, &o->split_key);
        if (r < 0)
                return r;
        sm_key_of_route(&q->tables, q->base, route, &q->request);
        if (has_key(q, route->split_hash))
                chosen = sm_split_by_key(&q->tables, q->base, route, &q->request);
        for (uint32_t i = 0; i < route->split.n; i++) {
                if (!share_at(q, route, i))
                        return -EBADMSG;
                sum += share_at(q, route, i)->weight;
        }
        for (uint32_t i = 0; r >= 0 && i < route->split.n; i++) {
                const struct sm_share *share = share_at(q, route, i);

                if (share->weight == 0)
                        continue;
                r = explain_subset(o, q, share->subset, permille(share->weight, sum));
                o->subsets[o->n_subsets - 1].chosen = chosen == share->subset;
        }
        return r;
}

/* Only where none of the subsets has anything to send to it is certain that the request fails. */
static enum sm_reason subsets_reason(const ExplainOutcome *o) {
        for (size_t i = 0; i < o->n_subsets; i++)
                for (size_t j = 0; j < o->subsets[i].n_candidates; j++)
                        if (o->subsets[i].candidates[j].share_permille > 0)
                                return SM_REASON_NONE;
        return SM_REASON_NO_ENDPOINT;
}

int explain_subsets(ExplainOutcome *o, Question *q, const struct sm_route *route) {
        static const char *const splits[_SM_SPLIT_MAX] = {
                [SM_SPLIT_IN_TURN] = "in-turn", [SM_SPLIT_AT_RANDOM] = "random", [SM_SPLIT_BY_KEY] = "key",
        };
        int r;

        if (route->split_by >= _SM_SPLIT_MAX || route->split.n > SM_SLOTS_MAX)
                return -EBADMSG;
        o->subsets = calloc(route->split.n + 1U, sizeof(*o->subsets));
        if (!o->subsets)
                return -ENOMEM;
        if (route->split_by == SM_SPLIT_BY_KEY)
                r = explain_shares(o, q, route);
        else
                r = explain_turns(o, q, route);
        if (r < 0)
                return r;
        if (o->n_subsets > 1)
                o->split = splits[route->split_by];
        o->reason = subsets_reason(o);
        return 0;
}
