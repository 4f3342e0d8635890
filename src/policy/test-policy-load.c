/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <errno.h>
#include <sched.h>
#include <stdio.h>

#include <cmocka.h>

#include "../basic/parse-util.h"
#include "../basic/string-util.h"
#include "policy-load.h"
#include "test-policy-files.h"
#include "test-policy-model.h"

DEFINE_TRIVIAL_CLEANUP(Policy *, policy_free)

#define ETC "etc/slicemesh/"
#define RUN "run/slicemesh/"
#define LIB "usr/lib/slicemesh/"

static Policy *load(void) {
        Policy *p = NULL;

        assert_int_equal(policy_load(test_root, &p), 0);
        return p;
}

/* Errors with the root left out. */
static void check_errors(const Policy *p, const char *expected) {
        _cleanup_free_ char *errors = test_errors(p);
        char *from = errors, *to = errors;

        for (; *from; *to++ = *from++)
                while (startswith(from, test_root))
                        from += strlen(test_root) + 1;
        *to = 0;
        assert_string_equal(errors, expected);
}

static void check_ports(const Policy *p, const char *expected) {
        char text[256] = "", *end = text;

        for (size_t i = 0; i < p->n_services; i++)
                end += sprintf(end, "%s%s:%u", i > 0 ? " " : "", p->services[i]->name, p->services[i]->port);
        assert_string_equal(text, expected);
}

static void test_nothing(void **state) {
        _cleanup_(policy_freep) Policy *p = load();
        char text[ADDRESS_STRLEN];

        check_errors(p, "");
        assert_int_equal(p->n_services, 0);
        assert_false(p->mesh_broken);
        assert_null(p->broken_files);
        assert_null(p->mesh.slices);
        assert_string_equal(address_to_string(&p->mesh.vip_network, text), "127.71.0.0");
        assert_int_equal(p->mesh.vip_prefix, 16);
        assert_int_equal(p->mesh.relay_port, 7471);
        assert_int_equal(p->mesh.relay_workers, 0);
        assert_int_equal(p->mesh.max_connections, 8192);
        assert_int_equal(p->mesh.max_head, 16384);
        assert_int_equal(p->mesh.max_buffer, 32768);
        assert_int_equal(p->mesh.drain_usec, 30 * 1000000);
        assert_true(p->mesh.fast);
        assert_int_equal(p->mesh.fast_connections, 768);
        assert_int_equal(p->mesh.fast_upstreams, 1024);
        assert_int_equal(p->mesh.max_services, 512);
        assert_int_equal(p->mesh.max_cells, (2 << 20) / SM_CELL_SIZE);
}

static void test_precedence(void **state) {
        _cleanup_(policy_freep) Policy *p = NULL;

        test_write(LIB "services/a.yaml", "{service: a, port: 1, endpoints: []}\n");
        test_write(RUN "services/a.yaml", "{service: a, port: 2, endpoints: []}\n");
        test_write(LIB "services/b.yaml", "{service: b, port: 3, endpoints: []}\n");
        test_write(ETC "services/b.yaml", "{service: b, port: 4, endpoints: []}\n");
        test_write(LIB "services/c.yaml", "{service: c, port: 5, endpoints: []}\n");
        test_write(ETC "services/c.yaml", ""); /* masked */
        test_write(LIB "services/d.yaml", "{service: d, port: 6, endpoints: []}\n");
        assert_int_equal(symlink("/dev/null", test_make_place(RUN "services/d.yaml")), 0);
        test_write(LIB "services/e.yaml", "---\n{service: e2, port: 8, endpoints: []}\n"
                                          "---\n{service: e1, port: 7, endpoints: []}\n");
        test_write(LIB "services/.f.yaml", "{service: f, endpoints: []}\n");
        test_write(LIB "services/g.yml", "{service: g, endpoints: []}\n");
        p = load();
        check_errors(p, "");
        check_ports(p, "a:2 b:4 e1:7 e2:8");
        assert_string_equal(policy_find_service(p, "b")->origin.file, test_path(ETC "services/b.yaml"));
        assert_int_equal(policy_find_service(p, "e1")->origin.line, 4);
        assert_null(policy_find_service(p, "c"));
}

