/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "engine-hash.h"
#include "engine-pairs.h"

/*
 * The key of a consistent hash or a sticky split: what it is taken of (enum sm_hash_source). Of several
 * fields of the header's name, and of several such cookies, the first counts.
 */

static inline long sm_key_hash_byte(__u32 i, void *context) {
        struct sm_match *m = context;

        m->w->hash = sm_hash_add(m->w->hash, sm_copy_byte(m->bytes, m->w->find.value_offset + i));
        return 0;
}

static inline int sm_key_of_source(const struct sm_request *q, __u64 *ret) {
        __u64 h = sm_hash_start(q->cgroup);

        if (!q->source)
                return 0;
        for (__u32 i = 0; i < 16; i++)
                h = sm_hash_add(h, q->source[i]);
        *ret = sm_hash_finish(h);
        return 1;
}

static inline long sm_key_field_step(__u32 i, void *context) {
        struct sm_match *m = context;

        m->w->key_found = (__u32) sm_find_in_field(m, i);
        return m->w->key_found != 0;
}

static inline long sm_key_cookie_step(__u32 i, void *context) {
        struct sm_match *m = context;
        enum sm_pairs_turn turn = sm_pairs_next(m);

        m->w->key_found = turn == SM_PAIRS_FOUND;
        return turn != SM_PAIRS_GO_ON;
}

/* Looks for the key of a request with a head, for sm_key_of_request(): `source` is an enum
 * sm_hash_source. */
SM_FRAME void sm_key_find(const struct sm_tables *t, const struct sm_request *q, __u32 source, __u32 cell,
                          __u32 length) {
        const struct sm_text_place name = { .cell = cell, .length = length };
        struct sm_match m = { .t = t, .q = q, .w = q->work, .bytes = q->bytes };

        m.w->key_found = 0;
        if (length == 0)
                return;
        sm_find_start(&m, &name);
        if (source == SM_HASH_HEADER && q->head->n_fields > 0)
                sm_loop(q->head->n_fields, sm_key_field_step, &m);
        if (source == SM_HASH_COOKIE && q->head->known[SM_FIELD_COOKIE] > 0)
                sm_loop(sm_pairs_start_cookies(&m), sm_key_cookie_step, &m);
        if (!m.w->key_found)
                return;
        m.w->hash = sm_hash_start(m.w->find.value_length);
        if (m.w->find.value_length > 0)
                sm_loop(m.w->find.value_length, sm_key_hash_byte, &m);
        m.w->hash = sm_hash_finish(m.w->hash);
}

/* 0 if the request lacks what the hash is taken of; an empty value is something. */
static inline int sm_key_of_request(const struct sm_request *q, __u32 source, __u64 *ret) {
        if (source == SM_HASH_SOURCE_ADDRESS)
                return sm_key_of_source(q, ret);
        if (!q->head || !q->work->key_found)
                return 0;
        *ret = q->work->hash;
        return 1;
}

/* The key of a consistent hash; before the endpoint is taken. */
static inline void sm_key_of_subset(const struct sm_tables *t, __u32 base, const struct sm_subset *subset,
                                    const struct sm_request *q) {
        if (q->head && subset->balance == SM_BALANCE_CONSISTENT_HASH)
                sm_key_find(t, q, subset->hash, base + subset->hash_name.cell, subset->hash_name.length);
}

/* The key of a split; before the subset is taken. */
static inline void sm_key_of_route(const struct sm_tables *t, __u32 base, const struct sm_route *route,
                                   const struct sm_request *q) {
        if (q->head && route->split_by == SM_SPLIT_BY_KEY)
                sm_key_find(t, q, route->split_hash, base + route->split_hash_name.cell,
                            route->split_hash_name.length);
}
