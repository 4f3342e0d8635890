/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "../basic/array-util.h"
#include "../basic/cleanup.h"
#include "../basic/string-util.h"
#include "daemon-override-file.h"

#define BANNER "# Written by slicemeshd for changes made over the bus; what is changed here by hand is lost."
#define SUBSETS_KEY "subsets"
#define ROUTES_KEY "adjust-routes"

/* Of those that own their texts: the ones in an OverrideFile. */
static void setting_done(Setting *s) {
        free((char *) s->route);
        free((char *) s->subset);
        free((char *) s->endpoint);
        free((char *) s->key);
        free((char *) s->value);
}

void override_file_done(OverrideFile *f) {
        for (size_t i = 0; i < f->n_settings; i++)
                setting_done(&f->settings[i]);
        free(f->settings);
        free(f->path);
}

/* Those of routes come first; of a subset, its own before those of its endpoints. As they are written. */
static int setting_compare(const void *a, const void *b) {
        const Setting *x = a, *y = b;
        int r;

        if (!x->route != !y->route)
                return x->route ? -1 : 1;
        r = strcmp(x->route ?: x->subset, y->route ?: y->subset);
        if (r != 0)
                return r;
        if (!x->endpoint != !y->endpoint)
                return x->endpoint ? 1 : -1;
        r = x->endpoint ? strcmp(x->endpoint, y->endpoint) : 0;
        return r != 0 ? r : strcmp(x->key, y->key);
}

static int copy_text(const char **to, const char *from) {
        *to = from ? strdup(from) : NULL;
        return from && !*to ? -ENOMEM : 0;
}

int override_file_append(OverrideFile *f, const Setting *s) {
        _cleanup_(setting_done) Setting copy = {};
        int r;

        copy.name_line = s->name_line;
        copy.endpoint_line = s->endpoint_line;
        copy.line = s->line;
        if (copy_text(&copy.route, s->route) < 0 || copy_text(&copy.subset, s->subset) < 0 ||
            copy_text(&copy.endpoint, s->endpoint) < 0 || copy_text(&copy.key, s->key) < 0 ||
            copy_text(&copy.value, s->value) < 0)
                return -ENOMEM;
        r = array_reserve(&f->settings, f->n_settings, sizeof(*f->settings));
        if (r < 0)
                return r;
        f->settings[f->n_settings++] = copy;
        copy = (Setting){};
        return 0;
}

void override_file_remove_at(OverrideFile *f, size_t i) {
        setting_done(&f->settings[i]);
        f->settings[i] = f->settings[--f->n_settings];
}

bool override_file_remove(OverrideFile *f, const Setting *s) {
        for (size_t i = 0; i < f->n_settings; i++)
                if (setting_compare(&f->settings[i], s) == 0) {
                        override_file_remove_at(f, i);
                        return true;
                }
        return false;
}

static bool text_is_plain(const char *s) {
        for (; s && *s; s++)
                if (*s < 0x20 || *s > 0x7e)
                        return false;
        return true;
}

bool setting_is_plain(const Setting *s) {
        return text_is_plain(s->route) && text_is_plain(s->subset) && text_is_plain(s->endpoint) &&
                text_is_plain(s->value);
}

void override_write_quoted(FILE *f, const char *s) {
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
        unsigned line, name_line, endpoint_line;
        bool routes; /* in adjust-routes, else in subsets */
        char *name, *endpoint;
} ReadPosition;

static void read_position_done(ReadPosition *p) {
        free(p->name);
        free(p->endpoint);
}

static void forget_name(char **name) {
        free(*name);
        *name = NULL;
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

static int read_section(ReadPosition *p, const char *text) {
        p->routes = streq(text, ROUTES_KEY ":");
        forget_name(&p->name);
        forget_name(&p->endpoint);
        return p->routes || streq(text, SUBSETS_KEY ":") ? 0 : -EBADMSG;
}

static int read_line(OverrideFile *f, ReadPosition *p, char *line) {
        size_t indent = strspn(line, " ");
        char *text = line + indent;
        Setting s = { .name_line = p->name_line, .endpoint_line = p->endpoint_line, .line = p->line };
        int r;

        if (indent == 0)
                return read_section(p, text);
        if (indent == 2) {
                forget_name(&p->endpoint);
                p->name_line = p->line;
                return read_name(text, &p->name);
        }
        if (!p->name)
                return -EBADMSG;
        if (indent == 4 && !p->routes && streq(text, "adjust:"))
                return 0;
        if (indent == 6 && !p->routes) {
                p->endpoint_line = p->line;
                return read_name(text, &p->endpoint);
        }
        if ((indent != 4 || p->endpoint) && (indent != 8 || !p->endpoint))
                return -EBADMSG;

        r = parse_setting(text, &s);
        if (r < 0)
                return r;
        *(p->routes ? &s.route : &s.subset) = p->name;
        s.endpoint = p->endpoint;
        return override_file_append(f, &s);
}

int override_file_load(OverrideFile *f) {
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

static void print_name(FILE *to, unsigned indent, const char *name) {
        fprintf(to, "%*s", (int) indent, "");
        override_write_quoted(to, name);
        fputs(":\n", to);
}

static void print_setting(FILE *to, const Setting *s, const Setting *before) {
        const char *name = s->route ?: s->subset;
        bool new_section = !before || !before->route != !s->route;
        bool new_name = new_section || !streq(name, before->route ?: before->subset);

        if (new_section)
                fputs(s->route ? ROUTES_KEY ":\n" : SUBSETS_KEY ":\n", to);
        if (new_name)
                print_name(to, 2, name);
        if (!s->endpoint) {
                fprintf(to, "    %s: %s\n", s->key, s->value);
                return;
        }
        if (new_name || !before->endpoint)
                fputs("    adjust:\n", to);
        if (new_name || !before->endpoint || !streq(s->endpoint, before->endpoint))
                print_name(to, 6, s->endpoint);
        fprintf(to, "        %s: %s\n", s->key, s->value);
}

static void override_file_print(const OverrideFile *f, FILE *to) {
        fputs(BANNER "\n", to);
        for (size_t i = 0; i < f->n_settings; i++)
                print_setting(to, &f->settings[i], i > 0 ? &f->settings[i - 1] : NULL);
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
int override_file_save(OverrideFile *f) {
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
