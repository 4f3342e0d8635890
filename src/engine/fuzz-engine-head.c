/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine-fields.h"
#include "engine-framing.h"
#include "engine-loop.h"
#include "engine-parse.h"

/*
 * Any bytes as a head, read as a request and as a response. The driver, also on two portions, the stepper
 * and the kernel's driver must agree; what they accept must hold together, and mean the same when it is
 * written anew.
 */

#define CHECK(condition)         \
        do {                     \
                if (!(condition)) \
                        abort(); \
        } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int parse(const uint8_t *data, size_t size, enum sm_head_kind kind, size_t split,
                 struct sm_head *head) {
        struct sm_head_parser parser;
        uint8_t *first;
        int r;

        memset(head, 0, sizeof(*head));
        sm_head_start(&parser, head, kind, SM_HEAD_MAX);

        /* The first portion in memory of its own, so that the sanitizer sees a look ahead. */
        first = malloc(split + 1);
        CHECK(first);
        memcpy(first, data, split);
        r = sm_head_parse(&parser, head, first, (__u32) split);
        free(first);
        return r != 0 ? r : sm_head_parse(&parser, head, data, (__u32) size);
}

static int step(const uint8_t *data, size_t size, enum sm_head_kind kind, __u32 limit,
                struct sm_head *head) {
        struct sm_head_parser parser;
        int r = 0;

        memset(head, 0, sizeof(*head));
        sm_head_start(&parser, head, kind, limit);
        for (size_t i = 0; r == 0 && i < size; i++)
                r = sm_head_step(&parser, head, data[i]);
        return r;
}

static int loop(const uint8_t *data, size_t size, enum sm_head_kind kind, __u32 limit,
                struct sm_head *head) {
        struct sm_head_parser parser;
        struct sm_head_progress progress;
        struct sm_head_loop l = { .parser = &parser, .head = head, .progress = &progress, .bytes = data };

        memset(head, 0, sizeof(*head));
        sm_head_loop_start(&l, kind, (__u32) size, limit);
        sm_loop((__u32) size, sm_head_steps, &l);
        return progress.result;
}

static void check_span(const struct sm_head *head, struct sm_span s) {
        CHECK((size_t) s.offset + s.length <= head->length);
}

static void check_field(const uint8_t *data, const struct sm_head *head, __u32 i) {
        struct sm_span name = head->fields[i].name, value = head->fields[i].value;

        check_span(head, name);
        check_span(head, value);
        CHECK(name.length > 0 && data[name.offset + name.length] == ':');
        for (__u32 k = 0; k < name.length; k++)
                CHECK(sm_is_token(data[name.offset + k]));
        for (__u32 k = 0; k < value.length; k++)
                CHECK(sm_is_text(data[value.offset + k]));
        if (value.length > 0) {
                CHECK(!sm_is_space(data[value.offset]));
                CHECK(!sm_is_space(data[value.offset + value.length - 1]));
        }
        (void) sm_field_is_hop_by_hop(head, data, i);
}

static void check_head(const uint8_t *data, size_t size, enum sm_head_kind kind, const struct sm_head *head,
                       int r) {
        CHECK(head->length == r && head->length <= size && head->length >= 4);
        CHECK(memcmp(data + head->length - 4, "\r\n\r\n", 4) == 0);
        CHECK(head->n_fields <= SM_HEAD_FIELDS_MAX);
        CHECK(!(head->flags & SM_HEAD_CHUNKED) || !(head->flags & (SM_HEAD_LENGTH | SM_HEAD_HTTP_1_0)));
        check_span(head, head->method_text);
        check_span(head, head->target);
        check_span(head, head->authority);
        check_span(head, head->path);
        check_span(head, head->query);
        check_span(head, head->reason);
        for (__u32 i = 0; i < head->n_fields; i++)
                check_field(data, head, i);
        for (int k = 0; k < _SM_FIELD_KNOWN_MAX; k++)
                if (head->known[k])
                        CHECK(sm_field_known(head, data, head->known[k] - 1U) == k);
        if (kind == SM_HEAD_REQUEST)
                CHECK(head->method_text.length > 0 && head->target.length > 0);
        else
                CHECK(head->status >= 100 && head->status <= 999);
        (void) sm_request_framing(head);
        (void) sm_response_framing(head, SM_METHOD_GET);
}

