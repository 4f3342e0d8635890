/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "../basic/cleanup.h"
#include "../basic/own-address.h"
#include "../basic/parse-util.h"
#include "../basic/string-util.h"
#include "../policy/policy-explain.h"
#include "daemon-bus-object.h"
#include "daemon-fast.h"
#include "daemon-slice.h"
#include "daemon-tables.h"

DEFINE_TRIVIAL_CLEANUP(Explanation *, explanation_free)

/* What the caller asks about. Strings belong to the message, but for what was taken out of the URL. */
typedef struct ExplainCall {
        const char *service, *url, *source;
        struct in6_addr address; /* `source` */
        char **fields;
        char *authority; /* of the URL */
        ExplainRequest request;
} ExplainCall;

static void explain_call_done(ExplainCall *c) {
        strv_free(c->fields);
        free(c->authority);
}

typedef struct ExplainKey {
        const char *name;
        size_t offset; /* of the const char * in ExplainCall */
} ExplainKey;

static const ExplainKey explain_keys[] = {
        { "service", offsetof(ExplainCall, service) },
        { "url", offsetof(ExplainCall, url) },
        { "source", offsetof(ExplainCall, source) },
        { "method", offsetof(ExplainCall, request.method) },
        { "target", offsetof(ExplainCall, request.target) },
        { "host", offsetof(ExplainCall, request.host) },
        { "slice", offsetof(ExplainCall, request.slice) },
        { "unit", offsetof(ExplainCall, request.unit) },
        { "user", offsetof(ExplainCall, request.user) },
};

static int explain_read_body(sd_bus_message *call, ExplainCall *c) {
        int r;

        r = sd_bus_message_enter_container(call, 'v', "ay");
        if (r < 0)
                return r;
        r = sd_bus_message_read_array(call, 'y', &c->request.body, &c->request.body_length);
        if (r < 0)
                return r;
        c->request.body = c->request.body ?: "";
        return sd_bus_message_exit_container(call);
}

static int explain_read_value(sd_bus_message *call, const char *key, ExplainCall *c, sd_bus_error *error) {
        const char *value;
        int r;

        if (streq(key, "headers")) {
                r = sd_bus_message_enter_container(call, 'v', "as");
                if (r < 0)
                        return r;
                c->fields = strv_free(c->fields);
                r = sd_bus_message_read_strv(call, &c->fields);
                if (r < 0)
                        return r;
                return sd_bus_message_exit_container(call);
        }
        if (streq(key, "body"))
                return explain_read_body(call, c);
        for (size_t i = 0; i < ELEMENTSOF(explain_keys); i++)
                if (streq(explain_keys[i].name, key)) {
                        r = sd_bus_message_read(call, "v", "s", &value);
                        if (r < 0)
                                return r;
                        *(const char **) ((char *) c + explain_keys[i].offset) = value;
                        return 0;
                }
        return sd_bus_error_setf(error, BUS_ERROR_INVALID_REQUEST,
                                 "A request has no \"%s\" to be explained.", key);
}

static int explain_read(sd_bus_message *call, ExplainCall *c, sd_bus_error *error) {
        const char *key;
        int r;

        r = sd_bus_message_enter_container(call, 'a', "{sv}");
        if (r < 0)
                return r;
        while ((r = sd_bus_message_enter_container(call, 'e', "sv")) > 0) {
                r = sd_bus_message_read(call, "s", &key);
                if (r < 0)
                        return r;
                r = explain_read_value(call, key, c, error);
                if (r < 0)
                        return r;
                r = sd_bus_message_exit_container(call);
                if (r < 0)
                        return r;
        }
        return r < 0 ? r : sd_bus_message_exit_container(call);
}

/* "http://payments/v2?x": the authority is the service unless one is given, the rest the target. */
static int explain_take_url(ExplainCall *c, sd_bus_error *error) {
        const char *authority, *end;

        if (!c->url)
                return 0;
        authority = startswith(c->url, "http://");
        if (!authority)
                return sd_bus_error_setf(error, BUS_ERROR_INVALID_REQUEST,
                                         "\"%s\" does not begin with http://.", c->url);
        end = strchrnul(authority, '/');
        c->authority = strndup(authority, (size_t) (end - authority));
        if (!c->authority)
                return -ENOMEM;
        if (!c->request.target)
                c->request.target = *end ? end : "/";
        if (!c->request.host)
                c->request.host = c->authority;
        return 0;
}

static bool service_has_address(const Service *s, const struct in6_addr *address, uint16_t port) {
        return memcmp(&s->address, address, sizeof(*address)) == 0 && s->port == port;
}

