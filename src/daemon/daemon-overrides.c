/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "../basic/cleanup.h"
#include "../basic/log.h"
#include "../basic/string-util.h"
#include "daemon-overrides.h"

/*
 * The files are YAML, but of one rigid shape, and only files of this shape are read back: the first line
 * says who wrote them, indentation says the level, strings that come from elsewhere are quoted.
 */
#define BANNER "# Written by slicemeshd for changes made over the bus; what is changed here by hand is lost."
#define PERSISTENT_NAME "/50-bus.yaml"
#define RUNTIME_NAME "/90-bus.yaml"
#define PERSISTENT_PATH "%s/etc/slicemesh/services/%s.d" PERSISTENT_NAME
#define RUNTIME_PATH "%s/run/slicemesh/services/%s.d" RUNTIME_NAME

typedef struct Setting {
        const char *subset;
        const char *endpoint; /* NULL for a setting of the subset itself */
        const char *key;
        const char *value;
        unsigned subset_line, endpoint_line; /* where these were read */
} Setting;

typedef struct OverrideFile {
        char *path;
        Setting *settings; /* sorted by setting_compare() when written */
        size_t n_settings;
} OverrideFile;

/* Of those that own their texts: the ones in an OverrideFile. */
static void setting_done(Setting *s) {
        free((char *) s->subset);
        free((char *) s->endpoint);
        free((char *) s->key);
        free((char *) s->value);
}

static void override_file_done(OverrideFile *f) {
        for (size_t i = 0; i < f->n_settings; i++)
                setting_done(&f->settings[i]);
        free(f->settings);
        free(f->path);
}

/* Settings of a subset come before those of its endpoints, as they are written. */
static int setting_compare(const void *a, const void *b) {
        const Setting *x = a, *y = b;
        int r;

        r = strcmp(x->subset, y->subset);
        if (r != 0)
                return r;
        if (!x->endpoint != !y->endpoint)
                return x->endpoint ? 1 : -1;
        r = x->endpoint ? strcmp(x->endpoint, y->endpoint) : 0;
        return r != 0 ? r : strcmp(x->key, y->key);
}

static int override_file_append(OverrideFile *f, const Setting *s) {
        _cleanup_(setting_done) Setting copy = {};
        Setting *grown;

        copy.subset = strdup(s->subset);
        copy.endpoint = s->endpoint ? strdup(s->endpoint) : NULL;
        copy.key = strdup(s->key);
        copy.value = strdup(s->value);
        copy.subset_line = s->subset_line;
        copy.endpoint_line = s->endpoint_line;
        if (!copy.subset || (s->endpoint && !copy.endpoint) || !copy.key || !copy.value)
                return -ENOMEM;

        grown = reallocarray(f->settings, f->n_settings + 1, sizeof(*grown));
        if (!grown)
                return -ENOMEM;
        f->settings = grown;
        f->settings[f->n_settings++] = copy;
        copy = (Setting){};
        return 0;
}

static void override_file_remove_at(OverrideFile *f, size_t i) {
        setting_done(&f->settings[i]);
        f->settings[i] = f->settings[--f->n_settings];
}

static bool override_file_remove(OverrideFile *f, const Setting *s) {
        for (size_t i = 0; i < f->n_settings; i++)
                if (setting_compare(&f->settings[i], s) == 0) {
                        override_file_remove_at(f, i);
                        return true;
                }
        return false;
}

/* Printable ASCII needs no escapes but these two, and nothing else can be the name of a subset or host. */
static bool text_is_plain(const char *s) {
        for (; *s; s++)
                if (*s < 0x20 || *s > 0x7e)
                        return false;
        return true;
}

static void write_quoted(FILE *f, const char *s) {
        putc('"', f);
        for (; *s; s++) {
                if (*s == '"' || *s == '\\')
                        putc('\\', f);
                putc(*s, f);
        }
        putc('"', f);
}

