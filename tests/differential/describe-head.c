/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "basic/cleanup.h"
#include "engine/engine-framing.h"
#include "engine/engine-parse.h"

/*
 * usage: describe-head < HEADS
 *
 * Each line of input is "request HEX" or "response HEX", the latter in answer to a GET. For each a line is
 * written:
 *
 *   refuse REASON
 *   more
 *   accept LENGTH  METHOD|STATUS TARGET|PHRASE VERSION FRAMING PERSISTENT NAME:VALUE,...     (texts in hex)
 *
 * node-heads.js does the same with the parser of Node.
 */

static const char *const reasons[] = {
#define REASON_NAME(id, text, status, sentence) [SM_REASON_##id] = text,
        SM_REASONS(REASON_NAME)
#undef REASON_NAME
};

static void print_span(const __u8 *bytes, struct sm_span s, char end) {
        for (__u32 i = 0; i < s.length; i++)
                printf("%02x", bytes[s.offset + i]);
        putchar(end);
}

static void print_framing(const struct sm_head *head, enum sm_body body) {
        static const char *const names[] = {
                [SM_BODY_NONE] = "none",
                [SM_BODY_LENGTH] = "length",
                [SM_BODY_CHUNKED] = "chunked",
                [SM_BODY_UNTIL_CLOSE] = "close",
                [SM_BODY_TUNNEL] = "tunnel",
        };

        printf("%s", names[body]);
        if (body == SM_BODY_LENGTH)
                printf("=%llu", head->content_length);
        putchar(' ');
}

static void print_head(const __u8 *bytes, const struct sm_head *head, enum sm_head_kind kind) {
        enum sm_body body;

        printf("accept %u  ", head->length);
        if (kind == SM_HEAD_REQUEST) {
                print_span(bytes, head->method_text, ' ');
                print_span(bytes, head->target, ' ');
                body = sm_request_framing(head);
                if (head->method == SM_METHOD_CONNECT || (head->flags & SM_HEAD_UPGRADE))
                        body = SM_BODY_TUNNEL;
        } else {
                printf("%u ", head->status);
                print_span(bytes, head->reason, ' ');
                body = sm_response_framing(head, SM_METHOD_GET);
        }
        printf("%s ", head->flags & SM_HEAD_HTTP_1_0 ? "1.0" : "1.1");
        print_framing(head, body);
        printf("%s ", sm_head_persistent(head) && body != SM_BODY_UNTIL_CLOSE ? "keep" : "close");
        for (__u32 i = 0; i < head->n_fields; i++) {
                print_span(bytes, head->fields[i].name, ':');
                print_span(bytes, head->fields[i].value, ',');
        }
        putchar('\n');
}

static void describe(const __u8 *bytes, __u32 n, enum sm_head_kind kind) {
        struct sm_head_parser parser;
        struct sm_head head;
        int r;

        sm_head_start(&parser, &head, kind, SM_HEAD_MAX);
        r = sm_head_parse(&parser, &head, bytes, n);
        if (r < 0)
                printf("refuse %s\n", reasons[-r]);
        else if (r == 0)
                printf("more\n");
        else
                print_head(bytes, &head, kind);
}

/* Decodes in place, up to the end of the line. */
static size_t decode_hex(char *text) {
        size_t n = 0;
        unsigned byte;

        for (char *p = text; sscanf(p, "%2x", &byte) == 1; p += 2)
                text[n++] = (char) byte;
        return n;
}

int main(void) {
        _cleanup_free_ char *line = NULL;
        size_t room = 0;

        while (getline(&line, &room, stdin) > 0) {
                enum sm_head_kind kind = line[2] == 'q' ? SM_HEAD_REQUEST : SM_HEAD_RESPONSE;
                char *hex = strchr(line, ' ');
                size_t n;

                if (!hex)
                        return EXIT_FAILURE;
                n = decode_hex(hex + 1);
                describe((const __u8 *) hex + 1, (__u32) n, kind);
        }
        return EXIT_SUCCESS;
}
