/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once

/*
 * The fields of kernel structs that the programs read, and no others: libbpf finds the offsets in the BTF of
 * the running kernel when it loads the programs.
 */
#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct sock {
        int sk_err;
};

struct tcp_sock {
        char first; /* a struct sock stands at its start */
};

#pragma clang attribute pop