/* `"text":` to text, in place; NULL if it is anything else. */
static char *unquote_key(char *s) {
        char *to = s, *from = s;

        if (*from++ != '"')
                return NULL;
        while (*from != '"') {
                if (*from == '\\')
                        from++;
                if (*from == '\0')
                        return NULL;
                *to++ = *from++;
        }
        if (!streq(from, "\":"))
                return NULL;
        *to = '\0';
        return s;
}

/* Takes `key: value` apart, in place. */
static int parse_setting(char *text, Setting *s) {
        char *colon;

        colon = strstr(text, ": ");
        if (!colon || colon == text || colon[2] == '\0')
                return -EBADMSG;
        *colon = '\0';
        s->key = text;
        s->value = colon + 2;
        return 0;
}

/* Where the reader is: the names of the levels above the current line, owned by this. */
typedef struct ReadPosition {
        unsigned line, subset_line, endpoint_line;
        char *subset, *endpoint;
} ReadPosition;

static void read_position_done(ReadPosition *p) {
        free(p->subset);
        free(p->endpoint);
}

static int read_name(char *text, char **name) {
        char *copy;

        text = unquote_key(text);
        if (!text)
                return -EBADMSG;
        copy = strdup(text);
        if (!copy)
                return -ENOMEM;
        free(*name);
        *name = copy;
        return 0;
}

static int read_line(OverrideFile *f, ReadPosition *p, char *line) {
        size_t indent = strspn(line, " ");
        char *text = line + indent;
        Setting s = { .subset = p->subset, .subset_line = p->subset_line, .endpoint = p->endpoint,
                      .endpoint_line = p->endpoint_line };
        int r;

        if (indent == 0)
                return streq(text, "subsets:") ? 0 : -EBADMSG;
        if (indent == 2) {
                free(p->endpoint);
                p->endpoint = NULL;
                p->subset_line = p->line;
                return read_name(text, &p->subset);
        }
        if (!p->subset)
                return -EBADMSG;
        if (indent == 4 && streq(text, "adjust:"))
                return 0;
        if (indent == 6) {
                p->endpoint_line = p->line;
                return read_name(text, &p->endpoint);
        }
        if ((indent != 4 || p->endpoint) && (indent != 8 || !p->endpoint))
                return -EBADMSG;

        r = parse_setting(text, &s);
        if (r < 0)
                return r;
        return override_file_append(f, &s);
}

/* A missing file is an empty one. -EEXIST if the file is somebody else's, -EBADMSG if it was ours once. */
static int override_file_load(OverrideFile *f) {
        _cleanup_(read_position_done) ReadPosition position = {};
        _cleanup_fclose_ FILE *file = NULL;
        _cleanup_free_ char *line = NULL;
        size_t size = 0;
        ssize_t n;
        int r;

        file = fopen(f->path, "re");
        if (!file)
                return errno == ENOENT ? 0 : -errno;

        while ((n = getline(&line, &size, file)) >= 0) {
                if (n > 0 && line[n - 1] == '\n')
                        line[n - 1] = '\0';
                if (++position.line == 1) {
                        if (!streq(line, BANNER))
                                return -EEXIST;
                        continue;
                }
                r = read_line(f, &position, line);
                if (r < 0)
                        return r;
        }
        if (ferror(file))
                return -EIO;
        return position.line == 0 ? -EEXIST : 0; /* an empty file masks, and that is somebody's wish */
}

static void override_file_print(const OverrideFile *f, FILE *to) {
        const Setting *before = NULL;

        fputs(BANNER "\nsubsets:\n", to);
        for (const Setting *s = f->settings; s < f->settings + f->n_settings; before = s++) {
                bool new_subset = !before || !streq(s->subset, before->subset);

                if (new_subset) {
                        fputs("  ", to);
                        write_quoted(to, s->subset);
                        fputs(":\n", to);
                }
                if (!s->endpoint) {
                        fprintf(to, "    %s: %s\n", s->key, s->value);
                        continue;
                }
                if (new_subset || !before->endpoint)
                        fputs("    adjust:\n", to);
                if (new_subset || !before->endpoint || !streq(s->endpoint, before->endpoint)) {
                        fputs("      ", to);
                        write_quoted(to, s->endpoint);
                        fputs(":\n", to);
                }
                fprintf(to, "        %s: %s\n", s->key, s->value);
        }
}

