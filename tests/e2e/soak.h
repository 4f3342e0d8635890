/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/*
 * What soak-client and soak-server say to each other:
 *
 *      GET|POST /NONCE/SIZE          NONCE in 16 hexadecimal digits; a body is the pattern of ~NONCE
 *      200, X-Nonce: NONCE           and SIZE bytes of the pattern of NONCE
 *      400                           the request's body was another one's, or cut
 */
#define SOAK_SIZE_MAX 200000 /* bytes in a body */
#define SOAK_BUFFER (SOAK_SIZE_MAX + 4096)

static inline void soak_fill(char *p, size_t n, uint64_t nonce) {
        for (size_t i = 0; i < n; i += 8) {
                uint64_t word = (nonce + i) * UINT64_C(0x9e3779b97f4a7c15);

                memcpy(p + i, &word, n - i < 8 ? n - i : 8);
        }
}

static inline bool soak_matches(const char *p, size_t n, uint64_t nonce) {
        for (size_t i = 0; i < n; i += 8) {
                uint64_t word = (nonce + i) * UINT64_C(0x9e3779b97f4a7c15);

                if (memcmp(p + i, &word, n - i < 8 ? n - i : 8) != 0)
                        return false;
        }
        return true;
}

/* The number after a field's name and colon in a head, or 0. */
static inline size_t soak_content_length(const char *head, size_t n) {
        static const char name[] = "\r\nContent-Length: ";
        const char *p = memmem(head, n, name, strlen(name));
        size_t length = 0;

        if (p)
                for (p += strlen(name); *p >= '0' && *p <= '9'; p++)
                        length = length * 10 + (size_t) (*p - '0');
        return length;
}

/* Bytes in the head at the start of what was received, or 0 if there is more to come. */
static inline size_t soak_head_size(const char *p, size_t n) {
        const char *end = memmem(p, n, "\r\n\r\n", 4);

        return end ? (size_t) (end - p) + 4 : 0;
}
