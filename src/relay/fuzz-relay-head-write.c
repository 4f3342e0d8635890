/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../engine/engine-fields.h"
#include "../engine/engine-parse.h"
#include "../engine/engine-plain.h"
#include "relay-head-write.h"

/*
 * The first byte chooses how, the rest is a head. If the parser takes it, then what is written from it must
 * be a head again, of a message with the same framing and meaning: else the endpoint and we would not agree
 * where it ends. What is plain must be written as it was read, without the piece that is to be cut. And when
 * a route changes something, nothing else may change.
 */

#define CHECK(condition)         \
        do {                     \
                if (!(condition)) \
                        abort(); \
        } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct sm_span span_of(const struct sm_head *head, enum sm_known_field known) {
        return head->known[known] ? head->fields[head->known[known] - 1].value : (struct sm_span){};
}

static void check_span(const uint8_t *a, struct sm_span sa, const uint8_t *b, struct sm_span sb) {
        CHECK(sm_text_equal(a + sa.offset, sa.length, b + sb.offset, sb.length));
}

/* But for the piece that is cut out. */
static void check_same(const uint8_t *bytes, const struct sm_head *head, struct sm_span cut, Buffer *out) {
        size_t end = (size_t) cut.offset + cut.length;

        CHECK(buffer_filled(out) == (size_t) head->length - cut.length);
        CHECK(memcmp(bytes, buffer_at(out), cut.offset) == 0);
        CHECK(memcmp(bytes + end, buffer_at(out) + cut.offset, head->length - end) == 0);
}

static void check_hops(const uint8_t *bytes, const struct sm_head *head) {
        CHECK(!head->known[SM_FIELD_KEEP_ALIVE] && !head->known[SM_FIELD_PROXY_CONNECTION]);
        CHECK(!(head->flags & SM_HEAD_HTTP_1_0));
}

static int parse(enum sm_head_kind kind, const uint8_t *bytes, size_t size, struct sm_head *ret) {
        struct sm_head_parser p;

        sm_head_start(&p, ret, kind, SM_HEAD_MAX + HEAD_GROWTH_MAX);
        return sm_head_parse(&p, ret, bytes, (uint32_t) size);
}

static int parse_written(enum sm_head_kind kind, Buffer *out, struct sm_head *ret) {
        return parse(kind, buffer_at(out), buffer_filled(out), ret) == (int) buffer_filled(out);
}

#define TEXT(s) { (const uint8_t *) (s), sizeof(s) - 1 }

enum { SET_ONE, REMOVE_COOKIE, ADD_ONE, SET_AND_GONE, REMOVE_GONE, ADD_VIA, _CHANGE_MAX };

static const FieldChange changes[_CHANGE_MAX] = {
        [SET_ONE] = { SM_EDIT_SET, TEXT("x-SET"), TEXT("one") },
        [REMOVE_COOKIE] = { SM_EDIT_REMOVE, TEXT("cookie"), { NULL, 0 } },
        [ADD_ONE] = { SM_EDIT_ADD, TEXT("accept"), TEXT("x/y") },
        [SET_AND_GONE] = { SM_EDIT_SET, TEXT("x-gone"), TEXT("z") },
        [REMOVE_GONE] = { SM_EDIT_REMOVE, TEXT("X-Gone"), { NULL, 0 } },
        [ADD_VIA] = { SM_EDIT_ADD, TEXT("Via"), TEXT("1.0 other") },
};

static const FieldChanges all_changes = { changes, _CHANGE_MAX };

static bool is_text(const uint8_t *bytes, struct sm_span s, Text text) {
        return sm_text_equal(bytes + s.offset, s.length, text.bytes, (__u32) text.length);
}

static unsigned count_fields(const uint8_t *bytes, const struct sm_head *head, Text name,
                             struct sm_span *last) {
        unsigned n = 0;

        for (__u32 i = 0; i < head->n_fields; i++)
                if (is_text(bytes, head->fields[i].name, name)) {
                        n++;
                        *last = head->fields[i].value;
                }
        return n;
}

