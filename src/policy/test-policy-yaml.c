/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "../basic/macro.h"
#include "../basic/string-util.h"
#include "policy-error.h"
#include "test-policy-yaml.h"

DEFINE_TRIVIAL_CLEANUP(Policy *, policy_free)

static Arena arena;

static int forget(void **state) {
        arena_done(&arena);
        return 0;
}

/* What is expected of one parse: documents, and errors as "line:column: message", a line each. */
static void check_n(const char *text, size_t size, size_t n_documents, const char *errors) {
        PolicyDocuments documents;
        _cleanup_(policy_freep) Policy *p = calloc(1, sizeof(*p));
        _cleanup_free_ char *found = NULL;
        size_t found_size;
        FILE *f = open_memstream(&found, &found_size);

        assert_int_equal(policy_yaml_parse(p, &arena, "f", text, size, &documents), 0);
        for (size_t i = 0; i < p->n_errors; i++)
                fprintf(f, "%u:%u: %s\n", p->errors[i].origin.line, p->errors[i].origin.column,
                        p->errors[i].message);
        fclose(f);
        assert_string_equal(found, errors);
        assert_int_equal(documents.n_items, n_documents);
}

static void check(const char *text, size_t n_documents, const char *errors) {
        check_n(text, strlen(text), n_documents, errors);
}

static void test_nodes(void **state) {
        static const char text[] = "a: [x, 'y z']\nb:\n  c: {d: 1}\n  e:\n";
        PolicyDocuments documents;
        _cleanup_(policy_freep) Policy *p = calloc(1, sizeof(*p));
        const PolicyNode *root, *a, *c, *e;

        assert_int_equal(policy_yaml_parse(p, &arena, "f", text, strlen(text), &documents), 0);
        assert_int_equal(p->n_errors, 0);
        assert_int_equal(documents.n_items, 1);
        root = documents.items[0].root;
        assert_int_equal(root->kind, NODE_MAPPING);
        a = policy_node_get(root, "a");
        assert_int_equal(a->kind, NODE_SEQUENCE);
        assert_int_equal(a->n_children, 2);
        assert_string_equal(a->children[1]->text, "y z");
        assert_int_equal(a->children[1]->origin.line, 1);
        assert_int_equal(a->children[1]->origin.column, 8);
        c = policy_node_get(policy_node_get(root, "b"), "c");
        assert_string_equal(policy_node_get(c, "d")->text, "1");
        assert_int_equal(policy_node_get(c, "d")->key_origin.line, 3);
        assert_int_equal(policy_node_get(c, "d")->key_origin.column, 7);
        e = policy_node_get(policy_node_get(root, "b"), "e");
        assert_string_equal(e->text, "");
        assert_null(policy_node_get(root, "z"));
        assert_null(policy_node_get(e, "z"));
}

static void test_documents(void **state) {
        check("", 0, "");
        check("# nothing\n", 0, "");
        check("---\n---\n", 0, "");
        check("a: 1\n---\nb: 1\n...\n---\nc: 1\n", 3, "");
        check("\xef\xbb\xbf" "a: 1\n", 1, ""); /* a byte order mark */
        check("%YAML 1.1\n---\na: 1\n", 1, "");
}

static void test_refused(void **state) {
        check("a: &x 1\n", 1, "1:4: Anchors (&) are not supported.\n");
        check("a: &x [1]\nb: 2\n", 1, "1:4: Anchors (&) are not supported.\n");
        check("a: *x\nb: 2\n", 1, "1:4: Aliases (*) are not supported; quote a text that starts with *.\n");
        check("a: !t 1\n", 1, "1:4: Tags (!) are not supported.\n");
        check("<<: {a: 1}\n", 1, "1:1: Merge keys (<<) are not supported.\n");
        check("'<<': {a: 1}\n", 1, "");
        check("? [a]\n: 1\n", 1, "1:3: A key must be a single value.\n");
        check("a: 1\nb: 2\na: 3\n", 1, "3:1: The key \"a\" is already given in line 1.\n");
        check("{a: 1, b: {c: 1, c: 2}}", 1, "1:18: The key \"c\" is already given in line 1.\n");
        check("a: \"x\\0y\"\n", 1, "1:4: The text contains a NUL byte.\n");
        check("[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]", 1, "");
        check("[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]", 1, "1:17: Lists and mappings are nested too deeply.\n");
}

