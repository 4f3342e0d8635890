/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <string.h>

#include "../engine/engine-reply.h"
#include "relay-answer.h"
#include "relay-head-write.h"

#define WORDS_MAX 128 /* bytes of what answer_write() writes of its own */

int answer_read(const struct sm_tables *t, __u32 base, __u32 cell, Answer *ret) {
        const struct sm_answer *s = sm_cell_of(t, base + cell);
        Answer a;

        if (!s || !text_read(t, base, &s->head, &a.head) || !text_read(t, base, &s->body, &a.body) ||
            !text_read(t, base, &s->location, &a.location))
                return -EBADMSG;
        a.status = s->status;
        a.flags = s->flags;
        a.skip = s->skip;
        *ret = a;
        return 0;
}

size_t answer_size_max(const Answer *a, const struct sm_head *head) {
        return a->head.length + a->body.length + a->location.length + head->authority.length +
                head->path.length + head->query.length + WORDS_MAX;
}

typedef struct Writer {
        Buffer *out;
        int error; /* of the first append that did not fit */
} Writer;

static void put(Writer *w, const void *p, size_t n) {
        if (w->error >= 0)
                w->error = buffer_append(w->out, p, n);
}

static void put_text(Writer *w, const char *text) {
        put(w, text, strlen(text));
}

static void put_location(Writer *w, const Answer *a, const uint8_t *bytes, const struct sm_head *head) {
        Text path = { bytes + head->path.offset, head->path.length };

        put_text(w, "Location: ");
        if ((a->flags & SM_ANSWER_HOST) && head->authority.length > 0) {
                put_text(w, "http://");
                put(w, bytes + head->authority.offset, head->authority.length);
        }
        if ((a->flags & SM_ANSWER_PATH) && path.length > 0 && path.bytes[0] == '/') {
                if (w->error >= 0)
                        w->error = head_write_path(w->out, a->location, path, a->skip);
        } else
                put(w, a->location.bytes, a->location.length);
        if ((a->flags & SM_ANSWER_QUERY) && head->query.offset > 0) {
                put_text(w, "?");
                put(w, bytes + head->query.offset, head->query.length);
        }
        put_text(w, "\r\n");
}

int answer_write(Buffer *out, const Answer *a, const uint8_t *bytes, const struct sm_head *head,
                 unsigned options) {
        Writer w = { .out = out };

        put(&w, a->head.bytes, a->head.length);
        if (a->flags & SM_ANSWER_REDIRECT)
                put_location(&w, a, bytes, head);
        if (options & SM_REPLY_CLOSE)
                put_text(&w, "Connection: close\r\n");
        else if (options & SM_REPLY_KEEP_ALIVE)
                put_text(&w, "Connection: keep-alive\r\n");
        put_text(&w, "\r\n");
        if (!(options & SM_REPLY_HEAD))
                put(&w, a->body.bytes, a->body.length);
        return w.error;
}