static void check_changes(const uint8_t *bytes, const struct sm_head *head, bool via) {
        struct sm_span last = {};

        CHECK(count_fields(bytes, head, changes[SET_ONE].name, &last) == 1);
        CHECK(is_text(bytes, last, changes[SET_ONE].value));
        CHECK(count_fields(bytes, head, changes[ADD_ONE].name, &last) >= 1);
        CHECK(is_text(bytes, last, changes[ADD_ONE].value));
        CHECK(count_fields(bytes, head, changes[REMOVE_COOKIE].name, &last) == 0);
        CHECK(count_fields(bytes, head, changes[REMOVE_GONE].name, &last) == 0);
        CHECK(count_fields(bytes, head, changes[ADD_VIA].name, &last) >= 1);
        CHECK(is_text(bytes, last, changes[ADD_VIA].value) ||
              (via && is_text(bytes, last, (Text) TEXT("1.0 other, 1.1 slicemesh"))));
}

/* Fields that nothing is done with, and which are not for this connection alone, are all there, in order. */
static void check_others(const uint8_t *bytes, const struct sm_head *head, const FieldChanges *c,
                         const uint8_t *written, const struct sm_head *again) {
        __u32 at = 0;

        for (__u32 i = 0; i < head->n_fields; i++) {
                const struct sm_field *f = &head->fields[i];
                bool named = is_text(bytes, f->name, (Text) TEXT("max-forwards"));

                for (size_t k = 0; k < c->n; k++)
                        named |= is_text(bytes, f->name, c->items[k].name);
                if (named || sm_field_is_hop_by_hop(head, bytes, i) ||
                    sm_field_known(head, bytes, i) != _SM_FIELD_KNOWN_MAX)
                        continue;
                for (; at < again->n_fields; at++) {
                        const struct sm_field *g = &again->fields[at];

                        if (f->name.length == g->name.length && f->value.length == g->value.length &&
                            memcmp(bytes + f->name.offset, written + g->name.offset, f->name.length) == 0 &&
                            memcmp(bytes + f->value.offset, written + g->value.offset, f->value.length) == 0)
                                break;
                }
                CHECK(at++ < again->n_fields);
        }
}

/* What the path becomes, said in another way. */
static void check_path(const uint8_t *bytes, const struct sm_head *head, const RequestEdit *edit,
                       const uint8_t *written, struct sm_span path) {
        size_t skip = edit->skip, cut = 0;

        if (!edit->new_prefix.bytes || head->path.length == 0 || bytes[head->path.offset] != '/') {
                if (head->path.length > 0)
                        CHECK(path.length == head->path.length &&
                              memcmp(bytes + head->path.offset, written + path.offset, path.length) == 0);
                return;
        }
        CHECK(path.length >= edit->new_prefix.length);
        CHECK(memcmp(written + path.offset, edit->new_prefix.bytes, edit->new_prefix.length) == 0);
        if (skip >= head->path.length) {
                CHECK(path.length == edit->new_prefix.length);
                return;
        }
        while (skip + cut < head->path.length && bytes[head->path.offset + skip + cut] == '/')
                cut++;
        cut += skip;
        CHECK(path.length == edit->new_prefix.length + head->path.length - cut +
              (edit->new_prefix.bytes[edit->new_prefix.length - 1] != '/'));
        CHECK(memcmp(written + path.offset + path.length - (head->path.length - cut),
                     bytes + head->path.offset + cut, head->path.length - cut) == 0);
}

