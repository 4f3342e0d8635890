/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "../basic/cleanup.h"
#include "../basic/macro.h"
#include "../policy/policy-load.h"
#include "daemon-bpf.h"
#include "daemon-bus.h"
#include "daemon-reload.h"
#include "daemon-tables.h"

/*
 * What becomes of services, ids, addresses and slices when policy files change, over tables in memfds. The
 * kernel side and systemd are stood in for by the functions below; there is no bus.
 */

#define N_IDS 256
#define TABLE_SIZE (1 << 20)
#define MESH "slices: [shop.slice]\n"
#define ONE "endpoints: [\"127.0.0.2:80\"]\n"
#define TWO "endpoints: [\"127.0.0.2:80\", \"127.0.0.3:80\"]\n"
#define WEB "service: web\naddress: 127.71.0.10:80\nprotocol: http\n"
#define DB "service: db\nprotocol: tcp\nport: 5432\n"

typedef struct Fixture {
        char root[40];
        sd_event *event;
        int fds[_SM_TABLE_MAX];
        uint32_t n_cells;
        Manager *manager;
        BpfVip vips[N_IDS];
        size_t n_vips;
        unsigned n_slices_released;
} Fixture;

static Fixture *fixture;

/* At the moment that addresses change, those that remain lead to a policy, and so do those that go. */
int bpf_vips_set(BpfPrograms *b, BpfVip *vips, size_t n) {
        const struct sm_tables *t = tables_view(fixture->manager->tables);

        assert_true(n <= N_IDS);
        for (size_t i = 0; i < n; i++)
                assert_true(sm_service_at(t, vips[i].value.service)->root != 0);
        for (size_t i = 0; i < fixture->n_vips; i++)
                assert_true(sm_service_at(t, fixture->vips[i].value.service)->root != 0);
        if (n > 0)
                memcpy(fixture->vips, vips, n * sizeof(*vips));
        fixture->n_vips = n;
        return 0;
}

int slice_new(Manager *m, const char *name, Slice **ret) {
        Slice *s = calloc(1, sizeof(*s));

        assert_non_null(s);
        s->manager = m;
        s->name = strdup(name);
        assert_non_null(s->name);
        assert_int_equal(tables_id_get(m->tables, ID_SLICE, &s->id), 0);
        assert_int_equal(hashmap_put(m->slices, s->name, s), 0);
        *ret = s;
        return 0;
}

Slice *slice_free(Slice *s) {
        hashmap_remove(s->manager->slices, s->name);
        free(s->name);
        free(s);
        return NULL;
}

int slice_follow(Slice *s) {
        return 0;
}

void slice_release(Slice *s) {
        fixture->n_slices_released++;
}

size_t slices_watch(Manager *m) {
        return 0;
}

void slice_set_ungoverned(Slice *s, uint32_t n) {
}

const struct sm_slice_state *slice_counters(const Slice *s) {
        return NULL;
}

static void put_file(const char *name, const char *text) {
        char path[256], *slash;
        FILE *f;

        (void) snprintf(path, sizeof(path), "%s/%s", fixture->root, name);
        for (slash = path + strlen(fixture->root) + 1; (slash = strchr(slash, '/')); slash++) {
                *slash = 0;
                assert_true(mkdir(path, 0755) == 0 || errno == EEXIST);
                *slash = '/';
        }
        f = fopen(path, "we");
        assert_non_null(f);
        assert_true(fputs(text, f) >= 0);
        assert_int_equal(fclose(f), 0);
}

static void put_service(const char *file, const char *text) {
        char name[64];

        (void) snprintf(name, sizeof(name), "etc/slicemesh/services/%s.yaml", file);
        put_file(name, text);
}

static void remove_service(const char *file) {
        char path[128];

        (void) snprintf(path, sizeof(path), "%s/etc/slicemesh/services/%s.yaml", fixture->root, file);
        assert_int_equal(unlink(path), 0);
}

/* Written down as soon as the event loop has nothing else to do. */
static bool is_good(const char *name) {
        char path[128];

        while (sd_event_run(fixture->event, 0) > 0)
                ;
        (void) snprintf(path, sizeof(path), "%s/var/lib/slicemesh/good/%s.yaml", fixture->root, name);
        return access(path, F_OK) == 0;
}

