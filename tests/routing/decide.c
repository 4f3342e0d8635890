/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "basic/array-util.h"
#include "basic/json-writer.h"
#include "basic/macro.h"
#include "basic/parse-util.h"
#include "basic/regex.h"
#include "basic/string-util.h"
#include "engine/engine-parse.h"
#include "engine/engine-path.h"
#include "engine/engine-path-normal.h"
#include "engine/engine-route.h"
#include "engine/engine-unit.h"
#include "policy/policy-load.h"
#include "policy/test-policy-bind.h"

/*
 * What the engine decides, over policies as they are compiled. Each line of input is one of
 *
 *   slices NAME...   those that are managed, in order of name
 *   policy HEX       a file with one service
 *   request WHO SLICE UNIT UID SOURCE RANDOM THERE HEAD BODY
 *
 * with "-" for what there is not. WHO is "relay", or "kernel", which knows no regular expressions; THERE is
 * how many bytes of the body have arrived, "+" for all; the last two are in hex. For the last two a line in
 * JSON is written: {"errors": [TEXT...]}, or what becomes of the request, {} if there is no policy. Turns of
 * round robin go on from request to request of one policy.
 */

enum { CELL_BASE = 1 }; /* 0 refers to nothing */

typedef struct Bench {
        Policy *policy;
        TestBinding binding;
        BoundSlice slices[SM_SLICES_MAX];
        size_t n_slices;
        struct sm_tables tables;
        struct sm_cell *cells;
        pcre2_code **codes; /* by cell, once they were asked for */
        struct sm_work work;
} Bench;

static const char *const reasons[] = {
#define REASON_NAME(id, text, status, sentence) [SM_REASON_##id] = text,
        SM_REASONS(REASON_NAME)
#undef REASON_NAME
};

static const char *const slows[] = {
#define SLOW_NAME(id, text, sentence) [SM_SLOW_##id] = text,
        SM_SLOW_LIST(SLOW_NAME)
#undef SLOW_NAME
};

static void *allocate(size_t n, size_t size) {
        void *p = calloc(MAX(n, (size_t) 1), size);

        if (!p)
                abort();
        return p;
}

/* Decodes in place; returns the length. "-" is nothing. */
static size_t decode_hex(char *text) {
        size_t n = 0;
        unsigned byte;

        for (char *p = text; sscanf(p, "%2x", &byte) == 1; p += 2)
                text[n++] = (char) byte;
        return n;
}

/* struct sm_tables.regex */
static int match_regex(void *context, __u32 cell, const __u8 *bytes, __u32 length) {
        Bench *b = context;
        const struct sm_predicate *p = sm_cell_of(&b->tables, cell);
        const void *pattern = p->inline_bytes;
        pcre2_match_data *data;
        RegexError error;
        int r;

        if (p->text.cell)
                pattern = sm_cell_of(&b->tables, CELL_BASE + p->text.cell);

        if (!b->codes[cell] && regex_compile(pattern, p->text.length, &b->codes[cell], &error) < 0)
                abort();
        data = pcre2_match_data_create(1, NULL);
        r = pcre2_match(b->codes[cell], bytes, length, 0, 0, data, NULL);
        pcre2_match_data_free(data);
        return r >= 0 ? SM_VERDICT_YES : SM_VERDICT_NO;
}

static void bench_clear(Bench *b) {
        for (uint32_t i = 0; b->codes && i < b->tables.n_cells; i++)
                pcre2_code_free(b->codes[i]);
        free(b->codes);
        free(b->cells);
        free(b->tables.endpoint_states);
        free(b->tables.subset_states);
        free(b->tables.route_states);
        free((void *) b->tables.endpoints);
        test_binding_done(&b->binding);
        policy_free(b->policy);
        b->codes = NULL;
        b->cells = NULL;
        b->policy = NULL;
        b->tables = (struct sm_tables) {};
        b->binding = (TestBinding) {};
}

