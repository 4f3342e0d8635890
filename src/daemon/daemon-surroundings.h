/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>

/*
 * What slicemeshd needs of the system that it runs on. Returns 0, or MANAGER_E_* of daemon-manager.h
 * with a sentence for people, or a negative errno.
 */
int surroundings_check(const char **ret_sentence);

/* Where cgroup2 is mounted: $SLICEMESH_CGROUP_ROOT, else the unified or hybrid place of systemd. -ENOENT. */
int surroundings_cgroup_root(char **ret);

/* Below which all is pinned: $SLICEMESH_PIN_PATH, else /sys/fs/bpf/slicemesh. */
const char *surroundings_pin_path(void);

/* Where the relay listens for us: $SLICEMESH_RELAY_SOCKET, else /run/slicemesh/relay.sock. */
const char *surroundings_relay_socket(void);

/* Whether sockets may be put into BPF maps on this kernel; if not, *ret_sentence says why. No setting
 * overrides it. */
bool surroundings_fast_path(const char **ret_sentence);

/* The same of a kernel with this uname(2). */
bool kernel_sockmap_is_sound(const char *release, const char *version);
