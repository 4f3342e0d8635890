/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "../basic/cleanup.h"
#include "../basic/macro.h"
#include "daemon-overrides.h"

#define PERSISTENT "etc/slicemesh/services/shop.d/50-bus.yaml"
#define RUNTIME "run/slicemesh/services/shop.d/90-bus.yaml"
#define BANNER                                                                                              \
        "# Written by slicemeshd for changes made over the bus; what is changed here by hand is lost.\n"

static const char two_subsets[] =
        "service: shop\n"
        "subsets:\n"
        "  stable:\n"
        "    endpoints: ['10.1.0.11:8080', {address: 'db.example:8080', weight: 2}]\n"
        "    balance: random\n"
        "  canary: {endpoints: ['10.1.0.20:8080']}\n"
        "routes: [{to: stable}]\n";

static char *in_root(const char *root, const char *name) {
        char *path;

        assert_true(asprintf(&path, "%s/%s", root, name) > 0);
        return path;
}

static void put_file(const char *root, const char *name, const char *text) {
        _cleanup_free_ char *path = in_root(root, name);
        _cleanup_fclose_ FILE *f = NULL;

        for (char *slash = path + strlen(root) + 1; (slash = strchr(slash, '/')); slash++) {
                *slash = '\0';
                assert_true(mkdir(path, 0755) == 0 || errno == EEXIST);
                *slash = '/';
        }
        f = fopen(path, "we");
        assert_non_null(f);
        assert_true(fputs(text, f) >= 0);
}

/* NULL if there is no such file. */
static char *get_file(const char *root, const char *name) {
        _cleanup_free_ char *path = in_root(root, name), *text = NULL;
        _cleanup_fclose_ FILE *f = NULL;
        size_t size = 0;

        f = fopen(path, "re");
        if (!f)
                return NULL;
        if (getdelim(&text, &size, '\0', f) < 0)
                return strdup("");
        return TAKE_PTR(text);
}

static void assert_file(const char *root, const char *name, const char *expected) {
        _cleanup_free_ char *text = get_file(root, name);

        if (!expected) {
                assert_null(text);
                return;
        }
        assert_non_null(text);
        assert_string_equal(text, expected);
}

static int setup(void **state) {
        char *root = strdup("/tmp/test-overrides-XXXXXX");

        assert_non_null(mkdtemp(root));
        put_file(root, "etc/slicemesh/services/shop.yaml", two_subsets);
        *state = root;
        return 0;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw) {
        return remove(path);
}

static int teardown(void **state) {
        assert_return_code(nftw(*state, remove_entry, 8, FTW_DEPTH | FTW_PHYS), errno);
        free(*state);
        return 0;
}

/* What the policy says then. */
static void assert_policy(const char *root, size_t subset, size_t endpoint, unsigned weight,
                          EndpointAdmin admin, enum sm_balance balance) {
        const PolicyService *s;
        Policy *p = NULL;

        assert_return_code(policy_load(root, &p), errno);
        assert_int_equal(p->n_errors, 0);
        s = policy_find_service(p, "shop");
        assert_non_null(s);
        assert_true(subset < s->n_subsets && endpoint < s->subsets[subset]->n_endpoints);
        assert_int_equal(s->subsets[subset]->endpoints[endpoint]->weight, weight);
        assert_int_equal(s->subsets[subset]->endpoints[endpoint]->admin, admin);
        assert_int_equal(s->subsets[subset]->balance, balance);
        policy_free(p);
}

static void set_weight(const char *root, const char *subset, const char *endpoint, unsigned weight,
                       bool persist) {
        assert_int_equal(override_set_weight(root, "shop", subset, endpoint, weight, persist), 0);
}

static void set_admin(const char *root, const char *subset, const char *endpoint, EndpointAdmin admin,
                      bool persist) {
        assert_int_equal(override_set_admin(root, "shop", subset, endpoint, admin, persist), 0);
}

static void set_balance(const char *root, const char *subset, enum sm_balance balance, bool persist) {
        assert_int_equal(override_set_balance(root, "shop", subset, balance, persist), 0);
}

