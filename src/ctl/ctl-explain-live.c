/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "../basic/macro.h"
#include "ctl-explain.h"
#include "ctl-mesh.h"

static int append_text(sd_bus_message *m, const char *key, const char *value) {
        return value ? sd_bus_message_append(m, "{sv}", key, "s", value) : 0;
}

static int append_fields(sd_bus_message *m, const Request *q) {
        int r;

        r = sd_bus_message_open_container(m, SD_BUS_TYPE_DICT_ENTRY, "sv");
        if (r >= 0)
                r = sd_bus_message_append(m, "s", "headers");
        if (r >= 0)
                r = sd_bus_message_open_container(m, SD_BUS_TYPE_VARIANT, "as");
        if (r >= 0)
                r = sd_bus_message_append_strv(m, (char **) q->fields);
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

static int append_body(sd_bus_message *m, const Request *q) {
        int r;

        if (!q->body)
                return 0;
        r = sd_bus_message_open_container(m, SD_BUS_TYPE_DICT_ENTRY, "sv");
        if (r >= 0)
                r = sd_bus_message_append(m, "s", "body");
        if (r >= 0)
                r = sd_bus_message_open_container(m, SD_BUS_TYPE_VARIANT, "ay");
        if (r >= 0)
                r = sd_bus_message_append_array(m, 'y', q->body, q->body_length);
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

static int append_request(sd_bus_message *m, const Request *q) {
        const struct {
                const char *key, *value;
        } texts[] = {
                { "service", q->authority }, { "method", q->method }, { "target", q->target },
                { "host", q->host },         { "slice", q->slice },   { "unit", q->unit },
                { "user", q->user },         { "source", q->source },
        };
        int r;

        r = sd_bus_message_open_container(m, SD_BUS_TYPE_ARRAY, "{sv}");
        for (size_t i = 0; r >= 0 && i < ELEMENTSOF(texts); i++)
                r = append_text(m, texts[i].key, texts[i].value);
        if (r >= 0)
                r = append_fields(m, q);
        if (r >= 0)
                r = append_body(m, q);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

static ExitStatus ask(sd_bus *bus, const Request *q, JsonValue **ret) {
        _cleanup_message_ sd_bus_message *m = NULL, *reply = NULL;
        const char *json;
        ExitStatus status;
        int r;

        r = sd_bus_message_new_method_call(bus, &m, SM_BUS_NAME, SM_BUS_PATH, MESH_INTERFACE("Manager"),
                                           "Explain");
        if (r >= 0)
                r = append_request(m, q);
        if (r < 0)
                return bus_failed(NULL, r);
        status = bus_call(bus, m, &reply);
        if (status != STATUS_OK)
                return status;
        r = sd_bus_message_read(reply, "s", &json);
        if (r >= 0)
                r = json_parse(json, ret);
        return r < 0 ? bus_unexpected(r) : STATUS_OK;
}

/* What the slice may call is for the connect hook to decide, not for the engine that explains. */
static ExitStatus judge_caller(sd_bus *bus, const Request *q, Answer *a) {
        const char *name = json_get_text(a->explanation, "service");
        _cleanup_(mesh_done) Mesh m = {};
        bool managed = false, called = false;
        ExitStatus status;

        status = mesh_load(bus, &m);
        if (status != STATUS_OK)
                return status;
        for (size_t i = 0; i < m.n_slices; i++)
                managed |= slice_is_in(q->slice, &m.slices[i].name, 1);
        for (size_t i = 0; i < m.n_services; i++) {
                const Texts *callers = &m.services[i].callers;

                if (streq(m.services[i].name, name))
                        called = callers->n == 0 || slice_is_in(q->slice, callers->list, callers->n);
        }
        a->caller = !managed ? CALLER_UNMANAGED : called ? CALLER_ALLOWED : CALLER_REFUSED;
        return STATUS_OK;
}

ExitStatus explain_live(const Request *q, Answer *ret) {
        _cleanup_bus_ sd_bus *bus = NULL;
        _cleanup_(answer_done) Answer a = {};
        ExitStatus status;

        status = bus_open(&bus);
        if (status == STATUS_OK)
                status = ask(bus, q, &a.explanation);
        if (status == STATUS_OK && q->slice)
                status = judge_caller(bus, q, &a);
        if (status == STATUS_OK) {
                *ret = a;
                a = (Answer) {};
        }
        return status;
}
