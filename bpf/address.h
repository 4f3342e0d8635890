/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once

#include <linux/types.h>
#include <bpf/bpf_endian.h>

#define AF_INET 2 /* <sys/socket.h> is not for the kernel side */

/* Addresses are 16 bytes in network order, IPv4 mapped (::ffff:a.b.c.d); contexts have them in words. All
 * arrays of 16 bytes here are aligned to 4. */

static inline __u32 address_word(const __u8 *address, int i) {
        return ((const __u32 *) address)[i];
}

static inline void address_set(__u8 *address, __u32 a, __u32 b, __u32 c, __u32 d) {
        __u32 *words = (__u32 *) address;

        words[0] = a;
        words[1] = b;
        words[2] = c;
        words[3] = d;
}

static inline void address_set_ipv4(__u8 *address, __u32 ipv4) {
        address_set(address, 0, 0, bpf_htonl(0xffff), ipv4);
}

static inline int address_is_ipv4(const __u8 *address) {
        return address_word(address, 0) == 0 && address_word(address, 1) == 0 &&
               address_word(address, 2) == bpf_htonl(0xffff);
}

static inline int address_equal(const __u8 *a, const __u8 *b) {
        return address_word(a, 0) == address_word(b, 0) && address_word(a, 1) == address_word(b, 1) &&
               address_word(a, 2) == address_word(b, 2) && address_word(a, 3) == address_word(b, 3);
}