static void test_settings_add_up(void **state) {
        const char *root = *state;

        set_weight(root, "stable", "db.example:8080", 5, true);
        set_admin(root, "canary", "10.1.0.20:8080", ENDPOINT_DRAIN, true);
        set_balance(root, "stable", SM_BALANCE_LEAST_REQUEST, true);
        set_admin(root, "stable", "10.1.0.11:8080", ENDPOINT_DISABLED, true);
        set_weight(root, "stable", "db.example:8080", 7, true);
        set_weight(root, "stable", "10.1.0.11:8080", 0, true);

        assert_file(root, PERSISTENT, BANNER
                    "subsets:\n"
                    "  \"canary\":\n"
                    "    adjust:\n"
                    "      \"10.1.0.20:8080\":\n"
                    "        state: drain\n"
                    "  \"stable\":\n"
                    "    balance: least-request\n"
                    "    adjust:\n"
                    "      \"10.1.0.11:8080\":\n"
                    "        state: disabled\n"
                    "        weight: 0\n"
                    "      \"db.example:8080\":\n"
                    "        weight: 7\n");
        assert_file(root, RUNTIME, NULL);
        assert_policy(root, 0, 0, 0, ENDPOINT_DISABLED, SM_BALANCE_LEAST_REQUEST);
        assert_policy(root, 0, 1, 7, ENDPOINT_ENABLED, SM_BALANCE_LEAST_REQUEST);
        assert_policy(root, 1, 0, 1, ENDPOINT_DRAIN, SM_BALANCE_ROUND_ROBIN);
}

static void test_last_change_wins(void **state) {
        const char *root = *state;

        set_weight(root, "stable", "10.1.0.11:8080", 3, true);
        set_weight(root, "stable", "10.1.0.11:8080", 5, false);
        set_admin(root, "stable", "10.1.0.11:8080", ENDPOINT_DRAIN, false);
        assert_policy(root, 0, 0, 5, ENDPOINT_DRAIN, SM_BALANCE_RANDOM);

        /* What is to persist takes the same setting out of the other file, and only that. */
        set_weight(root, "stable", "10.1.0.11:8080", 4, true);
        assert_file(root, RUNTIME, BANNER
                    "subsets:\n"
                    "  \"stable\":\n"
                    "    adjust:\n"
                    "      \"10.1.0.11:8080\":\n"
                    "        state: drain\n");
        assert_policy(root, 0, 0, 4, ENDPOINT_DRAIN, SM_BALANCE_RANDOM);

        set_admin(root, "stable", "10.1.0.11:8080", ENDPOINT_ENABLED, true);
        assert_file(root, RUNTIME, NULL);
        assert_policy(root, 0, 0, 4, ENDPOINT_ENABLED, SM_BALANCE_RANDOM);
}

static void test_short_form_of_a_service(void **state) {
        const char *root = *state;

        put_file(root, "etc/slicemesh/services/shop.yaml",
                 "{service: shop, endpoints: ['[::1]:80'], balance: random}\n");
        set_weight(root, "default", "[::1]:80", 9, false);
        assert_policy(root, 0, 0, 9, ENDPOINT_ENABLED, SM_BALANCE_RANDOM);
        set_balance(root, "default", SM_BALANCE_CONSISTENT_HASH, false);
        assert_policy(root, 0, 0, 9, ENDPOINT_ENABLED, SM_BALANCE_CONSISTENT_HASH);
}

static void test_nothing_but_the_file_is_left(void **state) {
        _cleanup_free_ char *path = in_root(*state, "etc/slicemesh/services/shop.d");
        struct dirent *e;
        unsigned n = 0;
        struct stat st;
        DIR *d;

        set_weight(*state, "stable", "10.1.0.11:8080", 3, true);
        set_weight(*state, "stable", "10.1.0.11:8080", 4, true);
        d = opendir(path);
        assert_non_null(d);
        while ((e = readdir(d)))
                if (e->d_name[0] != '.') {
                        assert_string_equal(e->d_name, "50-bus.yaml");
                        assert_return_code(fstatat(dirfd(d), e->d_name, &st, 0), errno);
                        assert_int_equal(st.st_mode & 0777, 0644);
                        n++;
                }
        closedir(d);
        assert_int_equal(n, 1);
}

static void test_foreign_files_are_left_alone(void **state) {
        static const struct {
                const char *text;
                int error;
        } cases[] = {
                { "subsets: {stable: {balance: random}}\n", -EEXIST },
                { "", -EEXIST },
                { "\n" BANNER, -EEXIST },
                { BANNER "subsets: {stable: {balance: random}}\n", -EBADMSG },
                { BANNER BANNER, -EBADMSG },
                { BANNER "subsets:\n    balance: random\n", -EBADMSG },
                { BANNER "subsets:\n  \"stable\":\n    balance\n", -EBADMSG },
                { BANNER "subsets:\n  \"stable\":\n        weight: 3\n", -EBADMSG },
                { BANNER "subsets:\n  \"stable:\n    balance: random\n", -EBADMSG },
                { BANNER "subsets:\n  \"stable\\", -EBADMSG },
                { BANNER "subsets:\n  \"stable\" :\n    balance: random\n", -EBADMSG },
                { BANNER "adjust-routes:\n  \"a\":\n    adjust:\n", -EBADMSG },
                { BANNER "adjust-routes:\n  \"a\":\n      \"b\":\n", -EBADMSG },
                { BANNER "routes:\n", -EBADMSG },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                put_file(*state, PERSISTENT, cases[i].text);
                assert_int_equal(override_set_weight(*state, "shop", "stable", "10.1.0.11:8080", 3, true),
                                 cases[i].error);
                assert_file(*state, PERSISTENT, cases[i].text);
        }

        /* Not ours to take a setting out of, but no reason against one that persists. */
        put_file(*state, RUNTIME, cases[0].text);
        put_file(*state, PERSISTENT, BANNER);
        set_weight(*state, "stable", "10.1.0.11:8080", 3, true);
        assert_file(*state, RUNTIME, cases[0].text);
}