static void test_resync(void **state) {
        /* What comes after a document that is no YAML is still read. */
        check("a: [1\n---\nb: 1\n", 2,
              "2:1: Not valid YAML: while parsing a flow sequence, did not find expected ',' or ']'.\n");
        check("a: 'x\n---\nb: *z\n---\nc: 1\n", 3,
              "2:1: Not valid YAML: while scanning a quoted scalar, found unexpected document indicator.\n"
              "3:4: Aliases (*) are not supported; quote a text that starts with *.\n");
        check("a:\n\tb: 1\n---\nc: 1\n", 2, "2:1: Found a tab; indent with spaces.\n");
        check("a: }\n", 1,
              "1:4: Not valid YAML: while parsing a block node, did not find expected node content.\n");
}

static void test_bytes(void **state) {
        check("a: \xff\nb: 1\n", 1, "1:4: Not valid UTF-8.\n");
        check("a: \xc3\xa4\xff\n---\nb: \x01\n", 2,
              "1:5: Not valid UTF-8.\n3:4: Control characters are not allowed.\n");
        check("a: \xed\xa0\x80\n", 1, "1:4: Not valid UTF-8.\n"); /* a surrogate; once a line is enough */
        check_n("a\0b", 3, 1, "1:2: Control characters are not allowed.\n");
}

static char *repeat(const char *text, size_t n) {
        _cleanup_free_ char *all = calloc(n, strlen(text) + 1);

        for (char *p = all; p && n > 0; n--)
                p = stpcpy(p, text);
        return TAKE_PTR(all);
}

/* Errors of a document and of a file are bounded; a hostile file costs no more than its size. */
static void test_bounds(void **state) {
        PolicyDocuments documents;
        _cleanup_(policy_freep) Policy *p = calloc(1, sizeof(*p));
        _cleanup_free_ char *equal = repeat("k: 1\n", 10000), *binary = repeat("\xff\n", 10000),
                            *open = repeat("[", 100000), *text = repeat("x", YAML_TEXT_MAX + 1);

        assert_int_equal(policy_yaml_parse(p, &arena, "f", equal, strlen(equal), &documents), 0);
        assert_int_equal(p->n_errors, 101);
        assert_true(documents.items[0].partial);

        assert_int_equal(policy_yaml_parse(p, &arena, "f", binary, strlen(binary), &documents), 0);
        assert_int_equal(p->n_errors, 201);
        assert_int_equal(documents.n_items, 0);

        assert_int_equal(policy_yaml_parse(p, &arena, "f", open, strlen(open), &documents), 0);
        assert_int_equal(p->n_errors, 202);
        check(text, 1, "1:1: The text is longer than 4096 bytes.\n");
}

static PolicyNode *parse_one(Policy *p, const char *text) {
        PolicyDocuments documents;
        PolicyNode *root;

        assert_int_equal(policy_yaml_parse(p, &arena, "f", text, strlen(text), &documents), 0);
        assert_int_equal(p->n_errors, 0);
        assert_int_equal(documents.n_items, 1);
        root = documents.items[0].root;
        return root;
}

static void test_merge(void **state) {
        _cleanup_(policy_freep) Policy *p = calloc(1, sizeof(*p));
        PolicyNode *root = parse_one(p, "a: 1\nb: {x: 1, y: [1, 2]}\nc: [1]\n"),
                   *over = parse_one(p, "b: {y: [3], z: 4}\nc: {k: 5}\nd: 6\n");
        const PolicyNode *b;

        assert_int_equal(policy_node_merge(&arena, &root, over), 0);
        assert_int_equal(root->n_children, 4);
        assert_string_equal(policy_node_get(root, "a")->text, "1");
        assert_string_equal(policy_node_get(root, "d")->text, "6");
        assert_int_equal(policy_node_get(root, "c")->kind, NODE_MAPPING);
        b = policy_node_get(root, "b");
        assert_int_equal(b->n_children, 3);
        assert_string_equal(b->children[0]->key, "x");
        assert_string_equal(b->children[1]->key, "y"); /* in its old place */
        assert_int_equal(b->children[1]->n_children, 1);
        assert_string_equal(policy_node_get(b, "z")->text, "4");
}

