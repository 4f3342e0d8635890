/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "../basic/cleanup.h"
#include "../basic/macro.h"
#include "daemon-extents.h"
#include "daemon-tables.h"

#define N_CELLS 64
#define N_IDS 8

static const uint32_t entries[_SM_TABLE_MAX] = {
        [SM_TABLE_CELLS] = N_CELLS,         [SM_TABLE_SERVICES] = N_IDS,      [SM_TABLE_ENDPOINTS] = N_IDS,
        [SM_TABLE_ENDPOINT_STATES] = N_IDS, [SM_TABLE_SUBSET_STATES] = N_IDS, [SM_TABLE_ROUTE_STATES] = N_IDS,
        [SM_TABLE_SERVICE_COUNTERS] = N_IDS, [SM_TABLE_SERVICE_PATHS] = N_IDS, [SM_TABLE_SLICE_PATHS] = N_IDS,
};

typedef struct Fixture {
        int fds[_SM_TABLE_MAX];
        Tables *tables;
} Fixture;

static int setup(void **state) {
        Fixture *f = calloc(1, sizeof(*f));

        assert_non_null(f);
        for (size_t i = 0; i < ELEMENTSOF(f->fds); i++) {
                f->fds[i] = memfd_create("table", MFD_CLOEXEC);
                assert_true(f->fds[i] >= 0);
                assert_int_equal(ftruncate(f->fds[i], 65536), 0);
        }
        assert_int_equal(tables_new(f->fds, entries, &f->tables), 0);
        *state = f;
        return 0;
}

static int teardown(void **state) {
        Fixture *f = *state;

        tables_free(f->tables);
        for (size_t i = 0; i < ELEMENTSOF(f->fds); i++)
                close(f->fds[i]);
        free(f);
        return 0;
}

/* slicemeshd is started anew over arrays that live on. */
static int restart(Fixture *f) {
        f->tables = tables_free(f->tables);
        return tables_new(f->fds, entries, &f->tables);
}

/* An extent whose subset and route lie in cells 1 and 2, its two endpoint ids in cell 3; more cells are
 * filled with `mark`. */
typedef struct Sample {
        uint32_t service, subset, route, endpoints[2], n_cells;
        uint8_t mark;
} Sample;

static int commit(Fixture *f, const Sample *s) {
        struct sm_cell cells[N_CELLS] = {};
        PolicyExtent extent = { .cells = cells, .n_cells = s->n_cells };

        memset(cells, s->mark, s->n_cells * sizeof(*cells));
        *(struct sm_policy *) &cells[0] = (struct sm_policy) {
                .n_cells = s->n_cells,
                .service = s->service,
                .revision = sm_service_at(tables_view(f->tables), s->service)->revision,
                .subsets = 1,
                .n_subsets = 1,
                .routes = 2,
                .n_routes = 1,
        };
        *(struct sm_subset *) &cells[1] = (struct sm_subset) {
                .state = s->subset, .endpoints = 3, .n_endpoints = 2
        };
        *(struct sm_route *) &cells[2] = (struct sm_route) { .state = s->route };
        memcpy(&cells[3], s->endpoints, sizeof(s->endpoints));
        return tables_commit(f->tables, s->service, &extent);
}

static Sample sample(Fixture *f, uint32_t n_cells, uint8_t mark) {
        Sample s = { .n_cells = n_cells, .mark = mark };

        assert_int_equal(tables_id_get(f->tables, ID_SERVICE, &s.service), 0);
        assert_int_equal(tables_id_get(f->tables, ID_SUBSET, &s.subset), 0);
        assert_int_equal(tables_id_get(f->tables, ID_ROUTE, &s.route), 0);
        assert_int_equal(tables_id_get(f->tables, ID_ENDPOINT, &s.endpoints[0]), 0);
        assert_int_equal(tables_id_get(f->tables, ID_ENDPOINT, &s.endpoints[1]), 0);
        return s;
}

static const struct sm_policy *policy_in_force(Fixture *f, uint32_t service) {
        const struct sm_tables *view = tables_view(f->tables);

        return (const struct sm_policy *) sm_cell_at(view, sm_service_at(view, service)->root);
}