static int bench_compile(Bench *b) {
        const PolicyService *s = b->policy->services[0];
        PolicyExtent extent = {};
        uint32_t n;
        int r;

        b->binding = test_bind(s);
        b->binding.binding.slices = b->slices;
        b->binding.binding.n_slices = s->looks_at_slices ? b->n_slices : 0;
        r = policy_compile(s, &b->binding.binding, &extent);
        if (r < 0)
                return r;
        n = b->binding.n_endpoints + 1;
        b->cells = allocate(extent.n_cells + CELL_BASE, sizeof(*b->cells));
        memcpy(b->cells + CELL_BASE, extent.cells, extent.n_cells * sizeof(*b->cells));
        b->codes = allocate(extent.n_cells + CELL_BASE, sizeof(*b->codes));
        b->tables = (struct sm_tables) {
                .cells = b->cells,
                .n_cells = extent.n_cells + CELL_BASE,
                .endpoints = allocate(n, sizeof(struct sm_endpoint)),
                .endpoint_states = allocate(n, sizeof(struct sm_endpoint_state)),
                .n_endpoints = n,
                .subset_states = allocate(s->n_subsets + 1, sizeof(struct sm_subset_state)),
                .n_subsets = (uint32_t) s->n_subsets + 1,
                .route_states = allocate(s->n_routes + 1, sizeof(struct sm_route_state)),
                .n_routes = (uint32_t) s->n_routes + 1,
                .regex = match_regex,
                .regex_context = b,
        };
        policy_extent_done(&extent);
        return 0;
}

static int read_policy(Bench *b, char *hex) {
        size_t n = decode_hex(hex);
        JsonWriter w = JSON_WRITER(stdout, false);
        int r;

        bench_clear(b);
        r = policy_load_memory("policy", hex, n, &b->policy);
        if (r < 0)
                return r;
        json_open_object(&w, NULL);
        json_open_array(&w, "errors");
        for (size_t i = 0; i < b->policy->n_errors; i++) {
                _cleanup_free_ char *text = NULL;

                r = policy_error_format(&b->policy->errors[i], &text);
                if (r < 0)
                        return r;
                json_string(&w, NULL, text);
        }
        json_close(&w);
        json_close(&w);
        r = json_finish(&w);
        if (r < 0 || b->policy->n_services == 0)
                return r;
        return bench_compile(b);
}

static void print_shadows(JsonWriter *w, const Bench *b, uint32_t shadows) {
        const PolicyService *s = b->policy->services[0];
        unsigned number = 0;

        json_open_array(w, "shadows");
        for (size_t i = 0; i < s->n_routes; i++)
                if (s->routes[i]->shadow && shadows >> number++ & 1)
                        json_string(w, NULL, s->routes[i]->name);
        json_close(w);
}

static void print_path(JsonWriter *w, const struct sm_head *head, const __u8 *bytes) {
        _cleanup_free_ char *path = strndup((const char *) bytes + head->path.offset, head->path.length);

        json_string(w, "path", path);
}

static void print_choice(JsonWriter *w, Bench *b, const struct sm_request *q) {
        const PolicyService *s = b->policy->services[0];
        struct sm_choice choice;
        enum sm_reason reason;

        reason = sm_choose_route(&b->tables, CELL_BASE, q, &choice);
        json_string(w, "undecided", slows[choice.undecided]);
        print_shadows(w, b, choice.shadows);
        if (reason == SM_REASON_NONE && choice.undecided == 0) {
                json_unsigned(w, "route", choice.route_index);
                sm_choose_effects(&b->tables, &choice, q);
                json_unsigned(w, "effects", choice.effects);
                if (choice.route->split.n > 0)
                        reason = sm_choose_subset(&b->tables, &choice, q);
                if (reason == SM_REASON_NONE && choice.subset)
                        json_string(w, "subset", s->subsets[choice.subset_index]->name);
        }
        json_string(w, "reason", reasons[reason]);
}

/* As the relay does before it looks for a route: SM_REASON_NONE or SM_REASON_AMBIGUOUS_PATH. */
static enum sm_reason normalize(Bench *b, __u8 *bytes, struct sm_head *head) {
        const struct sm_policy *policy = sm_cell_of(&b->tables, CELL_BASE);
        struct sm_span *path = &head->path;

        if (!(policy->flags & SM_POLICY_NORMAL_PATHS))
                return SM_REASON_NONE;
        switch (sm_path_judge(bytes, *path, policy->flags, &b->work)) {

        case SM_PATH_NORMAL:
                return SM_REASON_NONE;

        case SM_PATH_AMBIGUOUS:
                return SM_REASON_AMBIGUOUS_PATH;

        default:
                path->length = (__u16) sm_path_normalise(bytes + path->offset, path->length);
                return SM_REASON_NONE;
        }
}

