/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "../basic/macro.h"
#include "../engine/engine-fields.h"
#include "../engine/engine-path-join.h"
#include "../engine/engine-plain.h"
#include "relay-head-write.h"

#define VERSION_TEXT "HTTP/1.1"
#define VIA_TEXT "1.1 slicemesh"
#define MAX_FORWARDS "max-forwards"

/* A head being written. The first append that does not fit makes all later ones fail as well. */
typedef struct Writer {
        Buffer *out;
        const uint8_t *bytes;
        const struct sm_head *head;
        int error;
} Writer;

static void put(Writer *w, const void *p, size_t n) {
        if (w->error >= 0)
                w->error = buffer_append(w->out, p, n);
}

static void put_text(Writer *w, const char *text) {
        put(w, text, strlen(text));
}

static void put_range(Writer *w, uint32_t from, uint32_t to) {
        if (to > from)
                put(w, w->bytes + from, to - from);
}

static void put_field(Writer *w, const char *name, const char *value) {
        put_text(w, name);
        put_text(w, ": ");
        put_text(w, value);
        put_text(w, "\r\n");
}

static uint32_t span_end(struct sm_span s) {
        return s.offset + s.length;
}

unsigned head_hop_count(const uint8_t *bytes, const struct sm_head *head) {
        int i = sm_head_find(head, bytes, MAX_FORWARDS, strlen(MAX_FORWARDS), 0);
        unsigned n = 0;

        if (i < 0 || head->fields[i].value.length == 0)
                return HOP_COUNT_NONE;
        for (struct sm_span s = head->fields[i].value; s.length > 0; s.offset++, s.length--) {
                uint8_t c = bytes[s.offset];

                if (c < '0' || c > '9' || n >= HOP_COUNT_NONE / 10)
                        return HOP_COUNT_NONE;
                n = n * 10 + (c - '0');
        }
        return n;
}

/* Something to add to a list that the head has already, in the field that has the list's end. */
typedef struct Addition {
        enum sm_known_field known;
        const char *name;
        const char *value; /* NULL: nothing */
        int field, change; /* where that is: came in, or is written for a change; -1: it is not */
} Addition;

typedef struct FieldEdit {
        bool keep_connection; /* Connection: what it says is as true of ours */
        bool keep_coding;     /* Transfer-Encoding */
        bool keep_upgrade;    /* Upgrade */
        bool drop_trailer;    /* Trailer: there will be none */
        bool drop_host;       /* Host is written from the target */
        bool drop_length;     /* Content-Length */
        bool count_hops;      /* Max-Forwards is counted down */
        Text new_host;        /* the value of Host */
        Addition via, forwarded_for;
        FieldChanges changes;
} FieldEdit;

static bool is_named(const FieldChange *c, const uint8_t *name, size_t length) {
        return sm_text_equal(c->name.bytes, (__u32) c->name.length, name, (__u32) length);
}

/* Whether a change from that one on takes away what there is of that name. */
static bool is_changed(const FieldChanges *changes, size_t from, const uint8_t *name, size_t length) {
        for (size_t i = from; i < changes->n; i++)
                if (changes->items[i].kind != SM_EDIT_ADD && is_named(&changes->items[i], name, length))
                        return true;
        return false;
}

/* Whether the change adds a field that is still there in the end. */
static bool is_written(const FieldChanges *changes, size_t i) {
        const FieldChange *c = &changes->items[i];

        return c->kind != SM_EDIT_REMOVE && !is_changed(changes, i + 1, c->name.bytes, c->name.length);
}

static bool is_dropped(const Writer *w, const FieldEdit *e, uint32_t i) {
        struct sm_span name = w->head->fields[i].name;

        if (is_changed(&e->changes, 0, w->bytes + name.offset, name.length))
                return true;
        switch (sm_field_known(w->head, w->bytes, i)) {

        case SM_FIELD_CONNECTION:
                return !e->keep_connection;

        case SM_FIELD_TRANSFER_ENCODING:
                return !e->keep_coding;

        case SM_FIELD_UPGRADE:
                return !e->keep_upgrade;

        case SM_FIELD_TRAILER:
                return e->drop_trailer;

        case SM_FIELD_HOST:
                return e->drop_host;

        case SM_FIELD_CONTENT_LENGTH:
                return e->drop_length;

        default:
                return sm_field_is_hop_by_hop(w->head, w->bytes, i);
        }
}

static bool is_forwarded_whole(const Writer *w, const FieldEdit *e) {
        const __u16 *known = w->head->known;

        if (e->drop_host || e->drop_trailer || e->drop_length || e->count_hops)
                return false;
        if (e->changes.n > 0 || e->new_host.bytes)
                return false;
        if (e->via.value || e->forwarded_for.value)
                return false;
        if (!e->keep_coding && known[SM_FIELD_TRANSFER_ENCODING])
                return false;
        if (!e->keep_connection && known[SM_FIELD_CONNECTION])
                return false;
        return sm_fields_are_plain(w->head);
}

