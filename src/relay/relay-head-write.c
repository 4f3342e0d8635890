/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "../basic/macro.h"
#include "../engine/engine-fields.h"
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

static int last_field(const Writer *w, enum sm_known_field known, const char *name) {
        int i = w->head->known[known] - 1, last = i;

        while (i >= 0) {
                last = i;
                i = sm_head_find(w->head, w->bytes, name, (__u32) strlen(name), (__u32) i + 1);
        }
        return last;
}

/* Something to add to a list that the head has already, in the field that has the list's end. */
typedef struct Addition {
        const char *name;
        const char *value; /* NULL: nothing */
        int field;         /* -1: the head has none */
} Addition;

typedef struct FieldEdit {
        bool keep_connection; /* Connection: what it says is as true of ours */
        bool keep_coding;     /* Transfer-Encoding */
        bool keep_upgrade;    /* Upgrade */
        bool drop_trailer;    /* Trailer: there will be none */
        bool drop_host;       /* Host is written from the target */
        bool drop_length;     /* Content-Length */
        bool count_hops;      /* Max-Forwards is counted down */
        Addition via, forwarded_for;
} FieldEdit;

static bool is_dropped(const Writer *w, const FieldEdit *e, uint32_t i) {
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
        if (e->via.value || e->forwarded_for.value)
                return false;
        if (!e->keep_coding && known[SM_FIELD_TRANSFER_ENCODING])
                return false;
        if (!e->keep_connection && known[SM_FIELD_CONNECTION])
                return false;
        return sm_fields_are_plain(w->head);
}

static void put_addition(Writer *w, const Addition *a, uint32_t i) {
        if (!a->value || a->field != (int) i)
                return;
        if (w->head->fields[i].value.length > 0)
                put_text(w, ", ");
        put_text(w, a->value);
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
                } else if ((e->via.value && e->via.field == (int) i) ||
                           (e->forwarded_for.value && e->forwarded_for.field == (int) i)) {
                        put_range(w, from, value_end);
                        put_addition(w, &e->via, i);
                        put_addition(w, &e->forwarded_for, i);
                        from = value_end;
                }
        }
        put_range(w, from, head->length - 2u);
        if (e->via.value && e->via.field < 0)
                put_field(w, e->via.name, e->via.value);
        if (e->forwarded_for.value && e->forwarded_for.field < 0)
                put_field(w, e->forwarded_for.name, e->forwarded_for.value);
}

/* An absolute target becomes the origin form that servers expect, with the authority in Host (RFC 9112,
 * section 3.2.2). */
static void put_target(Writer *w) {
        const struct sm_head *head = w->head;
        uint32_t from = head->target.offset, to = span_end(head->target);

        if (head->target_form == SM_TARGET_ABSOLUTE) {
                from = span_end(head->authority);
                if (from == to)
                        put_text(w, head->method == SM_METHOD_OPTIONS ? "*" : "/");
                else if (w->bytes[from] != '/')
                        put_text(w, "/");
        }
        put_range(w, from, to);
}

static void put_request_line(Writer *w) {
        const struct sm_head *head = w->head;

        if (head->target_form != SM_TARGET_ABSOLUTE && !(head->flags & SM_HEAD_HTTP_1_0)) {
                put_range(w, head->method_text.offset, sm_field_line(head, 0));
                return;
        }
        put_range(w, head->method_text.offset, span_end(head->method_text));
        put_text(w, " ");
        put_target(w);
        put_text(w, " " VERSION_TEXT "\r\n");
}

static void put_host(Writer *w, const char *otherwise) {
        const struct sm_head *head = w->head;

        if (head->target_form == SM_TARGET_ABSOLUTE) {
                put_text(w, "Host: ");
                put_range(w, head->authority.offset, span_end(head->authority));
                put_text(w, "\r\n");
        } else if (!head->known[SM_FIELD_HOST])
                put_field(w, "Host", otherwise);
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
                .via = { "Via", edit->via ? VIA_TEXT : NULL, -1 },
                .forwarded_for = { "X-Forwarded-For", edit->forwarded_for, -1 },
        };

        if (edit->via)
                fields.via.field = last_field(&w, SM_FIELD_VIA, "via");
        if (edit->forwarded_for)
                fields.forwarded_for.field = last_field(&w, SM_FIELD_X_FORWARDED_FOR, "x-forwarded-for");

        put_request_line(&w);
        put_host(&w, edit->host);
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
                .via = { "Via", edit->via ? VIA_TEXT : NULL, -1 },
        };

        if (edit->via)
                fields.via.field = last_field(&w, SM_FIELD_VIA, "via");

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
