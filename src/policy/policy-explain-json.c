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

static void write_routes(JsonWriter *w, const Explanation *e) {
        json_open_array(w, "routes");
        for (size_t i = 0; i < e->n_routes; i++) {
                const ExplainRoute *r = &e->routes[i];

                json_open_object(w, NULL);
                json_string(w, "name", r->name);
                json_string(w, "origin", r->origin);
                json_boolean(w, "matched", r->matched);
                json_string(w, "why", r->why);
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

static void write_subsets(JsonWriter *w, const Explanation *e) {
        json_open_array(w, "subsets");
        for (size_t i = 0; i < e->n_subsets; i++) {
                const ExplainSubset *s = &e->subsets[i];

                json_open_object(w, NULL);
                json_string(w, "name", s->name);
                json_unsigned(w, "share-permille", s->share_permille);
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

static void write_fast_path(JsonWriter *w, const Explanation *e) {
        const ReasonText *slow = &slow_texts[e->slow];

        json_open_object(w, "fast-path");
        json_string(w, "slow", e->is_http ? slow->text : NULL);
        json_string(w, "sentence", e->is_http ? slow->sentence : NULL);
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
        const ReasonText *reason = &reason_texts[e->reason];
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
        write_subsets(&w, e);
        write_fast_path(&w, e);
        json_string(&w, "reason", reason->text);
        json_string(&w, "sentence", reason->sentence);
        json_close(&w);
        r = json_finish(&w);
        if (fclose(f) < 0 || r < 0) {
                free(text);
                return -ENOMEM;
        }
        *ret = text;
        return 0;
}