static void find_field(const Writer *w, const FieldEdit *e, Addition *a) {
        int i = w->head->known[a->known] - 1;

        a->field = a->change = -1;
        for (size_t c = 0; c < e->changes.n; c++)
                if (is_written(&e->changes, c) &&
                    is_named(&e->changes.items[c], (const uint8_t *) a->name, strlen(a->name)))
                        a->change = (int) c;
        for (; i >= 0 && a->change < 0;
             i = sm_head_find(w->head, w->bytes, a->name, (__u32) strlen(a->name), (__u32) i + 1))
                if (!is_dropped(w, e, (uint32_t) i))
                        a->field = i;
}

/* Behind a value of that length. */
static void put_addition(Writer *w, const Addition *a, size_t length) {
        if (length > 0)
                put_text(w, ", ");
        put_text(w, a->value);
}

static bool is_added_to(const Addition *a, uint32_t i) {
        return a->value && a->field == (int) i;
}

static void put_changes(Writer *w, const FieldEdit *e) {
        for (size_t i = 0; i < e->changes.n; i++) {
                const FieldChange *c = &e->changes.items[i];

                if (!is_written(&e->changes, i))
                        continue;
                put(w, c->name.bytes, c->name.length);
                put_text(w, ": ");
                put(w, c->value.bytes, c->value.length);
                if (e->via.value && e->via.change == (int) i)
                        put_addition(w, &e->via, c->value.length);
                if (e->forwarded_for.value && e->forwarded_for.change == (int) i)
                        put_addition(w, &e->forwarded_for, c->value.length);
                put_text(w, "\r\n");
        }
}

static void put_own(Writer *w, const Addition *a) {
        if (a->value && a->field < 0 && a->change < 0)
                put_field(w, a->name, a->value);
}

static bool is_hop_count(const Writer *w, uint32_t i) {
        return sm_span_is(w->bytes, w->head->fields[i].name, MAX_FORWARDS, strlen(MAX_FORWARDS));
}

static void put_hop_count(Writer *w, uint32_t i) {
        char text[16];

        snprintf(text, sizeof(text), "%u", head_hop_count(w->bytes, w->head) - 1);
        put_range(w, w->head->fields[i].name.offset, w->head->fields[i].value.offset);
        put_text(w, text);
}

/* Fields that stay stand side by side as a rule, so they are copied by the run. */
static void put_fields(Writer *w, const FieldEdit *e) {
        const struct sm_head *head = w->head;
        uint32_t from = sm_field_line(head, 0);

        if (is_forwarded_whole(w, e)) {
                put_range(w, from, head->length - 2u);
                return;
        }
        for (uint32_t i = 0; i < head->n_fields; i++) {
                uint32_t value_end = span_end(head->fields[i].value);

                if (is_dropped(w, e, i)) {
                        put_range(w, from, head->fields[i].name.offset);
                        from = sm_field_line(head, i + 1);
                } else if (e->count_hops && is_hop_count(w, i)) {
                        put_range(w, from, head->fields[i].name.offset);
                        put_hop_count(w, i);
                        from = value_end;
                } else if (e->new_host.bytes && head->known[SM_FIELD_HOST] == i + 1) {
                        put_range(w, from, head->fields[i].value.offset);
                        put(w, e->new_host.bytes, e->new_host.length);
                        from = value_end;
                } else if (is_added_to(&e->via, i) || is_added_to(&e->forwarded_for, i)) {
                        put_range(w, from, value_end);
                        put_addition(w, is_added_to(&e->via, i) ? &e->via : &e->forwarded_for,
                                     head->fields[i].value.length);
                        from = value_end;
                }
        }
        put_range(w, from, head->length - 2u);
        put_changes(w, e);
        put_own(w, &e->via);
        put_own(w, &e->forwarded_for);
}

int head_write_path(Buffer *out, Text prefix, Text path, uint32_t skip) {
        Writer w = { .out = out };
        struct sm_path_join j = sm_path_join(prefix.bytes, (uint32_t) prefix.length, path.bytes,
                                             (uint32_t) path.length, skip);

        put(&w, prefix.bytes, j.keep);
        put_text(&w, j.slash ? "/" : "");
        put(&w, path.bytes + j.from, path.length - j.from);
        return w.error;
}

/* The path's span is not where the query begins any more once it was brought into normal form. */
static bool target_is_whole(const struct sm_head *head) {
        uint32_t end = head->query.offset > 0 ? head->query.offset - 1u : span_end(head->target);

        return span_end(head->path) == end;
}

/* In the origin form that servers expect, also of an absolute target, whose authority is in Host then
 * (RFC 9112, section 3.2.2). */