/* Parses, normalizes and decides. */
static void decide(JsonWriter *w, Bench *b, struct sm_request *q, __u8 *bytes, __u32 n) {
        struct sm_head_parser parser;
        struct sm_head head;
        enum sm_reason reason;
        int r;

        sm_head_start(&parser, &head, SM_HEAD_REQUEST, SM_HEAD_MAX);
        r = sm_head_parse(&parser, &head, bytes, n);
        if (r <= 0) {
                json_string(w, "reason", r < 0 ? reasons[-r] : "incomplete");
                return;
        }
        q->head = &head;
        q->bytes = bytes;
        reason = normalize(b, bytes, &head);
        if (reason != SM_REASON_NONE) {
                json_string(w, "reason", reasons[reason]);
                return;
        }
        print_path(w, &head, bytes);
        print_choice(w, b, q);
}

static __u32 find_slice(const Bench *b, const char *name) {
        for (size_t i = 0; i < b->n_slices; i++)
                if (streq(b->slices[i].name, name))
                        return b->slices[i].id;
        return 0;
}

static int read_request(Bench *b, char *line) {
        enum { WHO, SLICE, UNIT, USER, SOURCE, RANDOM, THERE, HEAD, BODY, N_WORDS };
        JsonWriter w = JSON_WRITER(stdout, false);
        struct in6_addr source;
        struct sm_request q;
        char *words[N_WORDS], *state = NULL;
        size_t n, body;

        for (size_t i = 0; i < N_WORDS; i++)
                words[i] = strtok_r(i == 0 ? line : NULL, " \n", &state);
        if (!words[BODY] || parse_address(words[SOURCE], &source) < 0)
                return -EINVAL;
        n = decode_hex(words[HEAD]);
        body = decode_hex(words[BODY]);
        q = (struct sm_request) {
                .source = source.s6_addr,
                .body = (const __u8 *) words[BODY],
                .work = &b->work,
                .body_length = (__u32) body,
                .body_complete = 1,
                .slice = find_slice(b, words[SLICE]),
                .uid = (__u32) strtoul(words[USER], NULL, 10),
                .random = (__u32) strtoul(words[RANDOM], NULL, 10),
        };
        if (!streq(words[UNIT], "-"))
                q.unit = sm_unit_hash_of(words[UNIT]);
        if (!streq(words[THERE], "+")) {
                q.body_length = (__u32) MIN(strtoul(words[THERE], NULL, 10), body);
                q.body_complete = 0;
        }
        b->tables.regex = streq(words[WHO], "relay") ? match_regex : NULL;
        json_open_object(&w, NULL);
        if (b->cells)
                decide(&w, b, &q, (__u8 *) words[HEAD], (__u32) n);
        json_close(&w);
        return json_finish(&w);
}

/* Keeps the line's words. */
static int read_slices(Bench *b, const char *line) {
        char *state = NULL, *copy = strdup(line);

        for (char *s = copy; (s = strtok_r(s, " \n", &state)) && b->n_slices < SM_SLICES_MAX; s = NULL)
                b->slices[b->n_slices++] = (BoundSlice) { .name = s, .id = (uint32_t) b->n_slices + 1 };
        return copy ? 0 : -ENOMEM;
}

int main(void) {
        _cleanup_free_ char *line = NULL;
        static Bench bench;
        size_t room = 0;

        while (getline(&line, &room, stdin) > 0) {
                char *rest = strchr(line, ' ');
                int r = -EINVAL;

                if (rest)
                        *rest++ = 0;
                if (rest && streq(line, "slices"))
                        r = read_slices(&bench, rest);
                else if (rest && streq(line, "policy"))
                        r = read_policy(&bench, rest);
                else if (rest && streq(line, "request"))
                        r = read_request(&bench, rest);
                if (r < 0) {
                        fprintf(stderr, "decide: %s: %s\n", line, strerror(-r));
                        return EXIT_FAILURE;
                }
                if (!streq(line, "slices"))
                        putchar('\n');
                fflush(stdout);
        }
        bench_clear(&bench);
        return EXIT_SUCCESS;
}
