/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stddef.h>

/* bpf(2) by descriptors that were inherited: it needs no capability (Linux 6.0). */

/* Sets, whether it is there or not. The key of a socket's storage is its descriptor; the value of a map of
 * sockets is a __u64 with the descriptor. */
int bpf_map_set(int map, const void *key, const void *value);

/* Runs a program over `size` bytes, at least the 14 of an Ethernet header. What it returns, or a negative
 * errno. */
int bpf_program_run(int program, const void *bytes, size_t size);