static void check_request(unsigned how, const uint8_t *bytes, const struct sm_head *head, Buffer *out) {
        unsigned hops = head_hop_count(bytes, head);
        RequestEdit edit = {
                .upgrade = how & 1 && head->flags & SM_HEAD_UPGRADE,
                .via = how & 2,
                .forwarded_for = how & 4 ? "127.0.0.1" : NULL,
                .count_hops = hops != HOP_COUNT_NONE && hops > 0 &&
                        sm_method_counts_hops((enum sm_method) head->method),
                .host = "127.71.0.1:80",
                .changes = how & 8 ? all_changes : (FieldChanges){},
                .new_host = how & 16 ? (Text) TEXT("new.example") : (Text){},
                .new_prefix = how & 32 ? how & 1 ? (Text) TEXT("/new") : (Text) TEXT("/") : (Text){},
                .skip = how & 2 ? 1 : head->path.length - (how & 4 && head->path.length > 1),
        };
        struct sm_head again;

        CHECK(head_write_request(out, bytes, head, &edit) == 0);
        CHECK(parse_written(SM_HEAD_REQUEST, out, &again));
        CHECK(again.method == head->method && again.content_length == head->content_length);
        CHECK(sm_request_framing(&again) == sm_request_framing(head));
        CHECK(edit.upgrade == !!(again.flags & SM_HEAD_UPGRADE));
        CHECK(again.target_form != SM_TARGET_ABSOLUTE);
        check_span(bytes, head->query, buffer_at(out), again.query);
        if (edit.new_host.bytes)
                CHECK(is_text(buffer_at(out), again.authority, edit.new_host));
        else if (head->known[SM_FIELD_HOST] || head->target_form == SM_TARGET_ABSOLUTE)
                check_span(bytes, head->authority, buffer_at(out), again.authority);
        check_path(bytes, head, &edit, buffer_at(out), again.path);
        check_others(bytes, head, &edit.changes, buffer_at(out), &again);
        check_hops(buffer_at(out), &again);
        if (edit.changes.n > 0)
                check_changes(buffer_at(out), &again, edit.via);
        else
                check_span(bytes, span_of(head, SM_FIELD_COOKIE), buffer_at(out),
                           span_of(&again, SM_FIELD_COOKIE));
        if ((how & 64) || edit.changes.n > 0 || edit.new_host.bytes || edit.new_prefix.bytes)
                return;
        if (sm_request_is_plain(head, (edit.via ? SM_POLICY_VIA : 0) |
                                              (edit.forwarded_for ? SM_POLICY_FORWARDED_FOR : 0)))
                check_same(bytes, head, (struct sm_span) {}, out);
}

static void check_response(unsigned how, const uint8_t *bytes, const struct sm_head *head, Buffer *out) {
        ResponseEdit edit = {
                .connection = how & 1 ? RESPONSE_CLOSE : RESPONSE_DEFAULT,
                .chunked = head->flags & SM_HEAD_CHUNKED,
                .bodiless = head->status < 200 || head->status == 204,
                .via = how & 2,
                .changes = how & 8 ? all_changes : (FieldChanges){},
        };
        struct sm_head again;
        struct sm_span cut;

        CHECK(head_write_response(out, bytes, head, &edit) == 0);
        CHECK(parse_written(SM_HEAD_RESPONSE, out, &again));
        CHECK(again.status == head->status);
        CHECK(sm_response_framing(&again, SM_METHOD_GET) == sm_response_framing(head, SM_METHOD_GET));
        CHECK(!sm_head_persistent(&again) == (edit.connection == RESPONSE_CLOSE));
        check_hops(buffer_at(out), &again);
        check_others(bytes, head, &edit.changes, buffer_at(out), &again);
        if (edit.changes.n > 0)
                check_changes(buffer_at(out), &again, edit.via);
        else if (edit.connection == RESPONSE_DEFAULT &&
                 sm_response_cut(head, edit.via ? SM_POLICY_VIA : 0, &cut))
                check_same(bytes, head, cut, out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        enum sm_head_kind kind;
        struct sm_head head;
        BufferPool pool;
        Buffer *out;
        int r;

        if (size < 2 || size > SM_HEAD_MAX)
                return 0;
        kind = data[0] & 0x80 ? SM_HEAD_RESPONSE : SM_HEAD_REQUEST;
        r = parse(kind, data + 1, size - 1, &head);
        if (r <= 0 || head.n_fields > SM_HEAD_FIELDS_MAX - 9) /* room for what is added */
                return 0;

        buffer_pool_init(&pool, SM_HEAD_MAX + HEAD_GROWTH_MAX);
        out = buffer_acquire(&pool);
        CHECK(out);
        if (kind == SM_HEAD_RESPONSE)
                check_response(data[0], data + 1, &head, out);
        else if (head.method != SM_METHOD_CONNECT) {
                if (data[0] & 64 && head.path.length > 1) /* as if it had been brought into normal form */
                        head.path.length--;
                check_request(data[0], data + 1, &head, out);
        }
        buffer_release(&pool, out);
        buffer_pool_done(&pool);
        return 0;
}