/* By name, or by its address as callers use it; without a port, that of http. */
static Service *explain_find_service(const Manager *m, const char *text) {
        _cleanup_free_ char *host = NULL, *with_port = NULL;
        struct in6_addr address;
        size_t position = 0;
        uint16_t port;
        Service *s;
        int r;

        s = hashmap_get(m->services, text);
        if (s)
                return s;
        r = parse_host_port(text, &host, &address, &port);
        if (r < 0) {
                if (asprintf(&with_port, "%s:80", text) < 0) {
                        with_port = NULL;
                        return NULL;
                }
                r = parse_host_port(with_port, &host, &address, &port);
        }
        if (r < 0)
                return NULL;
        if (host)
                return hashmap_get(m->services, host);
        while ((s = hashmap_next(m->services, &position)))
                if (service_has_address(s, &address, port))
                        return s;
        return NULL;
}

/* The innermost managed slice that it is in, which is what its connections are told apart by; 0 = none. */
static uint32_t explain_find_slice(const Manager *m, const char *name) {
        const Slice *s, *found = NULL;
        size_t position = 0;

        while (name && (s = hashmap_next(m->slices, &position)))
                if (slice_is_within(name, s->name) && (!found || strlen(s->name) > strlen(found->name)))
                        found = s;
        return found ? found->id : 0;
}

static int explain_read_caller(const Manager *m, ExplainCall *c, sd_bus_error *error) {
        if (c->source) {
                if (parse_address(c->source, &c->address) < 0)
                        return sd_bus_error_setf(error, BUS_ERROR_INVALID_REQUEST, "\"%s\" is no address.",
                                                 c->source);
                c->request.source = &c->address;
        }
        if (c->request.user && policy_find_user(c->request.user, &c->request.uid) < 0)
                return sd_bus_error_setf(error, BUS_ERROR_INVALID_REQUEST, "There is no user \"%s\".",
                                         c->request.user);
        c->request.slice_id = explain_find_slice(m, c->request.slice);
        return 0;
}

/* What the fast path itself says comes before anything that the policy or the request can. */
static void explain_fast(const Manager *m, Explanation *e) {
        const char *sentence;
        enum sm_slow why;

        if (!(fast_features(m) & SM_FAST_ANSWERS))
                explanation_without_answers(e);
        if (fast_features(m) & SM_FAST_REQUESTS)
                return;
        why = fast_why(m, &sentence);
        if (why != SM_SLOW_NONE)
                explanation_set_slow(e, why, sentence);
}

static int explain_answer(const Manager *m, const Service *s, const ExplainCall *c, char **ret) {
        _cleanup_(explanation_freep) Explanation *e = NULL;
        int r;

        r = policy_explain(tables_view(m->tables), s->id, &c->request, &e);
        if (r < 0)
                return r;
        explain_fast(m, e);
        return explanation_to_json(e, ret);
}

int explain_bus_method(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        _cleanup_(explain_call_done) ExplainCall c = {};
        _cleanup_free_ char *json = NULL;
        Manager *m = userdata;
        const Service *s;
        const char *name;
        int r;

        r = explain_read(call, &c, error);
        if (r == -ENXIO)
                return sd_bus_error_set(error, BUS_ERROR_INVALID_REQUEST,
                                        "A value has the wrong type: headers are \"as\", the body is "
                                        "\"ay\", all others \"s\".");
        if (r < 0)
                return r;
        r = explain_take_url(&c, error);
        if (r < 0)
                return r;
        r = explain_read_caller(m, &c, error);
        if (r < 0)
                return r;
        name = c.service ?: c.authority;
        if (!name)
                return sd_bus_error_set(error, BUS_ERROR_INVALID_REQUEST,
                                        "Neither service nor url is given.");
        s = explain_find_service(m, name);
        if (!s)
                return sd_bus_error_setf(error, BUS_ERROR_NO_SUCH_SERVICE, "There is no service \"%s\".",
                                         name);

        c.request.method = c.request.method ?: "GET";
        c.request.target = c.request.target ?: "/";
        c.request.host = c.request.host ?: name;
        c.request.fields = (const char **) c.fields;
        c.request.is_own = address_is_own;
        r = explain_answer(m, s, &c, &json);
        if (r == -ENOENT)
                return sd_bus_error_setf(error, BUS_ERROR_NO_SUCH_SERVICE,
                                         "No policy of service %s is in force.", s->name);
        if (r < 0)
                return r;
        return sd_bus_reply_method_return(call, "s", json);
}
