/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <dirent.h>
#include <errno.h>
#include <sys/stat.h>

#include <bpf/bpf.h>

#include "../basic/cleanup.h"
#include "../basic/macro.h"
#include "daemon-bpf-programs.h"

static void closedirp(DIR **d) {
        if (*d)
                closedir(*d);
}

int bpf_pin_make_directory(const char *path) {
        int r;

        r = RET_NERRNO(mkdir(path, 0700));
        return r == -EEXIST ? 0 : r;
}

/* The last reference to a link is dropped some time after its pin has gone; what is to be detached is so
 * when this returns. */
int bpf_pin_remove(const char *path) {
        _cleanup_close_ int fd = bpf_obj_get(path);

        if (fd >= 0)
                (void) bpf_link_detach(fd); /* if it is a link */
        return RET_NERRNO(unlink(path));
}

/* Deeper than LAYOUT/slices/CGROUP/PROGRAM nothing is ever pinned, so the recursion ends. */
int bpf_pin_remove_tree(const char *path) {
        _cleanup_(closedirp) DIR *directory = opendir(path);
        struct dirent *entry;
        int r, error = 0;

        if (!directory)
                return errno == ENOENT ? 0 : -errno;
        while ((entry = readdir(directory))) {
                _cleanup_free_ char *child = NULL;

                if (streq(entry->d_name, ".") || streq(entry->d_name, ".."))
                        continue;
                if (asprintf(&child, "%s/%s", path, entry->d_name) < 0)
                        return -ENOMEM;
                if (entry->d_type == DT_DIR)
                        r = bpf_pin_remove_tree(child);
                else
                        r = bpf_pin_remove(child);
                if (r < 0 && r != -ENOENT)
                        error = r; /* goes on, to remove as much as can be */
        }
        if (rmdir(path) < 0 && errno != ENOENT && error == 0)
                error = -errno;
        return error;
}

int bpf_pin_each(const char *path, bpf_pin_each_t each, void *userdata) {
        _cleanup_(closedirp) DIR *directory = opendir(path);
        struct dirent *entry;

        if (!directory)
                return errno == ENOENT ? 0 : -errno;
        while ((entry = readdir(directory))) {
                _cleanup_free_ char *child = NULL;

                if (entry->d_type != DT_DIR || streq(entry->d_name, ".") || streq(entry->d_name, ".."))
                        continue;
                if (asprintf(&child, "%s/%s", path, entry->d_name) < 0)
                        return -ENOMEM;
                each(child, entry->d_name, userdata);
        }
        return 0;
}

/* Sockets keep the programs that they got from their map, and the maps with them, until they are closed:
 * these let everything pass from here on. */
static void switch_off(const char *layout, const char *name, void *userdata) {
        struct sm_fast_control off = { .slow = SM_SLOW_OFF };
        _cleanup_free_ char *path = NULL;
        _cleanup_close_ int fd = -EBADF;

        if (asprintf(&path, "%s/maps/fast_control", layout) < 0)
                return;
        fd = bpf_obj_get(path);
        if (fd >= 0)
                (void) bpf_map_update_elem(fd, &(__u32) { 0 }, &off, BPF_ANY);
}

int bpf_pins_remove(const char *pin_path) {
        int r;

        if (access(pin_path, F_OK) < 0)
                return errno == ENOENT ? 0 : -errno;
        (void) bpf_pin_each(pin_path, switch_off, NULL);
        r = bpf_pin_remove_tree(pin_path);
        return r < 0 ? r : 1;
}

static void remove_other(const char *path, const char *name, void *userdata) {
        BpfPrograms *b = userdata;

        if (streq(path, b->layout))
                return;
        switch_off(path, name, NULL);
        (void) bpf_pin_remove_tree(path);
}

void bpf_programs_remove_others(BpfPrograms *b) {
        (void) bpf_pin_each(b->pin_path, remove_other, b);
}
