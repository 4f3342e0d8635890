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
 * where it ends. What is plain must be written as it was read, without the
 * piece that is to be cut.
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

static void check_request(unsigned how, const uint8_t *bytes, const struct sm_head *head, Buffer *out) {
        unsigned hops = head_hop_count(bytes, head);
        RequestEdit edit = {
                .upgrade = how & 1 && head->flags & SM_HEAD_UPGRADE,
                .via = how & 2,
                .forwarded_for = how & 4 ? "127.0.0.1" : NULL,
                .count_hops = hops != HOP_COUNT_NONE && hops > 0 &&
                        sm_method_counts_hops((enum sm_method) head->method),
                .host = "127.71.0.1:80",
        };
        struct sm_head again;

        CHECK(head_write_request(out, bytes, head, &edit) == 0);
        CHECK(parse_written(SM_HEAD_REQUEST, out, &again));
        CHECK(again.method == head->method && again.content_length == head->content_length);
        CHECK(sm_request_framing(&again) == sm_request_framing(head));
        CHECK(edit.upgrade == !!(again.flags & SM_HEAD_UPGRADE));
        CHECK(again.target_form != SM_TARGET_ABSOLUTE);
        check_span(bytes, head->query, buffer_at(out), again.query);
        if (head->known[SM_FIELD_HOST] || head->target_form == SM_TARGET_ABSOLUTE)
                check_span(bytes, head->authority, buffer_at(out), again.authority);
        check_span(bytes, span_of(head, SM_FIELD_COOKIE), buffer_at(out), span_of(&again, SM_FIELD_COOKIE));
        check_hops(buffer_at(out), &again);
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
        };
        struct sm_head again;
        struct sm_span cut;

        CHECK(head_write_response(out, bytes, head, &edit) == 0);
        CHECK(parse_written(SM_HEAD_RESPONSE, out, &again));
        CHECK(again.status == head->status);
        CHECK(sm_response_framing(&again, SM_METHOD_GET) == sm_response_framing(head, SM_METHOD_GET));
        CHECK(!sm_head_persistent(&again) == (edit.connection == RESPONSE_CLOSE));
        check_hops(buffer_at(out), &again);
        if (edit.connection == RESPONSE_DEFAULT && sm_response_cut(head, edit.via ? SM_POLICY_VIA : 0, &cut))
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
        if (r <= 0 || head.n_fields > SM_HEAD_FIELDS_MAX - 5) /* room for what is added */
                return 0;

        buffer_pool_init(&pool, SM_HEAD_MAX + HEAD_GROWTH_MAX);
        out = buffer_acquire(&pool);
        CHECK(out);
        if (kind == SM_HEAD_RESPONSE)
                check_response(data[0], data + 1, &head, out);
        else if (head.method != SM_METHOD_CONNECT)
                check_request(data[0], data + 1, &head, out);
        buffer_release(&pool, out);
        buffer_pool_done(&pool);
        return 0;
}
