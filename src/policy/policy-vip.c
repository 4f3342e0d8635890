/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>

#include "../basic/array-util.h"
#include "../basic/hashmap.h"
#include "../basic/parse-util.h"
#include "../basic/string-util.h"
#include "policy-files.h"
#include "policy-schema.h"
#include "policy-vip.h"

/* One line. A name may have several: addresses that its policy claimed at some time, and one allocated in
 * each network that was configured. */
typedef struct VipEntry VipEntry;

struct VipEntry {
        char *name;
        char text[ADDRESS_STRLEN]; /* canonical: the key of by_address */
        struct in6_addr address;
        VipEntry *next; /* of the same name, later in the file */
};

struct VipRegister {
        char *path;
        VipEntry **entries; /* in order of the file */
        size_t n_entries;
        size_t n_saved;
        Hashmap *by_name; /* first entry of each name */
        Hashmap *by_address;
};

static VipEntry *vip_entry_free(VipEntry *e) {
        if (e)
                free(e->name);
        free(e);
        return NULL;
}

DEFINE_TRIVIAL_CLEANUP(VipEntry *, vip_entry_free)
DEFINE_TRIVIAL_CLEANUP(VipRegister *, vip_register_free)

VipRegister *vip_register_free(VipRegister *r) {
        if (!r)
                return NULL;
        hashmap_free(r->by_name);
        hashmap_free(r->by_address);
        for (size_t i = 0; i < r->n_entries; i++)
                vip_entry_free(r->entries[i]);
        free(r->entries);
        free(r->path);
        free(r);
        return NULL;
}

static VipRegister *vip_register_new(const char *path) {
        _cleanup_(vip_register_freep) VipRegister *r = NULL;

        r = calloc(1, sizeof(*r));
        if (!r)
                return NULL;
        r->path = strdup(path);
        r->by_name = hashmap_new();
        r->by_address = hashmap_new();
        return r->path && r->by_name && r->by_address ? TAKE_PTR(r) : NULL;
}

/* -EEXIST if the address is registered already, for whatever name. Nothing is changed on failure. */
static int vip_register_add(VipRegister *reg, const char *name, const struct in6_addr *address) {
        _cleanup_(vip_entry_freep) VipEntry *e = NULL;
        VipEntry *first = hashmap_get(reg->by_name, name);
        int r;

        e = calloc(1, sizeof(*e));
        if (!e)
                return -ENOMEM;
        e->name = strdup(name);
        if (!e->name)
                return -ENOMEM;
        e->address = *address;
        address_to_string(address, e->text);
        r = array_reserve(&reg->entries, reg->n_entries, sizeof(*reg->entries));
        if (r < 0)
                return r;
        r = hashmap_put(reg->by_address, e->text, e);
        if (r < 0)
                return r;
        if (!first) {
                r = hashmap_put(reg->by_name, e->name, e);
                if (r < 0) {
                        hashmap_remove(reg->by_address, e->text);
                        return r;
                }
        } else {
                while (first->next)
                        first = first->next;
                first->next = e;
        }
        reg->entries[reg->n_entries++] = TAKE_PTR(e);
        return 0;
}

/* Takes the line apart in place. */
static int vip_register_parse_line(VipRegister *reg, char *line) {
        char *space = strchr(line, ' ');
        struct in6_addr address;
        int r;

        if (!space)
                return -EBADMSG;
        *space = 0;
        if (!policy_name_is_valid(line) || parse_address(space + 1, &address) < 0)
                return -EBADMSG;
        r = vip_register_add(reg, line, &address);
        return r == -EEXIST ? -EBADMSG : r;
}

/* Every line ends in a line feed: a file that was cut off is noticed, and not taken for a shorter one. */
static int vip_register_parse(VipRegister *reg, char *data, size_t size, unsigned *ret_line) {
        unsigned line = 1;
        int r;

        for (char *end; size > 0; line++) {
                end = memchr(data, '\n', size);
                r = -EBADMSG;
                if (end && !memchr(data, 0, (size_t) (end - data))) {
                        *end = 0;
                        r = vip_register_parse_line(reg, data);
                }
                if (r == -EBADMSG)
                        *ret_line = line;
                if (r < 0)
                        return r;
                size -= (size_t) (end + 1 - data);
                data = end + 1;
        }
        return 0;
}

