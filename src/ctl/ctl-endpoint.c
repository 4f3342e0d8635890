/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "../basic/macro.h"
#include "ctl-agent.h"
#include "ctl-endpoint.h"
#include "ctl-i18n.h"
#include "ctl-terminal.h"

static bool is_whole(const char *text, const char *pattern) {
        return streq(text, pattern);
}

/* "10.1.0.1" of "10.1.0.1:80"; "::1" and "[::1]" of "[::1]:80". */
static bool is_host(const char *text, const char *pattern) {
        const char *colon = strrchr(text, ':');
        size_t length = colon ? (size_t) (colon - text) : strlen(text), n = strlen(pattern);

        if (length >= 2 && text[0] == '[' && pattern[0] != '[') {
                text++;
                length -= 2;
        }
        return n == length && strncmp(text, pattern, n) == 0;
}

static bool is_beginning(const char *text, const char *pattern) {
        return strncmp(text, pattern, strlen(pattern)) == 0;
}

/* From the narrowest to the widest. */
static bool (*const matchers[])(const char *text, const char *pattern) = { is_whole, is_host, is_beginning };

typedef struct Pattern {
        const char *subset; /* not terminated; NULL: any */
        size_t subset_length;
        const char *endpoint;
} Pattern;

static Pattern split_pattern(const char *text) {
        const char *slash = strchr(text, '/');

        if (!slash)
                return (Pattern) { .endpoint = text };
        return (Pattern) { text, (size_t) (slash - text), slash + 1 };
}

static bool pattern_matches(const Pattern *p, const MeshEndpoint *e, size_t matcher) {
        bool (*matches)(const char *text, const char *pattern) = matchers[matcher];

        if (p->subset && (strlen(e->subset) != p->subset_length ||
                          strncmp(e->subset, p->subset, p->subset_length) != 0))
                return false;
        return *p->endpoint && (matches(e->text, p->endpoint) || matches(e->address, p->endpoint));
}

static bool same_entry(const MeshEndpoint *a, const MeshEndpoint *b) {
        return streq(a->subset, b->subset) && streq(a->text, b->text);
}

int endpoint_find(const MeshService *s, const char *pattern, const MeshEndpoint **ret) {
        Pattern p = split_pattern(pattern);

        for (size_t matcher = 0; matcher < ELEMENTSOF(matchers); matcher++) {
                const MeshEndpoint *found = NULL;

                for (size_t i = 0; i < s->n_endpoints; i++) {
                        const MeshEndpoint *e = &s->endpoints[i];

                        if (!pattern_matches(&p, e, matcher))
                                continue;
                        if (found && !same_entry(found, e))
                                return ENDPOINT_E_AMBIGUOUS;
                        found = found ?: e;
                }
                if (found) {
                        *ret = found;
                        return 0;
                }
        }
        return ENDPOINT_E_NONE;
}

/* Those that the widest matcher finds; all of the service if it finds none. */
static void print_candidates(const MeshService *s, const char *pattern, bool all) {
        Pattern p = split_pattern(pattern);

        for (size_t i = 0; i < s->n_endpoints; i++) {
                const MeshEndpoint *e = &s->endpoints[i];

                if (i > 0 && same_entry(e - 1, e))
                        continue;
                if (all || pattern_matches(&p, e, ELEMENTSOF(matchers) - 1) || pattern_matches(&p, e, 1))
                        fprintf(stderr, "  %s/%s\n", e->subset, e->text);
        }
}

static ExitStatus find_or_explain(const MeshService *s, const char *pattern, const MeshEndpoint **ret) {
        int r;

        r = endpoint_find(s, pattern, ret);
        if (r == ENDPOINT_E_AMBIGUOUS)
                print_error(_("\"%s\" may be any of these endpoints of %s:"), pattern, s->name);
        else if (r == ENDPOINT_E_NONE)
                print_error(_("\"%s\" is none of the endpoints of %s, which are:"), pattern, s->name);
        if (r > 0)
                print_candidates(s, pattern, r == ENDPOINT_E_NONE);
        return r > 0 ? STATUS_FAILURE : STATUS_OK;
}

static ExitStatus call_endpoint(sd_bus *bus, const Options *o, const MeshEndpoint *e, const char *method,
                                const uint32_t *weight) {
        _cleanup_message_ sd_bus_message *reply = NULL;
        const char *interface = MESH_INTERFACE("Endpoint");

        if (weight)
                return bus_method(bus, e->path, interface, method, &reply, "ub", *weight, (int) o->persist);
        return bus_method(bus, e->path, interface, method, &reply, "b", (int) o->persist);
}

ExitStatus endpoints_call(const Options *o, const char *service, char **patterns, size_t n,
                          const char *method, const uint32_t *weight) {
        _cleanup_bus_ sd_bus *bus = NULL;
        _cleanup_(mesh_done) Mesh m = {};
        const MeshEndpoint *e;
        ExitStatus status;

        status = bus_open(&bus);
        if (status == STATUS_OK)
                status = mesh_load_service(bus, service, &m);
        for (size_t i = 0; status == STATUS_OK && i < n; i++)
                status = find_or_explain(&m.services[0], patterns[i], &e);
        if (status != STATUS_OK)
                return status;

        agent_open(o);
        for (size_t i = 0; status == STATUS_OK && i < n; i++) {
                (void) endpoint_find(&m.services[0], patterns[i], &e);
                status = call_endpoint(bus, o, e, method, weight);
        }
        agent_close();
        return status;
}
