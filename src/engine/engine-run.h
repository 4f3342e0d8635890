/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "engine-eight.h"
#include "engine-step.h"

/*
 * Taking runs of bytes at once where stepping through them would come to the same: for the driver in user
 * space, which has them in memory.
 */

static inline void sm_run_name(struct sm_head_parser *p, const __u8 *bytes, __u32 end) {
        struct sm_word w = p->lexer.word; /* a copy, so that no store is taken to change the bytes */
        __u32 i = p->position;

        for (; i < end && sm_is_token(bytes[i]); i++)
                sm_word_add(&w, bytes[i] | 0x20);
        p->lexer.word = w;
        p->position = i;
}

/* The same for a whole name of which everything is there, as is what follows it up to `end`. */
static inline void sm_run_whole_name(struct sm_head_parser *p, const __u8 *bytes, __u32 colon, __u32 end) {
        __u32 n = colon - p->position;
        struct sm_word *w = &p->lexer.word;

        sm_word_start(w);
        if (n > SM_WORD_MAX || end - p->position < SM_WORD_MAX) {
                sm_run_name(p, bytes, colon);
                return;
        }
        bytes += p->position;
        w->parts[0] = sm_word_part(bytes, n);
        w->parts[1] = sm_word_part(bytes + 8, n > 8 ? n - 8 : 0);
        w->parts[2] = sm_word_part(bytes + 16, n > 16 ? n - 16 : 0);
        w->length = (__u8) n;
        p->position = colon;
}

static inline int sm_run_value(struct sm_head_parser *p, struct sm_head *head, const __u8 *bytes,
                               __u32 end) {
        int r = 0;

        if (p->value_kind == SM_VALUE_PLAIN) {
                __u32 start = p->position, i = end;

                p->position = end;
                while (i > start && bytes[i - 1] == ' ')
                        i--;
                if (i > start)
                        p->value_end = i;
                return 0;
        }
        for (; r == 0 && p->position < end; p->position++)
                r = sm_field_value(p, head, SM_TOKEN_VALUE, bytes[p->position]);
        return r;
}

/* A field line of which everything is there, and nothing is unusual about the white space: 0 = it was taken,
 * 1 = it was not, nothing has changed. */
static inline int sm_run_line(struct sm_head_parser *p, struct sm_head *head, const __u8 *bytes, __u32 end) {
        __u32 colon = p->position, value, cr;
        int r;

        while (colon < end && sm_is_token(bytes[colon]))
                colon++;
        if (colon == p->position || end - colon < 2 || bytes[colon] != ':')
                return 1;
        value = colon + 1 + (bytes[colon + 1] == ' ');
        cr = sm_run_of_text(bytes, value, end);
        if (end - cr < 2 || bytes[cr] != '\r' || bytes[cr + 1] != '\n')
                return 1;
        if (value < cr && bytes[value] == ' ')
                return 1;

        r = sm_field_name_start(p, head);
        if (r < 0)
                return r;
        sm_run_whole_name(p, bytes, colon, end);
        r = sm_field_name_end(p, head);
        if (r < 0)
                return r;
        p->position = value;
        if (value < cr) {
                sm_span_open(&head->fields[head->n_fields].value, p);
                r = sm_run_value(p, head, bytes, cr);
                if (r < 0)
                        return r;
        }
        p->position = cr + 2;
        return sm_field_end(p, head);
}

static inline void sm_run_target(struct sm_head_parser *p, const __u8 *bytes, __u32 end) {
        __u32 i = p->position;

        while (i < end && sm_is_target(bytes[i]) && (bytes[i] != '?' || p->state == SM_PARSE_QUERY))
                i++;
        p->position = i;
}

/* The version that nearly all messages have. */
static inline void sm_run_version(struct sm_head_parser *p, const __u8 *bytes, __u32 end) {
        __u32 n = p->kind == SM_HEAD_REQUEST ? 10 : 8;

        if (end - p->position < n || __builtin_memcmp(bytes + p->position, "HTTP/1.1\r\n", n) != 0)
                return;
        p->position += n;
        p->state = p->kind == SM_HEAD_REQUEST ? SM_PARSE_FIELDS : SM_PARSE_STATUS;
}

/* Takes what can be taken in runs, short of `end`. */
static inline int sm_head_run(struct sm_head_parser *p, struct sm_head *head, const __u8 *bytes, __u32 end) {
        int r = 0;

        if (p->state == SM_PARSE_PATH || p->state == SM_PARSE_QUERY)
                sm_run_target(p, bytes, end);
        else if (p->state == SM_PARSE_REASON)
                p->position = sm_run_of_text(bytes, p->position, end);
        else if (p->state == SM_PARSE_VERSION && p->lexer.word.length == 0)
                sm_run_version(p, bytes, end);
        if (p->state != SM_PARSE_FIELDS)
                return 0;
        if (p->lexer.state == SM_LEX_VALUE)
                return sm_run_value(p, head, bytes, sm_run_of_text(bytes, p->position, end));
        if (p->lexer.state == SM_LEX_NAME)
                sm_run_name(p, bytes, end);
        while (r == 0 && p->lexer.state == SM_LEX_LINE)
                r = sm_run_line(p, head, bytes, end);
        return r < 0 ? r : 0;
}