/* As slicemeshd does at its start, over the tables that are there. */
static void start(Fixture *f) {
        uint32_t entries[_SM_TABLE_MAX];
        char path[128];
        Manager *m;

        for (size_t i = 0; i < ELEMENTSOF(entries); i++)
                entries[i] = i == SM_TABLE_CELLS ? f->n_cells : N_IDS;
        assert_int_equal(manager_new(f->event, f->root, &f->manager), 0);
        m = f->manager;
        assert_int_equal(tables_new(f->fds, entries, &m->tables), 0);
        (void) snprintf(path, sizeof(path), "%s/addresses", m->state_directory);
        assert_int_equal(vip_register_load(path, &m->vips, NULL), 0);
}

static void take_over(Fixture *f) {
        const struct sm_tables *t = tables_view(f->manager->tables);
        Policy *good;
        char path[128];
        Service *s;

        assert_int_equal(manager_load_policy(f->manager), 0);
        for (uint32_t i = 1; i < t->n_services; i++)
                if (t->services[i].root != 0)
                        assert_int_equal(service_adopt(f->manager, i, &s), 0);
        (void) snprintf(path, sizeof(path), "%s/good", f->manager->state_directory);
        assert_int_equal(policy_load_good(path, &good), 0);
        assert_int_equal(manager_keep_policy(f->manager, good), 0);
        assert_int_equal(manager_apply_with_good(f->manager, good), 0);
}

static void restart(Fixture *f) {
        manager_free(f->manager);
        start(f);
        take_over(f);
}

static int setup(void **state) {
        fixture = calloc(1, sizeof(*fixture));
        assert_non_null(fixture);
        fixture->n_cells = 256;
        assert_int_equal(sd_event_new(&fixture->event), 0);
        strcpy(fixture->root, "/tmp/test-daemon-reload-XXXXXX");
        assert_non_null(mkdtemp(fixture->root));
        for (size_t i = 0; i < ELEMENTSOF(fixture->fds); i++) {
                fixture->fds[i] = memfd_create("table", MFD_CLOEXEC);
                assert_true(fixture->fds[i] >= 0);
                assert_int_equal(ftruncate(fixture->fds[i], TABLE_SIZE), 0);
        }
        put_file("etc/slicemesh/mesh.yaml", MESH);
        put_file("var/lib/slicemesh/stamp", "");
        *state = fixture;
        return 0;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw) {
        return remove(path);
}

