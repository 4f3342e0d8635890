/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "../abi/abi-link.h"
#include "../engine/engine-access.h"

/*
 * The tables of one SM_LINK_TABLES message, mapped. A new slicemeshd sends new ones while requests are in
 * flight: each worker, exchange and upstream connection counts as a user of those that it began with, and
 * the last user unmaps them.
 */
typedef struct SharedTables {
        struct sm_tables tables; /* first, for the engine */
        struct sm_link_tables settings;

        /* The fast path's, beside those that the engine knows. */
        const struct sm_fast_control *control;
        struct sm_stack *free_downstreams;
        const struct sm_request_copy *requests; /* as many as there are downstreams */
        __u32 workers;   /* that idle_slots has stacks for */
        uint64_t memory; /* equal: it is the same memory that is mapped, whatever slicemeshd it came from */

        int callers, relay_contexts, upstream_sockets, accepted_sockets, enrol; /* descriptors */
        struct {
                void *address;
                size_t size;
        } maps[_SM_TABLE_MAPPED_MAX];
        _Atomic unsigned users;
} SharedTables;

/* Maps what the message names, and takes the descriptors of what is not mapped out of `fds` on success.
 * -EINVAL: a table has no entry or its descriptor holds less than the message says; -ERANGE: a setting is
 * out of its limits. */
int shared_tables_new(const struct sm_link_tables *message, int fds[static _SM_TABLE_MAX],
                      SharedTables **ret);

/* Finds out whether the memory is that of `before`, which may be NULL. True: it is, and who uses it goes on;
 * false: it is new to this process, whatever a relay before has left in it. */
bool shared_tables_continue(SharedTables *t, const SharedTables *before);

/* What of the fast path may be used now: enum sm_fast_feature. */
static inline __u32 shared_tables_features(const SharedTables *t) {
        return __atomic_load_n(&t->control->features, __ATOMIC_ACQUIRE);
}

/* The service's policy in force; NULL if it has none. *ret_base is its cell, 0 for none. Valid until the
 * worker has answered the next ping, or as long as an exchange is among its readers. */
const struct sm_policy *shared_tables_policy(const SharedTables *t, __u32 service, __u32 *ret_base);

/* Whether the id still is that of the service that it was under this generation. */
bool shared_tables_is_current(const SharedTables *t, __u32 service, __u32 generation);

SharedTables *shared_tables_ref(SharedTables *t);
SharedTables *shared_tables_unref(SharedTables *t); /* accepts and returns NULL */
