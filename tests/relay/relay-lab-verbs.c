/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include <bpf/bpf.h>

#include "../../src/abi/abi-connection.h"
#include "../../src/basic/macro.h"
#include "../../src/basic/parse-util.h"
#include "../../src/basic/time-util.h"
#include "relay-lab.h"

#define ARGS_MAX 6
#define CALLERS_BATCH 1024

#define LOAD(p) __atomic_load_n(p, __ATOMIC_RELAXED)

int lab_parse_caller(char **a, struct sm_caller_key *ret, uint16_t *ret_port) {
        struct in6_addr address;
        int r;

        r = parse_address(a[0], &address);
        if (r < 0)
                return r;
        r = parse_port(a[1], ret_port);
        if (r < 0)
                return r;
        *ret = (struct sm_caller_key){ .port = htons(*ret_port) };
        memcpy(ret->address, &address, sizeof(ret->address));
        return 0;
}

static int write_records(const Lab *l, struct sm_caller_key key, struct sm_caller caller, unsigned first,
                         unsigned last) {
        static struct sm_caller_key keys[CALLERS_BATCH];
        static struct sm_caller values[CALLERS_BATCH];

        while (first <= last) {
                uint32_t n = 0;

                for (; n < CALLERS_BATCH && first <= last; n++, first++) {
                        key.port = htons((uint16_t) first);
                        caller.cookie = first;
                        keys[n] = key;
                        values[n] = caller;
                }
                if (bpf_map_update_batch(l->fds[SM_TABLE_CALLERS], keys, values, &n, NULL) < 0)
                        return -errno;
        }
        return 0;
}

int lab_describe_caller(const Lab *l, const char *service, struct sm_caller *ret) {
        const PolicyService *p = policy_find_service(l->mesh.policy, service);
        const LabService *s = lab_mesh_find(&l->mesh, service);

        if (!s || !p)
                return -ENOENT;
        *ret = (struct sm_caller){
                .since = now_nsec(),
                .socket = {
                        .port = htons(p->port),
                        .protocol = (uint8_t) p->protocol,
                        .recorded = 1,
                        .service = s->id,
                        .generation = sm_service_at(tables_view(l->mesh.tables), s->id)->generation,
                },
        };
        memcpy(ret->socket.address, &p->address, sizeof(ret->socket.address));
        return 0;
}

/* callers ADDRESS FIRST-PORT LAST-PORT SERVICE: connections from these ports will be the service's. Each
 * record serves one connection: the relay deletes it when it accepts. */
static int verb_callers(Lab *l, char **a, JsonWriter *w) {
        struct sm_caller_key key;
        struct sm_caller caller;
        uint16_t first, last;
        int r;

        if (lab_parse_caller(a, &key, &first) < 0 || parse_port(a[2], &last) < 0)
                return -EINVAL;
        r = lab_describe_caller(l, a[3], &caller);
        return r < 0 ? r : write_records(l, key, caller, first, last);
}

/* is-caller ADDRESS PORT: whether a record is there. */
static int verb_is_caller(Lab *l, char **a, JsonWriter *w) {
        struct sm_caller_key key;
        struct sm_caller caller;
        uint16_t port;

        if (lab_parse_caller(a, &key, &port) < 0)
                return -EINVAL;
        json_boolean(w, "recorded", bpf_map_lookup_elem(l->fds[SM_TABLE_CALLERS], &key, &caller) == 0);
        return 0;
}

/* weight SERVICE ENDPOINT WEIGHT */
static int verb_weight(Lab *l, char **a, JsonWriter *w) {
        LabEndpoint *e = lab_mesh_find_endpoint(&l->mesh, a[0], a[1]);
        uint64_t weight;

        if (!e)
                return -ENOENT;
        if (parse_unsigned(a[2], &weight) < 0 || weight > SM_WEIGHT_MAX)
                return -EINVAL;
        e->has_weight = true;
        e->weight = (unsigned) weight;
        return lab_mesh_commit(&l->mesh, a[0]);
}

