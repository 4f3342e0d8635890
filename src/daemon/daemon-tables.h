/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>

#include "../abi/abi-link.h"
#include "../engine/engine-access.h"
#include "../policy/policy-compile.h"

/*
 * The shared arrays, mapped: places extents, hands out ids, retires what no reader can hold any more.
 * Only the descriptors come from BPF (daemon-bpf.h), so that unit tests run it over memfds.
 */
typedef struct Tables Tables;

typedef enum TableId { ID_SERVICE, ID_ENDPOINT, ID_SUBSET, ID_ROUTE, ID_SLICE, _TABLE_ID_MAX } TableId;

/* Borrows the descriptors. Extents that services already have (after a restart of slicemeshd) are kept,
 * with the ids in them; what else was in use is free once the relay's workers have passed the first
 * epoch. -EUCLEAN if the arrays contradict themselves. */
int tables_new(const int fds[_SM_TABLE_MAX], const uint32_t entries[_SM_TABLE_MAX], Tables **ret);
Tables *tables_free(Tables *t);

/* The engine's view, and the writable words for those who only read counters. */
const struct sm_tables *tables_view(const Tables *t);

/* A free id, its state zeroed; -ENOSPC. Released ids come back only after the epoch passed, those of
 * endpoints also not before nothing is in flight to them, and then another epoch passed. */
int tables_id_get(Tables *t, TableId kind, uint32_t *ret);
/* Likewise, but `wanted` or the next one that is free. */
int tables_id_claim(Tables *t, TableId kind, uint32_t wanted, uint32_t *ret);
void tables_id_put(Tables *t, TableId kind, uint32_t id);

int tables_set_endpoint(Tables *t, uint32_t id, uint32_t service, const BoundEndpoint *e);

/* Places the extent and flips the service to it; the previous one is retired. The extent is compiled
 * with the revision in force, sm_service.revision, which a commit raises. 0 = nothing had changed, 1 =
 * committed, -ENOSPC. tables_withdraw() flips it to none. */
int tables_commit(Tables *t, uint32_t service, const PolicyExtent *extent);
void tables_withdraw(Tables *t, uint32_t service);

/* So many requests of the service are to be traced from now on. */
void tables_set_trace(Tables *t, uint32_t service, uint32_t n);

/* The epoch that retirements are stamped with grows with each commit; what was retired before `passed`
 * is free again. */
uint64_t tables_epoch(const Tables *t);
void tables_epoch_passed(Tables *t, uint64_t passed);
bool tables_has_retired(const Tables *t);
