/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include <bpf/bpf.h>

#include "../../src/basic/macro.h"
#include "../../src/basic/parse-util.h"
#include "../../src/basic/time-util.h"
#include "../../src/engine/engine-downstream.h"
#include "../../src/engine/engine-parse.h"
#include "relay-lab.h"

/*
 * The lab in the role of the programs of the fast path: it moves the same words by the same functions. What
 * they do with bytes, which no socket here is redirected to, is the test's to do or to leave.
 */

static int map_array(const int *fds, const uint32_t *entries, enum sm_table t, size_t size, void **ret) {
        void *p = mmap(NULL, size * entries[t], PROT_READ | PROT_WRITE, MAP_SHARED, fds[t], 0);

        if (p == MAP_FAILED)
                return -errno;
        *ret = p;
        return 0;
}

int lab_kernel_init(LabKernel *k, const struct sm_tables *mesh, const int fds[static _SM_TABLE_MAX],
                    const uint32_t entries[static _SM_TABLE_MAX], uint32_t workers) {
        const struct {
                enum sm_table table;
                size_t size;
                void **ret;
        } arrays[] = {
                { SM_TABLE_SLOTS, sizeof(struct sm_slot), (void **) &k->tables.slots },
                { SM_TABLE_DOWNSTREAMS, sizeof(struct sm_downstream), (void **) &k->tables.downstreams },
                { SM_TABLE_IDLE_SLOTS, sizeof(struct sm_stack), (void **) &k->tables.idle_slots },
                { SM_TABLE_FREE_DOWNSTREAMS, sizeof(struct sm_stack), (void **) &k->unused },
                { SM_TABLE_REQUESTS, sizeof(struct sm_request_copy), (void **) &k->requests },
                { SM_TABLE_FAST_CONTROL, sizeof(struct sm_fast_control), (void **) &k->control },
        };
        int r;

        k->tables = *mesh;
        k->tables.n_slots = entries[SM_TABLE_SLOTS];
        k->tables.n_downstreams = entries[SM_TABLE_DOWNSTREAMS];
        k->tables.n_idle_slots = entries[SM_TABLE_IDLE_SLOTS];
        for (size_t i = 0; i < ELEMENTSOF(arrays); i++) {
                r = map_array(fds, entries, arrays[i].table, arrays[i].size, arrays[i].ret);
                if (r < 0)
                        return r;
        }
        k->control->workers = MIN(workers, (uint32_t) LAB_FAST_WORKERS);
        for (uint32_t i = 1; i < k->tables.n_downstreams; i++)
                (void) sm_stack_push(&k->tables, k->unused, SM_STACK_DOWNSTREAMS, i);
        return 0;
}

/* features BITS: of enum sm_fast_feature. */
static int verb_features(Lab *l, char **a, JsonWriter *w) {
        uint64_t features;

        if (parse_unsigned(a[0], &features) < 0 || features > UINT32_MAX)
                return -EINVAL;
        sm_store_32(&l->kernel.control->features, (uint32_t) features);
        return 0;
}

static int index_of(const char *text, uint32_t n, uint32_t *ret) {
        uint64_t i;

        if (parse_unsigned(text, &i) < 0 || i == 0 || i >= n)
                return -EINVAL;
        *ret = (uint32_t) i;
        return 0;
}

static struct sm_downstream *downstream_of(Lab *l, const char *text, uint32_t *ret) {
        return index_of(text, l->kernel.tables.n_downstreams, ret) >= 0
                ? sm_downstream_entry(&l->kernel.tables, *ret) : NULL;
}

static struct sm_slot *slot_of(Lab *l, const char *text, uint32_t *ret) {
        return index_of(text, l->kernel.tables.n_slots, ret) >= 0
                ? sm_slot_entry(&l->kernel.tables, *ret) : NULL;
}

static int slow_of(const char *text, uint16_t *ret) {
        static const char *const texts[] = {
#define SLOW_TEXT(name, text, sentence) [SM_SLOW_##name] = text,
                SM_SLOW_LIST(SLOW_TEXT)
#undef SLOW_TEXT
        };

        for (uint16_t i = 0; i < ELEMENTSOF(texts); i++)
                if (streq(texts[i], text)) {
                        *ret = i;
                        return 0;
                }
        return -EINVAL;
}

