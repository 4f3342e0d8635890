/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * Texts to values. All return 0 or -EINVAL (no such thing), -ERANGE (too large for the type), -ENOMEM.
 * IPv4 addresses are always handled mapped (::ffff:a.b.c.d).
 */

/* Decimal digits only: no sign, no space, no leading zero (which other programs take for octal). */
int parse_unsigned(const char *s, uint64_t *ret);

/* "2s", "25ms", "1h", "1m30s", "1.5s", "0"; units us, ms, s, m or min, h, d. A number needs a unit. */
int parse_duration(const char *s, uint64_t *ret_usec);

/* "4096", "64K", "8MiB", "1G"; units of 1024. */
int parse_size(const char *s, uint64_t *ret);

/* "20%", "0.5%" */
int parse_percent(const char *s, unsigned *ret_permille);

int parse_boolean(const char *s, bool *ret);
int parse_port(const char *s, uint16_t *ret); /* 1 ... 65535 */
int parse_address(const char *s, struct in6_addr *ret);

/* "10.0.0.0/8", "fd00::/8", "::1": the prefix counts in bits of the mapped address, so that of 10.0.0.0/8 is
 * 104; the bits behind it must be 0. */
int parse_prefix(const char *s, struct in6_addr *ret, unsigned *ret_prefix);

/* "127.71.0.0/16": IPv4 only, and the prefix is that of IPv4. */
int parse_network(const char *s, struct in6_addr *ret, unsigned *ret_prefix);

/* "1.2.3.4:80", "[::1]:80": the address, and *ret_host is NULL. "name:80": the name, allocated. */
int parse_host_port(const char *s, char **ret_host, struct in6_addr *ret_address, uint16_t *ret_port);

/* Labels of letters, digits, '-' and '_', none longer than 63 bytes, together at most 253. */
bool host_name_is_valid(const char *s);

/* Back to texts that the functions above take. */
#define ADDRESS_STRLEN (INET6_ADDRSTRLEN)
#define ADDRESS_PORT_STRLEN (INET6_ADDRSTRLEN + 8)
const char *address_to_string(const struct in6_addr *address, char buffer[static ADDRESS_STRLEN]);
const char *address_port_to_string(const struct in6_addr *address, uint16_t port,
                                   char buffer[static ADDRESS_PORT_STRLEN]);
#define DURATION_STRLEN 24
const char *duration_to_string(uint64_t usec, char buffer[static DURATION_STRLEN]);
#define SIZE_STRLEN 24
const char *size_to_string(uint64_t size, char buffer[static SIZE_STRLEN]);
