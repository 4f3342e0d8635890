/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>

/*
 * The register of allocated service addresses: a text file, one "NAME ADDRESS" a line, to which lines are
 * only ever added. A service gets the same address for ever, and no address is given to a second name, even
 * when the first is long gone.
 */
typedef struct VipRegister VipRegister;

/* A missing file is an empty register. -EBADMSG, with the line in *ret_line, if the file is damaged: it is
 * never overwritten then. */
int vip_register_load(const char *path, VipRegister **ret, unsigned *ret_line);
VipRegister *vip_register_free(VipRegister *r);

/* The address of `name`, allocated in network/prefix (IPv4, mapped) if it has none. An address that a
 * policy claims explicitly is recorded by vip_register_claim() first, so that it is not handed out.
 * -ENOSPC if the network is full. */
int vip_register_get(VipRegister *r, const char *name, const struct in6_addr *network, unsigned prefix,
                     struct in6_addr *ret);
/* -EEXIST if it belongs to another name. */
int vip_register_claim(VipRegister *r, const char *name, const struct in6_addr *address);

bool vip_in_network(const struct in6_addr *address, const struct in6_addr *network, unsigned prefix);

/* Writes what was added since load, atomically and synced, before any of it may be used. */
int vip_register_save(VipRegister *r);
