/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/bpf.h>

#include "../basic/macro.h"
#include "relay-caller.h"

static const __u8 mapped_prefix[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };

void address_store(const struct sockaddr_storage *from, __u8 address[static 16], __be16 *port) {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *) from;
        const struct sockaddr_in *v4 = (const struct sockaddr_in *) from;

        if (from->ss_family == AF_INET) {
                memcpy(address, mapped_prefix, sizeof(mapped_prefix));
                memcpy(address + sizeof(mapped_prefix), &v4->sin_addr, 4);
                *port = v4->sin_port;
        } else {
                memcpy(address, &v6->sin6_addr, 16);
                *port = v6->sin6_port;
        }
}

static bool is_mapped(const __u8 address[static 16]) {
        return memcmp(address, mapped_prefix, sizeof(mapped_prefix)) == 0;
}

socklen_t address_load(const __u8 address[static 16], __be16 port, struct sockaddr_storage *ret) {
        struct sockaddr_in6 *v6 = (struct sockaddr_in6 *) ret;
        struct sockaddr_in *v4 = (struct sockaddr_in *) ret;

        if (is_mapped(address)) {
                *v4 = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = port };
                memcpy(&v4->sin_addr, address + sizeof(mapped_prefix), 4);
                return sizeof(*v4);
        }
        *v6 = (struct sockaddr_in6){ .sin6_family = AF_INET6, .sin6_port = port };
        memcpy(&v6->sin6_addr, address, 16);
        return sizeof(*v6);
}

void address_print(const __u8 address[static 16], __be16 port, char ret[static ADDRESS_TEXT_MAX]) {
        char text[INET6_ADDRSTRLEN];
        bool v4 = is_mapped(address);

        if (v4)
                inet_ntop(AF_INET, address + sizeof(mapped_prefix), text, sizeof(text));
        else
                inet_ntop(AF_INET6, address, text, sizeof(text));
        if (port == 0)
                snprintf(ret, ADDRESS_TEXT_MAX, "%s", text);
        else
                snprintf(ret, ADDRESS_TEXT_MAX, v4 ? "%s:%u" : "[%s]:%u", text, ntohs(port));
}

int caller_take(int map, const struct sockaddr_storage *peer, struct sm_caller *ret) {
        struct sm_caller_key key = {};
        struct sm_caller value;
        union bpf_attr attr = {};

        address_store(peer, key.address, &key.port);
        attr.map_fd = (__u32) map;
        attr.key = (uintptr_t) &key;
        attr.value = (uintptr_t) &value;
        if (syscall(SYS_bpf, BPF_MAP_LOOKUP_AND_DELETE_ELEM, &attr, sizeof(attr)) < 0)
                return -errno;
        *ret = value;
        return 0;
}