int vip_register_load(const char *path, VipRegister **ret, unsigned *ret_line) {
        _cleanup_(vip_register_freep) VipRegister *reg = NULL;
        _cleanup_free_ char *data = NULL;
        size_t size = 0;
        int r;

        reg = vip_register_new(path);
        if (!reg)
                return -ENOMEM;
        r = policy_file_read(path, &data, &size); /* positive: it is empty */
        if (r < 0 && r != -ENOENT)
                return r;
        r = vip_register_parse(reg, data, size, ret_line);
        if (r < 0)
                return r;
        reg->n_saved = reg->n_entries;
        *ret = TAKE_PTR(reg);
        return 0;
}

static struct in6_addr vip_address(const struct in6_addr *network, uint32_t host) {
        struct in6_addr address = *network;

        address.s6_addr32[3] = htonl(ntohl(network->s6_addr32[3]) + host);
        return address;
}

bool vip_in_network(const struct in6_addr *address, const struct in6_addr *network, unsigned prefix) {
        return memcmp(address, network, 12) == 0 &&
               (ntohl(address->s6_addr32[3]) ^ ntohl(network->s6_addr32[3])) >> (32 - prefix) == 0;
}

/* Not addresses that look like a network or its broadcast, nor those of the host itself: 127.0.0.1, the
 * resolver's 127.0.0.53, Debian's 127.0.1.1. */
static bool vip_is_usable(const struct in6_addr *address, uint32_t host, uint32_t size) {
        const uint8_t *v4 = &address->s6_addr[12];

        return host != 0 && host != size - 1 && v4[3] != 0 && v4[3] != 255 && (v4[0] != 127 || v4[1] != 0);
}

/* FNV-1a, finished as splitmix64 does: where a name starts to look. It need not stay the same for ever. */
static uint64_t vip_hash(const char *name) {
        uint64_t h = UINT64_C(0xcbf29ce484222325);

        for (; *name; name++)
                h = (h ^ (unsigned char) *name) * UINT64_C(0x100000001b3);
        h = (h ^ (h >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
        return h ^ (h >> 27);
}

int vip_register_get(VipRegister *reg, const char *name, const struct in6_addr *network, unsigned prefix,
                     struct in6_addr *ret) {
        const uint32_t size = UINT32_C(1) << (32 - prefix);
        uint32_t start = (uint32_t) (vip_hash(name) % size);
        char text[ADDRESS_STRLEN];
        int r;

        for (const VipEntry *e = hashmap_get(reg->by_name, name); e; e = e->next)
                if (vip_in_network(&e->address, network, prefix)) {
                        *ret = e->address;
                        return 0;
                }
        for (uint32_t i = 0; i < size; i++) {
                uint32_t host = (start + i) % size;
                struct in6_addr address = vip_address(network, host);

                if (!vip_is_usable(&address, host, size) ||
                    hashmap_get(reg->by_address, address_to_string(&address, text)))
                        continue;
                r = vip_register_add(reg, name, &address);
                if (r < 0)
                        return r;
                *ret = address;
                return 0;
        }
        return -ENOSPC;
}

int vip_register_claim(VipRegister *reg, const char *name, const struct in6_addr *address) {
        char text[ADDRESS_STRLEN];
        const VipEntry *e;

        e = hashmap_get(reg->by_address, address_to_string(address, text));
        if (e)
                return streq(e->name, name) ? 0 : -EEXIST;
        return vip_register_add(reg, name, address);
}

int vip_register_save(VipRegister *reg) {
        _cleanup_free_ char *text = NULL;
        size_t size;
        FILE *f;
        int r;

        if (reg->n_saved == reg->n_entries)
                return 0;
        f = open_memstream(&text, &size);
        if (!f)
                return -ENOMEM;
        for (size_t i = 0; i < reg->n_entries; i++)
                fprintf(f, "%s %s\n", reg->entries[i]->name, reg->entries[i]->text);
        if (fclose(f) < 0)
                return -ENOMEM;
        r = policy_file_write(reg->path, text, size);
        if (r < 0)
                return r;
        reg->n_saved = reg->n_entries;
        return 0;
}