static void test_drop_ins(void **state) {
        _cleanup_(policy_freep) Policy *p = NULL;
        const PolicyService *s;

        test_write(LIB "services/x.yaml", "service: shop\nport: 1\n"
                                          "endpoints: [\"10.1.0.1:80\", \"10.1.0.2:80\", \"h:80\"]\n");
        test_write(LIB "services/shop.d/10-port.yaml", "port: 2\nvia: true\n");
        test_write(RUN "services/shop.d/10-port.yaml", "port: 3\n"); /* hides the one before */
        test_write(ETC "services/shop.d/20-port.yaml", "service: shop\nport: 4\n");
        test_write(RUN "services/shop.d/90-bus.yaml",
                   "subsets: {default: {balance: random, adjust: {\"10.1.0.1:80\": {weight: 7}}}}\n");
        test_write(ETC "services/shop.d/50-bus.yaml",
                   "subsets: {default: {balance: least-request, adjust: {\"10.1.0.1:80\": {weight: 3, "
                   "state: drain}, \"H:80\": {state: disabled}}}}\n");
        test_write(ETC "services/other.d/10.yaml", "port: 9\n"); /* of no service: not read */
        p = load();
        check_errors(p, "");
        check_ports(p, "shop:4");
        s = p->services[0];
        assert_false(s->via);
        assert_int_equal(s->n_subsets, 1);
        assert_int_equal(s->subsets[0]->balance, SM_BALANCE_RANDOM);
        assert_int_equal(s->subsets[0]->endpoints[0]->weight, 7);
        assert_int_equal(s->subsets[0]->endpoints[0]->admin, ENDPOINT_DRAIN);
        assert_int_equal(s->subsets[0]->endpoints[1]->admin, ENDPOINT_ENABLED);
        assert_int_equal(s->subsets[0]->endpoints[2]->admin, ENDPOINT_DISABLED);
        assert_string_equal(s->origin.file, test_path(LIB "services/x.yaml"));
}

/* Errors of a drop-in are at its place, and take its service only. */
static void test_broken_drop_ins(void **state) {
        _cleanup_(policy_freep) Policy *p = NULL;

        test_write(ETC "services/a.yaml",
                   "{service: a, endpoints: []}\n---\n{service: b, endpoints: []}\n"
                   "---\n{service: c, endpoints: []}\n---\n{service: d, endpoints: []}\n");
        test_write(ETC "services/a.d/1.yaml", "portt: 1\nendpoints: [x]\n");
        test_write(ETC "services/b.d/1.yaml", "service: bb\n");
        test_write(ETC "services/c.d/1.yaml", "port: [\n");
        p = load();
        check_errors(p,
                     ETC "services/a.d/1.yaml:1:1: portt: Unknown key; did you mean \"port\"?\n"
                     ETC "services/a.d/1.yaml:2:13: endpoints[0]: Expected an address and port, like "
                     "10.1.0.11:8080, [fd00::1]:8080 or db.example:8080, not \"x\".\n"
                     ETC "services/b.d/1.yaml:1:10: service: Expected \"b\": a drop-in does not change the "
                     "name.\n"
                     ETC "services/c.d/1.yaml:1:7: port: Expected a port from 1 to 65535, not a list.\n"
                     ETC "services/c.d/1.yaml:2:1: Not valid YAML: while parsing a flow node, did not find "
                     "expected node content.\n");
        check_ports(p, "d:80");
        for (size_t i = 0; i < p->n_errors; i++)
                assert_non_null(p->errors[i].service);
        assert_int_equal(strv_length(p->broken_files), 3);
        assert_string_equal(p->broken_files[0], test_path(ETC "services/a.d/1.yaml"));
}

static void test_unreadable(void **state) {
        _cleanup_(policy_freep) Policy *p = NULL;

        test_write(ETC "services/a.yaml", "{service: a, endpoints: []}\n");
        assert_int_equal(symlink("nowhere", test_path(ETC "services/b.yaml")), 0);
        assert_int_equal(mkdir(test_path(ETC "services/c.yaml"), 0755), 0);
        assert_int_equal(mkfifo(test_path(ETC "services/d.yaml"), 0644), 0);
        test_write(LIB "services/d.yaml", "{service: d, endpoints: []}\n"); /* hidden all the same */
        p = load();
        check_errors(p, ETC "services/b.yaml: Cannot be read: No such file or directory.\n"
                        ETC "services/c.yaml: Cannot be read: not a regular file.\n"
                        ETC "services/d.yaml: Cannot be read: not a regular file.\n");
        check_ports(p, "a:80");
        assert_int_equal(strv_length(p->broken_files), 3);
}

static void test_mesh(void **state) {
        _cleanup_(policy_freep) Policy *p = NULL;

        test_write(ETC "mesh.yaml", "slices: [a.slice]\nvip-range: 127.80.0.0/20\n"
                                    "relay: {port: 1234, buffer: 128K}\ncaps: {services: 5}\n"
                                    "fast-path: {enabled: false, connections: 7, upstreams: 65535}\n");
        test_write(LIB "mesh.yaml", "slices: [b.slice]\n");
        p = load();
        check_errors(p, "");
        assert_int_equal(strv_length(p->mesh.slices), 1);
        assert_string_equal(p->mesh.slices[0], "a.slice");
        assert_int_equal(p->mesh.vip_prefix, 20);
        assert_int_equal(p->mesh.relay_port, 1234);
        assert_int_equal(p->mesh.max_buffer, 128 << 10);
        assert_false(p->mesh.fast);
        assert_int_equal(p->mesh.fast_connections, 7);
        assert_int_equal(p->mesh.fast_upstreams, 65535);
        assert_int_equal(p->mesh.max_services, 5);
        assert_int_equal(p->mesh.max_routes, 4096);
}

