/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdlib.h>

#include "../basic/cleanup.h"
#include "../basic/macro.h"
#include "../basic/own-address.h"
#include "../basic/parse-util.h"
#include "../basic/time-util.h"
#include "../engine/engine-parse.h"
#include "../engine/engine-plain.h"
#include "../engine/engine-route.h"
#include "policy-explain.h"

/* What the engine is asked about, with the head that it reads. */
typedef struct Question {
        const struct sm_tables *t;
        struct sm_choice choice;
        struct sm_request request;
        struct sm_work work;
        bool (*is_own)(const struct in6_addr *address);
        struct sm_head head;
        char *text;
} Question;

static void explain_subset_done(ExplainSubset *s) {
        free(s->name);
        free(s->hash);
        free(s->candidates);
}

static void explain_route_done(ExplainRoute *r) {
        free(r->name);
        free(r->origin);
        free(r->why);
}

Explanation *explanation_free(Explanation *e) {
        if (!e)
                return NULL;
        for (size_t i = 0; i < e->n_routes; i++)
                explain_route_done(&e->routes[i]);
        for (size_t i = 0; i < e->n_subsets; i++)
                explain_subset_done(&e->subsets[i]);
        free(e->routes);
        free(e->subsets);
        free(e->service);
        free(e);
        return NULL;
}

DEFINE_TRIVIAL_CLEANUP(Explanation *, explanation_free)

/* Text of an extent; `cell` is absolute. What the tables do not reach is missing. */
static char *copy_text(const struct sm_tables *t, uint32_t cell, uint32_t start, uint32_t length) {
        char *s = malloc((size_t) length + 1);
        uint32_t n = 0;

        for (int c; s && n < length; n++) {
                c = sm_text_at(t, cell, start + n);
                if (c < 0)
                        break;
                s[n] = (char) c;
        }
        if (s)
                s[n] = 0;
        return s;
}

static char *copy_extent_text(const Question *q, const struct sm_text *text) {
        return copy_text(q->t, q->choice.base + text->cell, 0, text->length);
}

/* The request as it would arrive. < 0: errno; > 0: enum sm_reason why it is refused. */
static int question_parse(Question *question, const ExplainRequest *q) {
        struct sm_head_parser parser;
        char *text = NULL;
        size_t size;
        FILE *f;
        int r;

        f = open_memstream(&text, &size);
        if (!f)
                return -ENOMEM;
        fprintf(f, "%s %s HTTP/1.1\r\nHost: %s\r\n", q->method ?: "GET", q->target ?: "/", q->host ?: "");
        for (const char **field = q->fields; field && *field; field++)
                fprintf(f, "%s\r\n", *field);
        fputs("\r\n", f);
        if (fclose(f) < 0) {
                free(text);
                return -ENOMEM;
        }
        question->text = text;
        question->request.bytes = (const __u8 *) text;
        question->request.head = &question->head;
        sm_head_start(&parser, &question->head, SM_HEAD_REQUEST, SM_HEAD_MAX);
        r = sm_head_parse(&parser, &question->head, question->request.bytes,
                          (__u32) MIN(size, (size_t) UINT32_MAX));
        if (r == 0 || (r > 0 && (size_t) r < size)) /* a field with an empty line in it */
                return SM_REASON_BAD_FIELD_VALUE;
        return r < 0 ? -r : 0;
}

static int predicate_why(const Question *q, uint32_t cell, char **ret) {
        static const char *const relations[_SM_OP_MAX] = {
                [SM_OP_EXACT] = "",
                [SM_OP_PREFIX] = "below ",
                [SM_OP_SUFFIX] = "a name that ends in ",
        };
        const struct sm_predicate *p = sm_cell_of(q->t, cell);
        _cleanup_free_ char *text = NULL;

        if (!p || p->op >= _SM_OP_MAX)
                return -EBADMSG;
        if (p->text.cell)
                text = copy_extent_text(q, &p->text);
        else
                text = copy_text(q->t, cell, offsetof(struct sm_predicate, inline_bytes), p->text.length);
        if (!text)
                return -ENOMEM;
        if (asprintf(ret, "the %s is %s%s%s", p->kind == SM_MATCH_HOST ? "host" : "path",
                     p->yes == SM_GOTO_FAILED ? "" : "not ", relations[p->op], text) < 0)
                return -ENOMEM;
        return 0;
}