static void test_extents_grow_together(void **state) {
        FreeExtents f = {};

        assert_int_equal(free_extents_reserve(&f, 8), 0);
        free_extents_give(&f, 1, 100);
        assert_int_equal(free_extents_take(&f, 10), 1);
        assert_int_equal(free_extents_take(&f, 10), 11);
        assert_int_equal(free_extents_take(&f, 10), 21);
        assert_int_equal(free_extents_take(&f, 71), 0);
        free_extents_give(&f, 1, 10);
        free_extents_give(&f, 21, 10);
        assert_int_equal(f.n_ranges, 2);
        free_extents_give(&f, 11, 10);
        assert_int_equal(f.n_ranges, 1);
        assert_int_equal(free_extents_take_at(&f, 50, 10), 0);
        assert_int_equal(f.n_ranges, 2);
        assert_int_equal(free_extents_take_at(&f, 55, 10), -EADDRINUSE);
        assert_int_equal(free_extents_take_at(&f, 95, 7), -EADDRINUSE);
        free_extents_give(&f, 50, 10);
        assert_int_equal(free_extents_take(&f, 100), 1);
        assert_int_equal(f.n_ranges, 0);
        assert_int_equal(free_extents_take_at(&f, 1, 1), -EADDRINUSE);
        free_extents_done(&f);
}

static void test_commit_only_what_changed(void **state) {
        Fixture *f = *state;
        Sample s = sample(f, 5, 'a');

        assert_int_equal(commit(f, &s), 1);
        assert_int_equal(policy_in_force(f, s.service)->revision, 1);
        assert_int_equal(commit(f, &s), 0);
        s.mark = 'b';
        assert_int_equal(commit(f, &s), 1);
        assert_int_equal(policy_in_force(f, s.service)->revision, 2);
        tables_withdraw(f->tables, s.service);
        assert_int_equal(sm_service_at(tables_view(f->tables), s.service)->root, 0);
}

static void test_extent_rests_until_epoch_passed(void **state) {
        Fixture *f = *state;
        Sample s = sample(f, 30, 'a');
        uint64_t epoch;

        assert_int_equal(commit(f, &s), 1);
        epoch = tables_epoch(f->tables);
        s.mark = 'b';
        assert_int_equal(commit(f, &s), 1);
        assert_true(tables_epoch(f->tables) > epoch);
        s.mark = 'c';
        assert_int_equal(commit(f, &s), -ENOSPC);
        tables_epoch_passed(f->tables, epoch); /* a worker may still read under it */
        assert_int_equal(commit(f, &s), -ENOSPC);
        assert_int_equal(policy_in_force(f, s.service)->revision, 2);
        tables_epoch_passed(f->tables, tables_epoch(f->tables));
        assert_int_equal(commit(f, &s), 1);
}

static void test_ids_rest_until_epoch_passed(void **state) {
        Fixture *f = *state;
        uint32_t id;

        for (uint32_t i = 1; i < N_IDS; i++)
                assert_int_equal(tables_id_get(f->tables, ID_ROUTE, &id), 0);
        assert_int_equal(tables_id_get(f->tables, ID_ROUTE, &id), -ENOSPC);
        tables_id_put(f->tables, ID_ROUTE, 3);
        assert_int_equal(tables_id_get(f->tables, ID_ROUTE, &id), -ENOSPC);
        tables_epoch_passed(f->tables, tables_epoch(f->tables));
        assert_int_equal(tables_id_get(f->tables, ID_ROUTE, &id), 0);
        assert_int_equal(id, 3);
}

static void test_endpoint_id_waits_for_what_is_in_flight(void **state) {
        Fixture *f = *state;
        const struct sm_tables *view = tables_view(f->tables);
        uint32_t id, generation;
        uint64_t epoch;

        for (uint32_t i = 1; i < N_IDS; i++)
                assert_int_equal(tables_id_get(f->tables, ID_ENDPOINT, &id), 0);
        generation = sm_endpoint_at(view, 2)->generation;
        sm_endpoint_state_at(view, 2)->in_flight = 1;
        sm_endpoint_state_at(view, 2)->failures = 5;
        tables_id_put(f->tables, ID_ENDPOINT, 2);
        tables_epoch_passed(f->tables, tables_epoch(f->tables));
        assert_int_equal(tables_id_get(f->tables, ID_ENDPOINT, &id), -ENOSPC);

        sm_endpoint_state_at(view, 2)->in_flight = 0;
        epoch = tables_epoch(f->tables);
        tables_epoch_passed(f->tables, epoch);
        assert_int_equal(sm_endpoint_at(view, 2)->generation, generation + 1);
        tables_epoch_passed(f->tables, epoch); /* the relay has not seen that yet */
        assert_int_equal(tables_id_get(f->tables, ID_ENDPOINT, &id), -ENOSPC);
        assert_true(tables_epoch(f->tables) > epoch);
        tables_epoch_passed(f->tables, tables_epoch(f->tables));
        assert_int_equal(tables_id_get(f->tables, ID_ENDPOINT, &id), 0);
        assert_int_equal(id, 2);
        assert_int_equal(sm_endpoint_at(view, 2)->generation, generation + 1);
        assert_int_equal(sm_endpoint_state_at(view, 2)->failures, 0);
}

