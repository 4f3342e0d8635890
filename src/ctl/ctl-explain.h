/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "ctl-json.h"
#include "ctl-verb.h"

/* A request as the command line describes it. */
typedef struct Request {
        const char *method, *url; /* "GET", "http://shop/v2?x" */
        char *authority;          /* of the URL: "shop", "127.71.0.10:80" */
        const char *target;       /* of the URL: "/v2?x" */
        const char *host;         /* what the field says; the authority unless one is given */
        const char **fields;      /* others, "name: value", NULL-terminated */
        size_t n_fields;
        const char *slice, *unit; /* of the caller, or NULL, as the next two */
        const char *user, *source;
        char *body; /* NULL: none */
        size_t body_length;
        char *own_url, *own_slice;
} Request;

/* What becomes of a connection of the slice to the service, before there is a request. */
typedef enum CallerVerdict {
        CALLER_NOT_ASKED,
        CALLER_ALLOWED,
        CALLER_REFUSED,   /* managed, but not among the service's callers */
        CALLER_UNMANAGED, /* left alone by the mesh */
} CallerVerdict;

/* The slice itself or one above it, which "shop.slice" is of "shop-web.slice", is in the list. */
bool slice_is_in(const char *slice, const char *const *list, size_t n);

typedef struct Answer {
        JsonValue *explanation; /* as of the bus method Explain */
        CallerVerdict caller;
        bool has_names; /* endpoints by name stand for addresses that are not known offline */
} Answer;

void answer_done(Answer *a);

/* Both say what is wrong. */
ExitStatus explain_live(const Request *q, Answer *ret);
ExitStatus explain_offline(const Request *q, const char *directory, const char *root, Answer *ret);

/* ctl-explain-outcome.c: what is done with the requests of a route, and where they go; then the same for
 * each of the routes that match by chance. */
int print_outcome(const Options *o, const JsonValue *outcome);
int print_possible(const Options *o, const JsonValue *explanation);
const char *possible_route(const JsonValue *explanation, const JsonValue *possible); /* its name */

ExitStatus answer_print(const Options *o, const Request *q, const Answer *a);
