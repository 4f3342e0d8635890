/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <netinet/in.h>
#include <systemd/sd-event.h>

#include "../basic/time-util.h"

/*
 * Endpoint names to addresses, asked again when their TTL has run out, by c-ares on the event loop. While a
 * name cannot be resolved its last addresses stay; a failure is asked again after a growing pause.
 *
 * Servers are those of /etc/resolv.conf, read again when it changed; /etc/hosts goes first. The environment
 * can set others: SLICEMESH_DNS_SERVERS="127.0.0.1:5353,[::1]:53", CARES_HOSTS=FILE, and
 * RES_OPTIONS="retrans:MILLISECONDS retry:TIMES".
 */
typedef struct Resolver Resolver;
typedef struct ResolverName ResolverName;

/* `addresses` (IPv4 mapped, sorted, without repeats) changed; n == 0 only while the name was never
 * resolved. `error` is NULL, or why the last question failed. */
typedef void (*resolver_handler_t)(const char *host, const struct in6_addr *addresses, size_t n,
                                   const char *error, void *userdata);

int resolver_new(sd_event *event, resolver_handler_t handler, void *userdata, Resolver **ret);
Resolver *resolver_free(Resolver *r);

/* Names are counted: watch once for each user, unwatch as often. */
int resolver_watch(Resolver *r, const char *host);
void resolver_unwatch(Resolver *r, const char *host);

/* What is known now; n = 0 if nothing. The array belongs to the resolver and lives until the next event. */
size_t resolver_lookup(const Resolver *r, const char *host, const struct in6_addr **ret);