static int sync_parent(const char *path) {
        _cleanup_free_ char *parent = NULL;
        _cleanup_close_ int fd = -EBADF;
        const char *slash = strrchr(path, '/');

        parent = slash == path ? strdup("/") : strndup(path, (size_t) (slash - path));
        if (!parent)
                return -ENOMEM;
        fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return -errno;
        return RET_NERRNO(fsync(fd));
}

/* Creates the directories above `path` that are missing. */
static int make_parents(const char *path) {
        _cleanup_free_ char *parent = NULL;
        int r;

        parent = strdup(path);
        if (!parent)
                return -ENOMEM;

        for (char *slash = strchr(parent + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
                *slash = '\0';
                r = RET_NERRNO(mkdir(parent, 0755));
                if (r >= 0)
                        r = sync_parent(parent);
                if (r < 0 && r != -EEXIST)
                        return r;
                *slash = '/';
        }
        return 0;
}

static int write_and_sync(int fd, const OverrideFile *f) {
        _cleanup_fclose_ FILE *file = NULL;

        file = fdopen(fd, "w");
        if (!file) {
                int r = -errno;

                close(fd);
                return r;
        }
        override_file_print(f, file);
        if (fflush(file) != 0 || ferror(file))
                return errno > 0 ? -errno : -EIO;
        if (fchmod(fileno(file), 0644) < 0)
                return -errno;
        return RET_NERRNO(fsync(fileno(file)));
}

/* The loader does not see the temporary file: its name does not end in .yaml. */
static int override_file_save(OverrideFile *f) {
        _cleanup_free_ char *temporary = NULL;
        int fd, r;

        if (f->n_settings == 0) {
                if (unlink(f->path) < 0)
                        return errno == ENOENT ? 0 : -errno;
                return sync_parent(f->path);
        }
        qsort(f->settings, f->n_settings, sizeof(Setting), setting_compare);

        r = make_parents(f->path);
        if (r < 0)
                return r;
        if (asprintf(&temporary, "%s.XXXXXX", f->path) < 0)
                return -ENOMEM;
        fd = mkostemp(temporary, O_CLOEXEC);
        if (fd < 0)
                return -errno;

        r = write_and_sync(fd, f);
        if (r >= 0)
                r = RET_NERRNO(rename(temporary, f->path));
        if (r < 0) {
                (void) unlink(temporary);
                return r;
        }
        return sync_parent(f->path);
}

static int override_file_open(const char *root, const char *service, bool persist, OverrideFile *f) {
        if (!root || streq(root, "/"))
                root = "";
        if (asprintf(&f->path, persist ? PERSISTENT_PATH : RUNTIME_PATH, root, service) < 0) {
                f->path = NULL;
                return -ENOMEM;
        }
        return override_file_load(f);
}

static int override_drop_runtime(const char *root, const char *service, const Setting *s) {
        _cleanup_(override_file_done) OverrideFile f = {};
        int r;

        r = override_file_open(root, service, false, &f);
        if (r == -EEXIST)
                return 0;
        if (r < 0)
                return r;
        return override_file_remove(&f, s) ? override_file_save(&f) : 0;
}

static int override_set(const char *root, const char *service, const Setting *s, bool persist) {
        _cleanup_(override_file_done) OverrideFile f = {};
        int r;

        /* The service's name becomes a directory's. */
        if (service[0] == '\0' || service[0] == '.' || strchr(service, '/') || strlen(service) > SM_NAME_MAX)
                return -EINVAL;
        if (!text_is_plain(s->subset) || (s->endpoint && !text_is_plain(s->endpoint)))
                return -EINVAL;

        r = override_file_open(root, service, persist, &f);
        if (r < 0)
                return r;
        (void) override_file_remove(&f, s);
        r = override_file_append(&f, s);
        if (r < 0)
                return r;
        r = override_file_save(&f);
        if (r < 0 || !persist)
                return r;
        return override_drop_runtime(root, service, s);
}

/* Whether the error is about the setting's endpoint, or about its subset: what that lacks is missed at the
 * first of its keys. */
static bool setting_is_at(const Setting *s, const PolicyOrigin *o) {
        if (s->endpoint && o->line == s->endpoint_line)
                return true;
        return o->line == s->subset_line + 1 && o->column == strlen("    ") + 1;
}

static bool is_own_file(const char *file) {
        return endswith(file, PERSISTENT_NAME) || endswith(file, RUNTIME_NAME);
}

/* Files of the service have errors themselves, so what they do not list may only be misspelt. Errors without
 * a key do not count: that several subsets need routes may be due to one that is ours. */
static bool service_is_broken(const Policy *p, const char *service) {
        for (size_t i = 0; i < p->n_errors; i++)
                if (streq_null(p->errors[i].service, service) && p->errors[i].key &&
                    !is_own_file(p->errors[i].origin.file))
                        return true;
        return false;
}

/* All errors in the file that error `first` is in: their lines are those of the file as it is. */
static int override_forget_in(const Policy *p, size_t first) {
        _cleanup_(override_file_done) OverrideFile f = {};
        const char *file = p->errors[first].origin.file;
        size_t n_before;
        int r;

        f.path = strdup(file);
        if (!f.path)
                return -ENOMEM;
        r = override_file_load(&f);
        if (r < 0)
                return r == -EEXIST || r == -EBADMSG ? 0 : r;

        n_before = f.n_settings;
        for (size_t i = first; i < p->n_errors; i++)
                for (size_t j = 0; p->errors[i].origin.file == file && j < f.n_settings;)
                        if (setting_is_at(&f.settings[j], &p->errors[i].origin))
                                override_file_remove_at(&f, j);
                        else
                                j++;
        if (f.n_settings == n_before)
                return 0;
        r = override_file_save(&f);
        if (r < 0)
                return r;
        log_notice("The policy does not list any more what some changes made over the bus are about; "
                   "they are taken out of %s.", file);
        return 1;
}

/* Errors are sorted by file, and names of files are interned. */
int override_forget(const Policy *p) {
        const char *before = NULL;
        int r, forgotten = 0;

        for (size_t i = 0; i < p->n_errors; i++) {
                const char *file = p->errors[i].origin.file;

                if (file == before || !is_own_file(file) || service_is_broken(p, p->errors[i].service))
                        continue;
                before = file;
                r = override_forget_in(p, i);
                if (r < 0)
                        return r;
                forgotten |= r;
        }
        return forgotten;
}

int override_set_weight(const char *root, const char *service, const char *subset, const char *endpoint,
                        unsigned weight, bool persist) {
        char value[sizeof("4294967295")];
        const Setting s = { .subset = subset, .endpoint = endpoint, .key = "weight", .value = value };

        (void) snprintf(value, sizeof(value), "%u", weight);
        return override_set(root, service, &s, persist);
}

int override_set_admin(const char *root, const char *service, const char *subset, const char *endpoint,
                       EndpointAdmin admin, bool persist) {
        const Setting s = { .subset = subset, .endpoint = endpoint, .key = "state",
                            .value = endpoint_admin_to_string(admin) };

        return override_set(root, service, &s, persist);
}

int override_set_balance(const char *root, const char *service, const char *subset, enum sm_balance balance,
                         bool persist) {
        const Setting s = { .subset = subset, .key = "balance", .value = balance_to_string(balance) };

        return override_set(root, service, &s, persist);
}
