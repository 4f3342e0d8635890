/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>

bool address_is_loopback(const struct in6_addr *address);

/* Whether what is sent to the address (IPv4 mapped, as everywhere) stays in this network namespace. */
bool address_is_own(const struct in6_addr *address);
