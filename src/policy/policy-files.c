/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "../basic/array-util.h"
#include "../basic/string-util.h"
#include "policy-files.h"

typedef struct Entry {
        PolicyFile file;
        size_t precedence;
} Entry;

typedef struct Entries {
        Entry *items;
        size_t n_items;
} Entries;

static void policy_file_done(PolicyFile *f) {
        free(f->name);
        free(f->path);
        *f = (PolicyFile) {};
}

static void entries_done(Entries *e) {
        for (size_t i = 0; i < e->n_items; i++)
                policy_file_done(&e->items[i].file);
        free(e->items);
}

void policy_files_done(PolicyFiles *f) {
        for (size_t i = 0; i < f->n_items; i++)
                policy_file_done(&f->items[i]);
        free(f->items);
        *f = (PolicyFiles) {};
}

static int entries_add(Entries *e, const char *directory, const char *name, size_t precedence) {
        _cleanup_(policy_file_done) PolicyFile file = {};
        int r;

        r = array_reserve(&e->items, e->n_items, sizeof(*e->items));
        if (r < 0)
                return r;
        file.name = strdup(name);
        if (!file.name)
                return -ENOMEM;
        if (asprintf(&file.path, "%s/%s", directory, name) < 0) {
                file.path = NULL;
                return -ENOMEM;
        }
        e->items[e->n_items++] = (Entry) { .file = file, .precedence = precedence };
        file = (PolicyFile) {};
        return 0;
}

static void closedirp(DIR **d) {
        if (*d)
                closedir(*d);
}

static int entries_read(Entries *e, const char *directory, const char *suffix, size_t precedence) {
        _cleanup_(closedirp) DIR *d = NULL;
        struct dirent *de;
        int r;

        d = opendir(directory);
        if (!d)
                return errno == ENOENT || errno == ENOTDIR ? 0 : -errno;
        while ((errno = 0, de = readdir(d))) {
                if (de->d_name[0] == '.' || !endswith(de->d_name, suffix))
                        continue;
                r = entries_add(e, directory, de->d_name, precedence);
                if (r < 0)
                        return r;
        }
        return -errno;
}

static int compare_entries(const void *a, const void *b) {
        const Entry *x = a, *y = b;
        int c = strcmp(x->file.name, y->file.name);

        return c != 0 ? c : x->precedence < y->precedence ? -1 : 1;
}

int policy_files_list(char *const *directories, const char *suffix, PolicyFiles *ret) {
        _cleanup_(entries_done) Entries entries = {};
        PolicyFiles files = {};
        int r;

        for (size_t i = 0; directories[i]; i++) {
                r = entries_read(&entries, directories[i], suffix, i);
                if (r < 0)
                        return r;
        }
        files.items = calloc(entries.n_items + 1, sizeof(*files.items));
        if (!files.items)
                return -ENOMEM;
        if (entries.n_items > 0)
                qsort(entries.items, entries.n_items, sizeof(*entries.items), compare_entries);
        for (size_t i = 0; i < entries.n_items; i++) {
                PolicyFile *file = &entries.items[i].file;

                if (files.n_items > 0 && streq(file->name, files.items[files.n_items - 1].name))
                        continue;
                files.items[files.n_items++] = *file;
                *file = (PolicyFile) {};
        }
        *ret = files;
        return 0;
}

static int compare_name(const void *name, const void *file) {
        return strcmp(name, ((const PolicyFile *) file)->name);
}

const PolicyFile *policy_files_find(const PolicyFiles *f, const char *name) {
        return f->n_items > 0 ? bsearch(name, f->items, f->n_items, sizeof(*f->items), compare_name) : NULL;
}

static int read_all(int fd, size_t expected, char **ret, size_t *ret_size) {
        _cleanup_free_ char *data = NULL;
        size_t size = 0;
        ssize_t n;

        data = malloc(expected + 1);
        if (!data)
                return -ENOMEM;
        while (size < expected) { /* what is appended meanwhile belongs to the next load */
                n = read(fd, data + size, expected - size);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                if (n == 0)
                        break;
                size += (size_t) n;
        }
        data[size] = 0;
        *ret = TAKE_PTR(data);
        *ret_size = size;
        return 0;
}

int policy_file_read(const char *path, char **ret, size_t *ret_size) {
        _cleanup_close_ int fd = -EBADF;
        struct stat st;

        fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        if (fd < 0)
                return -errno;
        if (fstat(fd, &st) < 0)
                return -errno;
        if (S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3)) /* /dev/null */
                return 1;
        if (!S_ISREG(st.st_mode))
                return -EINVAL;
        if (st.st_size == 0)
                return 1;
        if (st.st_size > POLICY_FILE_MAX)
                return -EFBIG;
        return read_all(fd, (size_t) st.st_size, ret, ret_size);
}

static int write_all(int fd, const char *data, size_t size) {
        ssize_t n;

        while (size > 0) {
                n = write(fd, data, size);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                data += n;
                size -= (size_t) n;
        }
        return RET_NERRNO(fsync(fd));
}

static int sync_directory(const char *path) {
        _cleanup_free_ char *directory = NULL;
        _cleanup_close_ int fd = -EBADF;
        const char *slash = strrchr(path, '/');

        directory = slash ? strndup(path, (size_t) MAX(slash - path, 1)) : strdup(".");
        if (!directory)
                return -ENOMEM;
        fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return -errno;
        return RET_NERRNO(fsync(fd));
}

int policy_file_write(const char *path, const char *data, size_t size) {
        _cleanup_free_ char *temporary = NULL;
        _cleanup_close_ int fd = -EBADF;
        int r;

        if (asprintf(&temporary, "%s.XXXXXX", path) < 0) {
                temporary = NULL;
                return -ENOMEM;
        }
        fd = mkostemp(temporary, O_CLOEXEC);
        if (fd < 0)
                return -errno;
        r = fchmod(fd, 0644) < 0 ? -errno : write_all(fd, data, size);
        if (r >= 0)
                r = RET_NERRNO(rename(temporary, path));
        if (r < 0) {
                (void) unlink(temporary);
                return r;
        }
        return sync_directory(path);
}