/* Why it did not match: the first predicate that does not hold, as the engine says. */
static int route_why(const Question *q, const struct sm_route *route, bool matched, char **ret) {
        uint32_t last = 0;
        const char *text;

        if (sm_route_judge(q->t, q->choice.base, route, &q->request, &last) == SM_VERDICT_NO)
                return predicate_why(q, q->choice.base + route->predicates + last, ret);
        text = route->n_predicates == 0 ? "it has no conditions"
             : route->n_predicates == 1 ? "its condition holds"
                                        : "all its conditions hold";
        *ret = strdup(text);
        return *ret ? 0 : -ENOMEM;
}

/* Routes up to and with the one that matched; all of them if none did. */
static int explain_routes(Explanation *e, const Question *q) {
        const struct sm_policy *policy = q->choice.policy;
        uint32_t n = e->route >= 0 ? (uint32_t) e->route + 1 : policy->n_routes;
        int r;

        e->routes = calloc(n + 1, sizeof(*e->routes));
        if (!e->routes)
                return -ENOMEM;
        for (uint32_t i = 0; i < n; i++) {
                const struct sm_route *route = sm_cell_of(q->t, q->choice.base + policy->routes + i);
                ExplainRoute *result = &e->routes[e->n_routes++];

                if (!route)
                        return -EBADMSG;
                result->matched = (ssize_t) i == e->route;
                result->name = copy_extent_text(q, &route->name);
                result->origin = copy_extent_text(q, &route->origin);
                if (!result->name || !result->origin)
                        return -ENOMEM;
                r = route_why(q, route, result->matched, &result->why);
                if (r < 0)
                        return r;
        }
        return 0;
}

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

static unsigned permille(uint32_t part, uint32_t whole) {
        return whole > 0 ? (unsigned) (((uint64_t) part * 1000 + whole / 2) / whole) : 0;
}

static ExplainPlace place_of(const Question *q, const struct in6_addr *address) {
        if (address_is_loopback(address))
                return PLACE_HERE;
        if (!q->is_own)
                return PLACE_UNKNOWN;
        return q->is_own(address) ? PLACE_HERE : PLACE_ELSEWHERE;
}

