/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "cleanup.h"
#include "own-address.h"

typedef union SocketAddress {
        struct sockaddr sa;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
} SocketAddress;

bool address_is_loopback(const struct in6_addr *address) {
        return IN6_IS_ADDR_LOOPBACK(address) ||
               (IN6_IS_ADDR_V4MAPPED(address) && address->s6_addr[12] == 127);
}

/* Of all addresses only one of its own does the kernel reach from that address itself. Nothing is sent. */
bool address_is_own(const struct in6_addr *address) {
        bool v4 = IN6_IS_ADDR_V4MAPPED(address);
        SocketAddress peer = {}, own = {};
        _cleanup_close_ int fd = -EBADF;
        socklen_t size = v4 ? sizeof(peer.in) : sizeof(peer.in6);

        if (address_is_loopback(address))
                return true;
        if (v4) {
                peer.in.sin_family = AF_INET;
                peer.in.sin_port = htons(9); /* any */
                memcpy(&peer.in.sin_addr, &address->s6_addr[12], 4);
        } else {
                peer.in6.sin6_family = AF_INET6;
                peer.in6.sin6_port = htons(9);
                peer.in6.sin6_addr = *address;
        }
        fd = socket(peer.sa.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        if (fd < 0 || connect(fd, &peer.sa, size) < 0 || getsockname(fd, &own.sa, &size) < 0)
                return false;
        return v4 ? own.in.sin_addr.s_addr == peer.in.sin_addr.s_addr
                  : IN6_ARE_ADDR_EQUAL(&own.in6.sin6_addr, &peer.in6.sin6_addr);
}
