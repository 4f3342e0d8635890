/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdlib.h>
#include <string.h>

#include "../basic/log.h"
#include "../engine/engine-hash.h"
#include "../engine/engine-match.h"
#include "relay-count.h"
#include "relay-regex.h"

typedef struct Pattern {
        List bucket_link, used_link;
        pcre2_code *code; /* NULL: it is none, which no policy has; it matches nothing */
        uint64_t hash;
        bool complained;
        uint32_t length;
        uint8_t text[];
} Pattern;

void regex_cache_init(RegexCache *c, bool accelerate) {
        *c = (RegexCache){ .accelerate = accelerate };
        list_init(&c->used);
        for (size_t i = 0; i < REGEX_BUCKETS; i++)
                list_init(&c->buckets[i]);
}

static void pattern_free(RegexCache *c, Pattern *p) {
        list_remove(&p->bucket_link);
        list_remove(&p->used_link);
        pcre2_code_free(p->code);
        free(p);
        c->n--;
}

void regex_cache_done(RegexCache *c) {
        while (!list_is_empty(&c->used))
                pattern_free(c, LIST_FIRST(&c->used, Pattern, used_link));
        c->runner = regex_runner_free(c->runner);
}

static uint64_t hash_of(const uint8_t *text, uint32_t length) {
        uint64_t h = sm_hash_start(length);

        for (uint32_t i = 0; i < length; i++)
                h = sm_hash_add(h, text[i]);
        return sm_hash_finish(h);
}

static Pattern *pattern_new(RegexCache *c, const uint8_t *text, uint32_t length, uint64_t hash) {
        Pattern *p = malloc(sizeof(Pattern) + length);
        RegexError error;

        if (!p)
                return NULL;
        *p = (Pattern){ .hash = hash, .length = length };
        memcpy(p->text, text, length);
        if (regex_compile((const char *) text, length, &p->code, &error) == -ENOMEM) {
                free(p);
                return NULL;
        }
        if (p->code && c->accelerate)
                (void) regex_accelerate(p->code);
        while (c->n >= REGEX_CACHED_MAX)
                pattern_free(c, LIST_FIRST(&c->used, Pattern, used_link));
        list_prepend(&c->buckets[hash % REGEX_BUCKETS], &p->bucket_link);
        list_append(&c->used, &p->used_link);
        c->n++;
        return p;
}

static Pattern *pattern_find(RegexCache *c, const uint8_t *text, uint32_t length) {
        uint64_t hash = hash_of(text, length);
        List *bucket = &c->buckets[hash % REGEX_BUCKETS];

        for (List *l = bucket->next; l != bucket; l = l->next) {
                Pattern *p = CONTAINER_OF(l, Pattern, bucket_link);

                if (p->hash != hash || p->length != length || memcmp(p->text, text, length) != 0)
                        continue;
                list_remove(&p->used_link);
                list_append(&c->used, &p->used_link);
                return p;
        }
        return pattern_new(c, text, length, hash);
}

/* The predicate's text, which is in consecutive cells; NULL if they are not all there. */
static const uint8_t *text_of(const RegexContext *context, const struct sm_predicate *p) {
        uint64_t cell = (uint64_t) context->base + p->text.cell;

        if (p->text.cell == 0)
                return p->text.length <= SM_PREDICATE_INLINE ? p->inline_bytes : NULL;
        if (cell + (p->text.length + SM_CELL_SIZE - 1) / SM_CELL_SIZE > context->tables->n_cells)
                return NULL;
        return context->tables->cells[cell].bytes;
}

/* Once for each pattern, as long as it is in use: who sends requests could fill the journal otherwise. */
static void note_given_up(const RegexContext *context, Pattern *p) {
        const struct sm_policy *policy = sm_cell_of(context->tables, context->base);
        const char *name;

        if (!policy)
                return;
        count_reason(context->tables, policy->service, SM_REASON_REGEX_LIMIT);
        name = sm_cell_of(context->tables, context->base + policy->name.cell);
        if (p->complained || !name)
                return;
        p->complained = true;
        log_warning("Service %.*s: a request takes the regular expression %.*s to its limits: no match.",
                    (int) MIN(policy->name.length, (__u32) SM_NAME_MAX), name,
                    (int) MIN(p->length, 200U), (const char *) p->text);
}

int regex_context_judge(void *userdata, __u32 cell, const __u8 *text, __u32 length) {
        const RegexContext *context = userdata;
        RegexCache *c = context->cache;
        const struct sm_predicate *predicate = sm_cell_of(context->tables, cell);
        const uint8_t *pattern = predicate ? text_of(context, predicate) : NULL;
        Pattern *p = pattern ? pattern_find(c, pattern, predicate->text.length) : NULL;
        int r;

        if (!c->runner)
                c->runner = regex_runner_new();
        if (!p || !p->code || !c->runner)
                return SM_VERDICT_NO;
        r = regex_run(c->runner, p->code, text, length);
        if (r < 0)
                note_given_up(context, p);
        return r > 0 ? SM_VERDICT_YES : SM_VERDICT_NO;
}
