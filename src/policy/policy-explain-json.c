/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdlib.h>

#include "../basic/json-writer.h"
#include "../basic/macro.h"
#include "policy-explain.h"

typedef struct ReasonText {
        const char *text, *sentence;
} ReasonText;

static const ReasonText reason_texts[_SM_REASON_MAX] = {
#define REASON_TEXT(id, text, status, sentence) { text, sentence },
        SM_REASONS(REASON_TEXT)
#undef REASON_TEXT
};

static const ReasonText slow_texts[_SM_SLOW_MAX] = {
#define SLOW_TEXT(id, text, sentence) { text, sentence },
        SM_SLOW_LIST(SLOW_TEXT)
#undef SLOW_TEXT
};

static const char *const action_texts[_EXPLAIN_ACTION_MAX] = {
#define ACTION_TEXT(id, text) text,
        EXPLAIN_ACTION_LIST(ACTION_TEXT)
#undef ACTION_TEXT
};

/* A share of requests, as the policy writes fractions. */
static void write_chance(JsonWriter *w, const char *key, uint64_t chance) {
        char text[FRACTION_STRLEN];

        json_string(w, key, fraction_to_string(share_to_fraction(chance), text));
}

static void write_conditions(JsonWriter *w, const ExplainRoute *r) {
        json_open_array(w, "conditions");
        for (size_t i = 0; i < r->n_conditions; i++) {
                const ExplainCondition *c = &r->conditions[i];

                json_open_object(w, NULL);
                json_string(w, "condition", c->text);
                if (c->chance > 0 && c->chance < EXPLAIN_ALWAYS)
                        json_null(w, "holds");
                else
                        json_boolean(w, "holds", c->chance > 0);
                json_string(w, "value", c->value);
                json_boolean(w, "decisive", c->decisive);
                json_close(w);
        }
        json_close(w);
}

static void write_routes(JsonWriter *w, const Explanation *e) {
        json_open_array(w, "routes");
        for (size_t i = 0; i < e->n_routes; i++) {
                const ExplainRoute *r = &e->routes[i];

                json_open_object(w, NULL);
                json_string(w, "name", r->name);
                json_string(w, "origin", r->origin);
                json_boolean(w, "matched", r->matched);
                write_chance(w, "chance", r->chance);
                json_boolean(w, "shadow", r->shadow);
                json_string(w, "why", r->why);
                write_conditions(w, r);
                json_close(w);
        }
        json_close(w);
}

static void write_candidates(JsonWriter *w, const ExplainSubset *s) {
        json_open_array(w, "candidates");
        for (size_t i = 0; i < s->n_candidates; i++) {
                const ExplainCandidate *c = &s->candidates[i];

                json_open_object(w, NULL);
                json_unsigned(w, "endpoint", c->endpoint);
                json_string(w, "address", c->address);
                json_unsigned(w, "share-permille", c->share_permille);
                json_boolean(w, "avoided", c->avoided);
                if (c->place == PLACE_UNKNOWN)
                        json_null(w, "local");
                else
                        json_boolean(w, "local", c->place == PLACE_HERE);
                json_unsigned(w, "in-flight", c->in_flight);
                json_close(w);
        }
        json_close(w);
}

static void write_subsets(JsonWriter *w, const ExplainOutcome *o) {
        json_open_array(w, "subsets");
        for (size_t i = 0; i < o->n_subsets; i++) {
                const ExplainSubset *s = &o->subsets[i];

                json_open_object(w, NULL);
                json_string(w, "name", s->name);
                json_unsigned(w, "share-permille", s->share_permille);
                json_boolean(w, "chosen", s->chosen);
                json_string(w, "balance", s->balance);
                json_string(w, "hash", s->hash);
                if (s->picked)
                        json_unsigned(w, "picked", s->picked);
                else
                        json_null(w, "picked");
                write_candidates(w, s);
                json_close(w);
        }
        json_close(w);
}

static void write_actions(JsonWriter *w, const ExplainOutcome *o) {
        json_open_array(w, "actions");
        for (size_t i = 0; i < o->n_actions; i++) {
                const ExplainAction *a = &o->actions[i];

                json_open_object(w, NULL);
                json_string(w, "action", action_texts[a->kind]);
                write_chance(w, "chance", a->chance);
                if (a->status > 0)
                        json_unsigned(w, "status", a->status);
                else
                        json_null(w, "status");
                json_string(w, "value", a->value);
                json_close(w);
        }
        json_close(w);
}

static void write_outcome(JsonWriter *w, const ExplainOutcome *o) {
        json_string(w, "split", o->split);
        json_string(w, "split-key", o->split_key);
        write_subsets(w, o);
        write_actions(w, o);
        json_string(w, "reason", reason_texts[o->reason].text);
        json_string(w, "sentence", reason_texts[o->reason].sentence);
}

static void write_slow(JsonWriter *w, const Explanation *e, enum sm_slow slow) {
        const ReasonText *text = &slow_texts[slow];

        json_string(w, "slow", e->is_http ? text->text : NULL);
        json_string(w, "sentence", e->is_http ? e->slow_sentence ?: text->sentence : NULL);
}

static void write_possible(JsonWriter *w, const Explanation *e) {
        json_open_array(w, "possible");
        for (size_t i = 0; i < e->n_possible; i++) {
                const ExplainPossible *p = &e->possible[i];

                json_open_object(w, NULL);
                json_unsigned(w, "route", p->route);
                write_chance(w, "chance", p->chance);
                write_outcome(w, &p->outcome);
                json_open_object(w, "fast-path");
                write_slow(w, e, p->outcome.slow);
                json_close(w);
                json_close(w);
        }
        json_close(w);
}

static void write_fast_path(JsonWriter *w, const Explanation *e) {
        json_open_object(w, "fast-path");
        write_slow(w, e, e->outcome.slow);
        json_open_array(w, "limits");
        for (size_t i = 0; i < e->n_limits; i++) {
                json_open_object(w, NULL);
                json_string(w, "limit", fast_limit_text(e->limits[i]));
                json_string(w, "sentence", fast_limit_sentence(e->limits[i]));
                json_close(w);
        }
        json_close(w);
        json_close(w);
}

int explanation_to_json(const Explanation *e, char **ret) {
        char *text = NULL;
        JsonWriter w;
        size_t size;
        FILE *f;
        int r;

        f = open_memstream(&text, &size);
        if (!f)
                return -ENOMEM;
        w = JSON_WRITER(f, false);
        json_open_object(&w, NULL);
        json_string(&w, "service", e->service);
        if (e->route >= 0)
                json_unsigned(&w, "route", (uint64_t) e->route);
        else
                json_null(&w, "route");
        write_routes(&w, e);
        json_string(&w, "path", e->path);
        write_outcome(&w, &e->outcome);
        write_possible(&w, e);
        write_fast_path(&w, e);
        json_close(&w);
        r = json_finish(&w);
        if (fclose(f) < 0 || r < 0) {
                free(text);
                return -ENOMEM;
        }
        *ret = text;
        return 0;
}