/* connect ADDRESS PORT SERVICE SLICE: a connection of a slice is about to be made; what sock_ops does. */
static int verb_connect(Lab *l, char **a, JsonWriter *w) {
        struct sm_downstream *d;
        struct sm_caller_key key;
        struct sm_caller caller;
        uint64_t slice;
        uint32_t i;
        uint16_t port;
        int r;

        if (lab_parse_caller(a, &key, &port) < 0)
                return -EINVAL;
        if (parse_unsigned(a[3], &slice) < 0 || slice >= SM_SLICES_MAX)
                return -EINVAL;
        r = lab_describe_caller(l, a[2], &caller);
        if (r < 0)
                return r;
        i = sm_downstream_new(&l->kernel.tables, l->kernel.unused, &caller.downstream_word);
        d = i > 0 ? sm_downstream_entry(&l->kernel.tables, i) : NULL;
        if (!d)
                return -ENOSPC;
        d->cookie = i;
        d->service = caller.socket.service;
        d->slice = caller.socket.slice = (uint32_t) slice;
        d->slow = SM_SLOW_NONE;
        d->used = 0;
        caller.socket.downstream = i;
        caller.cookie = i;
        json_unsigned(w, "downstream", i);
        return RET_NERRNO(bpf_map_update_elem(l->fds[SM_TABLE_CALLERS], &key, &caller, BPF_ANY));
}

/* release DOWNSTREAM: D is closed. */
static int verb_release(Lab *l, char **a, JsonWriter *w) {
        struct sm_downstream *d;
        uint32_t i;

        d = downstream_of(l, a[0], &i);
        if (!d)
                return -EINVAL;
        sm_downstream_release(&l->kernel.tables, l->kernel.unused, i, d, SM_OWNER_SOCKET);
        return 0;
}

/* slow DOWNSTREAM REASON: why D's program lets go what comes next. */
static int verb_slow(Lab *l, char **a, JsonWriter *w) {
        struct sm_downstream *d;
        uint16_t slow;
        uint32_t i;

        d = downstream_of(l, a[0], &i);
        if (!d || slow_of(a[1], &slow) < 0)
                return -EINVAL;
        sm_store_32(&d->slow, slow);
        return 0;
}

/* used DOWNSTREAM MILLISECONDS: the kernel has taken and answered something so long ago. */
static int verb_used(Lab *l, char **a, JsonWriter *w) {
        struct sm_downstream *d;
        uint64_t ms;
        uint32_t i;

        d = downstream_of(l, a[0], &i);
        if (!d || parse_unsigned(a[1], &ms) < 0)
                return -EINVAL;
        sm_store(&d->used, now_nsec() - ms * NSEC_PER_MSEC);
        return 0;
}

/* choose DOWNSTREAM AT SERVICE ENDPOINT EFFECTS: what D's program leaves of a choice, of the first route and
 * subset. */
static int verb_choose(Lab *l, char **a, JsonWriter *w) {
        const LabEndpoint *e = lab_mesh_find_endpoint(&l->mesh, a[2], a[3]);
        struct sm_downstream *d;
        uint64_t at, effects;
        uint32_t i;

        d = downstream_of(l, a[0], &i);
        if (!d || !e || parse_unsigned(a[1], &at) < 0 || parse_unsigned(a[4], &effects) < 0)
                return -EINVAL;
        d->chosen_effects = (uint32_t) effects;
        d->chosen_root = sm_service_at(&l->kernel.tables, d->service)->root;
        d->chosen_revision = sm_service_at(&l->kernel.tables, d->service)->revision;
        d->chosen_endpoint = e->id;
        d->chosen_route = d->chosen_subset = 0;
        sm_store(&d->chosen_at, at);
        return 0;
}

/* Hexadecimal digits, two for each byte; no more than there is room for. The number of bytes in all. */
static ssize_t parse_bytes(const char *text, uint8_t *bytes, size_t room) {
        static const char digits[] = "0123456789abcdef";
        size_t n = strlen(text) / 2;

        for (size_t i = 0; i < MIN(n, room); i++) {
                const char *high = strchr(digits, text[2 * i]), *low = strchr(digits, text[2 * i + 1]);

                if (!high || !low)
                        return -EINVAL;
                bytes[i] = (uint8_t) ((high - digits) << 4 | (low - digits));
        }
        return (ssize_t) n;
}