static void test_take(void **state) {
        _cleanup_(policy_freep) Policy *p = calloc(1, sizeof(*p));
        PolicyNode *root = parse_one(p, "{a: 1, b: 2, c: 3, d: 4, e: 5}");
        PolicyNode *b = policy_node_take(root, "b"), *n;

        assert_string_equal(b->text, "2");
        assert_null(policy_node_take(root, "b"));
        assert_int_equal(root->n_children, 4);
        assert_string_equal(root->children[1]->key, "c");
        for (int i = 0; i < 20; i++) {
                n = policy_node_new(&arena, NODE_SCALAR, &root->origin);
                assert_int_equal(policy_node_add(&arena, root, n), 0);
        }
        assert_int_equal(root->n_children, 24);
}

/* What is read without libyaml, and that it is read as libyaml would. */
static void test_plain(void **state) {
        static const char *const plain[] = {
                "a: 1\n",
                "---\na: 1\n--- # next\nb: 2\n",
                "# head\n\n  a: 1 # one\n  b:\n\n    # deeper\n    c: 'x # y'\n",
                "a:\n- 1\n- b: 2\n  c: 3\nd:\n  -   e: \"x: y\"\n      f: g\n",
                "a: {b: [1, {c: 'd e'}], e: [], f: {}}\n\"10.1.0.1:80\": [2, 1]\n",
                "- a\n- b: /x%20y\n- [1,2]\n",
                "a: 10.1.0.1:80\nb: 12.5%\nc: http://x/y\n",
        };
        static const char *const not_plain[] = {
                "", "a: 1", "a:\n", "a\n", "a: b c\n", "a: b\n  c\n", "a: |\n  b\n", "a: b: c\n",
                "a: [1,\n 2]\n", "a: 1\nb\n", "a: 1\n b: 2\n", "- a\nb: 1\n", "a: \"\\n\"\n", "a: 'b''c'\n",
                "a: [b: c]\n", "a: [1, ]\n", "a: 1\na: 2\n", "\ta: 1\n", "a: \xc3\xa4\n", "---\n---\na: 1\n",
                "a: 1\n...\n", "a: &b c\n", "<<: {a: 1}\n", "a: 1#b\n", "a: 'b'c\n", "a: {b}\n", "- - a\n",
                "a: - b\n", "? a\n: b\n", "{a: 1}: b\n", "a:b\n",
        };

        for (size_t i = 0; i < ELEMENTSOF(plain); i++)
                assert_int_equal(test_plain_is_yaml(plain[i], strlen(plain[i])), 1);
        for (size_t i = 0; i < ELEMENTSOF(not_plain); i++)
                assert_int_equal(test_plain_is_yaml(not_plain[i], strlen(not_plain[i])), 0);
}

/* Texts put together from what YAML consists of: most are wrong in some way. */
static void test_plain_or_not(void **state) {
        static const char *const pieces[] = {
                "a", "b", "c: ", "d: ", "e:", "- ", "-", ": ", "\n", "\n", "\n  ", "\n  ", "\n    ", "\n- ",
                " ", "  ", "{", "}", "[", "]", ", ", ",", "'x y'", "\"z\"", "#", " # f", "/g", "1:2", "---",
                "\n---\n", "%", "?", "'k': ", "[1, 2]", "{m: n}", "o: p\n", "q: r\n  ", "- s\n",
                "- t: u\n  ", "*", "&v ", "!", "|", "<<: ", "''", "~", "::",
        };
        char text[256];
        unsigned n_plain = 0;

        srandom(1);
        for (unsigned i = 0; i < 100000; i++) {
                long n = 1 + random() % 14;
                char *p = text;
                int verdict;

                while (n-- > 0)
                        p = stpcpy(p, pieces[(size_t) random() % ELEMENTSOF(pieces)]);
                p = stpcpy(p, "\n");
                verdict = test_plain_is_yaml(text, (size_t) (p - text));
                if (verdict < 0)
                        print_message("%s", text);
                assert_true(verdict >= 0);
                n_plain += verdict > 0;
        }
        assert_true(n_plain > 1000);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_teardown(test_nodes, forget),
                cmocka_unit_test_teardown(test_documents, forget),
                cmocka_unit_test_teardown(test_refused, forget),
                cmocka_unit_test_teardown(test_resync, forget),
                cmocka_unit_test_teardown(test_bytes, forget),
                cmocka_unit_test_teardown(test_bounds, forget),
                cmocka_unit_test_teardown(test_merge, forget),
                cmocka_unit_test_teardown(test_take, forget),
                cmocka_unit_test(test_plain),
                cmocka_unit_test(test_plain_or_not),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