static void put_target(Writer *w, const RequestEdit *edit) {
        const struct sm_head *head = w->head;
        Text path = { w->bytes + head->path.offset, head->path.length };

        if (path.length == 0)
                put_text(w, "*");
        else if (!edit->new_prefix.bytes || path.bytes[0] != '/')
                put(w, path.bytes, path.length);
        else if (edit->new_prefix.length == 0 && edit->skip >= path.length)
                put_text(w, "/");
        else if (w->error >= 0)
                w->error = head_write_path(w->out, edit->new_prefix, path, edit->skip);
        if (head->query.offset > 0) {
                put_text(w, "?");
                put_range(w, head->query.offset, span_end(head->query));
        }
}

static void put_request_line(Writer *w, const RequestEdit *edit) {
        const struct sm_head *head = w->head;

        if (head->target_form != SM_TARGET_ABSOLUTE && !(head->flags & SM_HEAD_HTTP_1_0) &&
            !edit->new_prefix.bytes && target_is_whole(head)) {
                put_range(w, head->method_text.offset, sm_field_line(head, 0));
                return;
        }
        put_range(w, head->method_text.offset, span_end(head->method_text));
        put_text(w, " ");
        put_target(w, edit);
        put_text(w, " " VERSION_TEXT "\r\n");
}

/* Where no field that came in has it. */
static void put_host(Writer *w, const RequestEdit *edit) {
        const struct sm_head *head = w->head;
        bool absolute = head->target_form == SM_TARGET_ABSOLUTE;

        if (!absolute && head->known[SM_FIELD_HOST])
                return;
        put_text(w, "Host: ");
        if (edit->new_host.bytes)
                put(w, edit->new_host.bytes, edit->new_host.length);
        else if (absolute)
                put_range(w, head->authority.offset, span_end(head->authority));
        else
                put_text(w, edit->host);
        put_text(w, "\r\n");
}

static Addition addition(enum sm_known_field known, const char *name, const char *value) {
        return (Addition){ known, name, value, -1, -1 };
}

int head_write_request(Buffer *out, const uint8_t *bytes, const struct sm_head *head,
                       const RequestEdit *edit) {
        Writer w = { .out = out, .bytes = bytes, .head = head };
        bool trailers = head->flags & SM_HEAD_TE_TRAILERS;
        FieldEdit fields = {
                .keep_connection = sm_fields_are_plain(head),
                .keep_coding = true, /* chunked or absent: the parser lets nothing else through */
                .keep_upgrade = edit->upgrade,
                .drop_host = head->target_form == SM_TARGET_ABSOLUTE,
                .count_hops = edit->count_hops,
                .new_host = edit->new_host,
                .via = addition(SM_FIELD_VIA, "Via", edit->via ? VIA_TEXT : NULL),
                .forwarded_for = addition(SM_FIELD_X_FORWARDED_FOR, "X-Forwarded-For", edit->forwarded_for),
                .changes = edit->changes,
        };

        if (edit->via)
                find_field(&w, &fields, &fields.via);
        if (edit->forwarded_for)
                find_field(&w, &fields, &fields.forwarded_for);

        put_request_line(&w, edit);
        put_host(&w, edit);
        put_fields(&w, &fields);
        if (trailers)
                put_field(&w, "TE", "trailers");
        if (trailers || edit->upgrade)
                put_field(&w, "Connection", edit->upgrade ? (trailers ? "Upgrade, TE" : "Upgrade") : "TE");
        put_text(&w, "\r\n");
        return w.error;
}

int head_write_response(Buffer *out, const uint8_t *bytes, const struct sm_head *head,
                        const ResponseEdit *edit) {
        static const char *const connections[] = {
                [RESPONSE_CLOSE] = "close",
                [RESPONSE_KEEP_ALIVE] = "keep-alive",
                [RESPONSE_UPGRADE] = "Upgrade",
        };
        Writer w = { .out = out, .bytes = bytes, .head = head };
        FieldEdit fields = {
                .keep_connection = !connections[edit->connection] && sm_fields_are_plain(head),
                .keep_coding = edit->chunked && !edit->bodiless,
                .drop_length = edit->bodiless,
                .keep_upgrade = edit->connection == RESPONSE_UPGRADE,
                .drop_trailer = (head->flags & SM_HEAD_CHUNKED) && !edit->chunked,
                .via = addition(SM_FIELD_VIA, "Via", edit->via ? VIA_TEXT : NULL),
                .changes = edit->changes,
        };

        if (edit->via)
                find_field(&w, &fields, &fields.via);

        put_text(&w, VERSION_TEXT);
        put_range(&w, (uint32_t) strlen(VERSION_TEXT), sm_field_line(head, 0)); /* what follows it */
        put_fields(&w, &fields);
        if (edit->chunked && !edit->bodiless && !(head->flags & SM_HEAD_CHUNKED))
                put_field(&w, "Transfer-Encoding", "chunked");
        if (connections[edit->connection])
                put_field(&w, "Connection", connections[edit->connection]);
        put_text(&w, "\r\n");
        return w.error;
}
