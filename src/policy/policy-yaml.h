/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "policy-arena.h"
#include "policy.h"

/*
 * YAML to trees of nodes that know where they stand. Only what a policy needs: mappings with scalar keys,
 * sequences, scalars. Anchors, aliases, merge keys and tags are refused, as are two equal keys.
 */

enum {
        YAML_DEPTH_MAX = 16,
        YAML_NODES_MAX = 2000000, /* of one document */
        YAML_TEXT_MAX = 4096,     /* bytes of one scalar */
};

typedef enum NodeKind {
        NODE_SCALAR,
        NODE_SEQUENCE,
        NODE_MAPPING,
        _NODE_KIND_MAX,
} NodeKind;

typedef struct PolicyNode PolicyNode;

struct PolicyNode {
        NodeKind kind;
        PolicyOrigin origin;
        char *text; /* of a scalar; "" where nothing is written */
        PolicyNode **children;
        size_t n_children;
        char *key;               /* in a mapping */
        PolicyOrigin key_origin; /* likewise */
        bool shorthand;          /* stands at the top of the service: the mappings around it nobody wrote */
};

typedef struct PolicyDocument {
        PolicyNode *root;
        unsigned first_line, last_line; /* the part of the file that is this document */
        size_t first_error, n_errors;   /* of the policy's: what the syntax of this document gave */
        bool partial; /* could not be read to its end: what is missing may have been there */
} PolicyDocument;

typedef struct PolicyDocuments {
        PolicyDocument *items; /* in order of the file; empty documents are left out */
        size_t n_items;
        size_t n_text_errors; /* before those of the documents: bytes that are no text */
} PolicyDocuments;

/* Errors go to the policy's list. After one, parsing goes on, at the latest with the next document. `file`
 * must live as long as the policy; the documents are the arena's. */
int policy_yaml_parse(Policy *p, Arena *a, const char *file, const char *data, size_t size,
                      PolicyDocuments *ret);

/* The two readers behind that. policy-yaml-plain.c is much faster, but for files without errors only, and
 * not for all of those: false. */
bool policy_yaml_parse_plain(Arena *a, const char *file, const char *data, size_t size,
                             PolicyDocuments *ret);
int policy_yaml_parse_whole(Policy *p, Arena *a, const char *file, const char *data, size_t size,
                            PolicyDocuments *ret);

/* Nodes, their texts and lists of children are the arena's: nobody frees them. */
PolicyNode *policy_node_new(Arena *a, NodeKind kind, const PolicyOrigin *origin);
int policy_node_add(Arena *a, PolicyNode *parent, PolicyNode *child);
PolicyNode *policy_node_get(const PolicyNode *mapping, const char *key);
PolicyNode *policy_node_take(PolicyNode *mapping, const char *key);
int policy_node_keys_differ(const PolicyNode *mapping); /* 1 = no key is there twice, 0, -ENOMEM */

/* Puts `over`, which is used up, on top of `*base`: mappings merge key by key, anything else replaces. */
int policy_node_merge(Arena *a, PolicyNode **base, PolicyNode *over);

const char *node_kind_to_string(NodeKind k); /* with article */
