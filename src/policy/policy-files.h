/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stddef.h>

/*
 * Which files are read: directories in order of precedence, a file hiding those of the same name in later
 * ones, an empty file or a link to /dev/null hiding without standing for anything itself.
 */

enum { POLICY_FILE_MAX = 64 << 20 }; /* bytes of one file */

typedef struct PolicyFile {
        char *name; /* "shop.yaml" */
        char *path;
} PolicyFile;

typedef struct PolicyFiles {
        PolicyFile *items; /* sorted by name, no name twice */
        size_t n_items;
} PolicyFiles;

/* Entries of `directories` (NULL-terminated) whose names end in `suffix`. */
int policy_files_list(char *const *directories, const char *suffix, PolicyFiles *ret);
void policy_files_done(PolicyFiles *f);
const PolicyFile *policy_files_find(const PolicyFiles *f, const char *name);

/* A NUL follows the data. 1 = masked: nothing returned. -EFBIG; -EINVAL: no regular file. */
int policy_file_read(const char *path, char **ret, size_t *ret_size);

/* Written under another name in the same directory, synced, renamed: it is there whole or not at all. */
int policy_file_write(const char *path, const char *data, size_t size);