static void test_names_that_no_policy_holds(void **state) {
        static const char *const services[] = {
                "", ".", "..", ".hidden", "a/b", "../../etc", "/etc",
                "0123456789012345678901234567890123456789012345678901234567890123",
        };

        for (size_t i = 0; i < ELEMENTSOF(services); i++)
                assert_int_equal(override_set_weight(*state, services[i], "stable", "h:1", 3, false),
                                 -EINVAL);
        assert_int_equal(override_set_weight(*state, "shop", "a\nb", "h:1", 3, false), -EINVAL);
        assert_int_equal(override_set_weight(*state, "shop", "a\xff", "h:1", 3, false), -EINVAL);
        assert_int_equal(override_set_weight(*state, "shop", "stable", "h:1\t", 3, false), -EINVAL);
        assert_file(*state, RUNTIME, NULL);
}

/* Quotes that end nothing: what is written is what is read back, by us and by the policy. */
static void test_hostile_texts_stay_texts(void **state) {
        static const char *const texts[] = { /* as strcmp() sorts them, which is the order in the file */
                "", " ", "!!str", "\"", "\"}]\\n: x", "#", "${a}", "%", "&a", "'", "*a", "- a", "? a", "@",
                "\\", "\\\"", "\\x41", "`", "a\": {}, \"b", "a: b", "{", "|",
        };
        Policy *p = NULL;

        for (unsigned round = 0; round < 2; round++)
                for (unsigned i = 0; i < ELEMENTSOF(texts); i++)
                        set_weight(*state, "stable", texts[i], round, false);

        /* As many as there are texts, none of them twice: each is an endpoint that is not listed. */
        assert_return_code(policy_load(*state, &p), errno);
        assert_int_equal(p->n_errors, ELEMENTSOF(texts));
        for (size_t i = 0; i < p->n_errors; i++)
                assert_non_null(strstr(p->errors[i].message, texts[i]));
        policy_free(p);
}

static void set_route(const char *root, const char *name, size_t subset, bool persist) {
        PolicySplit splits[] = { { .subset = subset, .weight = 3 }, { .subset = 1 - subset, .weight = 1 } };
        PolicyRoute route = { .name = (char *) name, .splits = splits, .n_splits = 2 };
        PolicyRoute *routes[] = { &route };
        Policy *p = NULL;

        assert_return_code(policy_load(root, &p), errno);
        assert_int_equal(override_set_routes(root, policy_find_service(p, "shop"), routes, 1, false,
                                             persist), 0);
        policy_free(p);
}

static void test_routes(void **state) {
        const char *root = *state;

        set_balance(root, "stable", SM_BALANCE_RANDOM, true);
        set_route(root, "route-1", 0, true);
        set_route(root, "route-1", 1, true);
        assert_file(root, PERSISTENT, BANNER
                    "adjust-routes:\n"
                    "  \"route-1\":\n"
                    "    split: {\"canary\": 3, \"stable\": 1}\n"
                    "subsets:\n"
                    "  \"stable\":\n"
                    "    balance: random\n");
        set_route(root, "route-1", 0, false);
        assert_file(root, RUNTIME, BANNER
                    "adjust-routes:\n  \"route-1\":\n    split: {\"stable\": 3, \"canary\": 1}\n");
        set_route(root, "route-1", 1, true);
        assert_file(root, RUNTIME, NULL);
}

static int load_and_forget(const char *root, size_t *ret_errors) {
        Policy *p = NULL;
        int r;

        assert_return_code(policy_load(root, &p), errno);
        r = override_forget(p);
        *ret_errors = p->n_errors;
        policy_free(p);
        return r;
}