/* Services load under the defaults, which the caller must not take for what the administrator wants. */
static void test_broken_mesh(void **state) {
        _cleanup_(policy_freep) Policy *p = NULL;

        test_write(ETC "mesh.yaml", "slices: [a.slice]\nvip-range: 127.0.0.0/16\nrelay: {port: 0, prot: 1}\n"
                                    "caps:\n---\nslices: []\n");
        test_write(ETC "services/a.yaml", "{service: a, endpoints: []}\n");
        p = load();
        check_errors(p, ETC "mesh.yaml:2:12: vip-range: 127.0.0.0/16 is in use by the host itself.\n"
                        ETC "mesh.yaml:3:15: relay.port: Expected a port from 1 to 65535, not \"0\".\n"
                        ETC "mesh.yaml:3:18: relay.prot: Unknown key; did you mean \"port\"?\n"
                        ETC "mesh.yaml:4:6: caps: Expected a mapping, not nothing.\n"
                        ETC "mesh.yaml:6:1: Expected a single document.\n");
        assert_true(p->mesh_broken);
        assert_null(p->mesh.slices);
        assert_int_equal(p->mesh.vip_prefix, 16);
        assert_null(p->broken_files);
        check_ports(p, "a:80");

        p = policy_free(p);
        test_write(ETC "mesh.yaml", "slices: {\n");
        p = load();
        assert_true(p->mesh_broken);
        p = policy_free(p);
        assert_int_equal(unlink(test_path(ETC "mesh.yaml")), 0);
        assert_int_equal(symlink("nowhere", test_path(ETC "mesh.yaml")), 0);
        p = load();
        check_errors(p, ETC "mesh.yaml: Cannot be read: No such file or directory.\n");
        assert_true(p->mesh_broken);
}

static void test_caps(void **state) {
        _cleanup_(policy_freep) Policy *p = NULL;

        test_write(ETC "mesh.yaml", "caps: {services: 2, endpoints: 3}\n");
        test_write(ETC "services/x.yaml", "{service: a, endpoints: [\"10.1.0.1:1\", \"10.1.0.1:2\"]}\n"
                                          "---\n{service: b, endpoints: [\"10.1.0.1:1\", \"10.1.0.1:2\"]}\n"
                                          "---\n{service: c, endpoints: [\"10.1.0.1:1\"]}\n"
                                          "---\n{service: d, endpoints: []}\n");
        p = load();
        check_errors(p, ETC "services/x.yaml:3:1: With it there are more endpoints than caps.endpoints in "
                            "mesh.yaml allows.\n"
                        ETC "services/x.yaml:7:1: With it there are more services than caps.services in "
                            "mesh.yaml allows.\n");
        check_ports(p, "a:80 c:80");
}

static void test_across_files(void **state) {
        _cleanup_(policy_freep) Policy *p = NULL;
        _cleanup_free_ char *line = NULL;

        test_write(ETC "services/a.yaml", "{service: twice, endpoints: []}\n"
                                          "---\n{service: a, endpoints: []}\n");
        test_write(LIB "services/b.yaml", "{service: twice, endpoints: []}\n"
                                          "---\n{service: b, endpoints: []}\n");
        p = load();
        check_ports(p, "a:80 b:80");
        assert_int_equal(p->n_errors, 1);
        assert_string_equal(p->errors[0].service, "twice");
        assert_int_equal(policy_error_format(&p->errors[0], &line), 0);
        assert_non_null(strstr(line, test_path(ETC "services/a.yaml:1")));
        assert_non_null(strstr(line, test_path(LIB "services/b.yaml:1")));
}

static void test_directory(void **state) {
        _cleanup_(policy_freep) Policy *p = NULL;

        test_write("x/mesh.yaml", "slices: [a.slice]\n");
        test_write("x/services/a.yaml", "{service: a, endpoints: []}\n");
        test_write("x/services/a.d/1.yaml", "port: 5\n");
        assert_int_equal(policy_load_directory(test_path("x"), &p), 0);
        check_errors(p, "");
        check_ports(p, "a:5");
        assert_string_equal(p->mesh.slices[0], "a.slice");
        p = policy_free(p);
        assert_int_equal(policy_load_directory(test_path("none"), &p), -ENOENT);
        assert_int_equal(policy_load_directory(test_path("x/mesh.yaml"), &p), -ENOTDIR);
        assert_null(p);
}

