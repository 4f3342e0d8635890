/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdlib.h>

#include "../basic/array-util.h"
#include "../basic/cleanup.h"
#include "../basic/parse-util.h"
#include "../basic/time-util.h"
#include "../engine/engine-path-join.h"
#include "policy-explain-parts.h"
#include "policy-predicate-print.h"

/* Takes over `value`. */
static int add_action(ExplainOutcome *o, ExplainActionKind kind, uint64_t chance, unsigned status,
                      char *value) {
        int r;

        r = array_reserve(&o->actions, o->n_actions, sizeof(*o->actions));
        if (r < 0) {
                free(value);
                return r;
        }
        o->actions[o->n_actions++] = (ExplainAction) {
                .kind = kind, .chance = chance, .status = status, .value = value,
        };
        return 0;
}

static void print_rest(const char *prefix, const char *path, uint32_t length, uint32_t skip, FILE *f) {
        struct sm_path_join j = sm_path_join((const __u8 *) prefix, (uint32_t) strlen(prefix),
                                             (const __u8 *) path, length, skip);

        fprintf(f, "%.*s%s%.*s", (int) j.keep, prefix, j.slash ? "/" : "", (int) (length - j.from),
                path + j.from);
}

static void print_query(const Question *q, FILE *f) {
        if (q->head.query.offset > 0)
                fprintf(f, "?%.*s", q->head.query.length, q->text + q->head.query.offset);
}

static int add_rewrites(ExplainOutcome *o, const Question *q, const struct sm_actions *a) {
        _cleanup_free_ char *prefix = NULL;
        char *text = NULL;
        size_t size;
        FILE *f;
        int r = 0;

        if (a->flags & SM_ACTION_REWRITE_PATH) {
                r = policy_text_copy(&q->tables, q->base, &a->prefix, &prefix);
                if (r < 0)
                        return r;
                f = open_memstream(&text, &size);
                if (!f)
                        return -ENOMEM;
                print_rest(prefix, q->text + q->head.path.offset, q->head.path.length, a->skip, f);
                print_query(q, f);
                if (fclose(f) < 0) {
                        free(text);
                        return -ENOMEM;
                }
                r = add_action(o, EXPLAIN_REWRITE_PATH, EXPLAIN_ALWAYS, 0, text);
        }
        if (r < 0 || !(a->flags & SM_ACTION_REWRITE_HOST))
                return r;
        r = policy_text_copy(&q->tables, q->base, &a->host, &text);
        return r < 0 ? r : add_action(o, EXPLAIN_REWRITE_HOST, EXPLAIN_ALWAYS, 0, text);
}

static int add_edits(ExplainOutcome *o, const Question *q, const struct sm_actions *a) {
        static const ExplainActionKind kinds[2][_SM_EDIT_MAX] = {
                { [SM_EDIT_ADD] = EXPLAIN_REQUEST_ADD, [SM_EDIT_SET] = EXPLAIN_REQUEST_SET,
                  [SM_EDIT_REMOVE] = EXPLAIN_REQUEST_REMOVE },
                { [SM_EDIT_ADD] = EXPLAIN_RESPONSE_ADD, [SM_EDIT_SET] = EXPLAIN_RESPONSE_SET,
                  [SM_EDIT_REMOVE] = EXPLAIN_RESPONSE_REMOVE },
        };
        uint32_t n = a->n_request_edits + (uint32_t) a->n_response_edits;
        int r = 0;

        for (uint32_t i = 0; r >= 0 && i < n; i++) {
                const struct sm_edit *e = sm_cell_of(&q->tables, q->base + a->edits + i);
                _cleanup_free_ char *name = NULL, *value = NULL;
                char *text = NULL;

                if (!e || e->kind >= _SM_EDIT_MAX)
                        return -EBADMSG;
                r = policy_text_copy(&q->tables, q->base, &e->name, &name);
                if (r >= 0)
                        r = policy_text_copy(&q->tables, q->base, &e->value, &value);
                if (r < 0)
                        return r;
                if (e->kind == SM_EDIT_REMOVE)
                        text = TAKE_PTR(name);
                else if (asprintf(&text, "%s: %s", name, value) < 0)
                        return -ENOMEM;
                r = add_action(o, kinds[i >= a->n_request_edits][e->kind], EXPLAIN_ALWAYS, 0, text);
        }
        return r;
}

