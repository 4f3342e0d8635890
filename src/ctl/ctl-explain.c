/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../basic/array-util.h"
#include "../basic/macro.h"
#include "../basic/string-util.h"
#include "ctl-explain.h"
#include "ctl-i18n.h"
#include "ctl-terminal.h"

#define BODY_MAX (16U << 20) /* bytes; what the bus takes, and more than is ever looked at */

static void request_done(Request *q) {
        free(q->authority);
        free(q->body);
        free(q->own_url);
        free(q->own_slice);
        free(q->fields);
}

void answer_done(Answer *a) {
        json_value_free(a->explanation);
        *a = (Answer) {};
}

bool slice_is_in(const char *slice, const char *const *list, size_t n) {
        const char *end = endswith(slice, ".slice") ?: slice + strlen(slice);

        for (size_t i = 0; i < n; i++) {
                const char *suffix = endswith(list[i], ".slice") ?: list[i] + strlen(list[i]);
                size_t length = (size_t) (suffix - list[i]);

                if ((size_t) (end - slice) >= length && strncmp(slice, list[i], length) == 0 &&
                    (slice + length == end || slice[length] == '-'))
                        return true;
        }
        return false;
}

/* "Host: x" among the fields takes the place of the URL's. */
static int request_add_field(Request *q, const char *field) {
        const char *value;
        int r;

        if (strncasecmp(field, "host:", 5) == 0) {
                value = field + 5;
                q->host = value + strspn(value, " \t");
                return 0;
        }
        r = array_reserve(&q->fields, q->n_fields, sizeof(*q->fields));
        if (r >= 0)
                q->fields[q->n_fields++] = field;
        return r;
}

static int request_set_url(Request *q, const char *url) {
        const char *authority, *end;

        authority = startswith(url, "http://");
        if (!authority) {
                if (strstr(url, "://"))
                        return -EPROTONOSUPPORT;
                if (asprintf(&q->own_url, "http://%s", url) < 0) {
                        q->own_url = NULL;
                        return -ENOMEM;
                }
                authority = url;
        }
        q->url = q->own_url ?: url;
        end = authority + strcspn(authority, "/?#");
        q->authority = strndup(authority, (size_t) (end - authority));
        q->target = *end == '/' ? end : "/";
        q->host = q->authority;
        if (!q->authority)
                return -ENOMEM;
        return *q->authority ? 0 : -EINVAL;
}

/* "shop.slice", "cart.service" or "shop.slice/cart.service" */
static int request_set_caller(Request *q, const char *from) {
        const char *slash = strchr(from, '/');

        if (!slash) {
                *(endswith(from, ".slice") ? &q->slice : &q->unit) = from;
                return 0;
        }
        q->own_slice = strndup(from, (size_t) (slash - from));
        if (!q->own_slice)
                return -ENOMEM;
        q->slice = q->own_slice;
        q->unit = slash + 1;
        return 0;
}

static int read_body(FILE *f, Request *q) {
        _cleanup_free_ char *body = malloc(BODY_MAX + 1);

        if (!body)
                return -ENOMEM;
        errno = 0;
        q->body_length = fread(body, 1, BODY_MAX + 1, f);
        if (ferror(f))
                return errno > 0 ? -errno : -EIO;
        if (q->body_length > BODY_MAX)
                return -EFBIG;
        q->body = TAKE_PTR(body);
        return 0;
}

/* As curl has it: "text", "@FILE", "-". */
static int request_set_body(Request *q, const char *text) {
        _cleanup_fclose_ FILE *f = NULL;

        if (streq(text, "-"))
                return read_body(stdin, q);
        if (*text != '@') {
                q->body = strdup(text);
                q->body_length = strlen(text);
                return q->body ? 0 : -ENOMEM;
        }
        f = fopen(text + 1, "re");
        return f ? read_body(f, q) : -errno;
}

static int request_fill(Request *q, const Options *o, int n, char **arguments) {
        int r;

        q->method = n == 2 ? arguments[0] : "GET";
        q->user = o->user;
        q->source = o->source;
        r = o->from ? request_set_caller(q, o->from) : 0;
        if (r >= 0)
                r = request_set_url(q, arguments[n - 1]);
        for (size_t i = 0; r >= 0 && i < o->n_headers; i++)
                r = request_add_field(q, o->headers[i]);
        if (r >= 0)
                r = array_reserve(&q->fields, q->n_fields, sizeof(*q->fields));
        if (r >= 0)
                q->fields[q->n_fields] = NULL;
        return r;
}

ExitStatus verb_explain(const Options *o, int n, char **arguments) {
        _cleanup_(request_done) Request q = {};
        _cleanup_(answer_done) Answer a = {};
        ExitStatus status;
        int r;

        r = request_fill(&q, o, n, arguments);
        if (r == -ENOMEM) {
                print_oom();
                return STATUS_FAILURE;
        }
        if (r < 0) {
                print_error(_("\"%s\" is not a URL like http://SERVICE/PATH."), arguments[n - 1]);
                return STATUS_USAGE;
        }
        r = o->body ? request_set_body(&q, o->body) : 0;
        if (r < 0) {
                print_error(_("Cannot read the body: %s."), strerror(-r));
                return STATUS_FAILURE;
        }
        if (o->offline || o->root)
                status = explain_offline(&q, o->offline, o->root, &a);
        else
                status = explain_live(&q, &a);
        return status == STATUS_OK ? answer_print(o, &q, &a) : status;
}