static size_t put(uint8_t *out, size_t n, const void *bytes, size_t length) {
        memcpy(out + n, bytes, length);
        return n + length;
}

/* The head in the plainest form, "name: value"; returns its size. It is at most one byte a field longer. */
static size_t write_head(const uint8_t *data, const struct sm_head *head, enum sm_head_kind kind,
                         uint8_t *out) {
        const char *version = head->flags & SM_HEAD_HTTP_1_0 ? "HTTP/1.0" : "HTTP/1.1";
        char status[16];
        size_t n = 0;

        if (kind == SM_HEAD_REQUEST) {
                n = put(out, n, data + head->method_text.offset, head->method_text.length);
                n = put(out, n, " ", 1);
                n = put(out, n, data + head->target.offset, head->target.length);
                n = put(out, n, " ", 1);
                n = put(out, n, version, 8);
        } else {
                n = put(out, n, version, 8);
                n = put(out, n, status, (size_t) snprintf(status, sizeof(status), " %u ", head->status));
                n = put(out, n, data + head->reason.offset, head->reason.length);
        }
        n = put(out, n, "\r\n", 2);
        for (__u32 i = 0; i < head->n_fields; i++) {
                n = put(out, n, data + head->fields[i].name.offset, head->fields[i].name.length);
                n = put(out, n, ": ", 2);
                n = put(out, n, data + head->fields[i].value.offset, head->fields[i].value.length);
                n = put(out, n, "\r\n", 2);
        }
        return put(out, n, "\r\n", 2);
}

static void check_same(const uint8_t *a, struct sm_span x, const uint8_t *b, struct sm_span y) {
        CHECK(x.length == y.length && memcmp(a + x.offset, b + y.offset, x.length) == 0);
}

static void check_rewritten(const uint8_t *data, const struct sm_head *head, enum sm_head_kind kind) {
        uint8_t *out = malloc(head->length + SM_HEAD_FIELDS_MAX + 1U);
        struct sm_head again;
        size_t n;
        int r;

        CHECK(out);
        n = write_head(data, head, kind, out);
        r = parse(out, n, kind, 0, &again);
        if (n <= SM_HEAD_MAX) { /* it may have grown beyond */
                CHECK(r == (int) n);
                CHECK(again.flags == head->flags && again.n_fields == head->n_fields);
                CHECK(again.status == head->status && again.content_length == head->content_length);
                CHECK(again.method == head->method && again.target_form == head->target_form);
                CHECK(memcmp(again.known, head->known, sizeof(again.known)) == 0);
                check_same(data, head->authority, out, again.authority);
                check_same(data, head->path, out, again.path);
                check_same(data, head->query, out, again.query);
                check_same(data, head->reason, out, again.reason);
                for (__u32 i = 0; i < head->n_fields; i++) {
                        check_same(data, head->fields[i].name, out, again.fields[i].name);
                        check_same(data, head->fields[i].value, out, again.fields[i].value);
                }
        }
        free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        struct sm_head head, other;
        size_t split = 0;

        for (size_t i = 0; i < size; i++)
                split = split * 31 + data[i];
        split = size > 0 ? split % (size + 1) : 0;

        for (int k = SM_HEAD_REQUEST; k <= SM_HEAD_RESPONSE; k++) {
                enum sm_head_kind kind = (enum sm_head_kind) k;
                int r = parse(data, size, kind, 0, &head);

                CHECK(r > -_SM_REASON_MAX);
                CHECK(step(data, size, kind, SM_HEAD_MAX, &other) == r);
                CHECK(memcmp(&head, &other, sizeof(head)) == 0);
                CHECK(loop(data, size, kind, SM_HEAD_MAX, &other) == r);
                CHECK(memcmp(&head, &other, sizeof(head)) == 0);
                CHECK(parse(data, size, kind, split, &other) == r);
                CHECK(memcmp(&head, &other, sizeof(head)) == 0);
                if (r > 0) {
                        check_head(data, size, kind, &head, r);
                        check_rewritten(data, &head, kind);
                }
                r = step(data, size, kind, 1 + (__u32) split % SM_HEAD_MAX, &head);
                CHECK(loop(data, size, kind, 1 + (__u32) split % SM_HEAD_MAX, &other) == r);
                CHECK(memcmp(&head, &other, sizeof(head)) == 0);
        }
        return 0;
}