/* route SERVICE INDEX: its state. */
static int verb_route(Lab *l, char **a, JsonWriter *w) {
        const LabService *s = lab_mesh_find(&l->mesh, a[0]);
        const struct sm_route_state *state;
        uint64_t i;

        if (!s)
                return -ENOENT;
        if (parse_unsigned(a[1], &i) < 0 || i >= s->n_routes)
                return -EINVAL;
        state = sm_route_state_at(tables_view(l->mesh.tables), s->route_states[i]);
        json_unsigned(w, "requests", LOAD(&state->requests));
        json_unsigned(w, "shadow", LOAD(&state->shadow));
        json_unsigned(w, "aborted", LOAD(&state->aborted));
        json_unsigned(w, "delayed", LOAD(&state->delayed));
        json_unsigned(w, "mirrored", LOAD(&state->mirrored));
        json_unsigned(w, "mirrors_dropped", LOAD(&state->mirrors_dropped));
        return 0;
}

/* admin SERVICE ENDPOINT STATE, as the policy's `state:` */
static int verb_admin(Lab *l, char **a, JsonWriter *w) {
        LabEndpoint *e = lab_mesh_find_endpoint(&l->mesh, a[0], a[1]);

        if (!e)
                return -ENOENT;
        for (EndpointAdmin i = 0; i < _ENDPOINT_ADMIN_MAX; i++)
                if (streq(endpoint_admin_to_string(i), a[2])) {
                        e->has_admin = true;
                        e->admin = i;
                        return lab_mesh_commit(&l->mesh, a[0]);
                }
        return -EINVAL;
}

/* avoid SERVICE ENDPOINT MILLISECONDS: as the kernel side does after connections that failed. */
static int verb_avoid(Lab *l, char **a, JsonWriter *w) {
        LabEndpoint *e = lab_mesh_find_endpoint(&l->mesh, a[0], a[1]);
        uint64_t ms;

        if (!e)
                return -ENOENT;
        if (parse_unsigned(a[2], &ms) < 0 || ms > UINT32_MAX)
                return -EINVAL;
        __atomic_store_n(&sm_endpoint_state_at(tables_view(l->mesh.tables), e->id)->avoid_until,
                         ms > 0 ? now_nsec() + ms * NSEC_PER_MSEC : 0, __ATOMIC_RELAXED);
        return 0;
}

/* endpoint SERVICE ENDPOINT: its state. */
static int verb_endpoint(Lab *l, char **a, JsonWriter *w) {
        LabEndpoint *e = lab_mesh_find_endpoint(&l->mesh, a[0], a[1]);
        const struct sm_endpoint_state *s;

        if (!e)
                return -ENOENT;
        s = sm_endpoint_state_at(tables_view(l->mesh.tables), e->id);
        json_unsigned(w, "id", e->id);
        json_unsigned(w, "in_flight", LOAD(&s->in_flight));
        json_unsigned(w, "connections", LOAD(&s->connections));
        json_boolean(w, "avoided", LOAD(&s->avoid_until) > now_nsec());
        json_unsigned(w, "failures_in_row", LOAD(&s->failures_in_row));
        json_unsigned(w, "requests", LOAD(&s->requests));
        json_unsigned(w, "failures", LOAD(&s->failures));
        return 0;
}

static void write_counters(const Lab *l, uint32_t id, JsonWriter *w) {
        static const char *const texts[] = {
#define REASON_TEXT(name, text, status, sentence) [SM_REASON_##name] = text,
                SM_REASONS(REASON_TEXT)
#undef REASON_TEXT
        };
        const struct sm_service_counters *c = sm_service_counters_at(tables_view(l->mesh.tables), id);

        json_unsigned(w, "connections", LOAD(&c->connections));
        json_unsigned(w, "requests", LOAD(&c->requests));
        json_unsigned(w, "active", LOAD(&c->active));
        json_unsigned(w, "request_bytes", LOAD(&c->request_bytes));
        json_unsigned(w, "response_bytes", LOAD(&c->response_bytes));
        json_open_array(w, "status");
        for (size_t i = 0; i < ELEMENTSOF(c->status); i++)
                json_unsigned(w, NULL, LOAD(&c->status[i]));
        json_close(w);
        json_open_object(w, "reasons");
        for (size_t i = 0; i < ELEMENTSOF(texts); i++)
                if (LOAD(&c->reasons[i]) > 0)
                        json_unsigned(w, texts[i], LOAD(&c->reasons[i]));
        json_close(w);
}

/* counters SERVICE */
static int verb_counters(Lab *l, char **a, JsonWriter *w) {
        const LabService *s = lab_mesh_find(&l->mesh, a[0]);

        if (!s)
                return -ENOENT;
        write_counters(l, s->id, w);
        return 0;
}

