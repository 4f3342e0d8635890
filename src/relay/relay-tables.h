/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>

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
        int callers; /* map descriptor */
        struct {
                void *address;
                size_t size;
        } maps[_SM_TABLE_MAPPED_MAX];
        _Atomic unsigned users;
} SharedTables;

/* Maps what the message names, and takes the descriptor of the callers out of `fds` on success. -EINVAL:
 * a table has no entry or its descriptor holds less than the message says; -ERANGE: a setting is out of
 * its limits. */
int shared_tables_new(const struct sm_link_tables *message, int fds[static _SM_TABLE_MAX],
                      SharedTables **ret);

/* The service's policy in force; NULL if it has none. *ret_base is its cell, 0 for none. Valid until the
 * worker has answered the next ping, or as long as an exchange is among its readers. */
const struct sm_policy *shared_tables_policy(const SharedTables *t, __u32 service, __u32 *ret_base);

/* Whether the id still is that of the service that it was under this generation. */
bool shared_tables_is_current(const SharedTables *t, __u32 service, __u32 generation);

SharedTables *shared_tables_ref(SharedTables *t);
SharedTables *shared_tables_unref(SharedTables *t); /* accepts and returns NULL */