static int explain_candidate(const Question *q, uint32_t id, ExplainCandidate *c) {
        const struct sm_endpoint *e = sm_endpoint_at(q->t, id);
        const struct sm_endpoint_state *state = sm_endpoint_state_at(q->t, id);
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

        r = read_slots(q->t, q->choice.base + subset->schedule.slots, subset->schedule.n, &slots);
        if (r >= 0)
                r = read_slots(q->t, q->choice.base + subset->endpoints, subset->n_endpoints, &ids);
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

/* What the hash is taken of, and where the engine says that it leads; a request without it is at random. */
static int explain_hash(ExplainSubset *s, Question *q, const struct sm_subset *subset) {
        static const char *const sources[_SM_HASH_MAX] = {
                [SM_HASH_SOURCE_ADDRESS] = "source",
                [SM_HASH_HEADER] = "header ",
                [SM_HASH_COOKIE] = "cookie ",
        };
        _cleanup_free_ char *name = NULL;
        __u64 key;

        if (subset->hash >= _SM_HASH_MAX)
                return -EBADMSG;
        name = copy_extent_text(q, &subset->hash_name);
        if (!name)
                return -ENOMEM;
        if (asprintf(&s->hash, "%s%s", sources[subset->hash], name) < 0) {
                s->hash = NULL;
                return -ENOMEM;
        }
        sm_key_of_subset(q->t, q->choice.base, subset, &q->request);
        if (!sm_key_of_request(&q->request, subset->hash, &key))
                return 0;
        q->choice.subset = subset;
        (void) sm_choose_endpoint(q->t, &q->choice, &q->request, now_nsec(), NULL, 0);
        s->picked = q->choice.endpoint;
        return 0;
}

static int explain_subset(Explanation *e, Question *q, uint32_t index, unsigned share) {
        const struct sm_policy *policy = q->choice.policy;
        ExplainSubset *s = &e->subsets[e->n_subsets++];
        const struct sm_subset *subset;
        int r;

        subset = sm_cell_of(q->t, q->choice.base + policy->subsets + index);
        if (!subset || index >= policy->n_subsets)
                return -EBADMSG;
        s->share_permille = share;
        s->balance = balance_to_string(subset->balance);
        s->name = copy_extent_text(q, &subset->name);
        if (!s->name)
                return -ENOMEM;
        r = explain_candidates(s, q, subset);
        if (r < 0 || subset->balance != SM_BALANCE_CONSISTENT_HASH)
                return r;
        return explain_hash(s, q, subset);
}

/* Each subset of the split once, in order of index. */
static int explain_subsets(Explanation *e, Question *q) {
        const struct sm_route *route = q->choice.route;
        _cleanup_free_ uint32_t *slots = NULL;
        int r;

        r = read_slots(q->t, q->choice.base + route->split.slots, route->split.n, &slots);
        if (r < 0)
                return r;
        qsort(slots, route->split.n, sizeof(*slots), compare_ids);
        e->subsets = calloc((size_t) route->split.n + 1, sizeof(*e->subsets));
        if (!e->subsets)
                return -ENOMEM;
        for (uint32_t i = 0, n; i < route->split.n; i += n) {
                n = count_slots(slots, route->split.n, slots[i]);
                r = explain_subset(e, q, slots[i], permille(n, route->split.n));
                if (r < 0)
                        return r;
        }
        return 0;
}

/* Only where none of the subsets has anything to send to it is certain that the request fails. */
static enum sm_reason subsets_reason(const Explanation *e) {
        for (size_t i = 0; i < e->n_subsets; i++)
                for (size_t j = 0; j < e->subsets[i].n_candidates; j++)
                        if (e->subsets[i].candidates[j].share_permille > 0)
                                return SM_REASON_NONE;
        return SM_REASON_NO_ENDPOINT;
}

/* An endpoint that may be elsewhere counts as one that is. */
static bool may_be_remote(const Explanation *e) {
        for (size_t i = 0; i < e->n_subsets; i++)
                for (size_t j = 0; j < e->subsets[i].n_candidates; j++) {
                        const ExplainCandidate *c = &e->subsets[i].candidates[j];

                        if (c->share_permille > 0 && c->place != PLACE_HERE)
                                return true;
                }
        return false;
}

static void explain_fast_path(Explanation *e, const Question *q) {
        const struct sm_policy *policy = q->choice.policy;

        e->is_http = policy->protocol != SM_PROTOCOL_TCP;
        if (e->reason != SM_REASON_NONE && !(e->is_http && sm_reason_is_plain(e->reason)))
                e->slow = SM_SLOW_REFUSED;
        else if (e->is_http)
                e->slow = fast_request(policy, &q->head);
        e->n_limits = fast_limits(policy, may_be_remote(e), e->limits);
}

static int explain(Explanation *e, Question *q, const ExplainRequest *request) {
        int r = 0;

        e->service = copy_extent_text(q, &q->choice.policy->name);
        if (!e->service)
                return -ENOMEM;
        if (q->choice.policy->protocol != SM_PROTOCOL_TCP)
                r = question_parse(q, request);
        if (r < 0)
                return r;
        e->reason = (enum sm_reason) r;
        if (e->reason != SM_REASON_NONE)
                return 0;
        e->reason = sm_choose_route(q->t, q->choice.base, &q->request, &q->choice);
        if (e->reason == SM_REASON_NONE)
                e->route = q->choice.route_index;
        r = explain_routes(e, q);
        if (r < 0 || e->reason != SM_REASON_NONE)
                return r;
        r = explain_subsets(e, q);
        if (r >= 0)
                e->reason = subsets_reason(e);
        return r;
}

int policy_explain(const struct sm_tables *t, uint32_t service, const ExplainRequest *request,
                   Explanation **ret) {
        const struct sm_service *s = sm_service_at(t, service);
        _cleanup_(explanation_freep) Explanation *e = NULL;
        _cleanup_free_ Question *q = NULL; /* a parsed head is 1 KiB */
        int r;

        e = calloc(1, sizeof(*e));
        q = calloc(1, sizeof(*q));
        if (!e || !q)
                return -ENOMEM;
        q->t = t;
        q->choice.base = s ? __atomic_load_n(&s->root, __ATOMIC_ACQUIRE) : 0;
        q->choice.policy = q->choice.base ? sm_cell_of(t, q->choice.base) : NULL;
        if (!q->choice.policy)
                return -ENOENT;
        q->request.source = request->source.s6_addr;
        q->request.work = &q->work;
        q->is_own = request->is_own;
        e->route = -1;
        r = explain(e, q, request);
        if (r >= 0)
                explain_fast_path(e, q);
        free(q->text);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(e);
        return 0;
}
