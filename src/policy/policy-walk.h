/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "../basic/macro.h"
#include "policy-schema.h"

/*
 * A walk over a tree of nodes under the schema. Whatever is wrong becomes an error of the policy with its
 * place and the path of keys to it; the walk goes on. Functions fail for lack of memory only.
 */

typedef struct WalkStep {
        const char *key; /* NULL: `index` of a list */
        size_t index;
        bool shorthand; /* see PolicyNode */
} WalkStep;

struct Walker {
        Policy *policy;
        const char *service; /* that errors concern, or NULL */
        bool partial;        /* part of the document is missing: what is absent is not an error */
        WalkStep path[YAML_DEPTH_MAX + 2];
        size_t depth;
        size_t n_errors;
        PolicyService *model;   /* being built, if it is a service's file */
        size_t *subset_by_name; /* its subsets, sorted, while routes are read */
};

int walk_error(Walker *w, const PolicyOrigin *origin, const char *format, ...) _printf_(3, 4);

/* "Expected ..., not ...": what follows "Expected", and the node that is something else. */
int walk_error_expected(Walker *w, const PolicyNode *n, const char *format, ...) _printf_(3, 4);

/* About a child, from where its parent is looked at. */
int walk_error_child(Walker *w, const PolicyNode *child, const char *format, ...) _printf_(3, 4);

/* There is no `what` of that name; `near` may be NULL. */
int walk_error_missing(Walker *w, const PolicyOrigin *origin, const char *what, const char *name,
                       const char *near);

/* Steps into a child: the i-th of a list, or one of a mapping. */
void walk_enter(Walker *w, const PolicyNode *child, size_t i);
void walk_leave(Walker *w);

/* A mapping whose keys are those of `place`; NULL stands for an empty one. Fills in defaults. */
int walk_mapping(Walker *w, SchemaPlace place, const PolicyNode *n, void *object);

/* Is the node of this kind? If not, that is an error: it should have been `form`. 1 = yes, 0 = no. */
int walk_expect(Walker *w, const PolicyNode *n, NodeKind kind, const char *form);