static void describe(struct sm_slot *s, const struct sm_downstream *d, const struct sm_head *head,
                     uint32_t size) {
        s->since = now_nsec();
        s->service = d->service;
        s->slice = d->slice;
        s->size = size;
        s->body = size - head->length;
        s->method = head->method;
        s->slow = SM_SLOW_NONE;
}

static void count_taken(Lab *l, const struct sm_slot *s) {
        struct sm_service_counters *c = sm_service_counters_at(&l->kernel.tables, s->service);
        struct sm_endpoint_state *e = sm_endpoint_state_at(&l->kernel.tables, s->endpoint);

        __sync_fetch_and_add(&c->requests, 1);
        __sync_fetch_and_add(&c->active, 1);
        __sync_fetch_and_add(&c->request_bytes, s->body);
        __sync_fetch_and_add(&e->requests, 1);
        __sync_fetch_and_add(&e->in_flight, 1);
}

/* take DOWNSTREAM SERVICE ENDPOINT TIMEOUT-MS REQUEST: what D's program does with that request, up to where
 * it has moved. -ENOENT: there is no idle connection. */
static int verb_take(Lab *l, char **a, JsonWriter *w) {
        const LabEndpoint *e = lab_mesh_find_endpoint(&l->mesh, a[1], a[2]);
        struct sm_tables *t = &l->kernel.tables;
        struct sm_request_copy *copy;
        struct sm_head_parser parser;
        struct sm_downstream *d;
        struct sm_head head;
        uint64_t timeout;
        __u64 word = 0;
        struct sm_slot *s;
        uint32_t i, slot;
        ssize_t n;

        d = downstream_of(l, a[0], &i);
        if (!d || !e || parse_unsigned(a[3], &timeout) < 0)
                return -EINVAL;
        copy = &l->kernel.requests[i];
        n = parse_bytes(a[4], copy->bytes, sizeof(copy->bytes));
        if (n < 0)
                return (int) n;
        sm_head_start(&parser, &head, SM_HEAD_REQUEST, SM_HEAD_KERNEL_MAX);
        if (sm_head_parse(&parser, &head, copy->bytes, (uint32_t) MIN((size_t) n, sizeof(copy->bytes))) <= 0)
                return -EBADMSG;

        slot = sm_stack_pop(t, sm_idle_entry(t, sm_idle_index(e->id, d->worker, l->kernel.control->workers)),
                            SM_STACK_SLOTS, &word);
        if (slot == 0)
                return -ENOENT;
        s = sm_slot_entry(t, slot);
        if (!sm_slot_take(s, &word, SM_SLOT_TAKEN, i))
                return -ENOENT;
        copy->size = (uint32_t) n;
        copy->length = (uint32_t) MIN((size_t) n, sizeof(copy->bytes));
        copy->timeout_ms = (uint32_t) timeout;
        describe(s, d, &head, copy->size);
        if (!sm_downstream_begin(d, slot, word))
                return sm_slot_put_back(t, slot, s, &word) ? -EBUSY : -EUCLEAN;
        sm_store(&d->used, s->since);
        count_taken(l, s);
        json_unsigned(w, "slot", slot);
        return sm_slot_wait(s, &word) ? 0 : -EUCLEAN;
}

/* respond SLOT REMAINING STATUS BODY: S's program lets the first bytes of the response through; so many are
 * to come. */
static int verb_respond(Lab *l, char **a, JsonWriter *w) {
        uint64_t remaining, status, body;
        uint32_t i, downstream;
        struct sm_slot *s;
        __u64 word;

        s = slot_of(l, a[0], &i);
        if (!s || parse_unsigned(a[1], &remaining) < 0 || parse_unsigned(a[2], &status) < 0 ||
            parse_unsigned(a[3], &body) < 0)
                return -EINVAL;
        s->status = (uint8_t) (status / 100);
        s->body = (uint32_t) body;
        word = sm_load(&s->node.word);
        return sm_slot_respond(s, &word, (uint32_t) remaining, &downstream) ? 0 : -EBUSY;
}

/* hand-over SLOT OWED REASON: S's program leaves the rest to the relay. */
static int verb_hand_over(Lab *l, char **a, JsonWriter *w) {
        struct sm_slot *s;
        uint64_t owed;
        uint32_t i;
        __u64 word;

        s = slot_of(l, a[0], &i);
        if (!s || parse_unsigned(a[1], &owed) < 0 || owed > SM_REMAINING_ALL || slow_of(a[2], &s->slow) < 0)
                return -EINVAL;
        word = sm_load(&s->node.word);
        return sm_slot_hand_over(s, &word, (uint32_t) owed) ? 0 : -EBUSY;
}

