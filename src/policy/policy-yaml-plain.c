/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "../basic/macro.h"
#include "policy-yaml.h"

/*
 * The part of YAML that policy files are written in as a rule, ten times as fast as libyaml reads it: lines
 * of ASCII that end in a line feed; block mappings and lists; on one line, flow ones, quoted texts without
 * escapes, and words without spaces. What is read here is what libyaml would have read, to the column;
 * anything else, and whatever is wrong, is left to it. test-policy-yaml.c and fuzz-policy-yaml.c compare.
 *
 * NULL stands for "not plain", or no memory: whoever tries again will notice.
 */

typedef struct Plain {
        Arena *arena;
        const char *file;
        const char *p, *line_start;
        const char *end; /* a line feed stands before it: what stops there need not look for the end */
        unsigned line;
        unsigned column; /* of what comes next, where a line begins */
        bool stop;       /* instead of that, the document is over */
        size_t depth, n_nodes;
} Plain;

enum { KEY_MAX = 256 }; /* libyaml knows keys of up to 1024 bytes */

enum { WORD_PART = 1, WORD_START = 2 };

/* Of the indicators of YAML, words have only those inside that mean nothing there. */
static const uint8_t word_characters[UINT8_MAX + 1] = {
        ['a' ... 'z'] = WORD_PART | WORD_START,
        ['A' ... 'Z'] = WORD_PART | WORD_START,
        ['0' ... '9'] = WORD_PART | WORD_START,
        ['_'] = WORD_PART | WORD_START,
        ['/'] = WORD_PART | WORD_START,
        ['.'] = WORD_PART,
        ['-'] = WORD_PART,
        ['%'] = WORD_PART,
        ['+'] = WORD_PART,
        ['='] = WORD_PART,
        ['~'] = WORD_PART,
        ['@'] = WORD_PART,
        ['$'] = WORD_PART,
};

static bool is_word(char c, uint8_t what) {
        return word_characters[(uint8_t) c] & what;
}

static bool is_plain_text(const char *data, size_t size) {
        unsigned odd = 0;

        for (size_t i = 0; i < size; i++)
                odd |= (data[i] < ' ' || data[i] > '~') && data[i] != '\n';
        return size > 0 && data[size - 1] == '\n' && odd == 0;
}

static PolicyOrigin plain_origin(const Plain *r) {
        return (PolicyOrigin) { r->file, r->line, (unsigned) (r->p - r->line_start) + 1 };
}

static void skip_spaces(Plain *r) {
        while (*r->p == ' ')
                r->p++;
}

/* To what comes next, over empty lines and comments; r->p is where a line starts. */
static void next_content(Plain *r) {
        for (; r->p < r->end; r->p++, r->line++) {
                r->line_start = r->p;
                skip_spaces(r);
                if (*r->p != '\n' && *r->p != '#')
                        break;
                r->p = memchr(r->p, '\n', (size_t) (r->end - r->p));
        }
        r->column = (unsigned) (r->p - r->line_start);
        r->stop = r->p == r->end ||
                  (r->column == 0 && strncmp(r->p, "---", 3) == 0 && (r->p[3] == ' ' || r->p[3] == '\n'));
}

/* What is not a comment would belong to what was read. */
static bool end_line(Plain *r) {
        const char *before = r->p;

        skip_spaces(r);
        if (*r->p != '\n' && (*r->p != '#' || r->p == before))
                return false;
        r->p = (char *) memchr(r->p, '\n', (size_t) (r->end - r->p)) + 1;
        r->line++;
        next_content(r);
        return true;
}

static bool read_quoted(Plain *r, const char **ret, size_t *ret_size) {
        const char quote = *r->p++;

        *ret = r->p;
        while (*r->p != quote && *r->p != '\n' && (*r->p != '\\' || quote == '\''))
                r->p++;
        *ret_size = (size_t) (r->p - *ret);
        return *r->p == quote && *++r->p != quote;
}

static bool read_text(Plain *r, const char **ret, size_t *ret_size) {
        const char *start = r->p;

        r->n_nodes++;
        if (*start == '"' || *start == '\'')
                return read_quoted(r, ret, ret_size);
        if (!is_word(*start, WORD_START))
                return false;
        while (is_word(*r->p, WORD_PART) || (*r->p == ':' && is_word(r->p[1], WORD_PART)))
                r->p++;
        *ret = start;
        *ret_size = (size_t) (r->p - start);
        return true;
}

static PolicyNode *new_node(Plain *r, NodeKind kind) {
        const PolicyOrigin origin = plain_origin(r);

        return policy_node_new(r->arena, kind, &origin);
}

static PolicyNode *new_collection(Plain *r, NodeKind kind) {
        r->n_nodes++;
        return ++r->depth <= YAML_DEPTH_MAX ? new_node(r, kind) : NULL;
}

static PolicyNode *read_scalar(Plain *r) {
        PolicyNode *n = new_node(r, NODE_SCALAR);
        const char *text;
        size_t size;

        if (!n || !read_text(r, &text, &size) || size > YAML_TEXT_MAX)
                return NULL;
        n->text = arena_text(r->arena, text, size);
        return n->text ? n : NULL;
}

/* With its colon. */
static char *read_key(Plain *r, PolicyOrigin *ret_origin) {
        const char *text;
        size_t size;

        *ret_origin = plain_origin(r);
        if (!read_text(r, &text, &size) || size > KEY_MAX || *r->p != ':')
                return NULL;
        r->p++;
        return arena_text(r->arena, text, size);
}

