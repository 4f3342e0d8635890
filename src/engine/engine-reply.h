/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>

#include "../abi/abi-reply.h"

/* Answers of the mesh's own: a small text for people, and the reason for programs in X-Slicemesh. */

enum sm_reply_option {
        SM_REPLY_CLOSE = 1 << 0,
        SM_REPLY_KEEP_ALIVE = 1 << 1, /* said to HTTP/1.0 clients only */
        SM_REPLY_HEAD = 1 << 2,       /* the request was HEAD: no body follows */
};

#define SM_REPLY_ALLOW "Allow: GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH, TRACE\r\n"

static const struct sm_reply_text {
        const char *reason;
        unsigned status; /* 0: nothing is answered */
        const char *sentence;
} sm_reply_texts[] = {
#define SM_REPLY_TEXT(id, text, status, sentence) [SM_REASON_##id] = { text, status, sentence },
        SM_REASONS(SM_REPLY_TEXT)
#undef SM_REPLY_TEXT
};

/* With the longest of all else that there is in one. */
#define SM_REPLY_FITS(id, text, status, sentence)                                                        \
        _Static_assert(sizeof("HTTP/1.1 431 Request Header Fields Too Large\r\n"                         \
                              "Content-Type: text/plain; charset=utf-8\r\nContent-Length: 100\r\n"       \
                              "X-Slicemesh: " text "\r\n" SM_REPLY_ALLOW                                 \
                              "Connection: keep-alive\r\n\r\n" sentence "\n") <= SM_REPLY_MAX,           \
                       "raise SM_REPLY_MAX");
SM_REASONS(SM_REPLY_FITS)
#undef SM_REPLY_FITS

static inline const char *sm_reply_phrase(unsigned status) {
        static const struct {
                unsigned status;
                const char *phrase;
        } phrases[] = {
                { 200, "OK" },
                { 201, "Created" },
                { 202, "Accepted" },
                { 203, "Non-Authoritative Information" },
                { 204, "No Content" },
                { 205, "Reset Content" },
                { 206, "Partial Content" },
                { 300, "Multiple Choices" },
                { 301, "Moved Permanently" },
                { 302, "Found" },
                { 303, "See Other" },
                { 304, "Not Modified" },
                { 307, "Temporary Redirect" },
                { 308, "Permanent Redirect" },
                { 400, "Bad Request" },
                { 401, "Unauthorized" },
                { 402, "Payment Required" },
                { 403, "Forbidden" },
                { 404, "Not Found" },
                { 405, "Method Not Allowed" },
                { 406, "Not Acceptable" },
                { 408, "Request Timeout" },
                { 409, "Conflict" },
                { 410, "Gone" },
                { 411, "Length Required" },
                { 412, "Precondition Failed" },
                { 413, "Content Too Large" },
                { 414, "URI Too Long" },
                { 415, "Unsupported Media Type" },
                { 416, "Range Not Satisfiable" },
                { 417, "Expectation Failed" },
                { 418, "I'm a teapot" },
                { 421, "Misdirected Request" },
                { 422, "Unprocessable Content" },
                { 425, "Too Early" },
                { 426, "Upgrade Required" },
                { 428, "Precondition Required" },
                { 429, "Too Many Requests" },
                { 431, "Request Header Fields Too Large" },
                { 451, "Unavailable For Legal Reasons" },
                { 500, "Internal Server Error" },
                { 501, "Not Implemented" },
                { 502, "Bad Gateway" },
                { 503, "Service Unavailable" },
                { 504, "Gateway Timeout" },
                { 505, "HTTP Version Not Supported" },
                { 507, "Insufficient Storage" },
                { 511, "Network Authentication Required" },
        };

        for (unsigned i = 0; i < sizeof(phrases) / sizeof(phrases[0]); i++)
                if (phrases[i].status == status)
                        return phrases[i].phrase;
        return ""; /* RFC 9112, section 4: may be empty */
}

static inline void sm_reply_add(struct sm_reply *r, const char *text) {
        __u32 n = (__u32) __builtin_strlen(text);

        __builtin_memcpy(r->bytes + r->length, text, n);
        r->length += n;
}

static inline void sm_reply_add_number(struct sm_reply *r, unsigned number) {
        char digits[12] = {}, *p = digits + sizeof(digits) - 1;

        do
                *--p = (char) ('0' + number % 10);
        while ((number /= 10) > 0);
        sm_reply_add(r, p);
}

/* The reason must have a status. */
static inline void sm_reply_make(struct sm_reply *r, enum sm_reason reason, unsigned options) {
        const struct sm_reply_text *text = &sm_reply_texts[reason];

        r->length = 0;
        r->status = text->status / 100;
        sm_reply_add(r, "HTTP/1.1 ");
        sm_reply_add_number(r, text->status);
        sm_reply_add(r, " ");
        sm_reply_add(r, sm_reply_phrase(text->status));
        sm_reply_add(r, "\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: ");
        sm_reply_add_number(r, (unsigned) __builtin_strlen(text->sentence) + 1);
        sm_reply_add(r, "\r\nX-Slicemesh: ");
        sm_reply_add(r, text->reason);
        sm_reply_add(r, "\r\n");
        if (text->status == 405)
                sm_reply_add(r, SM_REPLY_ALLOW);
        if (options & SM_REPLY_CLOSE)
                sm_reply_add(r, "Connection: close\r\n");
        else if (options & SM_REPLY_KEEP_ALIVE)
                sm_reply_add(r, "Connection: keep-alive\r\n");
        sm_reply_add(r, "\r\n");
        if (options & SM_REPLY_HEAD)
                return;
        sm_reply_add(r, text->sentence);
        sm_reply_add(r, "\n");
}
