/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../basic/cleanup.h"
#include "../engine/engine-reply.h"
#include "policy-cells.h"
#include "policy-model.h"

static void print_fields(FILE *f, const PolicyAnswer *a, bool fault) {
        fprintf(f, "HTTP/1.1 %u %s\r\n", a->status, sm_reply_phrase(a->status));
        if (a->body)
                fprintf(f, "Content-Type: %s\r\n", a->content_type ?: "text/plain; charset=utf-8");
        else if (a->content_type)
                fprintf(f, "Content-Type: %s\r\n", a->content_type);
        if (a->status != 204 && a->status != 304) /* RFC 9110, 8.6 */
                fprintf(f, "Content-Length: %zu\r\n", a->body ? strlen(a->body) : 0);
        if (fault)
                fprintf(f, "X-Slicemesh: %s\r\n", sm_reply_texts[SM_REASON_FAULT_INJECTED].reason);
        for (size_t i = 0; i < a->fields.n_items; i++)
                fprintf(f, "%s: %s\r\n", a->fields.items[i].name, a->fields.items[i].value);
}

static int add_head(Builder *b, const PolicyAnswer *a, bool fault, struct sm_text *ret) {
        _cleanup_free_ char *text = NULL;
        size_t size;
        FILE *f;

        f = open_memstream(&text, &size);
        if (!f)
                return -ENOMEM;
        print_fields(f, a, fault);
        if (fclose(f) < 0)
                return -ENOMEM;
        return builder_add_text(b, text, ret);
}

/* Without `host` the request's own stands in front: a path alone could begin with two slashes and so name
 * another host. */
static int add_location(Builder *b, const PolicyAnswer *a, const PolicyRoute *route, struct sm_answer *ret) {
        const PolicyMatch *path = policy_match_path(route->match);
        _cleanup_free_ char *text = NULL;

        ret->flags = SM_ANSWER_REDIRECT;
        if (a->url)
                return builder_add_text(b, a->url, &ret->location);
        ret->flags |= SM_ANSWER_PATH | SM_ANSWER_QUERY;
        if (a->prefix)
                ret->skip = (__u32) strlen(path->text);
        if (!a->host) {
                ret->flags |= SM_ANSWER_HOST;
                return builder_add_text(b, a->prefix, &ret->location);
        }
        if (asprintf(&text, "%s://%s%s", a->scheme ?: "http", a->host, a->prefix ?: "") < 0) {
                text = NULL;
                return -ENOMEM;
        }
        return builder_add_text(b, text, &ret->location);
}

static int add_answer(Builder *b, const PolicyRoute *route, const PolicyAnswer *a, __u32 *ret) {
        struct sm_answer answer = {};
        uint32_t cell;
        int r;

        if (!a)
                return 0;
        answer.status = (__u16) a->status;
        r = builder_add(b, 1, &cell);
        if (r >= 0)
                r = add_head(b, a, a == route->actions->abort, &answer.head);
        if (r >= 0)
                r = builder_add_text(b, a->body, &answer.body);
        if (r >= 0 && a->redirect)
                r = add_location(b, a, route, &answer);
        if (r < 0)
                return r;
        memcpy(builder_at(b, cell), &answer, sizeof(answer));
        *ret = cell;
        return 0;
}

static int fill_edits(Builder *b, const PolicyEdits *edits, uint32_t cell) {
        for (size_t i = 0; i < edits->n_items; i++) {
                const PolicyEdit *e = &edits->items[i];
                struct sm_edit edit = { .kind = (__u8) e->kind };
                int r;

                r = builder_add_text(b, e->name, &edit.name);
                if (r >= 0)
                        r = builder_add_text(b, e->value, &edit.value);
                if (r < 0)
                        return r;
                memcpy(builder_at(b, cell + (uint32_t) i), &edit, sizeof(edit));
        }
        return 0;
}

static int add_edits(Builder *b, const PolicyActions *a, struct sm_actions *ret) {
        size_t n = a->request.n_items + a->response.n_items;
        int r;

        if (n == 0)
                return 0;
        ret->n_request_edits = (__u16) a->request.n_items;
        ret->n_response_edits = (__u16) a->response.n_items;
        r = builder_add(b, (uint32_t) n, &ret->edits);
        if (r >= 0)
                r = fill_edits(b, &a->request, ret->edits);
        return r < 0 ? r : fill_edits(b, &a->response, ret->edits + ret->n_request_edits);
}

static int add_rewrite(Builder *b, const PolicyRoute *route, struct sm_actions *ret) {
        const PolicyActions *a = route->actions;

        if (a->rewrite_prefix) {
                ret->flags |= SM_ACTION_REWRITE_PATH;
                ret->skip = (__u32) strlen(policy_match_path(route->match)->text);
        }
        if (a->rewrite_host)
                ret->flags |= SM_ACTION_REWRITE_HOST;
        if (builder_add_text(b, a->rewrite_prefix, &ret->prefix) < 0)
                return -ENOMEM;
        return builder_add_text(b, a->rewrite_host, &ret->host);
}

int compile_actions(Builder *b, const PolicyRoute *route, uint32_t *ret) {
        const PolicyActions *a = route->actions;
        struct sm_actions actions = {};
        uint32_t cell;
        int r;

        if (!a)
                return 0;
        r = builder_add(b, sizeof(actions) / SM_CELL_SIZE, &cell);
        if (r >= 0)
                r = add_answer(b, route, a->answer, &actions.answer);
        if (r >= 0)
                r = add_answer(b, route, a->abort, &actions.abort);
        if (r >= 0)
                r = add_edits(b, a, &actions);
        if (r >= 0)
                r = add_rewrite(b, route, &actions);
        if (r < 0)
                return r;
        if (a->abort)
                actions.abort_share = fraction_to_share(a->abort->fraction);
        if (a->delay_usec > 0) {
                actions.delay_share = fraction_to_share(a->delay_fraction);
                actions.delay_ms = usec_to_ms(a->delay_usec);
        }
        if (a->mirror) {
                actions.mirror_share = fraction_to_share(a->mirror_fraction);
                actions.mirror_subset = (__u32) a->mirror_subset;
                actions.mirror_max = (__u32) a->mirror_max;
        }
        memcpy(builder_at(b, cell), &actions, sizeof(actions));
        *ret = cell;
        return 0;
}