static int format_location(const Question *q, const struct sm_answer *answer, char **ret) {
        const char *path = q->text + q->head.path.offset;
        _cleanup_free_ char *location = NULL;
        size_t size;
        FILE *f;
        int r;

        r = policy_text_copy(&q->tables, q->base, &answer->location, &location);
        if (r < 0)
                return r;
        f = open_memstream(ret, &size);
        if (!f)
                return -ENOMEM;
        if (answer->flags & SM_ANSWER_HOST && q->head.authority.length > 0)
                fprintf(f, "http://%.*s", q->head.authority.length, q->text + q->head.authority.offset);
        if (answer->flags & SM_ANSWER_PATH && q->head.path.length > 0 && path[0] == '/')
                print_rest(location, path, q->head.path.length, answer->skip, f);
        else
                fputs(location, f);
        if (answer->flags & SM_ANSWER_QUERY)
                print_query(q, f);
        if (fclose(f) < 0) {
                free(*ret);
                *ret = NULL;
                return -ENOMEM;
        }
        return 0;
}

static int add_answer(ExplainOutcome *o, const Question *q, ExplainActionKind kind, uint64_t chance,
                      uint32_t cell) {
        const struct sm_answer *answer = sm_cell_of(&q->tables, q->base + cell);
        char *location = NULL;
        int r;

        if (!answer)
                return -EBADMSG;
        if (answer->flags & SM_ANSWER_REDIRECT) {
                r = format_location(q, answer, &location);
                if (r < 0)
                        return r;
                kind = kind == EXPLAIN_RESPOND ? EXPLAIN_REDIRECT : kind;
        }
        return add_action(o, kind, chance, answer->status, location);
}

static int add_mirror(ExplainOutcome *o, const Question *q, const struct sm_actions *a) {
        const struct sm_subset *subset;
        char *name;
        int r;

        subset = sm_cell_of(&q->tables, q->base + q->policy->subsets + a->mirror_subset);
        if (!subset || a->mirror_subset >= q->policy->n_subsets)
                return -EBADMSG;
        r = policy_text_copy(&q->tables, q->base, &subset->name, &name);
        return r < 0 ? r : add_action(o, EXPLAIN_MIRROR, a->mirror_share, 0, name);
}

/* In the order in which the relay does them. */
int explain_actions(ExplainOutcome *o, const Question *q, const struct sm_route *route) {
        const struct sm_actions *a = sm_cell_of(&q->tables, q->base + route->actions);
        char delay[DURATION_STRLEN], *text;
        int r = 0;

        if (route->actions == 0)
                return 0;
        if (!a || !sm_cell_of(&q->tables, q->base + route->actions + 1))
                return -EBADMSG;
        if (a->delay_share > 0 && a->delay_ms > 0) {
                text = strdup(duration_to_string(a->delay_ms * USEC_PER_MSEC, delay));
                if (!text)
                        return -ENOMEM;
                r = add_action(o, EXPLAIN_DELAY, a->delay_share, 0, text);
        }
        if (r >= 0 && a->abort > 0 && a->abort_share > 0)
                r = add_answer(o, q, EXPLAIN_ABORT, a->abort_share, a->abort);
        if (r >= 0 && a->answer > 0)
                r = add_answer(o, q, EXPLAIN_RESPOND, EXPLAIN_ALWAYS, a->answer);
        if (r >= 0 && a->mirror_share > 0)
                r = add_mirror(o, q, a);
        if (r >= 0)
                r = add_rewrites(o, q, a);
        return r < 0 ? r : add_edits(o, q, a);
}