static void test_what_is_listed_no_more_is_forgotten(void **state) {
        const char *root = *state;
        size_t n_errors;

        set_weight(root, "stable", "10.1.0.11:8080", 3, true);
        set_weight(root, "stable", "db.example:8080", 4, true);
        set_admin(root, "stable", "db.example:8080", ENDPOINT_DRAIN, true);
        set_admin(root, "stable", "db.example:8080", ENDPOINT_DRAIN, false);
        set_balance(root, "canary", SM_BALANCE_RANDOM, false);
        set_weight(root, "canary", "10.1.0.20:8080", 5, false);
        assert_int_equal(load_and_forget(root, &n_errors), 0);
        assert_int_equal(n_errors, 0);

        put_file(root, "etc/slicemesh/services/shop.yaml",
                 "{service: shop, subsets: {stable: {endpoints: ['10.1.0.11:8080']}}}\n");
        assert_int_equal(load_and_forget(root, &n_errors), 1);
        assert_true(n_errors > 0);
        while (load_and_forget(root, &n_errors) > 0)
                ;
        assert_int_equal(n_errors, 0);
        assert_policy(root, 0, 0, 3, ENDPOINT_ENABLED, SM_BALANCE_ROUND_ROBIN);
        assert_file(root, RUNTIME, NULL);
}

/* Of a route that is gone; of one that is split over a subset that is gone; and the others stay. */
static void test_routes_that_are_listed_no_more_are_forgotten(void **state) {
        static const char first[] =
                "{service: shop, subsets: {stable: {endpoints: ['10.1.0.11:80']}, "
                "canary: {endpoints: ['10.1.0.12:80']}}, routes: [{name: a, match: {path: /a}, to: stable}, "
                "{name: b, to: stable}]}\n";
        const char *root = *state;
        size_t n_errors;

        put_file(root, "etc/slicemesh/services/shop.yaml", first);
        set_route(root, "a", 0, true);
        set_route(root, "b", 1, true);
        assert_int_equal(load_and_forget(root, &n_errors), 0);
        assert_int_equal(n_errors, 0);

        put_file(root, "etc/slicemesh/services/shop.yaml",
                 "{service: shop, subsets: {stable: {endpoints: ['10.1.0.11:80']}, "
                 "canary: {endpoints: ['10.1.0.12:80']}}, routes: [{name: b, to: stable}]}\n");
        assert_int_equal(load_and_forget(root, &n_errors), 1);
        assert_int_equal(load_and_forget(root, &n_errors), 0);
        assert_int_equal(n_errors, 0);
        assert_file(root, PERSISTENT, BANNER
                    "adjust-routes:\n  \"b\":\n    split: {\"canary\": 3, \"stable\": 1}\n");

        put_file(root, "etc/slicemesh/services/shop.yaml",
                 "{service: shop, subsets: {stable: {endpoints: ['10.1.0.11:80']}}, "
                 "routes: [{name: b, to: stable}]}\n");
        assert_int_equal(load_and_forget(root, &n_errors), 1);
        assert_int_equal(load_and_forget(root, &n_errors), 0);
        assert_int_equal(n_errors, 0);
        assert_file(root, PERSISTENT, NULL);
}

/* Errors that are none of ours are left to whoever made them. */
static void test_other_errors_are_not_forgotten(void **state) {
        const char *root = *state;
        size_t n_errors;

        put_file(root, "etc/slicemesh/services/shop.d/60-mine.yaml",
                 "{subsets: {stable: {adjust: {'10.1.0.99:8080': {weight: 3}}}}}\n");
        put_file(root, PERSISTENT, BANNER "subsets: {stable: {adjust: {'10.1.0.98:8080': {weight: 3}}}}\n");
        assert_int_equal(load_and_forget(root, &n_errors), 0);
        assert_int_equal(n_errors, 2);
}

/* It is not "listed no more": there is a typing error in the list. */
static void test_nothing_is_forgotten_while_files_are_broken(void **state) {
        const char *root = *state;
        size_t n_errors;

        set_admin(root, "stable", "10.1.0.11:8080", ENDPOINT_DRAIN, true);
        put_file(root, "etc/slicemesh/services/shop.yaml",
                 "{service: shop, subsets: {stable: {endpoints: ['10.1.0.11:80800']}}}\n");
        assert_int_equal(load_and_forget(root, &n_errors), 0);
        assert_true(n_errors > 0);

        put_file(root, "etc/slicemesh/services/shop.yaml",
                 "{service: shop, subsets: {stable: {endpoints: ['10.1.0.11:8080']}}}\n");
        assert_policy(root, 0, 0, 1, ENDPOINT_DRAIN, SM_BALANCE_ROUND_ROBIN);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)
        const struct CMUnitTest tests[] = {
                TEST(settings_add_up),
                TEST(last_change_wins),
                TEST(short_form_of_a_service),
                TEST(nothing_but_the_file_is_left),
                TEST(foreign_files_are_left_alone),
                TEST(names_that_no_policy_holds),
                TEST(hostile_texts_stay_texts),
                TEST(routes),
                TEST(what_is_listed_no_more_is_forgotten),
                TEST(routes_that_are_listed_no_more_are_forgotten),
                TEST(other_errors_are_not_forgotten),
                TEST(nothing_is_forgotten_while_files_are_broken),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
