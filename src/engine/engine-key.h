/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "engine-hash.h"
#include "engine-match.h"

/*
 * The key of a consistent hash: what a subset says that it is taken of (enum sm_hash_source). Of several
 * fields of the header's name, and of several Cookie fields, the first counts.
 */

struct sm_key {
        const struct sm_tables *t;
        const struct sm_request *q;
        struct sm_text_place name; /* of the header or cookie */
        __u32 offset;              /* where to look, in the head */
        __u32 length;              /* how far */
        __u32 found_offset;        /* result */
        __u32 found_length;
        __u32 found;
        __u64 hash;
};

static inline long sm_key_hash_byte(__u32 i, void *context) {
        struct sm_key *k = context;

        k->hash = sm_hash_add(k->hash, sm_byte_at(k->q->bytes, k->found_offset + i));
        return 0;
}

static inline long sm_key_find_field(__u32 i, void *context) {
        struct sm_key *k = context;
        const struct sm_field *f;

        if (i >= SM_HEAD_FIELDS_MAX)
                return 1;
        f = &k->q->head->fields[i];
        if (f->name.length != k->name.length ||
            !sm_text_stands(k->t, &k->name, k->q->bytes, f->name.offset, 1))
                return 0;
        k->found_offset = f->value.offset;
        k->found_length = f->value.length;
        k->found = 1;
        return 1;
}

/* Whether a cookie-pair starts at byte i: "name=", at the start or behind ";" and at most one space (RFC
 * 6265, section 4.2.1). */
static inline long sm_key_find_cookie(__u32 i, void *context) {
        struct sm_key *k = context;
        __u32 at = k->offset + i, end = k->offset + k->length, equals = at + k->name.length;
        __u8 before = 0;

        if (equals >= end || sm_byte_at(k->q->bytes, equals) != '=')
                return 0;
        if (i > 0)
                before = sm_byte_at(k->q->bytes, at - 1);
        if (i > 1 && before == ' ')
                before = sm_byte_at(k->q->bytes, at - 2);
        if (i > 0 && before != ';')
                return 0;
        if (!sm_text_stands(k->t, &k->name, k->q->bytes, at, 0))
                return 0;
        k->found_offset = equals + 1;
        k->found_length = end - equals - 1;
        k->found = 1;
        return 1;
}

static inline long sm_key_find_semicolon(__u32 i, void *context) {
        struct sm_key *k = context;

        if (sm_byte_at(k->q->bytes, k->found_offset + i) != ';')
                return 0;
        k->length = i;
        return 1;
}

static inline void sm_key_cookie(struct sm_key *k) {
        const struct sm_head *head = k->q->head;
        __u32 i = head->known[SM_FIELD_COOKIE] - 1U;

        if (i >= SM_HEAD_FIELDS_MAX)
                return;
        k->offset = head->fields[i].value.offset;
        k->length = head->fields[i].value.length;
        if (k->length == 0)
                return;
        sm_loop(k->length, sm_key_find_cookie, k);
        if (!k->found || k->found_length == 0)
                return;
        k->length = k->found_length;
        sm_loop(k->found_length, sm_key_find_semicolon, k);
        k->found_length = k->length;
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

/* 0 if the request lacks what the hash is taken of; an empty value is one. */
static inline int sm_key_of_request(const struct sm_tables *t, __u32 base, const struct sm_subset *subset,
                                    const struct sm_request *q, __u64 *ret) {
        struct sm_key k = {
                .t = t,
                .q = q,
                .name.cell = base + subset->hash_name.cell,
                .name.length = subset->hash_name.length,
        };

        if (subset->hash == SM_HASH_SOURCE_ADDRESS)
                return sm_key_of_source(q, ret);
        if (!q->head || k.name.length == 0)
                return 0;
        if (subset->hash == SM_HASH_COOKIE)
                sm_key_cookie(&k);
        else if (q->head->n_fields > 0)
                sm_loop(q->head->n_fields, sm_key_find_field, &k);
        if (!k.found)
                return 0;

        k.hash = sm_hash_start(k.found_length);
        if (k.found_length > 0)
                sm_loop(k.found_length, sm_key_hash_byte, &k);
        *ret = sm_hash_finish(k.hash);
        return 1;
}