static int teardown(void **state) {
        Fixture *f = *state;

        manager_free(f->manager);
        sd_event_unref(f->event);
        for (size_t i = 0; i < ELEMENTSOF(f->fds); i++)
                close(f->fds[i]);
        (void) nftw(f->root, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
        free(f);
        return 0;
}

static Service *service(const char *name) {
        return hashmap_get(fixture->manager->services, name);
}

static Endpoint *endpoint(const char *name, const char *text) {
        Service *s = service(name);

        for (size_t i = 0; i < s->subsets[0].n_endpoints; i++)
                if (streq(s->subsets[0].endpoints[i]->text, text))
                        return s->subsets[0].endpoints[i];
        return NULL;
}

static uint32_t root_of(const Service *s) {
        return sm_service_at(tables_view(s->manager->tables), s->id)->root;
}

static bool has_problem(const char *id) {
        for (size_t i = 0; i < fixture->manager->n_problems; i++)
                if (streq(fixture->manager->problems[i].id, id))
                        return true;
        return false;
}

static void reload(void) {
        assert_int_equal(manager_reload(fixture->manager), 0);
}

static void begin(const char *file, const char *text) {
        put_service(file, text);
        start(fixture);
        take_over(fixture);
}

static void test_service_comes_and_goes(void **state) {
        begin("web", WEB ONE);
        assert_true(root_of(service("web")) != 0);
        assert_int_equal(fixture->n_vips, 1);
        assert_int_equal(fixture->vips[0].value.service, service("web")->id);
        assert_int_equal(fixture->vips[0].key.slice, 0);
        assert_true(is_good("web"));
        remove_service("web");
        reload();
        assert_null(service("web"));
        assert_int_equal(fixture->n_vips, 0);
        assert_false(is_good("web"));
}

static void test_only_what_changed_is_committed(void **state) {
        uint32_t kept, revision;

        begin("web", WEB ONE);
        put_service("db", DB ONE);
        reload();
        revision = service("web")->revision;
        kept = endpoint("web", "127.0.0.2:80")->id;
        put_service("db", DB TWO);
        reload();
        assert_int_equal(service("web")->revision, revision);
        assert_int_equal(service("db")->revision, 2);
        put_service("web", WEB TWO);
        reload();
        assert_int_equal(service("web")->revision, revision + 1);
        assert_int_equal(endpoint("web", "127.0.0.2:80")->id, kept);
        assert_non_null(endpoint("web", "127.0.0.3:80"));
        put_service("web", WEB ONE);
        reload();
        assert_int_equal(endpoint("web", "127.0.0.2:80")->id, kept);
        assert_null(endpoint("web", "127.0.0.3:80"));
}

enum { MANY = 100 };

static void put_one_of_many(unsigned i, unsigned weight, const char *comment) {
        char name[32], text[512];

        (void) snprintf(name, sizeof(name), "s%02u", i);
        (void) snprintf(text, sizeof(text), "%sservice: %s\nport: %u\nsubsets:\n"
                        "  a: {endpoints: [\"127.0.0.2:80\", {address: \"127.0.0.3:80\", weight: %u}]}\n"
                        "routes:\n  - {match: {path: /x}, to: a}\n  - {name: rest, to: a}\n",
                        comment, name, 8000 + i, weight);
        put_service(name, text);
}

static void *copy_table(enum sm_table table) {
        void *copy = malloc(TABLE_SIZE);

        assert_non_null(copy);
        assert_int_equal(pread(fixture->fds[table], copy, TABLE_SIZE, 0), TABLE_SIZE);
        return copy;
}

static const struct sm_policy *policy_at(uint32_t root) {
        return sm_cell_of(tables_view(fixture->manager->tables), root);
}

/* Reloads, and counts what that changes: cells, and services' entries. Of the cells
 * the first and the end. */
static size_t count_changes(size_t *ret_services, uint32_t *ret_first, uint32_t *ret_end) {
        _cleanup_free_ struct sm_cell *cells = copy_table(SM_TABLE_CELLS), *cells_now = NULL;
        _cleanup_free_ struct sm_service *services = copy_table(SM_TABLE_SERVICES), *services_now = NULL;
        _cleanup_free_ void *endpoints = copy_table(SM_TABLE_ENDPOINTS), *endpoints_now = NULL;
        size_t n = 0;

        reload();
        cells_now = copy_table(SM_TABLE_CELLS);
        services_now = copy_table(SM_TABLE_SERVICES);
        endpoints_now = copy_table(SM_TABLE_ENDPOINTS);
        *ret_services = 0;
        for (uint32_t i = 0; i < N_IDS; i++)
                *ret_services += memcmp(&services[i], &services_now[i], sizeof(*services)) != 0;
        for (uint32_t i = 0; i < fixture->n_cells; i++) {
                if (memcmp(&cells[i], &cells_now[i], sizeof(*cells)) == 0)
                        continue;
                *ret_first = n++ == 0 ? i : *ret_first;
                *ret_end = i + 1;
        }
        assert_int_equal(*ret_services > 0, memcmp(endpoints, endpoints_now, TABLE_SIZE) != 0);
        return n;
}

static void test_a_commit_touches_only_what_changed(void **state) {
        uint32_t first, end, root;
        size_t n_services, n;

        fixture->n_cells = TABLE_SIZE / sizeof(struct sm_cell);
        for (unsigned i = 0; i < MANY; i++)
                put_one_of_many(i, 1, "");
        start(fixture);
        take_over(fixture);
        assert_int_equal(hashmap_size(fixture->manager->services), MANY);
        assert_int_equal(count_changes(&n_services, &first, &end), 0);
        assert_int_equal(n_services, 0);

        put_one_of_many(42, 2, "");
        root = root_of(service("s42"));
        n = count_changes(&n_services, &first, &end);
        assert_int_equal(n_services, 1);
        assert_int_equal(service("s42")->revision, 2);
        assert_int_not_equal(root_of(service("s42")), root);
        root = root_of(service("s42"));
        assert_true(n > 0 && first >= root && end <= root + policy_at(root)->n_cells);
        for (unsigned i = 0; i < MANY; i++) {
                char name[32];

                (void) snprintf(name, sizeof(name), "s%02u", i);
                assert_int_equal(service(name)->revision, i == 42 ? 2 : 1);
        }
}

static void test_broken_file_keeps_the_last_good_policy(void **state) {
        uint32_t root;

        begin("web", WEB ONE);
        put_service("db", DB ONE);
        reload();
        root = root_of(service("web"));
        put_service("web", WEB "endpoints: 7\n");
        put_service("db", DB TWO);
        reload();
        assert_int_equal(service("web")->state, SERVICE_STALE);
        assert_int_equal(root_of(service("web")), root);
        assert_int_equal(service("db")->revision, 2);
        assert_int_equal(fixture->n_vips, 2);
        assert_true(has_problem("policy-errors"));
        put_service("web", WEB ONE);
        reload();
        assert_int_equal(service("web")->state, SERVICE_ACTIVE);
        assert_false(has_problem("policy-errors"));
}

static void test_restart_changes_nothing(void **state) {
        uint32_t root, subset, route, one, two;

        begin("web", WEB TWO);
        root = root_of(service("web"));
        subset = service("web")->subsets[0].state;
        route = service("web")->routes[0].state;
        one = endpoint("web", "127.0.0.2:80")->id;
        two = endpoint("web", "127.0.0.3:80")->id;
        restart(fixture);
        assert_int_equal(root_of(service("web")), root);
        assert_int_equal(service("web")->subsets[0].state, subset);
        assert_int_equal(service("web")->routes[0].state, route);
        assert_int_equal(endpoint("web", "127.0.0.2:80")->id, one);
        assert_int_equal(endpoint("web", "127.0.0.3:80")->id, two);
}

static void test_restart_with_a_broken_file(void **state) {
        uint32_t id, one;

        begin("web", WEB TWO);
        id = service("web")->id;
        one = endpoint("web", "127.0.0.2:80")->id;
        put_service("web", "service: [");
        restart(fixture);
        assert_int_equal(service("web")->state, SERVICE_STALE);
        assert_int_equal(service("web")->id, id);
        assert_int_equal(endpoint("web", "127.0.0.2:80")->id, one);
        assert_int_equal(fixture->n_vips, 1);
        reload(); /* still broken */
        assert_int_equal(service("web")->state, SERVICE_STALE);
        remove_service("web");
        reload();
        assert_null(service("web"));
}

static void test_boot_with_a_broken_file(void **state) {
        begin("web", WEB TWO);
        put_service("web", "service: [");
        for (size_t i = 0; i < ELEMENTSOF(fixture->fds); i++) {
                assert_int_equal(ftruncate(fixture->fds[i], 0), 0);
                assert_int_equal(ftruncate(fixture->fds[i], TABLE_SIZE), 0);
        }
        fixture->n_vips = 0;
        restart(fixture);
        assert_int_equal(service("web")->state, SERVICE_STALE);
        assert_true(root_of(service("web")) != 0);
        assert_int_equal(fixture->n_vips, 1);
}

static void test_restart_without_a_service(void **state) {
        begin("web", WEB ONE);
        remove_service("web");
        restart(fixture);
        assert_null(service("web"));
        assert_int_equal(fixture->n_vips, 0);
        assert_false(is_good("web"));
}

static uint8_t flags_for(const char *slice) {
        const Slice *s = slice ? hashmap_get(fixture->manager->slices, slice) : NULL;

        for (size_t i = 0; i < fixture->n_vips; i++)
                if (fixture->vips[i].key.slice == (s ? s->id : 0))
                        return fixture->vips[i].value.flags;
        return 0xff;
}

static void test_callers(void **state) {
        put_file("etc/slicemesh/mesh.yaml", "slices: [shop.slice, pay-eu.slice, payroll.slice]\n");
        begin("web", WEB "callers: [pay.slice]\n" ONE);
        assert_int_equal(hashmap_size(fixture->manager->slices), 4);
        assert_int_equal(fixture->n_vips, 3);
        assert_int_equal(flags_for(NULL), SM_VIP_REFUSE);
        assert_int_equal(flags_for("pay.slice"), 0);
        assert_int_equal(flags_for("pay-eu.slice"), 0);
        put_service("web", WEB ONE);
        put_file("etc/slicemesh/mesh.yaml", MESH);
        reload();
        assert_int_equal(hashmap_size(fixture->manager->slices), 1);
        assert_int_equal(fixture->n_slices_released, 3);
        assert_int_equal(flags_for(NULL), 0);
}

static void test_address_of_another_name(void **state) {
        begin("web", WEB ONE);
        remove_service("web");
        put_service("other", "service: other\naddress: 127.71.0.10:80\nprotocol: http\n" ONE);
        reload();
        assert_null(service("other"));
        assert_true(has_problem("service-not-applied:other"));
        put_service("other", "service: other\naddress: 127.71.0.11:80\nprotocol: http\n" ONE);
        reload();
        assert_non_null(service("other"));
        assert_false(has_problem("service-not-applied:other"));
}

/* Room for one extent and no more: the next one has to wait until the relay has passed the epoch. */
static void test_full_tables_are_tried_again(void **state) {
        Tables *t;

        fixture->n_cells = 12;
        begin("web", WEB ONE);
        put_service("web", WEB TWO);
        reload();
        assert_int_equal(service("web")->subsets[0].n_endpoints, 1);
        assert_int_equal(service("web")->state, SERVICE_ACTIVE);
        assert_true(has_problem("service-not-applied:web"));

        put_service("web", WEB ONE);
        reload();
        assert_false(has_problem("service-not-applied:web"));
        put_service("db", DB ONE);
        reload();
        assert_null(service("db"));
        remove_service("web");
        reload();
        t = fixture->manager->tables;
        tables_epoch_passed(t, tables_epoch(t));
        manager_epoch_passed(fixture->manager);
        assert_non_null(service("db"));
        assert_false(has_problem("service-not-applied:db"));
}

/* After a restart nobody can say that the relay has passed the epoch of what lies between the extents in
 * force. If it takes that room to put a service in force, the room is used. */
static void test_restart_with_full_tables(void **state) {
        fixture->n_cells = 24;
        begin("web", WEB ONE);
        put_service("web", WEB TWO);
        reload();
        assert_int_equal(service("web")->revision, 2);
        put_service("web", WEB "endpoints: [\"127.0.0.4:80\"]\n");
        restart(fixture);
        assert_int_equal(service("web")->revision, 3);
        assert_non_null(endpoint("web", "127.0.0.4:80"));
        assert_false(has_problem("service-not-applied:web"));
}

static void test_addresses_that_cannot_be_saved(void **state) {
        char path[128];

        begin("web", WEB ONE);
        (void) snprintf(path, sizeof(path), "%s/addresses", fixture->manager->state_directory);
        assert_int_equal(unlink(path), 0);
        assert_int_equal(mkdir(path, 0755), 0); /* which no file can take the place of, not even for root */
        put_service("db", DB ONE);
        put_service("web", WEB TWO);
        reload();
        assert_true(has_problem("addresses-not-saved"));
        assert_null(service("db"));
        assert_int_equal(service("web")->revision, 2);
        assert_int_equal(rmdir(path), 0);
        reload();
        assert_false(has_problem("addresses-not-saved"));
        assert_non_null(service("db"));
}

static void test_restart_is_asked_for(void **state) {
        begin("web", WEB ONE);
        fixture->manager->started = *fixture->manager->mesh;
        put_file("etc/slicemesh/mesh.yaml", MESH "caps: {services: 99}\n");
        reload();
        assert_true(has_problem("restart-needed"));
        put_file("etc/slicemesh/mesh.yaml", "slices: 7\n");
        reload(); /* what was in force before still is */
        assert_true(has_problem("restart-needed"));
        assert_int_equal(hashmap_size(fixture->manager->slices), 1);
        put_file("etc/slicemesh/mesh.yaml", MESH);
        reload();
        assert_false(has_problem("restart-needed"));
}

#define reload_test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                reload_test(test_service_comes_and_goes),
                reload_test(test_only_what_changed_is_committed),
                reload_test(test_a_commit_touches_only_what_changed),
                reload_test(test_broken_file_keeps_the_last_good_policy),
                reload_test(test_restart_changes_nothing),
                reload_test(test_restart_with_a_broken_file),
                reload_test(test_boot_with_a_broken_file),
                reload_test(test_restart_without_a_service),
                reload_test(test_callers),
                reload_test(test_address_of_another_name),
                reload_test(test_full_tables_are_tried_again),
                reload_test(test_restart_with_full_tables),
                reload_test(test_addresses_that_cannot_be_saved),
                reload_test(test_restart_is_asked_for),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
