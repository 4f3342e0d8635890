/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdlib.h>

#include "../basic/parse-util.h"
#include "../basic/string-util.h"
#include "policy-parse.h"

int walk_slice(Walker *w, const PolicyNode *n) {
        int r = 0;

        if (n->kind != NODE_SCALAR)
                r = walk_error_expected(w, n, "a slice");
        else if (streq(n->text, "-.slice"))
                r = walk_error(w, &n->origin,
                               "The root slice cannot be managed: slicemesh itself runs in it.");
        else if (!slice_name_is_valid(n->text))
                r = walk_error_expected(w, n, "the name of a slice, like shop.slice");
        else
                return 1;
        return r < 0 ? r : 0;
}

static int parse_slice(Walker *w, const PolicyNode *n, char ***slices) {
        int r;

        r = walk_slice(w, n);
        if (r <= 0)
                return r;
        if (strv_contains(*slices, n->text))
                return walk_error(w, &n->origin, "The slice %s is listed twice.", n->text);
        return strv_push(slices, n->text);
}

int parse_slices(Walker *w, const SchemaKey *key, const PolicyNode *n, void *object) {
        char ***slices = (char ***) ((char *) object + key->offset);
        int r;

        r = walk_expect(w, n, NODE_SEQUENCE, key->form);
        if (r <= 0)
                return r;
        if (n->n_children >= SM_SLICES_MAX) /* index 0 of slice_states is not used */
                return walk_error(w, &n->origin, "Expected at most %u slices.", SM_SLICES_MAX - 1);
        if (n->n_children == 0 && w->model && !w->partial) /* no callers would read as all of them */
                return walk_error(w, &n->origin, "Expected at least one slice.");
        for (size_t i = 0; i < n->n_children; i++) {
                walk_enter(w, n->children[i], i);
                r = parse_slice(w, n->children[i], slices);
                walk_leave(w);
                if (r < 0)
                        return r;
        }
        return 0;
}

int parse_vip_range(Walker *w, const SchemaKey *key, const PolicyNode *n, void *object) {
        PolicyMesh *m = object;
        struct in6_addr network;
        unsigned prefix;
        int r;

        r = walk_expect(w, n, NODE_SCALAR, key->form);
        if (r <= 0)
                return r;
        r = parse_network(n->text, &network, &prefix);
        if (r < 0 || prefix < 8 || prefix > 30)
                return walk_error_expected(w, n, "an IPv4 network of 8 to 30 bits, like 127.71.0.0/16");
        if (network.s6_addr[12] == 127 && network.s6_addr[13] == 0 && prefix >= 16)
                return walk_error(w, &n->origin, "127.0.0.0/16 is in use by the host itself.");
        m->vip_network = network;
        m->vip_prefix = prefix;
        return 0;
}

bool address_is_reachable(const struct in6_addr *a) {
        if (IN6_IS_ADDR_V4MAPPED(a))
                return a->s6_addr[12] != 0 && a->s6_addr[12] < 224; /* 0.0.0.0/8, multicast and above */
        return !IN6_IS_ADDR_UNSPECIFIED(a) && !IN6_IS_ADDR_MULTICAST(a);
}

int parse_service_address(Walker *w, const SchemaKey *key, const PolicyNode *n, void *object) {
        _cleanup_free_ char *host = NULL;
        PolicyService *s = object;
        struct in6_addr address;
        uint16_t port;
        int r;

        r = walk_expect(w, n, NODE_SCALAR, key->form);
        if (r <= 0)
                return r;
        r = parse_host_port(n->text, &host, &address, &port);
        if (r == -ENOMEM)
                return r;
        if (r < 0 || host)
                return walk_error_expected(w, n, "an address and port, like 127.71.0.10:80");
        if (!address_is_reachable(&address))
                return walk_error_expected(w, n, "an address that one can connect to");
        s->has_address = true;
        s->address = address;
        s->port = port;
        return 0;
}