/* Uncommented, the files that are installed are a policy without errors. */
static char *uncomment(const char *path) {
        _cleanup_fclose_ FILE *in = fopen(path, "r");
        char *text = NULL, line[256];
        size_t size;
        FILE *out = open_memstream(&text, &size);

        assert_non_null(in);
        while (fgets(line, sizeof(line), in)) {
                assert_int_equal(line[0], '#'); /* all of it is commented */
                if (line[1] != '#' && !startswith(line, "# SPDX"))
                        fputs(line + 1, out);
        }
        fclose(out);
        return text;
}

static void test_examples(void **state) {
        _cleanup_free_ char *mesh = uncomment(SOURCE_ROOT "/etc/mesh.yaml"),
                            *service = uncomment(SOURCE_ROOT "/etc/services/example.yaml");
        _cleanup_(policy_freep) Policy *p = NULL;

        test_write(ETC "mesh.yaml", mesh);
        test_write(ETC "services/example.yaml", service);
        p = load();
        check_errors(p, "");
        assert_int_equal(strv_length(p->mesh.slices), 2);
        assert_true(p->n_services >= 3);
}

/* So is every example of docs/policy.md, on top of those before it: either its first line says where it
 * stands, or it is another version of the first service. */
static void test_document(void **state) {
        _cleanup_fclose_ FILE *f = fopen(SOURCE_ROOT "/docs/policy.md", "r");
        static const unsigned n_services[] = { 0, 1, 1, 1, 2, 2, 3 };
        char line[256], path[256], block[4096];
        unsigned n = 0;

        assert_non_null(f);
        while (fgets(line, sizeof(line), f)) {
                _cleanup_(policy_freep) Policy *p = NULL;

                if (!streq(line, "```yaml\n"))
                        continue;
                *block = 0;
                while (fgets(line, sizeof(line), f) && !startswith(line, "```"))
                        strcat(block, line);
                if (sscanf(block, "# /%255s", path) != 1)
                        strcpy(path, ETC "services/payments.yaml");
                test_write(path, block);
                p = load();
                check_errors(p, "");
                assert_true(n < ELEMENTSOF(n_services));
                assert_int_equal(p->n_services, n_services[n++]);
        }
        assert_int_equal(n, ELEMENTSOF(n_services));
}

/* So many files that several threads read them, if there are CPUs for that. */
static void write_many(void) {
        char name[64], text[256];

        for (unsigned i = 0; i < 500; i++) {
                snprintf(name, sizeof(name), ETC "services/s%03u.yaml", i);
                snprintf(text, sizeof(text), "service: s%03u\nport: %u\nendpoints: [\"10.0.0.1:80\"]%s\n", i,
                         1 + i % 7, i % 10 == 3 ? "\nunknown: 1\nrelay: [" : "");
                test_write(name, text);
                snprintf(name, sizeof(name), ETC "services/s%03u.d/more.yaml", i);
                if (i % 25 == 0)
                        test_write(name, i % 50 == 0 ? "port: 99\n" : "port: none\n");
        }
        test_write(ETC "services/twice.yaml", "service: s001\nport: 1\nendpoints: []\n");
}

static void test_threads_change_nothing(void **state) {
        _cleanup_(policy_freep) Policy *alone = NULL, *together = NULL;
        cpu_set_t all, one;

        write_many();
        assert_int_equal(sched_getaffinity(0, sizeof(all), &all), 0);
        CPU_ZERO(&one);
        for (int i = 0; CPU_COUNT(&one) == 0; i++)
                if (CPU_ISSET(i, &all))
                        CPU_SET(i, &one);
        assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
        alone = load();
        assert_int_equal(sched_setaffinity(0, sizeof(all), &all), 0);
        together = load();

        assert_int_equal(alone->n_services, 500 - 50 - 10 - 1);
        assert_int_equal(together->n_services, alone->n_services);
        for (size_t i = 0; i < alone->n_services; i++)
                assert_true(policy_service_equal(together->services[i], alone->services[i]));
        assert_int_equal(together->n_errors, alone->n_errors);
        for (size_t i = 0; i < alone->n_errors; i++) {
                _cleanup_free_ char *a = NULL, *b = NULL;

                assert_int_equal(policy_error_format(&alone->errors[i], &a), 0);
                assert_int_equal(policy_error_format(&together->errors[i], &b), 0);
                assert_string_equal(a, b);
        }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, test_root_setup, test_root_teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_nothing),
                TEST(test_precedence),
                TEST(test_drop_ins),
                TEST(test_broken_drop_ins),
                TEST(test_unreadable),
                TEST(test_mesh),
                TEST(test_broken_mesh),
                TEST(test_caps),
                TEST(test_across_files),
                TEST(test_directory),
                TEST(test_examples),
                TEST(test_document),
                TEST(test_threads_change_nothing),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