static void test_service_id_waits_for_active_requests(void **state) {
        Fixture *f = *state;
        const struct sm_tables *view = tables_view(f->tables);
        uint32_t id, generation;

        for (uint32_t i = 1; i < N_IDS; i++)
                assert_int_equal(tables_id_get(f->tables, ID_SERVICE, &id), 0);
        generation = sm_service_at(view, 2)->generation;
        sm_service_counters_at(view, 2)->active = 1;
        sm_service_paths_at(view, 2)->slow[SM_SLOW_SPLIT] = 1;
        tables_id_put(f->tables, ID_SERVICE, 2);
        tables_epoch_passed(f->tables, tables_epoch(f->tables));
        assert_int_equal(tables_id_get(f->tables, ID_SERVICE, &id), -ENOSPC);

        sm_service_counters_at(view, 2)->active = 0;
        tables_epoch_passed(f->tables, tables_epoch(f->tables));
        assert_int_equal(tables_id_get(f->tables, ID_SERVICE, &id), 0);
        assert_int_equal(id, 2);
        assert_int_equal(sm_service_at(view, 2)->generation, generation + 1);
        assert_int_equal(sm_service_paths_at(view, 2)->slow[SM_SLOW_SPLIT], 0);
}

static void test_restart_keeps_what_is_in_force(void **state) {
        Fixture *f = *state;
        Sample s = sample(f, 5, 'a');
        uint64_t epoch;
        uint32_t id;

        assert_int_equal(commit(f, &s), 1);
        s.mark = 'b';
        assert_int_equal(commit(f, &s), 1);
        sm_endpoint_state_at(tables_view(f->tables), 6)->in_flight = 1;
        epoch = tables_epoch(f->tables);

        assert_int_equal(restart(f), 0);
        assert_true(tables_epoch(f->tables) > epoch);
        assert_int_equal(commit(f, &s), 0);
        assert_int_equal(policy_in_force(f, s.service)->revision, 2);
        for (uint32_t i = 0; i < N_IDS - 4; i++) { /* but for 0, its own two, and the one in flight */
                assert_int_equal(tables_id_get(f->tables, ID_ENDPOINT, &id), 0);
                assert_true(id != s.endpoints[0] && id != s.endpoints[1] && id != 6);
        }
        assert_int_equal(tables_id_get(f->tables, ID_ENDPOINT, &id), -ENOSPC);
}

static void test_restart_does_not_reuse_what_may_be_read(void **state) {
        Fixture *f = *state;
        Sample s = sample(f, 30, 'a');

        assert_int_equal(commit(f, &s), 1);
        s.mark = 'b';
        assert_int_equal(commit(f, &s), 1);
        assert_int_equal(restart(f), 0);
        s.mark = 'c';
        assert_int_equal(commit(f, &s), -ENOSPC);
        tables_epoch_passed(f->tables, tables_epoch(f->tables));
        assert_int_equal(commit(f, &s), 1);
}

static void test_restart_refuses_damage(void **state) {
        Fixture *f = *state;
        Sample s = sample(f, 5, 'a');
        struct sm_policy *policy;

        assert_int_equal(commit(f, &s), 1);
        policy = (struct sm_policy *) policy_in_force(f, s.service);

        policy->n_cells = N_CELLS;
        assert_int_equal(restart(f), -EUCLEAN);
}

#define table_test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_extents_grow_together),
                table_test(test_commit_only_what_changed),
                table_test(test_extent_rests_until_epoch_passed),
                table_test(test_ids_rest_until_epoch_passed),
                table_test(test_endpoint_id_waits_for_what_is_in_flight),
                table_test(test_service_id_waits_for_active_requests),
                table_test(test_restart_keeps_what_is_in_force),
                table_test(test_restart_does_not_reuse_what_may_be_read),
                table_test(test_restart_refuses_damage),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
