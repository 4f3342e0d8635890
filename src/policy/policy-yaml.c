/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdlib.h>

#include <yaml.h>

#include "../basic/string-util.h"
#include "../basic/utf8.h"
#include "policy-error.h"
#include "policy-yaml.h"

/* One run of libyaml: from the start of a document to the end of the file or to where it gives up. */
typedef struct Reader {
        Policy *policy;
        Arena *arena;
        const char *file;
        const char *data;
        size_t size;
        unsigned line; /* lines of the file before `data` */
        PolicyDocuments *documents;

        /* the document that is open */
        PolicyNode *stack[YAML_DEPTH_MAX]; /* not yet part of their parents */
        size_t depth;
        char *key; /* read in the mapping on top, its value is to come */
        PolicyOrigin key_origin;
        PolicyNode *root;
        size_t n_nodes;
        unsigned first_line;
        size_t first_error; /* of the policy's */
        bool given_up;
} Reader;

enum { YAML_ERRORS_MAX = 100 }; /* of one document, then it is given up */

static PolicyOrigin reader_origin(const Reader *r, const yaml_mark_t *mark) {
        return (PolicyOrigin) {
                .file = r->file,
                .line = r->line + (unsigned) mark->line + 1,
                .column = (unsigned) mark->column + 1,
        };
}

static int reader_error(Reader *r, const PolicyOrigin *origin, const char *message) {
        if (r->policy->n_errors - r->first_error >= YAML_ERRORS_MAX) {
                r->given_up = true;
                message = "Too many errors; the rest of the document is not read.";
        }
        return policy_error_add(r->policy, origin, NULL, NULL, "%s", message);
}

/* The rest of the document cannot be told apart from what is wrong in it. */
static int reader_give_up(Reader *r, const PolicyOrigin *origin, const char *message) {
        r->given_up = true;
        return reader_error(r, origin, message);
}

static int compare_keys(const void *a, const void *b) {
        const PolicyNode *x = *(PolicyNode *const *) a, *y = *(PolicyNode *const *) b;
        int c = strcmp(x->key, y->key);

        if (c != 0)
                return c;
        if (x->key_origin.line != y->key_origin.line)
                return x->key_origin.line < y->key_origin.line ? -1 : 1;
        return x->key_origin.column < y->key_origin.column ? -1 : 1;
}

