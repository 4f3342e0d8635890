/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "../abi/abi-trace.h"
#include "../basic/macro.h"
#include "../basic/parse-util.h"
#include "ctl-agent.h"
#include "ctl-i18n.h"
#include "ctl-json.h"
#include "ctl-output.h"
#include "ctl-terminal.h"

typedef struct Tracer {
        const Options *options;
        bool ended;
        ExitStatus status;
} Tracer;

/* What a caller has sent is not to reach the terminal as a command. */
static void print_foreign(const char *s) {
        for (const unsigned char *c = (const unsigned char *) s; *c; c++) {
                bool c1 = c[0] == 0xc2 && c[1] >= 0x80 && c[1] < 0xa0; /* as UTF-8 */

                putchar(*c < ' ' || *c == 0x7f || c1 ? '?' : *c);
                c += c1;
        }
}

static void print_duration(uint64_t usec) {
        if (usec < 1000)
                printf("%" PRIu64 " µs", usec);
        else if (usec < 1000000)
                printf("%.1f ms", (double) usec / 1e3);
        else
                printf("%.2f s", (double) usec / 1e6);
}

/* "no: path: {prefix: /v2}" */
static void print_route(const JsonValue *route) {
        const char *verdict = json_get_text(route, "verdict");
        const char *predicate = json_get_text(route, "predicate");
        bool matched = streq(verdict, "matched"), shadow = json_get_boolean(route, "shadow");

        printf("  %s  ", json_get_text(route, "name"));
        print_styled(STYLE_DIM, "%s", json_get_text(route, "origin"));
        fputs("  ", stdout);
        if (matched)
                print_styled(shadow ? STYLE_DIM : STYLE_GOOD, "%s",
                             shadow ? _("would match") : _("matches"));
        else if (streq(verdict, "undecided"))
                fputs(_("cannot be decided:"), stdout);
        else
                fputs(json_get_boolean(route, "holds") ? _("no, because of:") : _("no, for want of:"),
                      stdout);
        if (!matched && *predicate)
                printf(" %s", predicate);
        putchar('\n');
}

static void print_request(const JsonValue *v) {
        const char *method = json_get_text(v, "method"), *slice = json_get_text(v, "slice");
        const char *cgroup = json_get_text(v, "cgroup");
        time_t now = time(NULL);
        struct tm tm;
        char text[16];

        if (localtime_r(&now, &tm) && strftime(text, sizeof(text), "%H:%M:%S", &tm) > 0)
                print_styled(STYLE_DIM, "%s ", text);
        print_foreign(*method ? method : "-");
        putchar(' ');
        print_foreign(json_get_text(v, "target"));
        fputs(json_get_boolean(v, "cut") ? "..." : "", stdout);
        if (*slice)
                printf(_(" from %s"), *cgroup ? cgroup : slice);
        putchar('\n');
}

static void print_outcome(const JsonValue *v) {
        const char *reason = json_get_text(v, "reason"), *sentence = reason_sentence(reason);
        const char *subset = json_get_text(v, "subset"), *endpoint = json_get_text(v, "endpoint");
        const char *slow = json_get_text(v, "slow");
        uint64_t status = json_get_unsigned(v, "status"), first = json_get_unsigned(v, "first-byte-usec");

        fputs("  => ", stdout);
        if (*subset)
                printf("%s%s%s, ", subset, *endpoint ? " " : "", endpoint);
        if (status > 0)
                print_styled(status < 400 ? STYLE_GOOD : STYLE_BAD, "%" PRIu64, status);
        else
                print_styled(STYLE_BAD, "%s", _("no response"));
        fputs(_(" after "), stdout);
        print_duration(json_get_unsigned(v, "total-usec"));
        if (first > 0) {
                fputs(_(" (first byte: "), stdout);
                print_duration(first);
                putchar(')');
        }
        if (json_get_boolean(v, "fast"))
                fputs(", fast", stdout);
        else if (*slow)
                printf(_(", slow: %s"), slow);
        putchar('\n');
        if (*reason && !streq(reason, "none"))
                printf("     %s: %s\n", reason, sentence ?: "");
}

static void print_effects(const JsonValue *effects) {
        if (!effects || effects->n_members == 0)
                return;
        fputs(_("  effects:"), stdout);
        for (size_t i = 0; i < effects->n_members; i++)
                printf(" %s", effects->members[i].text);
        putchar('\n');
}

static void print_people(const JsonValue *v) {
        const JsonValue *routes = json_get(v, "routes");
        uint64_t tried = json_get_unsigned(v, "tried");

        print_request(v);
        for (size_t i = 0; routes && i < routes->n_members; i++)
                print_route(&routes->members[i]);
        if (routes && routes->n_members < tried)
                printf(ngettext("  ... and %" PRIu64 " route more\n", "  ... and %" PRIu64 " routes more\n",
                                tried - routes->n_members), tried - routes->n_members);
        print_effects(json_get(v, "effects"));
        print_outcome(v);
}

