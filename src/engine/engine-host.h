/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "engine-text.h"

/*
 * uri-host [ ":" port ] (RFC 9110, section 7.2; RFC 3986, section 3.2.2), one byte at a time: of Host, of an
 * absolute target and of CONNECT. Without user information, IPvFuture and zone identifiers.
 */

enum sm_host_state {
        SM_HOST_START,
        SM_HOST_NAME,
        SM_HOST_PERCENT,       /* '%' was seen */
        SM_HOST_PERCENT_DIGIT, /* and one digit */
        SM_HOST_LITERAL,       /* inside the brackets of an IPv6 address */
        SM_HOST_CLOSED,        /* ']' was seen */
        SM_HOST_PORT,          /* ':' was seen */
        SM_HOST_PORT_DIGITS,
};

struct sm_host {
        __u32 port;
        __u8 state; /* enum sm_host_state */
        __u8 _pad[3];
};

static inline void sm_host_start(struct sm_host *h) {
        h->port = 0;
        h->state = SM_HOST_START;
}

static inline int sm_host_name(struct sm_host *h, __u8 c) {
        if (sm_set_has(SM_HOST_LOW, SM_HOST_HIGH, c))
                h->state = SM_HOST_NAME;
        else if (c == '%')
                h->state = SM_HOST_PERCENT;
        else if (c == '[' && h->state == SM_HOST_START)
                h->state = SM_HOST_LITERAL;
        else if (c == ':' && h->state == SM_HOST_NAME)
                h->state = SM_HOST_PORT;
        else
                return 0;
        return 1;
}

/* 0 if `c` cannot stand here. */
static inline int sm_host_step(struct sm_host *h, __u8 c) {
        switch (h->state) {

        case SM_HOST_START:
        case SM_HOST_NAME:
                return sm_host_name(h, c);

        case SM_HOST_PERCENT:
        case SM_HOST_PERCENT_DIGIT:
                h->state = h->state == SM_HOST_PERCENT ? SM_HOST_PERCENT_DIGIT : SM_HOST_NAME;
                return sm_is_hex(c);

        case SM_HOST_LITERAL:
                if (c == ']')
                        h->state = SM_HOST_CLOSED;
                return sm_is_hex(c) || c == ':' || c == '.' || c == ']';

        case SM_HOST_CLOSED:
                h->state = SM_HOST_PORT;
                return c == ':';

        default:
                if (!sm_is_digit(c))
                        return 0;
                h->state = SM_HOST_PORT_DIGITS;
                h->port = h->port * 10 + (__u32) (c - '0');
                return h->port <= 65535;
        }
}

/* Whether what was read so far is whole: a host, with or without port. "host:" is, an empty host is not. */
static inline int sm_host_complete(const struct sm_host *h) {
        return h->state == SM_HOST_NAME || h->state == SM_HOST_CLOSED || h->state == SM_HOST_PORT ||
               h->state == SM_HOST_PORT_DIGITS;
}
