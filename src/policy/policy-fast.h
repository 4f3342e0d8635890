/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "../abi/abi-slow.h"
#include "../engine/engine-access.h"
#include "../engine/engine-head.h"
#include "policy.h"

/*
 * What of a policy can never take the fast path, whatever the traffic is like. The texts are stable, the
 * numbers are not.
 *
 * X(identifier, text, whether it concerns every request, sentence for people)
 */
#define FAST_LIMIT_LIST(X)                                                                               \
        X(TCP, "tcp", true,                                                                              \
          "Connections of a tcp service go straight to an endpoint: there is nothing to make faster.")   \
        X(NEVER, "never", true, "accelerate: never leaves every request to the relay.")                  \
        X(FORWARDED_FOR, "forwarded-for", true,                                                          \
          "forwarded-for: true has the head of every request rewritten, which only the relay does.")     \
        X(VIA, "via", true, "via: true has every head rewritten, which only the relay does.")            \
        X(REGEX, "regex", false,                                                                         \
          "Requests that it takes a regular expression to find the route of are the relay's.")           \
        X(BODY, "body", false,                                                                           \
          "Requests that it takes more of the body to find the route of than came at once are the "      \
          "relay's.")                                                                                    \
        X(REWRITE, "rewrite", false,                                                                     \
          "Requests of routes that change them or their responses are the relay's.")                     \
        X(MIRROR, "mirror", false, "Requests that are mirrored are the relay's.")                        \
        X(DELAY, "delay", false, "Requests that are delayed are the relay's.")                           \
        X(BLOCKING, "blocking", false,                                                                   \
          "Callers whose sockets are blocking go to the relay, unless the policy says accelerate: always.") \
        X(REMOTE, "remote", false,                                                                       \
          "Responses of endpoints that are not on this host come by way of the relay.")

typedef enum FastLimit {
#define FAST_LIMIT_ENUM(id, text, whole, sentence) FAST_LIMIT_##id,
        FAST_LIMIT_LIST(FAST_LIMIT_ENUM)
#undef FAST_LIMIT_ENUM
        _FAST_LIMIT_MAX,
} FastLimit;

const char *fast_limit_text(FastLimit l);
const char *fast_limit_sentence(FastLimit l);

/* Those of a policy; `remote`: endpoints of it are elsewhere. Where no request can be fast, only why. */
size_t fast_limits(const struct sm_policy *policy, bool remote, FastLimit ret[static _FAST_LIMIT_MAX]);

/* Why a request with this head, sent at once, goes to the relay whatever the moment; SM_SLOW_NONE if the
 * kernel may take it. */
enum sm_slow fast_request(const struct sm_policy *policy, const struct sm_head *head);

/* The same of what the route does with every request of its own; `base` is the cell of the policy. */
enum sm_slow fast_actions(const struct sm_tables *t, uint32_t base, const struct sm_route *route,
                          bool is_head);
