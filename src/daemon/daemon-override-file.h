/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/*
 * A drop-in of slicemeshd's own writing, as a list of settings. The files are YAML, but of one rigid shape,
 * and only files of this shape are read back: the first line says who wrote them, indentation says the
 * level, strings that come from elsewhere are quoted.
 */
typedef struct Setting {
        const char *route;    /* NULL for a setting of a subset, */
        const char *subset;   /* NULL for one of a route */
        const char *endpoint; /* NULL for a setting of the subset itself */
        const char *key;
        const char *value; /* as it is to be written, on one line */
        unsigned name_line, endpoint_line, line; /* where these were read */
} Setting;

typedef struct OverrideFile {
        char *path;
        Setting *settings; /* sorted when written */
        size_t n_settings;
} OverrideFile;

void override_file_done(OverrideFile *f);

/* Reads f->path. A missing file is an empty one. -EEXIST if the file is somebody else's, -EBADMSG if it was
 * ours once. */
int override_file_load(OverrideFile *f);

/* Written to a temporary file, synced, renamed. Without settings there is no file. */
int override_file_save(OverrideFile *f);

int override_file_append(OverrideFile *f, const Setting *s); /* copied */
void override_file_remove_at(OverrideFile *f, size_t i);

/* What is set there, whatever to. False if nothing is. */
bool override_file_remove(OverrideFile *f, const Setting *s);

/* Whether the texts can be written. Printable ASCII needs no escapes but of quotes, and nothing else can be
 * the name of a subset, route or host. */
bool setting_is_plain(const Setting *s);

/* A string as YAML and as ours. */
void override_write_quoted(FILE *f, const char *s);