/* finish SLOT: the end of S's send(). */
static int verb_finish(Lab *l, char **a, JsonWriter *w) {
        struct sm_tables *t = &l->kernel.tables;
        struct sm_service_counters *c;
        struct sm_slot *s;
        uint32_t i;
        __u64 word;

        s = slot_of(l, a[0], &i);
        if (!s)
                return -EINVAL;
        c = sm_service_counters_at(t, s->service);
        word = sm_load(&s->node.word);
        __sync_fetch_and_sub(&c->active, 1);
        __sync_fetch_and_add(&c->status[s->status], 1);
        __sync_fetch_and_add(&c->response_bytes, s->body);
        __sync_fetch_and_sub(&sm_endpoint_state_at(t, s->endpoint)->in_flight, 1);
        __sync_fetch_and_add(&sm_service_paths_at(t, s->service)->fast, 1);
        __sync_fetch_and_add(&sm_slice_paths_at(t, s->slice)->fast, 1);
        return sm_slot_finish(t, i, s, &word) ? 0 : -EBUSY;
}

static int verb_downstream(Lab *l, char **a, JsonWriter *w) {
        static const char *const states[] = { "closed", "idle", "kernel", "relay" };
        struct sm_downstream *d;
        uint32_t i;

        d = downstream_of(l, a[0], &i);
        if (!d)
                return -EINVAL;
        json_string(w, "state", states[sm_downstream_state(sm_load(&d->state))]);
        json_boolean(w, "socket", sm_load(&d->node.word) & SM_OWNER_SOCKET);
        json_boolean(w, "relay", sm_load(&d->node.word) & SM_OWNER_RELAY);
        json_unsigned(w, "answered", sm_load(&d->answered));
        json_unsigned(w, "written", sm_load(&d->written));
        json_unsigned(w, "inject_until", sm_load(&d->inject_until));
        return 0;
}

static int verb_slot(Lab *l, char **a, JsonWriter *w) {
        static const char *const states[] = {
                "unused", "free", "taken", "waiting", "responding", "relay", "dead", "gone",
        };
        struct sm_slot *s;
        uint32_t i;

        s = slot_of(l, a[0], &i);
        if (!s)
                return -EINVAL;
        json_string(w, "state", states[sm_slot_state(sm_load(&s->node.word))]);
        json_unsigned(w, "remaining", sm_slot_remaining(sm_load(&s->node.word)));
        json_boolean(w, "local", s->local);
        return 0;
}

static void write_paths(const struct sm_path_counters *p, const char *key, JsonWriter *w) {
        json_open_object(w, key);
        json_unsigned(w, "fast", p->fast);
        json_unsigned(w, "remote", p->remote);
#define SLOW_COUNT(name, text, sentence)                                                                  \
        if (p->slow[SM_SLOW_##name] > 0)                                                                  \
                json_unsigned(w, text, p->slow[SM_SLOW_##name]);
        SM_SLOW_LIST(SLOW_COUNT)
#undef SLOW_COUNT
        json_close(w);
}

/* paths SERVICE SLICE: which way their requests went. */
static int verb_paths(Lab *l, char **a, JsonWriter *w) {
        const LabService *s = lab_mesh_find(&l->mesh, a[0]);
        const struct sm_path_counters *slice;
        uint64_t i;

        if (!s || parse_unsigned(a[1], &i) < 0 || i >= SM_SLICES_MAX)
                return -EINVAL;
        slice = sm_slice_paths_at(&l->kernel.tables, (uint32_t) i);
        write_paths(sm_service_paths_at(&l->kernel.tables, s->id), "service", w);
        write_paths(slice, "slice", w);
        return 0;
}

const LabVerb lab_kernel_verbs[] = {
        { "features", 1, verb_features },
        { "connect", 4, verb_connect },
        { "release", 1, verb_release },
        { "slow", 2, verb_slow },
        { "used", 2, verb_used },
        { "choose", 5, verb_choose },
        { "take", 5, verb_take },
        { "respond", 4, verb_respond },
        { "hand-over", 3, verb_hand_over },
        { "finish", 1, verb_finish },
        { "downstream", 1, verb_downstream },
        { "slot", 1, verb_slot },
        { "paths", 2, verb_paths },
        {},
};
