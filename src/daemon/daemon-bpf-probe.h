/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stddef.h>
#include <stdint.h>

/*
 * What the fast path relies on differs between kernels of the same number, as distributions take some
 * patches and leave others; so it is tried out.
 */
#define BPF_PROBES_MAX 16

typedef struct BpfProbes {
        uint32_t features;                  /* enum sm_fast_feature: those that may be used */
        const char *failed[BPF_PROBES_MAX]; /* names, static */
        size_t n_failed;
} BpfProbes;

/* Sends to 127.0.0.1, between sockets of its own, and waits a tenth of a second at most, for all together:
 * what has not come by then has failed. Negative errno: nothing could be tried, so nothing may be used. */
int bpf_probe_run(BpfProbes *ret);