/* stray: the counters of what belongs to no service, under id 0. */
static int verb_stray(Lab *l, char **a, JsonWriter *w) {
        write_counters(l, 0, w);
        return 0;
}

/* What was retired may be reused once the relay says so. */
static int ping(Lab *l, struct sm_link_pong *ret) {
        int r;

        r = lab_link_ping(&l->link, tables_epoch(l->mesh.tables), ret);
        if (r < 0)
                return r;
        tables_epoch_passed(l->mesh.tables, ret->epoch);
        return 0;
}

static int verb_ping(Lab *l, char **a, JsonWriter *w) {
        struct sm_link_pong pong;
        int r;

        r = ping(l, &pong);
        if (r < 0)
                return r;
        json_unsigned(w, "asked", tables_epoch(l->mesh.tables));
        json_unsigned(w, "epoch", pong.epoch);
        json_unsigned(w, "connections", pong.connections);
        json_unsigned(w, "upstreams", pong.upstreams);
        json_unsigned(w, "memory", pong.memory);
        return 0;
}

/* events: what the relay has told since this was last asked. */
static int verb_events(Lab *l, char **a, JsonWriter *w) {
        struct sm_link_pong pong;
        int r;

        r = ping(l, &pong);
        if (r < 0)
                return r;
        json_open_array(w, "events");
        for (size_t i = 0; i < l->link.n_events; i++) {
                const struct sm_link_event *e = &l->link.events[i];

                json_open_object(w, NULL);
                json_boolean(w, "back", e->event == SM_EVENT_ENDPOINT_BACK);
                json_boolean(w, "avoided", e->event == SM_EVENT_ENDPOINT_AVOIDED);
                json_unsigned(w, "service", e->service);
                json_unsigned(w, "endpoint", e->endpoint);
                json_signed(w, "detail", e->detail);
                json_close(w);
        }
        json_close(w);
        l->link.n_events = 0;
        return 0;
}

/* reload: reads the policy directory anew. */
static int verb_reload(Lab *l, char **a, JsonWriter *w) {
        struct sm_link_pong pong;
        int r;

        r = lab_mesh_load(&l->mesh);
        if (r < 0)
                return r;
        return ping(l, &pong);
}

/* relink: hangs up and connects anew, as slicemeshd does after a restart. */
static int verb_relink(Lab *l, char **a, JsonWriter *w) {
        return lab_link_connect(&l->link, &l->tables, l->fds);
}

/* stop MILLISECONDS */
static int verb_stop(Lab *l, char **a, JsonWriter *w) {
        uint64_t ms;

        if (parse_unsigned(a[0], &ms) < 0 || ms > UINT32_MAX)
                return -EINVAL;
        return lab_link_stop(&l->link, (uint32_t) ms);
}

static const LabVerb verbs[] = {
        { "callers", 4, verb_callers },
        { "is-caller", 2, verb_is_caller },
        { "weight", 3, verb_weight },
        { "route", 2, verb_route },
        { "admin", 3, verb_admin },
        { "avoid", 3, verb_avoid },
        { "endpoint", 2, verb_endpoint },
        { "counters", 1, verb_counters },
        { "stray", 0, verb_stray },
        { "ping", 0, verb_ping },
        { "events", 0, verb_events },
        { "reload", 0, verb_reload },
        { "relink", 0, verb_relink },
        { "stop", 1, verb_stop },
        {},
};

static const LabVerb *find_verb(const LabVerb *list, const char *name, int n_args) {
        for (; list->name; list++)
                if (streq(list->name, name) && list->n_args == n_args)
                        return list;
        return NULL;
}

int lab_run(Lab *l, char *line, JsonWriter *w) {
        char *args[ARGS_MAX + 1] = {}, *state = NULL;
        const LabVerb *verb;
        int n = 0;

        for (char *t = strtok_r(line, " \n", &state); t && n < ARGS_MAX; t = strtok_r(NULL, " \n", &state))
                args[n++] = t;
        if (n == 0)
                return -EINVAL;
        verb = find_verb(verbs, args[0], n - 1);
        if (!verb)
                verb = find_verb(lab_kernel_verbs, args[0], n - 1);
        return verb ? verb->handler(l, args + 1, w) : -EINVAL;
}