static int print_json(const JsonValue *v) {
        JsonWriter w = JSON_WRITER(stdout, false);

        json_open_object(&w, NULL);
        json_unsigned(&w, "time", (uint64_t) time(NULL));
        json_members_write(v, &w);
        json_close(&w);
        putchar('\n');
        return json_finish(&w);
}

static int on_traced(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        _cleanup_(json_value_freep) JsonValue *v = NULL;
        Tracer *t = userdata;
        const char *json;
        int r;

        r = sd_bus_message_read(m, "s", &json);
        if (r >= 0)
                r = json_parse(json, &v);
        if (r >= 0 && t->options->json)
                r = print_json(v);
        else if (r >= 0)
                print_people(v);
        (void) fflush(stdout);
        if (r < 0)
                t->status = bus_unexpected(r);
        return 0;
}

static int on_ended(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Tracer *t = userdata;
        uint64_t told, lost;
        const char *why;
        int r;

        t->ended = true;
        r = sd_bus_message_read(m, "tts", &told, &lost, &why);
        if (r < 0) {
                t->status = bus_unexpected(r);
                return 0;
        }
        if (lost > 0)
                print_error(ngettext("%" PRIu64 " request more came too fast to be told of.",
                                     "%" PRIu64 " requests more came too fast to be told of.", lost), lost);
        if (streq(why, "complete"))
                return 0;
        print_error(streq(why, "time") ? _("The longest time that a trace may take is over.") :
                                         _("The trace was ended by somebody else, or the service is gone."));
        t->status = STATUS_FAILURE;
        return 0;
}

static int on_daemon_left(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Tracer *t = userdata;

        t->ended = true;
        t->status = STATUS_NOT_RUNNING;
        print_error(_("slicemeshd has left the bus"));
        return 0;
}

static int add_matches(sd_bus *bus, Tracer *t) {
        int r;

        r = sd_bus_match_signal(bus, NULL, SM_BUS_NAME, NULL, MESH_INTERFACE("Service"), "Traced",
                                on_traced, t);
        if (r >= 0)
                r = sd_bus_match_signal(bus, NULL, SM_BUS_NAME, NULL, MESH_INTERFACE("Service"),
                                        "TraceEnded", on_ended, t);
        if (r < 0)
                return r;
        return sd_bus_add_match(bus, NULL,
                                "type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged',"
                                "arg0='" SM_BUS_NAME "'",
                                on_daemon_left, t);
}

/* Until the trace has ended; a signal to us ends it as well, since slicemeshd sees us leave the bus. */
static int follow(sd_bus *bus, const Tracer *t) {
        int r;

        while (!t->ended) {
                r = sd_bus_process(bus, NULL);
                if (r == 0)
                        r = sd_bus_wait(bus, UINT64_MAX);
                if (r < 0 && r != -EINTR)
                        return r;
        }
        return 0;
}

static ExitStatus parse_count(const char *text, uint32_t *ret) {
        uint64_t count;

        if (!text) {
                *ret = SM_TRACES_MAX;
                return STATUS_OK;
        }
        if (parse_unsigned(text, &count) < 0 || count == 0 || count > SM_TRACES_MAX) {
                print_error(_("\"%s\" is no number from 1 to %d."), text, SM_TRACES_MAX);
                return STATUS_USAGE;
        }
        *ret = (uint32_t) count;
        return STATUS_OK;
}

static ExitStatus start(sd_bus *bus, const Options *o, uint32_t count) {
        _cleanup_message_ sd_bus_message *found = NULL, *reply = NULL;
        ExitStatus status;
        const char *path;
        int r;

        status = bus_method(bus, SM_BUS_PATH, MESH_INTERFACE("Manager"), "GetService", &found, "s",
                            o->service);
        if (status != STATUS_OK)
                return status;
        r = sd_bus_message_read(found, "o", &path);
        if (r < 0)
                return bus_unexpected(r);
        agent_open(o);
        status = bus_method(bus, path, MESH_INTERFACE("Service"), "Trace", &reply, "u", count);
        agent_close();
        return status;
}

ExitStatus verb_trace(const Options *o, int n, char **arguments) {
        Tracer t = { .options = o };
        _cleanup_bus_ sd_bus *bus = NULL;
        ExitStatus status;
        uint32_t count;
        int r;

        if (!o->service) {
                print_error(_("Name the service to be traced: --service=NAME"));
                return STATUS_USAGE;
        }
        status = parse_count(o->count, &count);
        if (status == STATUS_OK)
                status = bus_open(&bus);
        if (status != STATUS_OK)
                return status;
        /* Matches first: what comes before the answer is queued, not lost. */
        r = add_matches(bus, &t);
        if (r < 0)
                return bus_failed(NULL, r);
        status = start(bus, o, count);
        if (status != STATUS_OK)
                return status;
        r = follow(bus, &t);
        return r < 0 ? bus_failed(NULL, r) : t.status;
}