static bool add_child(Plain *r, PolicyNode *parent, PolicyNode *child) {
        return child && policy_node_add(r->arena, parent, child) >= 0;
}

static bool add_value(Plain *r, PolicyNode *mapping, char *key, const PolicyOrigin *origin,
                      PolicyNode *value) {
        if (!value)
                return false;
        value->key = key;
        value->key_origin = *origin;
        return add_child(r, mapping, value);
}

static PolicyNode *end_collection(Plain *r, PolicyNode *n) {
        r->depth--;
        return n->kind == NODE_MAPPING && policy_node_keys_differ(n) <= 0 ? NULL : n;
}

static PolicyNode *read_flow(Plain *r);

static bool read_flow_entry(Plain *r, PolicyNode *n) {
        PolicyOrigin origin;
        char *key;

        if (n->kind == NODE_SEQUENCE)
                return add_child(r, n, read_flow(r));
        key = read_key(r, &origin);
        if (!key || *r->p != ' ')
                return false;
        skip_spaces(r);
        return add_value(r, n, key, &origin, read_flow(r));
}

/* A value within one line. */
static PolicyNode *read_flow(Plain *r) {
        const bool is_sequence = *r->p == '[';
        const char close = is_sequence ? ']' : '}';
        PolicyNode *n;

        if (!is_sequence && *r->p != '{')
                return read_scalar(r);
        n = new_collection(r, is_sequence ? NODE_SEQUENCE : NODE_MAPPING);
        if (!n)
                return NULL;
        r->p++;
        skip_spaces(r);
        while (*r->p != close || n->n_children > 0) {
                if (!read_flow_entry(r, n))
                        return NULL;
                skip_spaces(r);
                if (*r->p == close)
                        break;
                if (*r->p++ != ',')
                        return NULL;
                skip_spaces(r);
        }
        r->p++;
        return end_collection(r, n);
}

static PolicyNode *read_line(Plain *r) {
        PolicyNode *n = read_flow(r);

        return n && end_line(r) ? n : NULL;
}

static bool at_entry(const Plain *r) {
        return r->p[0] == '-' && r->p[1] == ' ';
}

static PolicyNode *read_mapping(Plain *r, unsigned column);

/* Behind the dash: a mapping may begin on the same line. */
static PolicyNode *read_entry(Plain *r) {
        const char *start = r->p, *text;
        size_t size, n_nodes = r->n_nodes;
        bool is_key;

        if (*start == '[' || *start == '{')
                return read_line(r);
        is_key = read_text(r, &text, &size) && r->p[0] == ':' && (r->p[1] == ' ' || r->p[1] == '\n');
        r->p = start;
        r->n_nodes = n_nodes;
        return is_key ? read_mapping(r, (unsigned) (start - r->line_start)) : read_line(r);
}

/* `in_mapping`: its keys stand in the same column. */
static PolicyNode *read_sequence(Plain *r, unsigned column, bool in_mapping) {
        PolicyNode *n = new_collection(r, NODE_SEQUENCE);

        if (!n)
                return NULL;
        do {
                r->p++;
                skip_spaces(r);
                if (!add_child(r, n, read_entry(r)))
                        return NULL;
        } while (!r->stop && r->column == column && at_entry(r));
        if (!r->stop && (r->column > column || (r->column == column && !in_mapping)))
                return NULL;
        return end_collection(r, n);
}

/* At the start of a line. */
static PolicyNode *read_block(Plain *r) {
        return at_entry(r) ? read_sequence(r, r->column, false) : read_mapping(r, r->column);
}

/* Behind the colon of a key. */
static PolicyNode *read_value(Plain *r, unsigned column) {
        if (*r->p != ' ' && *r->p != '\n')
                return NULL;
        if (!end_line(r)) /* which went to the value, if it is none itself */
                return read_line(r);
        if (r->stop || r->column < column)
                return NULL;
        if (r->column > column)
                return read_block(r);
        return at_entry(r) ? read_sequence(r, column, true) : NULL;
}

static PolicyNode *read_mapping(Plain *r, unsigned column) {
        PolicyNode *n = new_collection(r, NODE_MAPPING);
        PolicyOrigin origin;
        char *key;

        if (!n)
                return NULL;
        do {
                key = read_key(r, &origin);
                if (!key || !add_value(r, n, key, &origin, read_value(r, column)))
                        return NULL;
        } while (!r->stop && r->column == column);
        if (!r->stop && r->column > column)
                return NULL;
        return end_collection(r, n);
}

static PolicyNode *read_document(Plain *r) {
        PolicyNode *root;

        r->n_nodes = 0;
        if (r->stop) {
                r->p += strlen("---");
                if (!end_line(r) || r->stop)
                        return NULL;
        }
        root = read_block(r);
        return root && r->stop && r->n_nodes <= YAML_NODES_MAX ? root : NULL;
}

bool policy_yaml_parse_plain(Arena *a, const char *file, const char *data, size_t size,
                             PolicyDocuments *ret) {
        Plain r = { .arena = a, .file = file, .p = data, .end = data + size, .line = 1 };
        PolicyDocuments documents = {};

        if (!is_plain_text(data, size))
                return false;
        next_content(&r);
        while (r.p < r.end) {
                PolicyDocument d = { .first_line = r.line };

                d.root = read_document(&r);
                d.last_line = r.line;
                if (!d.root || arena_reserve(a, &documents.items, documents.n_items, sizeof(d)) < 0)
                        return false;
                documents.items[documents.n_items++] = d;
        }
        *ret = documents;
        return documents.n_items > 0;
}