static int reader_check_keys(Reader *reader, const PolicyNode *n) {
        _cleanup_free_ PolicyNode **sorted = NULL;
        char text[QUOTED_SIZE], message[QUOTED_SIZE + 64];
        int r;

        if (n->kind != NODE_MAPPING)
                return 0;
        r = policy_node_keys_differ(n);
        if (r != 0)
                return MIN(r, 0);
        sorted = malloc(n->n_children * sizeof(*sorted));
        if (!sorted)
                return -ENOMEM;
        memcpy(sorted, n->children, n->n_children * sizeof(*sorted));
        qsort(sorted, n->n_children, sizeof(*sorted), compare_keys);
        for (size_t i = 1; i < n->n_children && !reader->given_up; i++) {
                if (!streq(sorted[i]->key, sorted[i - 1]->key))
                        continue;
                snprintf(message, sizeof(message), "The key %s is already given in line %u.",
                         string_quote(sorted[i]->key, text), sorted[i - 1]->key_origin.line);
                r = reader_error(reader, &sorted[i]->key_origin, message);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* A finished node becomes part of the collection that is open, or is the document. */
static int reader_attach(Reader *r, PolicyNode *node) {
        if (r->depth > 0)
                return policy_node_add(r->arena, r->stack[r->depth - 1], node);
        r->root = node;
        return 0;
}

static bool reader_wants_key(const Reader *r) {
        return r->depth > 0 && r->stack[r->depth - 1]->kind == NODE_MAPPING && !r->key;
}

static int reader_key(Reader *reader, const yaml_event_t *e, const PolicyOrigin *origin) {
        const char *text = (const char *) e->data.scalar.value;
        int r;

        if (e->type != YAML_SCALAR_EVENT)
                return reader_give_up(reader, origin, "A key must be a single value.");
        if (streq(text, "<<") && e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE) {
                r = reader_error(reader, origin, "Merge keys (<<) are not supported.");
                if (r < 0)
                        return r;
        }
        reader->key_origin = *origin;
        reader->key = arena_text(reader->arena, text, e->data.scalar.length);
        return reader->key ? 0 : -ENOMEM;
}

static int reader_node(Reader *r, NodeKind kind, const PolicyOrigin *origin, PolicyNode **ret) {
        PolicyNode *n;

        n = policy_node_new(r->arena, kind, origin);
        if (!n)
                return -ENOMEM;
        if (r->key) {
                n->key = TAKE_PTR(r->key);
                n->key_origin = r->key_origin;
        }
        *ret = n;
        return 0;
}

static int reader_scalar(Reader *reader, const yaml_event_t *e, const PolicyOrigin *origin) {
        PolicyNode *n;
        int r;

        r = reader_node(reader, NODE_SCALAR, origin, &n);
        if (r < 0)
                return r;
        n->text = arena_text(reader->arena, (const char *) e->data.scalar.value, e->data.scalar.length);
        return n->text ? reader_attach(reader, n) : -ENOMEM;
}

static int reader_open(Reader *reader, NodeKind kind, const PolicyOrigin *origin) {
        int r;

        if (reader->depth >= YAML_DEPTH_MAX)
                return reader_give_up(reader, origin, "Lists and mappings are nested too deeply.");
        r = reader_node(reader, kind, origin, &reader->stack[reader->depth]);
        if (r < 0)
                return r;
        reader->depth++;
        return 0;
}

static int reader_close(Reader *reader) {
        PolicyNode *n = reader->stack[--reader->depth];
        int r;

        r = reader_check_keys(reader, n);
        return r < 0 ? r : reader_attach(reader, n);
}

/* Anchors and tags are harmless in themselves, but their author counts on something. */
static int reader_check_node(Reader *reader, const yaml_event_t *e, const PolicyOrigin *origin) {
        const yaml_char_t *anchor = NULL, *tag = NULL;

        if (++reader->n_nodes > YAML_NODES_MAX)
                return reader_give_up(reader, origin, "The document has too many values.");
        if (e->type == YAML_SCALAR_EVENT) {
                anchor = e->data.scalar.anchor;
                tag = e->data.scalar.tag;
                if (e->data.scalar.length > YAML_TEXT_MAX)
                        return reader_error(reader, origin, "The text is longer than 4096 bytes.");
                if (strlen((const char *) e->data.scalar.value) != e->data.scalar.length)
                        return reader_error(reader, origin, "The text contains a NUL byte.");
        } else if (e->type == YAML_SEQUENCE_START_EVENT) {
                anchor = e->data.sequence_start.anchor;
                tag = e->data.sequence_start.tag;
        } else if (e->type == YAML_MAPPING_START_EVENT) {
                anchor = e->data.mapping_start.anchor;
                tag = e->data.mapping_start.tag;
        }
        if (anchor)
                return reader_error(reader, origin, "Anchors (&) are not supported.");
        return tag ? reader_error(reader, origin, "Tags (!) are not supported.") : 0;
}

static int reader_event_node(Reader *reader, const yaml_event_t *e) {
        const PolicyOrigin origin = reader_origin(reader, &e->start_mark);
        int r;

        if (e->type == YAML_ALIAS_EVENT)
                return reader_give_up(reader, &origin,
                                      "Aliases (*) are not supported; quote a text that starts with *.");
        r = reader_check_node(reader, e, &origin);
        if (r < 0 || reader->given_up)
                return r;
        if (reader_wants_key(reader))
                return reader_key(reader, e, &origin);
        if (e->type == YAML_SCALAR_EVENT)
                return reader_scalar(reader, e, &origin);
        return reader_open(reader, e->type == YAML_MAPPING_START_EVENT ? NODE_MAPPING : NODE_SEQUENCE,
                           &origin);
}

static void reader_reset(Reader *r) {
        r->depth = 0;
        r->root = NULL;
        r->key = NULL;
        r->n_nodes = 0;
        r->first_error = r->policy->n_errors;
}

/* Hands the document over, as far as it was read. */
static int reader_finish(Reader *reader, unsigned last_line) {
        int r;

        reader->key = NULL;
        while (reader->depth > 0) {
                r = reader_close(reader);
                if (r < 0)
                        return r;
        }
        if (reader->root && (reader->root->kind != NODE_SCALAR || *reader->root->text || reader->given_up)) {
                const PolicyDocument d = {
                        .root = reader->root,
                        .first_line = reader->first_line,
                        .last_line = last_line,
                        .first_error = reader->first_error,
                        .n_errors = reader->policy->n_errors - reader->first_error,
                        .partial = reader->given_up,
                };

                r = arena_reserve(reader->arena, &reader->documents->items, reader->documents->n_items,
                                  sizeof(d));
                if (r < 0)
                        return r;
                reader->documents->items[reader->documents->n_items++] = d;
        }
        reader_reset(reader);
        return 0;
}

static int reader_event(Reader *r, const yaml_event_t *e) {
        switch (e->type) {
        case YAML_DOCUMENT_START_EVENT:
                r->first_line = r->line + (unsigned) e->start_mark.line + 1;
                return 0;
        case YAML_DOCUMENT_END_EVENT:
                return reader_finish(r, r->line + (unsigned) e->end_mark.line + 1);
        case YAML_SEQUENCE_END_EVENT:
        case YAML_MAPPING_END_EVENT:
                return reader_close(r);
        case YAML_ALIAS_EVENT:
        case YAML_SCALAR_EVENT:
        case YAML_SEQUENCE_START_EVENT:
        case YAML_MAPPING_START_EVENT:
                return reader_event_node(r, e);
        default:
                return 0;
        }
}

static const char *skip_line(const char *p, const char *end) {
        const char *newline = memchr(p, '\n', (size_t) (end - p));

        return newline ? newline + 1 : end;
}

/* Start of the given line, counted from 0; the end of the data if there are fewer. */
static const char *reader_line(const Reader *r, size_t line) {
        const char *p = r->data, *end = r->data + r->size;

        for (; line > 0 && p < end; line--)
                p = skip_line(p, end);
        return p;
}

static int reader_syntax_error(Reader *reader, const yaml_parser_t *parser) {
        const PolicyOrigin origin = reader_origin(reader, &parser->problem_mark);
        const char *at = reader_line(reader, parser->problem_mark.line) + parser->problem_mark.column;

        reader->given_up = true;
        /* Only what is ASCII stands before a tab that indents, so columns are bytes. */
        if (at < reader->data + reader->size && *at == '\t')
                return reader_error(reader, &origin, "Found a tab; indent with spaces.");
        return policy_error_add(reader->policy, &origin, NULL, NULL, "Not valid YAML: %s%s%s.",
                                parser->context ?: "", parser->context ? ", " : "",
                                parser->problem ?: "unreadable");
}

/* Where to go on after an error in `line`: the next line that starts a document. */
static const char *reader_next_document(const Reader *r, size_t line) {
        const char *end = r->data + r->size, *p = reader_line(r, MAX(line, 1u));

        while (p < end) {
                if (end - p >= 3 && memcmp(p, "---", 3) == 0 && (end - p == 3 || strchr(" \t\r\n", p[3])))
                        break;
                p = skip_line(p, end);
        }
        return p;
}

static char *memdup(const char *data, size_t size) {
        char *copy = malloc(size);

        return copy ? memcpy(copy, data, size) : NULL;
}

static unsigned count_lines(const char *from, const char *to) {
        unsigned n = 0;

        for (; from < to; from++)
                n += *from == '\n';
        return n;
}

/* Reads until the end, or until an event or an error makes the rest of the document unreadable; *ret_line
 * is where, counted from 0. */
static int reader_run(Reader *reader, size_t *ret_line) {
        _cleanup_(yaml_parser_delete) yaml_parser_t parser;
        bool end = false;
        int r = 0;

        if (!yaml_parser_initialize(&parser))
                return -ENOMEM;
        yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
        yaml_parser_set_input_string(&parser, (const unsigned char *) reader->data, reader->size);

        while (!end && !reader->given_up && r >= 0) {
                yaml_event_t e;

                if (!yaml_parser_parse(&parser, &e)) {
                        if (parser.error == YAML_MEMORY_ERROR)
                                return -ENOMEM;
                        *ret_line = parser.problem_mark.line;
                        return reader_syntax_error(reader, &parser);
                }
                r = reader_event(reader, &e);
                end = e.type == YAML_STREAM_END_EVENT;
                *ret_line = e.start_mark.line;
                yaml_event_delete(&e);
        }
        return r;
}

static int reader_read(Reader *reader) {
        int r;

        for (;;) {
                const char *next;
                size_t line = 0;

                reader->given_up = false;
                reader->first_line = reader->line + 1;
                r = reader_run(reader, &line);
                if (r < 0 || !reader->given_up)
                        return r;
                next = reader_next_document(reader, line);
                r = reader_finish(reader, reader->line + count_lines(reader->data, next));
                if (r < 0)
                        return r;
                reader->line += count_lines(reader->data, next);
                reader->size -= (size_t) (next - reader->data);
                reader->data = next;
        }
}

static bool yaml_allows(uint32_t c) {
        return c == '\t' || c == '\n' || c == '\r' || (c >= 0x20 && c <= 0x7e) || c == 0x85 ||
               (c >= 0xa0 && c <= 0xfffd) || c >= 0x10000;
}

/*
 * libyaml reads ahead and stops at bytes that are no text: it would see nothing of what is before them.
 * They are reported here, the first of each line, and become '_' in a copy: *ret, NULL if there are none.
 * Positive: there are so many that it is no text at all.
 */
static int check_text(Policy *p, const char *file, const char *data, size_t size, char **ret) {
        _cleanup_free_ char *copy = NULL;
        PolicyOrigin at = { .file = file, .line = 1, .column = 1 };
        unsigned reported = 0, n_reported = 0;
        int r;

        for (size_t i = 0, n; i < size; i += n, at.column++) {
                uint32_t c = 0;

                n = utf8_decode(data + i, size - i, &c);
                if (n > 0 && yaml_allows(c)) {
                        if (c == '\n')
                                at = (PolicyOrigin) { .file = file, .line = at.line + 1 };
                        continue;
                }
                if (!copy) {
                        copy = memdup(data, size);
                        if (!copy)
                                return -ENOMEM;
                }
                memset(copy + i, '_', MAX(n, 1u));
                if (reported != at.line && n_reported++ < YAML_ERRORS_MAX) {
                        r = policy_error_add(p, &at, NULL, NULL, "%s",
                                             n == 0 ? "Not valid UTF-8."
                                                    : "Control characters are not allowed.");
                        if (r < 0)
                                return r;
                }
                reported = at.line;
                n = MAX(n, 1u);
        }
        *ret = TAKE_PTR(copy);
        return n_reported > YAML_ERRORS_MAX;
}

int policy_yaml_parse_whole(Policy *p, Arena *a, const char *file, const char *data, size_t size,
                            PolicyDocuments *ret) {
        PolicyDocuments documents = {};
        Reader reader = {
                .policy = p,
                .arena = a,
                .file = file,
                .documents = &documents,
        };
        _cleanup_free_ char *clean = NULL;
        size_t n_errors = p->n_errors;
        int r;

        r = check_text(p, file, data, size, &clean);
        if (r < 0)
                return r;
        if (r > 0) {
                *ret = documents;
                return 0;
        }
        documents.n_text_errors = p->n_errors - n_errors;
        reader.first_error = p->n_errors;
        reader.data = clean ?: data;
        reader.size = size;
        r = reader_read(&reader);
        if (r < 0)
                return r;
        *ret = documents;
        return 0;
}

int policy_yaml_parse(Policy *p, Arena *a, const char *file, const char *data, size_t size,
                      PolicyDocuments *ret) {
        if (policy_yaml_parse_plain(a, file, data, size, ret))
                return 0;
        return policy_yaml_parse_whole(p, a, file, data, size, ret);
}
