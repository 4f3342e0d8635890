/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stddef.h>

#include "ctl-options.h"

/* What slicemeshctl exits with; documented in docs/slicemeshctl.md. */
typedef enum ExitStatus {
        STATUS_OK,
        STATUS_FAILURE,        /* also: the policy has errors */
        STATUS_USAGE,
        STATUS_NOT_RUNNING,    /* slicemeshd */
        STATUS_NOT_AUTHORISED,
} ExitStatus;

typedef enum VerbGroup {
        VERB_GROUP_SEE,
        VERB_GROUP_STEER,
        VERB_GROUP_POLICY,
        _VERB_GROUP_MAX,
} VerbGroup;

/* A verb prints what is wrong itself and returns the exit status. `arguments` are those behind the verb. */
typedef struct Verb {
        const char *name;
        const char *arguments; /* in the help, or "" */
        VerbGroup group;
        int min, max; /* arguments; max -1 = any number */
        unsigned options; /* bits of enum OptionId that it takes, beside OPTIONS_COMMON */
        const char *summary; /* up to 40 columns, also when translated */
        const char *description;
        ExitStatus (*run)(const Options *o, int n, char **arguments);
} Verb;

ExitStatus verb_status(const Options *o, int n, char **arguments);
ExitStatus verb_list(const Options *o, int n, char **arguments);
ExitStatus verb_show(const Options *o, int n, char **arguments);
ExitStatus verb_monitor(const Options *o, int n, char **arguments);
ExitStatus verb_set_weight(const Options *o, int n, char **arguments);
ExitStatus verb_drain(const Options *o, int n, char **arguments);
ExitStatus verb_enable(const Options *o, int n, char **arguments);
ExitStatus verb_set_balance(const Options *o, int n, char **arguments);
ExitStatus verb_shift(const Options *o, int n, char **arguments);
ExitStatus verb_swap(const Options *o, int n, char **arguments);
ExitStatus verb_fast_path(const Options *o, int n, char **arguments);
ExitStatus verb_reload(const Options *o, int n, char **arguments);
ExitStatus verb_check(const Options *o, int n, char **arguments);
ExitStatus verb_explain(const Options *o, int n, char **arguments);
ExitStatus verb_trace(const Options *o, int n, char **arguments);
ExitStatus verb_reasons(const Options *o, int n, char **arguments);
