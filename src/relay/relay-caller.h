/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/socket.h>

#include "../abi/abi-connection.h"

/* An address as the tables have it: IPv4 mapped into ::ffff:0:0/96. */
void address_store(const struct sockaddr_storage *from, __u8 address[static 16], __be16 *port);
socklen_t address_load(const __u8 address[static 16], __be16 port, struct sockaddr_storage *ret);

#define ADDRESS_TEXT_MAX 64

/* "1.2.3.4" or "::1"; with a port that is not 0 "1.2.3.4:80" or "[::1]:80". */
void address_print(const __u8 address[static 16], __be16 port, char ret[static ADDRESS_TEXT_MAX]);

/* Takes the record of a connection from that peer out of the map `callers`. -ENOENT: there is none, it
 * did not come through the mesh. */
int caller_take(int map, const struct sockaddr_storage *peer, struct sm_caller *ret);
